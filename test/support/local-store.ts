import { onTestFinished } from 'vitest';
import { type LocalThreadkeeper, type OpenLocalOptions, openLocal } from '../../src/app/open-local.js';
import type { ThreadId } from '../../src/protocol/ids.js';
import { Backfill } from '../../src/stores/local/index/backfill.js';
import { LocalThreadStore } from '../../src/stores/local/local-thread-store.js';
import { RolloutHome } from '../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../src/stores/local/rollout/rollout-library.js';
import type { StateDbConfig } from '../../src/stores/local/state-db/open-state-db.js';
import { StateDbHandle } from '../../src/stores/local/state-db/state-db-handle.js';
import { onlySqliteHome, openStateDb } from './state-db.js';

/** The parts of the server over a home, as the program puts them together; `warnings` is what it said to a person. */
export async function open(
  home: string,
  options: Partial<OpenLocalOptions> = {},
): Promise<LocalThreadkeeper & { warnings: string[] }> {
  const warnings: string[] = [];
  const all = {
    home,
    sqliteHome: undefined,
    useStateDb: true,
    readOnly: false,
    indexUse: 'never',
    ...options,
    kind: 'local',
  } as const;
  const threadkeeper = await openLocal(all, (message) => warnings.push(message));
  onTestFinished(() => threadkeeper.close());
  return { ...threadkeeper, warnings };
}

/** A list of every thread, the newest first. */
export const ALL = { filter: { archived: 'include' }, sortBy: 'createdAt', order: 'desc', limit: 100 } as const;

/** The newest turns of a thread. */
export const newestTurns = (threadId: ThreadId) => ({ threadId, order: 'newestFirst', limit: 10 }) as const;

export interface StoreOptions {
  readonly indexUse?: StateDbConfig['indexUse'];
  readonly busyTimeoutMs?: number;
}

/** The store of a home alone, over the state DB that there is. */
export async function openStore(
  home: string,
  { indexUse = 'never', busyTimeoutMs }: StoreOptions = {},
): Promise<LocalThreadStore> {
  const { stateDb } = await openStateDb({ homes: onlySqliteHome(home), readOnly: false, indexUse, busyTimeoutMs });
  const library = new RolloutLibrary(new RolloutHome(home));
  if (stateDb?.owner === 'threadkeeper') await new Backfill(library, stateDb).run();
  const store = new LocalThreadStore({
    library,
    stateDb: new StateDbHandle(stateDb),
    isReadOnly: false,
    warn: () => {},
  });
  onTestFinished(async () => {
    await store.close();
    stateDb?.close();
  });
  return store;
}
