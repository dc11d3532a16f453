import { describe, expect, it } from 'vitest';
import { parseRolloutLine } from '../../src/protocol/rollout-line.js';
import type { Turn } from '../../src/transcript/turn.js';
import { TurnBuilder, type TurnBuilderOptions } from '../../src/transcript/turn-builder.js';
import { event, type Line, legacyTurn, paginatedTurn } from '../support/test-home.js';

function turnsOf(lines: readonly Line[], options: Partial<TurnBuilderOptions> & { isLive?: boolean } = {}): Turn[] {
  const builder = new TurnBuilder({
    mode: 'legacy',
    beginsEarlier: () => false,
    ...options,
  });
  for (const [offset, line] of lines.entries()) {
    const parsed = parseRolloutLine(JSON.stringify({ timestamp: '2026-11-20T10:00:00.000Z', ...line }));
    if (parsed) builder.add(parsed, { rolloutId: 'r', offset });
  }
  return builder
    .finish(options.isLive ?? false)
    .map((turn) => ({ ...turn, turnId: turn.turnId ?? `rollout-${turn.anchor.offset}` }));
}

const started = (id: string) => event({ type: 'task_started', turn_id: id });
const completed = (id: string, more: Line = {}) => event({ type: 'task_complete', turn_id: id, ...more });
const aborted = (id: string) => event({ type: 'turn_aborted', turn_id: id, reason: 'interrupted' });
const said = (message: string) => event({ type: 'user_message', message });
const answered = (message: string) => event({ type: 'agent_message', message });
const thought = (text: string) => event({ type: 'agent_reasoning', text });
const item = (turnId: string, value: Line) => event({ type: 'item_completed', turn_id: turnId, item: value });

const statuses = (turns: readonly Turn[]) => turns.map(({ turnId, status }) => `${turnId} ${status}`);
const types = (turn: Turn | undefined) => turn?.items.map(({ type }) => type);

