import { expect, it } from 'vitest';
import { errorOf } from '../../../src/contract/error-of.js';
import { keptMetadataContract } from '../../../src/contract/kept-metadata-contract.js';
import type { StoreFactory } from '../../../src/contract/live-contract.js';
import { linesFromSeed, seed, threadFromSeed } from '../../../src/contract/seed.js';
import { threadStoreContract } from '../../../src/contract/store-contract.js';
import type { ThreadId } from '../../../src/protocol/ids.js';
import { PostgresAgentGraph } from '../../../src/stores/postgres/agent-graph.js';
import { PostgresImporter } from '../../../src/stores/postgres/importer.js';
import { openDb, openPostgresStore } from '../../support/postgres-store.js';

const fromThreadOrStore: StoreFactory = async (seeds) => {
  const db = openDb();
  const imports = new PostgresImporter(db, new PostgresAgentGraph(db));
  for (const seed of seeds) {
    const imported = {
      thread: threadFromSeed(seed),
      edge: undefined,
      version: async () => 'seed',
      lines: async function* () {
        yield* linesFromSeed(seed);
      },
    };
    await imports.add(imported, { dryRun: false });
  }
  return openPostgresStore({ db });
};

threadStoreContract('PostgresThreadStore', fromThreadOrStore);
keptMetadataContract('PostgresThreadStore', fromThreadOrStore);

it('has no paths: a patch of one is unsupported, and changes nothing', async () => {
  const store = await fromThreadOrStore([seed()]);
  const [listed] = (await store.listThreads(ALL)).threads;
  const threadId = listed?.thread.threadId as ThreadId;
  const error = await errorOf(store.updateThreadMetadata(threadId, { rolloutPath: '/x.jsonl', name: 'n' }));
  expect(error).toMatchObject({ code: 'unsupported', hint: expect.stringContaining('--store') });
  expect(await store.readThread(threadId)).toEqual(listed?.thread);
});

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 10 } as const;
