import { describe, expect, it } from 'vitest';
import type { ThreadId } from '../../src/protocol/ids.js';
import type { RolloutItem } from '../../src/protocol/rollout-item.js';
import { type BuiltTurn, TurnBuilder } from '../../src/transcript/turn-builder.js';
import { type ConversationItem, TurnWriter } from '../../src/transcript/turn-writer.js';

const THREAD = '01a20000-0000-7000-8000-000000000001' as ThreadId;
const NOW = 1_795_000_000_500;

function writerOf(mode: 'legacy' | 'paginated', openTurn?: ConstructorParameters<typeof TurnWriter>[0]['openTurn']) {
  let id = 0;
  return new TurnWriter({ threadId: THREAD, mode, newId: () => `id-${++id}`, openTurn });
}

/** The turns that a reader makes of the items. */
function turnsOf(items: readonly RolloutItem[], mode: 'legacy' | 'paginated', isLive = false): BuiltTurn[] {
  const builder = new TurnBuilder({
    mode,
    beginsEarlier: () => false,
  });
  for (const [offset, item] of items.entries()) {
    builder.add({ ...item, timestamp: '2026-11-20T10:00:00.000Z', ordinal: offset }, { rolloutId: THREAD, offset });
  }
  return builder.finish(isLive);
}

const shape = (turns: readonly BuiltTurn[]) =>
  turns.map(({ status, items }) => [status, ...items.map(({ type, body }) => `${type}: ${body?.text}`)]);

const user = (text: string): ConversationItem => ({ type: 'userMessage', text });
const agent = (text: string): ConversationItem => ({ type: 'agentMessage', text });
const call = (status: 'completed' | 'failed'): ConversationItem => ({
  type: 'toolCall',
  tool: 'shell',
  arguments: { cmd: 'ls' },
  output: 'a\nb',
  status,
});

describe.each(['legacy', 'paginated'] as const)('turns written for a %s thread', (mode) => {
  it('are read as they were told', () => {
    const writer = writerOf(mode);
    const items = [...writer.items([user('q'), call('completed'), agent('a')], NOW), ...writer.end(NOW + 2000)];
    const [turn, ...others] = turnsOf(items, mode);
    expect(others).toEqual([]);
    expect(turn).toMatchObject({
      turnId: 'id-1',
      status: 'completed',
      startedAt: 1_795_000_000_000,
      completedAt: 1_795_000_002_000,
      durationMs: 2000,
      items: [
        { type: 'userMessage', body: { text: 'q' } },
        {
          type: 'mcpToolCall',
          fields: { tool: 'shell', status: 'completed', arguments: { cmd: 'ls' } },
          body: { text: 'a\nb', isOutput: true },
        },
        { type: 'agentMessage', body: { text: 'a' } },
      ],
    });
  });

  it('tell a tool call that failed', () => {
    const [turn] = turnsOf(writerOf(mode).items([user('q'), call('failed')], NOW), mode);
    expect(turn?.items[1]).toMatchObject({ type: 'mcpToolCall', fields: { status: 'failed', error: 'a\nb' } });
  });

  it('begin with a user message, which ends the one before', () => {
    const writer = writerOf(mode);
    const items = writer.items([user('one'), agent('a'), user('two')], NOW);
    expect(shape(turnsOf(items, mode, true))).toEqual([
      ['completed', 'userMessage: one', 'agentMessage: a'],
      ['inProgress', 'userMessage: two'],
    ]);
    expect(writer.openTurn?.turnId).toBe(turnsOf(items, mode, true)[1]?.turnId);
  });

  it('begin with anything where none is open', () => {
    const writer = writerOf(mode);
    const items = [...writer.items([agent('unasked')], NOW), ...writer.end(NOW), ...writer.items([agent('more')], NOW)];
    expect(shape(turnsOf(items, mode))).toEqual([
      ['completed', 'agentMessage: unasked'],
      ['interrupted', 'agentMessage: more'],
    ]);
  });

  it('go on with a turn that was left open', () => {
    const first = writerOf(mode).items([user('q')], NOW);
    const writer = writerOf(mode, { turnId: 'id-1', startedAt: NOW, lastAgentMessage: undefined });
    const items = [...first, ...writer.items([agent('a')], NOW), ...writer.end(NOW)];
    expect(shape(turnsOf(items, mode))).toEqual([['completed', 'userMessage: q', 'agentMessage: a']]);
    expect(items.at(-1)?.payload).toMatchObject({ turn_id: 'id-1', last_agent_message: 'a' });
  });

  it('end once, and nothing ends where nothing is open', () => {
    const writer = writerOf(mode);
    expect(writer.end(NOW)).toEqual([]);
    expect(writer.interrupt('why')).toEqual([]);
    writer.items([user('q')], NOW);
    expect(writer.end(NOW)).toHaveLength(1);
    expect(writer.end(NOW)).toEqual([]);
  });

  it('are interrupted with a word to the model that goes on', () => {
    const writer = writerOf(mode);
    const items = [...writer.items([user('q')], NOW), ...writer.interrupt('It was forked.')];
    expect(shape(turnsOf(items, mode))).toEqual([['interrupted', 'userMessage: q']]);
    expect(JSON.stringify(items.at(-2)?.payload)).toContain('<turn_aborted>\\nIt was forked.\\n</turn_aborted>');
  });

  it('hold what a model is given too', () => {
    const items = writerOf(mode).items([user('q'), call('completed'), agent('a')], NOW);
    const responses = items.filter(({ type }) => type === 'response_item').map(({ payload }) => payload);
    expect(responses).toMatchObject([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'q' }] },
      { type: 'function_call', name: 'shell', arguments: '{"cmd":"ls"}' },
      { type: 'function_call_output', output: 'a\nb' },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'a' }] },
    ]);
    expect(responses[1]?.['call_id']).toBe(responses[2]?.['call_id']);
  });
});
