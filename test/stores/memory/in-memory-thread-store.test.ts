import { describe, expect, it } from 'vitest';
import { errorOf } from '../../../src/contract/error-of.js';
import { keptMetadataContract } from '../../../src/contract/kept-metadata-contract.js';
import { linesFromSeed, type Seed, seed, threadFromSeed } from '../../../src/contract/seed.js';
import { threadStoreContract } from '../../../src/contract/store-contract.js';
import { InMemoryThreadStore } from '../../../src/stores/memory/in-memory-thread-store.js';

function fromThreadOrStore(seeds: readonly Seed[]): InMemoryThreadStore {
  const store = new InMemoryThreadStore();
  for (const entry of seeds) store.add(threadFromSeed(entry), linesFromSeed(entry));
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
