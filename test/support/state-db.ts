import {
  openCodexStateDb,
  openIndex,
  type StateDbConfig,
  type StateDbOpening,
} from '../../src/stores/local/state-db/open-state-db.js';
import { type SqliteHomes, StateDbFinder } from '../../src/stores/local/state-db/state-db-search.js';

/** The directories of a home that keeps its SQLite files in one directory alone. */
export function onlySqliteHome(main: string): SqliteHomes {
  return { main, isConfigured: false, others: [] };
}

/** Opens Codex's state DB of a home if there is one, else our index, as the program does when it starts. */
export async function openStateDb(config: StateDbConfig): Promise<StateDbOpening> {
  const { file, ambiguity } = new StateDbFinder(config.homes).find();
  if (ambiguity !== undefined) return { stateDb: undefined, problem: ambiguity };
  return file === undefined ? await openIndex(config) : await openCodexStateDb(file, config);
}
