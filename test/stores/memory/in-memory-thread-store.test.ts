import { describe, expect, it } from 'vitest';
import { InMemoryThreadStore } from '../../../src/stores/memory/in-memory-thread-store.js';
import { threadStoreContract } from '../../store/contract.js';
import { keptMetadataContract } from '../../store/live-contract.js';
import { linesOf, type Seed, seed, threadOf } from '../../store/seed.js';
import { errorOf } from '../../support/error-of.js';

function fromThreadOrStore(seeds: readonly Seed[]): InMemoryThreadStore {
  const store = new InMemoryThreadStore();
  for (const entry of seeds) store.add(threadOf(entry), linesOf(entry));
  return store;
}

threadStoreContract('InMemoryThreadStore', async (seeds) => fromThreadOrStore(seeds));
keptMetadataContract('InMemoryThreadStore', async (seeds) => fromThreadOrStore(seeds));

describe('InMemoryThreadStore', () => {
  it('refuses a path, as its threads are no files', async () => {
    const thread = seed();
    const store = fromThreadOrStore([thread]);
    const patch = { rolloutPath: '/home/dev/.codex/sessions/x.jsonl', name: 'x' };
    expect(await errorOf(store.updateThreadMetadata(thread.id, patch))).toMatchObject({ code: 'unsupported' });
    expect((await store.readThread(thread.id)).name).toBeUndefined();
  });
});
