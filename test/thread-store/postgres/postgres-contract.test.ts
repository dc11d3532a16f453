import { PostgresImport } from '../../../src/thread-store/postgres/postgres-import.js';
import { openDb, openPostgresStore } from '../../support/postgres-store.js';
import { type StoreFactory, threadStoreContract } from '../contract.js';
import { keptMetadataContract } from '../live-contract.js';
import { linesOf, threadOf } from '../seed.js';

const storeOf: StoreFactory = async (seeds) => {
  const db = openDb();
  const imports = new PostgresImport(db);
  for (const seed of seeds) {
    await imports.add({
      thread: threadOf(seed),
      mark: 'seed',
      lines: async function* () {
        yield* linesOf(seed);
      },
    });
  }
  return openPostgresStore({ db });
};

threadStoreContract('PostgresThreadStore', storeOf);
keptMetadataContract('PostgresThreadStore', storeOf);
