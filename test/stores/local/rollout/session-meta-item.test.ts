import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ThreadId } from '../../../../src/protocol/ids.js';
import { parseSessionMeta, type SessionMeta } from '../../../../src/protocol/session-meta.js';
import { sessionSource } from '../../../../src/protocol/session-source.js';
import { sessionMetaItem, shortMetaItem } from '../../../../src/stores/local/rollout/session-meta-item.js';
import { newId } from '../../../support/test-home.js';

const TIME = '2026-11-20T10:00:00.000Z';
const read = (item: ReturnType<typeof sessionMetaItem>) =>
  parseSessionMeta({ ...item, timestamp: TIME, ordinal: undefined });

const id = fc.uuid().map((uuid) => uuid as ThreadId);
const word = fc.string({ minLength: 1 }).filter((text) => text.trim() !== '');
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const metas: fc.Arbitrary<SessionMeta> = fc.record({
  id,
  sessionId: id,
  timestamp: fc.constant(TIME),
  cwd: word,
  originator: word,
  cliVersion: word,
  source: fc.constantFrom(...['cli', 'mcp', { custom: 'x' }, { subagent: 'review' }].map(sessionSource)),
  threadSource: maybe(word),
  agentNickname: maybe(word),
  agentRole: maybe(word),
  agentPath: maybe(word),
  modelProvider: maybe(word),
  memoryMode: maybe(fc.constantFrom('enabled', 'disabled')),
  historyMode: fc.constantFrom('legacy', 'paginated'),
  unwritableBecause: fc.constant(undefined),
  historyBase: maybe(fc.record({ rolloutId: id, endOrdinalExclusive: fc.nat(), endByteOffset: fc.nat() })),
  forkedFromId: maybe(id),
  parentThreadId: maybe(id),
  git: maybe(fc.record({ sha: maybe(word), branch: maybe(word), originUrl: maybe(word) })),
});

describe('a session_meta that we write', () => {
  it('is read as it was meant', () => {
    fc.assert(
      fc.property(metas, (meta) => {
        expect(read(sessionMetaItem(meta))).toEqual(meta);
      }),
    );
  });

  it('has, when it is short, the required keys and what changes', () => {
    fc.assert(
      fc.property(metas, (meta) => {
        const short = shortMetaItem(meta, { memoryMode: 'disabled' });
        expect(short.payload).toMatchObject({ id: meta.id, timestamp: TIME, cwd: meta.cwd, memory_mode: 'disabled' });
        expect(short.payload).not.toHaveProperty('git');
        expect(read(shortMetaItem(meta, { git: {} }))?.git).toEqual({});
      }),
    );
  });

  it('keeps the order of a spawn source, which is compared as text', () => {
    const spawn = { parent_thread_id: newId(), depth: 1, agent_path: null, agent_nickname: 'A', agent_role: 'r' };
    const source = sessionSource({ subagent: { thread_spawn: spawn } });
    const [meta] = fc.sample(metas, 1);
    if (!meta) throw new Error('no sample');
    expect(read(sessionMetaItem({ ...meta, source }))?.source.stored).toBe(source.stored);
  });
});