describe('legacy turns', () => {
  it('are opened and closed by their events, and kept even when empty', () => {
    expect(statuses(turnsOf([started('a'), completed('a'), started('b'), said('hi'), completed('b')]))).toEqual([
      'a completed',
      'b completed',
    ]);
  });

  it('end with what aborts them: what comes after begins another, as in Codex', () => {
    const after = [said('after'), answered('more')];
    expect(statuses(turnsOf([started('a'), said('q'), aborted('a'), ...after]))).toEqual([
      'a interrupted',
      'rollout-3 completed',
    ]);
    // One that names a turn nobody knows says nothing of one that began; an implicit one it ends.
    expect(statuses(turnsOf([started('a'), said('q'), aborted('x'), ...after, completed('a')]))).toEqual([
      'a completed',
    ]);
    expect(statuses(turnsOf([said('q'), aborted('x'), ...after]))).toEqual([
      'rollout-0 interrupted',
      'rollout-2 completed',
    ]);
  });

  it('are made of user messages where an old file has no such events', () => {
    const turns = turnsOf([said('one'), answered('1'), said('two'), answered('2')]);
    expect(statuses(turns)).toEqual(['rollout-0 completed', 'rollout-2 completed']);
    expect(turns.map(types)).toEqual([
      ['userMessage', 'agentMessage'],
      ['userMessage', 'agentMessage'],
    ]);
  });

  it('take a late completion, and stay interrupted when it comes after an abort', () => {
    const turns = turnsOf([
      started('a'),
      started('b'),
      completed('a', { duration_ms: 5 }),
      aborted('b'),
      completed('b'),
    ]);
    expect(statuses(turns)).toEqual(['a completed', 'b interrupted']);
    expect(turns[0]?.durationMs).toBe(5);
  });

  it('are interrupted when nothing ends them, unless someone is writing the thread', () => {
    const lines = [started('a'), said('hi')];
    expect(statuses(turnsOf(lines))).toEqual(['a interrupted']);
    expect(statuses(turnsOf(lines, { isLive: true }))).toEqual(['a inProgress']);
    expect(statuses(turnsOf([started('a'), started('b')], { isLive: true }))).toEqual([
      'a interrupted',
      'b inProgress',
    ]);
  });

  it('fail by an error event, or by an error in the completion', () => {
    const byEvent = turnsOf([started('a'), event({ type: 'error', message: 'no more' }), completed('a')]);
    expect(byEvent[0]).toMatchObject({ status: 'failed', error: 'no more' });
    const byCompletion = turnsOf([started('a'), completed('a', { error: { message: 'broke' } })]);
    expect(byCompletion[0]).toMatchObject({ status: 'failed', error: 'broke' });
  });

  it('vanish by a rollback, all of them when it is larger than the history', () => {
    const two = [...legacyTurn('a', '1', 'x'), ...legacyTurn('b', '2', 'y')];
    const rollback = (count: number) => event({ type: 'thread_rolled_back', num_turns: count });
    expect(statuses(turnsOf([...two, rollback(1)]))).toEqual(['a completed']);
    expect(turnsOf([...two, rollback(5)])).toEqual([]);
    expect(statuses(turnsOf([...two, rollback(2), ...legacyTurn('c', '3', 'z')]))).toEqual(['c completed']);
  });

  it('join reasoning only where it follows directly', () => {
    const turns = turnsOf([
      started('a'),
      thought('one'),
      thought('two'),
      answered('x'),
      thought('three'),
      completed('a'),
    ]);
    expect(types(turns[0])).toEqual(['reasoning', 'agentMessage', 'reasoning']);
    expect(turns[0]?.items[0]?.body?.text).toBe('one\n\ntwo');
  });

  it('keep one item for each call id, the last one said', () => {
    const end = (output: string) =>
      event({ type: 'exec_command_end', call_id: 'c1', command: ['ls'], exit_code: 0, aggregated_output: output });
    const turns = turnsOf([started('a'), end('first'), answered('x'), end('second'), completed('a')]);
    expect(types(turns[0])).toEqual(['commandExecution', 'agentMessage']);
    expect(turns[0]?.items[0]).toMatchObject({ itemId: 'c1', body: { text: 'second', isOutput: true } });
  });

  it('put an event with a turn id into that turn, even a finished one, and drop one of an unknown turn', () => {
    const late = (turnId: string) =>
      event({ type: 'exec_command_end', turn_id: turnId, call_id: `c-${turnId}`, command: 'ls', exit_code: 0 });
    const turns = turnsOf([started('a'), completed('a'), started('b'), late('a'), late('gone')]);
    expect(turns.map(types)).toEqual([['commandExecution'], []]);
  });

  it('keep an implicit turn that holds only a compaction, and drop an empty one', () => {
    expect(turnsOf([{ type: 'compacted', payload: { message: 'm' } }])).toHaveLength(1);
    expect(turnsOf([{ type: 'turn_context', payload: {} }])).toEqual([]);
    const turns = turnsOf([{ type: 'compacted', payload: { message: 'm' } }, said('after')]);
    expect(turns.map(types)).toEqual([['userMessage']]);
  });

  it('make no items of response items or of unknown events', () => {
    const noise: Line[] = [
      {
        type: 'response_item',
        payload: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'context' }] },
      },
      event({ type: 'token_count', info: null }),
      event({ type: 'brand_new_event', text: 'x' }),
      { type: 'brand_new_line', payload: {} },
    ];
    expect(types(turnsOf([started('a'), ...noise, said('hi'), completed('a')])[0])).toEqual(['userMessage']);
  });

  it('show images and sounds of a message as attachments', () => {
    const message = event({
      type: 'user_message',
      message: '',
      images: [`data:image/png;base64,${'A'.repeat(500)}`],
      local_images: ['/x.png'],
    });
    const [found] = turnsOf([started('a'), message])[0]?.items ?? [];
    expect(found).toMatchObject({
      type: 'userMessage',
      body: undefined,
      fields: { attachments: [{ type: 'image' }, { type: 'localImage', path: '/x.png' }] },
    });
    expect(JSON.stringify(found).length).toBeLessThan(250);
  });

  it('read the older shapes of tool events', () => {
    const lines = [
      started('a'),
      event({
        type: 'patch_apply_end',
        call_id: 'p',
        success: true,
        changes: { '/b': { add: { content: 'x' } }, '/a': { update: { unified_diff: '@@', move_path: '/c' } } },
      }),
      event({
        type: 'mcp_tool_call_end',
        call_id: 'm',
        invocation: { server: 's', tool: 't', arguments: { a: 1 } },
        result: { Err: 'broke' },
        duration: { secs: 1, nanos: 500_000_000 },
      }),
      event({ type: 'web_search_end', call_id: 'w', query: 'q' }),
      event({
        type: 'exec_command_end',
        call_id: 'e',
        command: ['bash', '-lc', "echo 'a b'"],
        exit_code: 2,
        stdout: 'out',
      }),
    ];
    const items = turnsOf(lines)[0]?.items ?? [];
    expect(items.map(({ type, itemId }) => `${type} ${itemId}`)).toEqual([
      'fileChange p',
      'mcpToolCall m',
      'webSearch w',
      'commandExecution e',
    ]);
    expect(items[0]?.fields['changes']).toEqual([
      { path: '/a', kind: 'update', movePath: '/c' },
      { path: '/b', kind: 'add' },
    ]);
    expect(items[1]?.fields).toMatchObject({
      server: 's',
      tool: 't',
      status: 'failed',
      error: 'broke',
      durationMs: 1500,
    });
    expect(items[3]?.fields).toMatchObject({ command: `bash -lc "echo 'a b'"`, status: 'failed', exitCode: 2 });
  });
});

