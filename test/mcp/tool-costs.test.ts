import { expect, it, vi } from 'vitest';
import type { ThreadId } from '../../src/protocol/ids.js';
import { StateDb } from '../../src/stores/local/state-db/state-db.js';
import { ThreadResolver } from '../../src/stores/local/thread-resolver.js';
import { connect } from '../support/connect.js';
import { addEdge, addRow, spawnedBy, TestHome } from '../support/test-home.js';

/**
 * What each tool call costs at most, on a home of 30 threads with Codex's DB: how often a thread is found by its row
 * and its files, calls of the file system, SQL statements. A number that falls is written down here; one that rises is
 * a regression.
 */
const COSTS = {
  //                                  found  system  statements
  'list_threads, first call': /*     */ [0, 331, 7],
  list_threads: /*                   */ [0, 86, 3],
  'list_threads with search': /*     */ [0, 3, 4],
  'read_thread without turns': /*    */ [1, 16, 1],
  // The metadata and the turns are two questions to the store.
  read_thread: /*                    */ [2, 20, 2],
  'append_to_thread, not loaded': /* */ [1, 62, 6],
  'append_to_thread, loaded': /*     */ [0, 17, 3],
  close_thread: /*                   */ [0, 25, 3],
  set_thread_name: /*                */ [1, 28, 5],
  update_thread_metadata: /*         */ [1, 58, 5],
  archive_thread: /*                 */ [1, 45, 8],
  unarchive_thread: /*               */ [1, 49, 6],
  'archive_thread, tree of 3': /*    */ [3, 141, 13],
  'unarchive_thread, tree of 3': /*  */ [3, 144, 13],
  start_thread: /*                   */ [0, 56, 4],
  // The metadata of the source come first: the fork is made with them.
  fork_thread: /*                    */ [2, 107, 8],
} as const satisfies Record<string, readonly [number, number, number]>;

const counts = vi.hoisted(() => ({ system: 0 }));

// Counts the calls of the file system; each is passed on to the real one.
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>();
  const counted = Object.entries(fs).map(([name, value]) => {
    if (typeof value !== 'function' || !name.endsWith('Sync')) return [name, value];
    const call = value as (...args: unknown[]) => unknown;
    const wrapped = (...args: unknown[]) => {
      counts.system += 1;
      return call(...args);
    };
    return [name, Object.assign(wrapped, value)];
  });
  return Object.fromEntries(counted) as typeof fs;
});

it('each tool call costs no more than it did', async () => {
  // Time stands still, so that what is kept for a while is kept in every run; every file is older than that.
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
  const home = new TestHome();
  const db = home.stateDb();
  const thread = (parent?: ThreadId): ThreadId => {
    const { id, file } = home.rollout({
      turns: [
        ['q', 'a'],
        ['q2', 'a2'],
      ],
      meta: parent ? spawnedBy(parent) : {},
    });
    addRow(db, { id, rollout_path: file });
    if (parent) addEdge(db, parent, id);
    return id;
  };
  const [root, recorded, other, source] = [thread(), thread(), thread(), thread()];
  for (let n = 0; n < 26; n += 1) thread(n < 2 ? root : undefined);
  const { client } = await connect(home);
  const find = vi.spyOn(ThreadResolver.prototype, 'find');
  const statements = (['get', 'all', 'run'] as const).map((name) => vi.spyOn(StateDb.prototype, name));
  const costs: Record<string, readonly [number, number, number]> = {};
  const measure = async (label: keyof typeof COSTS, name: string, args: Record<string, unknown>) => {
    for (const spy of [find, ...statements]) spy.mockClear();
    counts.system = 0;
    const { isError, content } = await client.callTool({ name, arguments: args });
    const run = statements.reduce((sum, spy) => sum + spy.mock.calls.length, 0);
    costs[label] = [find.mock.calls.length, counts.system, run];
    expect(isError ?? false, `${label}: ${JSON.stringify(content)}`).toBe(false);
  };
  const items = [{ type: 'userMessage', text: 'more' }];
  await measure('list_threads, first call', 'list_threads', {});
  await measure('list_threads', 'list_threads', {});
  await measure('list_threads with search', 'list_threads', { search: 'q' });
  await measure('read_thread without turns', 'read_thread', { threadId: other, includeTurns: false });
  await measure('read_thread', 'read_thread', { threadId: other });
  await measure('append_to_thread, not loaded', 'append_to_thread', { threadId: recorded, items });
  await measure('append_to_thread, loaded', 'append_to_thread', { threadId: recorded, items });
  await measure('close_thread', 'close_thread', { threadId: recorded });
  await measure('set_thread_name', 'set_thread_name', { threadId: other, name: 'Other' });
  await measure('update_thread_metadata', 'update_thread_metadata', { threadId: other, gitInfo: { branch: 'b' } });
  await measure('archive_thread', 'archive_thread', { threadId: other });
  await measure('unarchive_thread', 'unarchive_thread', { threadId: other });
  await measure('archive_thread, tree of 3', 'archive_thread', { threadId: root });
  await measure('unarchive_thread, tree of 3', 'unarchive_thread', { threadId: root });
  await measure('start_thread', 'start_thread', { cwd: '/home/dev/project', message: 'q' });
  await measure('fork_thread', 'fork_thread', { threadId: source });
  vi.useRealTimers();
  const tooMuch = Object.entries(COSTS).filter(([label, most]) =>
    most.some((limit, index) => (costs[label]?.[index] ?? Infinity) > limit),
  );
  expect(Object.fromEntries(tooMuch.map(([label]) => [label, costs[label]]))).toEqual({});
});
