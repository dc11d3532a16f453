import { describe, expect, it } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import { conflict } from '../../src/protocol/errors.js';
import type { ThreadId } from '../../src/protocol/ids.js';
import { LocalThreadStore } from '../../src/stores/local/local-thread-store.js';
import { RolloutHome } from '../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../src/stores/local/rollout/rollout-library.js';
import { acquireWriterLock } from '../../src/stores/local/rollout/writer-lock.js';
import { StateDbHandle } from '../../src/stores/local/state-db/state-db-handle.js';
import { InMemoryAgentGraph } from '../../src/stores/memory/in-memory-agent-graph.js';
import { managerOver } from '../support/manager-over.js';
import { newId, TestHome } from '../support/test-home.js';

/** A tree: root → a, b; a → c. Its store says in which order it was asked. */
async function tree() {
  const home = new TestHome();
  const ids = [newId(), newId(), newId(), newId()] as [ThreadId, ThreadId, ThreadId, ThreadId];
  const [root, a, b, c] = ids;
  for (const id of ids) home.rollout({ id });
  const graph = new InMemoryAgentGraph();
  for (const [parentThreadId, childThreadId] of [
    [root, a],
    [root, b],
    [a, c],
  ] as const) {
    await graph.upsertSpawnEdge({ parentThreadId, childThreadId, status: 'open' });
  }
  const rolloutHome = new RolloutHome(home.root);
  const store = new LocalThreadStore({
    library: new RolloutLibrary(rolloutHome),
    stateDb: new StateDbHandle(),
    isReadOnly: false,
    warn: () => {},
  });
  return { home: rolloutHome, root, a, b, c, graph, manager: managerOver(store, graph) };
}

const whole = { includeDescendants: true, dryRun: false };

describe('archiveThread', () => {
  it('takes the root first, then the deepest, and brings them back parents first', async () => {
    const { manager, root, a, b, c } = await tree();
    expect(await manager.archiveThread(root, whole)).toEqual({
      moved: [root, c, b, a],
      skipped: [],
      failed: [],
      warnings: [],
    });
    expect(await manager.unarchiveThread(root, whole)).toEqual({
      moved: [root, a, b, c],
      skipped: [],
      failed: [],
      warnings: [],
    });
  });

  it('takes the root alone when asked to', async () => {
    const { manager, root } = await tree();
    expect((await manager.archiveThread(root, { ...whole, includeDescendants: false })).moved).toEqual([root]);
  });

  it('tells in a dry run the same as it would do, and moves nothing', async () => {
    const { manager, root, a, b, c } = await tree();
    for (let time = 0; time < 2; time += 1) {
      expect((await manager.archiveThread(root, { ...whole, dryRun: true })).moved).toEqual([root, c, b, a]);
    }
    expect(await manager.readThread(root)).toMatchObject({ isArchived: false });
  });

  it('skips what is archived already, the root included', async () => {
    const { manager, root, a, b, c } = await tree();
    await manager.archiveThread(a, whole);
    expect(await manager.archiveThread(root, whole)).toEqual({
      moved: [root, b],
      skipped: [c, a].map((threadId) => ({ threadId, reason: 'already archived' })),
      failed: [],
      warnings: [],
    });
    expect((await manager.archiveThread(root, whole)).skipped).toHaveLength(4);
  });

  it('goes on when a descendant cannot be moved, and says which', async () => {
    const { manager, home, root, a, b, c } = await tree();
    const lock = await acquireWriterLock(home, a, 'lasting');
    for (const dryRun of [true, false]) {
      const { moved, failed } = await manager.archiveThread(root, { ...whole, dryRun });
      expect(moved).toEqual([root, c, b]);
      expect(failed).toEqual([{ threadId: a, error: expect.objectContaining({ code: conflict('', '').code }) }]);
    }
    await lock.release();
    expect((await manager.archiveThread(root, whole)).moved).toEqual([a]);
  });

  it('moves nothing when the root cannot be moved', async () => {
    const { manager, home, root, c } = await tree();
    const lock = await acquireWriterLock(home, root, 'lasting');
    expect(await errorOf(manager.archiveThread(root, whole))).toMatchObject({ code: 'conflict' });
    await lock.release();
    expect(await manager.readThread(c)).toMatchObject({ isArchived: false });
    expect(await errorOf(manager.archiveThread(newId(), whole))).toMatchObject({ code: 'thread_not_found' });
  });

  it('skips an edge to a thread that is gone, and ends on a cycle', async () => {
    const { manager, graph, root, c } = await tree();
    const gone = newId();
    await graph.upsertSpawnEdge({ parentThreadId: c, childThreadId: gone, status: 'open' });
    await graph.upsertSpawnEdge({ parentThreadId: c, childThreadId: root, status: 'open' });
    const { moved, skipped } = await manager.archiveThread(root, whole);
    expect(moved).toHaveLength(4);
    expect(skipped).toEqual([{ threadId: gone, reason: 'the thread no longer exists' }]);
  });
});

describe('listThreads of a family', () => {
  const query = { filter: { archived: 'include' }, sortBy: 'createdAt', order: 'asc', limit: 10 } as const;

  it('gives children, or all descendants', async () => {
    const { manager, root, a, b, c } = await tree();
    const ids = async (relation: 'children' | 'descendants') =>
      (await manager.listThreads({ ...query, family: { relation, threadId: root } })).threads.map(
        ({ thread }) => thread.threadId,
      );
    expect((await ids('children')).sort()).toEqual([a, b].sort());
    expect((await ids('descendants')).sort()).toEqual([a, b, c].sort());
  });

  it('is empty for a thread without any, and an error for an unknown one', async () => {
    const { manager, c } = await tree();
    expect((await manager.listThreads({ ...query, family: { relation: 'children', threadId: c } })).total).toBe(0);
    const unknown = manager.listThreads({ ...query, family: { relation: 'children', threadId: newId() } });
    expect(await errorOf(unknown)).toMatchObject({ code: 'thread_not_found' });
  });
});
