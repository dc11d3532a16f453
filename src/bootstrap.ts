import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse as parseToml } from 'smol-toml';
import { RolloutAgentGraph } from './agent-graph/rollout-agent-graph.js';
import { SqliteAgentGraph } from './agent-graph/sqlite-agent-graph.js';
import type { ServeOptions } from './cli.js';
import { systemErrorCode } from './protocol/errors.js';
import { RolloutHome } from './rollout/rollout-home.js';
import { RolloutLibrary } from './rollout/rollout-library.js';
import { openStateDb, type StateDbOpening } from './state/state-db.js';
import { LocalThreadStore } from './thread-store/local/local-thread-store.js';
import { ThreadManager } from './threads/thread-manager.js';

/** The parts of a running threadkeeper, put together. */
export interface Threadkeeper {
  readonly manager: ThreadManager;
  close(): Promise<void>;
}

/** Says something to the person who runs the server, on stderr. */
export type Warn = (message: string) => void;

/** The composition root: the one place where parts are chosen, and the only one that opens the state DB. */
export async function bootstrap(options: ServeOptions, warn: Warn): Promise<Threadkeeper> {
  const library = new RolloutLibrary(new RolloutHome(options.home));
  const { stateDb, problem } = await stateDbOf(options, warn);
  if (problem !== undefined) warn(`serving from the rollout files, without the state DB: ${problem}`);
  const rollouts = new RolloutAgentGraph(library);
  const graph = stateDb ? new SqliteAgentGraph(stateDb, rollouts) : rollouts;
  const store = new LocalThreadStore({ library, stateDb, readOnly: options.readOnly, warn });
  const manager = new ThreadManager({ store, graph });
  return {
    manager,
    async close() {
      await manager.close();
      stateDb?.close();
    },
  };
}

async function stateDbOf(options: ServeOptions, warn: Warn): Promise<StateDbOpening> {
  if (!options.useStateDb) return { stateDb: undefined, problem: undefined };
  const sqliteHome = options.sqliteHome ?? configuredSqliteHome(options.home, warn) ?? options.home;
  return await openStateDb({ sqliteHome, readOnly: options.readOnly });
}

/** `sqlite_home` of Codex's config.toml; a relative one is below the home. */
function configuredSqliteHome(home: string, warn: Warn): string | undefined {
  const file = path.join(home, 'config.toml');
  try {
    const folder = parseToml(readFileSync(file, 'utf8'))['sqlite_home'];
    return typeof folder === 'string' && folder !== '' ? path.resolve(home, folder) : undefined;
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') warn('config.toml cannot be read; its sqlite_home, if any, is not used');
    return undefined;
  }
}
