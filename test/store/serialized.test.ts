import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import { newThreadParams } from '../../src/contract/live-contract.js';
import { threadReaderContract } from '../../src/contract/reader-contract.js';
import { linesFromSeed, type Seed, seed, threadFromSeed } from '../../src/contract/seed.js';
import { eventItem } from '../../src/protocol/rollout-item.js';
import { serialized } from '../../src/store/serialized.js';
import type { ThreadReader, ThreadStore } from '../../src/store/thread-store.js';
import { InMemoryThreadStore } from '../../src/stores/memory/in-memory-thread-store.js';
import { newId } from '../support/test-home.js';

function inMemory(seeds: readonly Seed[]): InMemoryThreadStore {
  const store = new InMemoryThreadStore();
  for (const entry of seeds) store.add(threadFromSeed(entry), linesFromSeed(entry));
  return store;
}

/** The reading half of the contract and nothing else. */
function readerOf(seeds: readonly Seed[]): ThreadReader {
  const store = inMemory(seeds);
  return {
    capabilities: { ...store.capabilities, isReadOnly: true },
    readThread: (id) => store.readThread(id),
    listThreads: (params) => store.listThreads(params),
    listTurns: (params) => store.listTurns(params),
    findThreadsByName: (name, limit) => store.findThreadsByName(name, limit),
    loadHistory: (id) => store.loadHistory(id),
    historyVersion: (id) => store.historyVersion(id),
    close: () => store.close(),
  };
}

threadReaderContract('a store that only reads', async (seeds) => readerOf(seeds));
threadReaderContract('a store that only reads, serialized', async (seeds) => serialized(readerOf(seeds)));

describe('serialized', () => {
  const writes = (store: ThreadStore, thread: Seed): Record<string, () => Promise<unknown>> => ({
    updateThreadMetadata: () => store.updateThreadMetadata(thread.id, { name: 'x' }),
    archiveThread: () => store.archiveThread(thread.id),
    unarchiveThread: () => store.unarchiveThread(thread.id),
    createThread: () => store.createThread(newThreadParams()),
    resumeThread: () => store.resumeThread(thread.id),
    forkThread: () => store.forkThread({ sourceThreadId: thread.id, thread: newThreadParams() }),
    appendItems: () => store.appendItems(thread.id, [eventItem({ type: 'user_message', message: 'x' })]),
    persistThread: () => store.persistThread(thread.id),
    flushThread: () => store.flushThread(thread.id),
    shutdownThread: () => store.shutdownThread(thread.id),
  });

  it.each([
    ['has the reading half alone', (thread: Seed) => readerOf([thread])],
    ['says that it is read-only', (thread: Seed) => markedReadOnly(inMemory([thread]))],
  ])('refuses every write when the store %s', async (_, make) => {
    const thread = seed();
    const store = serialized(make(thread));
    for (const [name, write] of Object.entries(writes(store, thread))) {
      expect({ name, error: await errorOf(write()) }).toMatchObject({ name, error: { code: 'read_only' } });
    }
  });

  it('discards nothing on a read-only store, and answers a dry run where the store can', async () => {
    const thread = seed();
    await serialized(readerOf([thread])).discardThread(thread.id);
    const store = serialized(markedReadOnly(inMemory([thread])));
    expect(await store.archiveThread(thread.id, { dryRun: true })).toBe(true);
    expect(await store.unarchiveThread(thread.id, { dryRun: true })).toBe(false);
    expect((await store.readThread(thread.id)).isArchived).toBe(false);
  });

  it('reads the thread for an empty patch, on a read-only store too', async () => {
    const thread = seed({ name: 'kept' });
    const update = await serialized(readerOf([thread])).updateThreadMetadata(thread.id, {});
    expect(await update.thread()).toMatchObject({ name: 'kept' });
  });

  it('runs the writes of one thread one after another, and those of two side by side', async () => {
    const log: string[] = [];
    const slow = new InMemoryThreadStore();
    slow.persistThread = async (id) => {
      log.push(`begin ${id}`);
      await sleep(5);
      log.push(`end ${id}`);
    };
    const [a, b] = [newId(), newId()];
    const store = serialized(slow);
    await Promise.all([store.persistThread(a), store.persistThread(a), store.persistThread(b)]);
    expect(log.filter((line) => line.endsWith(a))).toEqual([`begin ${a}`, `end ${a}`, `begin ${a}`, `end ${a}`]);
    expect(log.indexOf(`begin ${b}`)).toBeLessThan(log.indexOf(`end ${a}`));
  });

  it('puts one queue around a store, however often it is called', () => {
    const store = serialized(inMemory([]));
    expect(serialized(store)).toBe(store);
  });

  it('goes on after a write that failed', async () => {
    const thread = seed();
    const store = serialized(inMemory([thread]));
    const [failed, done] = await Promise.allSettled([
      store.persistThread(thread.id),
      store.updateThreadMetadata(thread.id, { name: 'after' }),
    ]);
    expect(failed.status).toBe('rejected');
    expect(done.status).toBe('fulfilled');
    expect((await store.readThread(thread.id)).name).toBe('after');
  });
});

function markedReadOnly(store: InMemoryThreadStore): ThreadStore {
  return Object.assign(store, { capabilities: { ...store.capabilities, isReadOnly: true } });
}
