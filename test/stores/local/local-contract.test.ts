import { onTestFinished } from 'vitest';
import { keptMetadataContract } from '../../../src/contract/kept-metadata-contract.js';
import type { StoreFactory } from '../../../src/contract/live-contract.js';
import { threadStoreContract } from '../../../src/contract/store-contract.js';
import { Backfill } from '../../../src/stores/local/index/backfill.js';
import { LocalThreadStore } from '../../../src/stores/local/local-thread-store.js';
import { RolloutHome } from '../../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../../src/stores/local/rollout/rollout-library.js';
import { StateDbHandle } from '../../../src/stores/local/state-db/state-db-handle.js';
import { onlySqliteHome, openStateDb } from '../../support/state-db.js';
import { TestHome } from '../../support/test-home.js';
import { seedHome } from './seed-home.js';

const warn = (message: string) => {
  throw new Error(`nothing should be warned of: ${message}`);
};

const withCodexsDb: StoreFactory = async (seeds) => {
  const home = new TestHome();
  seedHome(home, home.stateDb(), seeds);
  const { stateDb } = await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'never' });
  if (!stateDb) throw new Error('there is no state DB');
  onTestFinished(() => stateDb.close());
  const library = new RolloutLibrary(new RolloutHome(home.root));
  return new LocalThreadStore({ library, stateDb: new StateDbHandle(stateDb), isReadOnly: false, warn });
};

threadStoreContract('LocalThreadStore with Codex’s state DB', withCodexsDb);
keptMetadataContract('LocalThreadStore with Codex’s state DB', withCodexsDb);

threadStoreContract('LocalThreadStore without a state DB', async (seeds) => {
  const home = new TestHome();
  seedHome(home, undefined, seeds);
  const library = new RolloutLibrary(new RolloutHome(home.root));
  return new LocalThreadStore({ library, stateDb: new StateDbHandle(), isReadOnly: false, warn });
});

threadStoreContract('LocalThreadStore whose state DB knows none of the threads', async (seeds) => {
  const home = new TestHome();
  home.stateDb();
  seedHome(home, undefined, seeds);
  const { stateDb } = await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'never' });
  if (!stateDb) throw new Error('there is no state DB');
  onTestFinished(() => stateDb.close());
  const library = new RolloutLibrary(new RolloutHome(home.root));
  return new LocalThreadStore({ library, stateDb: new StateDbHandle(stateDb), isReadOnly: false, warn });
});

threadStoreContract('LocalThreadStore with our own state DB', async (seeds) => {
  const home = new TestHome();
  seedHome(home, undefined, seeds);
  const { stateDb } = await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'create' });
  if (!stateDb) throw new Error('there is no state DB');
  onTestFinished(() => stateDb.close());
  const library = new RolloutLibrary(new RolloutHome(home.root));
  await new Backfill(library, stateDb).run();
  const store = new LocalThreadStore({ library, stateDb: new StateDbHandle(stateDb), isReadOnly: false, warn });
  onTestFinished(() => store.close());
  return store;
});