describe('paginated turns', () => {
  const paginated = (lines: readonly Line[], options: Partial<TurnBuilderOptions> = {}) =>
    turnsOf(lines, { mode: 'paginated', ...options });

  it('are made of completed items, with their ids and texts', () => {
    const [turn] = paginated(paginatedTurn('a', 'ask', 'tell'));
    expect(turn?.items.map(({ itemId, type, body }) => `${itemId} ${type} ${body?.text}`)).toEqual([
      'a-user userMessage ask',
      'a-agent agentMessage tell',
    ]);
  });

  it('replace an item of the same id in place', () => {
    const plan = (text: string) => item('a', { type: 'Plan', id: 'p', text });
    const turns = paginated([
      started('a'),
      plan('one'),
      item('a', { type: 'ContextCompaction', id: 'c' }),
      plan('two'),
    ]);
    expect(turns[0]?.items.map(({ type, body }) => `${type} ${body?.text ?? ''}`)).toEqual([
      'plan two',
      'contextCompaction ',
    ]);
  });

  it('read items that come after the end of their turn', () => {
    const turns = paginated([...paginatedTurn('a', 'ask', 'tell'), item('a', { type: 'Plan', id: 'p', text: 'late' })]);
    expect(types(turns[0])).toEqual(['userMessage', 'agentMessage', 'plan']);
  });

  it('keep an item of a type that nobody knows yet, whole', () => {
    const [turn] = paginated([started('a'), item('a', { type: 'HologramShown', id: 'h', depth: 3 })]);
    expect(turn?.items[0]).toMatchObject({ itemId: 'h', type: 'hologramShown', body: { isOutput: true } });
    expect(turn?.items[0]?.body?.text).toContain('"depth":3');
  });

  it('show commands, changes and agents as their fields, and what they put out as a body', () => {
    const lines = [
      started('a'),
      item('a', {
        type: 'CommandExecution',
        id: 'x',
        command: ['ls', '-la'],
        cwd: 'file:///tmp/a',
        status: 'completed',
        source: 'unified_exec_startup',
        exit_code: 0,
        aggregated_output: 'out',
        duration: { secs: 0, nanos: 6240 },
      }),
      item('a', {
        type: 'CollabAgentToolCall',
        id: 'y',
        tool: 'spawn_agent',
        status: 'completed',
        sender_thread_id: 's',
        receiver_thread_ids: ['r'],
        prompt: 'do it',
        agents_states: { r: 'pending_init' },
      }),
      item('a', { type: 'Reasoning', id: 'z', summary_text: ['why'], raw_content: [] }),
    ];
    const [command, collab, reasoning] = paginated(lines)[0]?.items ?? [];
    expect(command).toMatchObject({
      fields: { command: 'ls -la', cwd: '/tmp/a', source: 'unifiedExecStartup', exitCode: 0 },
      body: { text: 'out', isOutput: true },
    });
    expect(collab).toMatchObject({
      fields: { tool: 'spawnAgent', receiverThreadIds: ['r'] },
      body: { text: 'do it', isOutput: false },
    });
    expect(reasoning).toMatchObject({ body: { text: 'why', isOutput: true } });
  });

  it('keep 32,000 characters of a long text, from where they are asked for', () => {
    const text = `${'a'.repeat(40_000)}${'b'.repeat(40_000)}`;
    const lines = [started('a'), item('a', { type: 'AgentMessage', id: 'm', content: [{ type: 'Text', text }] })];
    expect(paginated(lines)[0]?.items[0]?.body).toMatchObject({ text: 'a'.repeat(32_000), from: 0, total: 80_000 });
    const window = { itemId: 'm', from: 39_999 };
    expect(paginated(lines, { window })[0]?.items[0]?.body).toMatchObject({
      text: `a${'b'.repeat(31_999)}`,
      from: 39_999,
    });
  });

  it('never fail on items of a wrong shape', () => {
    const shapes: unknown[] = [
      null,
      7,
      'text',
      [],
      {},
      { type: 5 },
      { type: 'AgentMessage' },
      { type: 'FileChange', changes: 3 },
      { type: 'CommandExecution', command: { a: 1 }, duration: 'x' },
    ];
    const lines = [
      started('a'),
      ...shapes.map((value) => event({ type: 'item_completed', turn_id: 'a', item: value })),
    ];
    expect(() => paginated(lines)).not.toThrow();
    for (const name of [
      'UserMessage',
      'Reasoning',
      'McpToolCall',
      'DynamicToolCall',
      'CollabAgentToolCall',
      'SubAgentActivity',
      'WebSearch',
      'ImageView',
      'Sleep',
      'ExitedReviewMode',
      'HookPrompt',
      'Extension',
    ]) {
      expect(() => paginated([started('a'), item('a', { type: name, id: 'i' })])).not.toThrow();
      expect(() =>
        paginated([
          started('a'),
          item('a', {
            type: name,
            id: 'i',
            content: 5,
            text: {},
            result: [1],
            arguments: null,
            summary_text: 'x',
            agents_states: [],
          }),
        ]),
      ).not.toThrow();
    }
  });
});
