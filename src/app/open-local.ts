import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readOnlyGraph } from '../store/read-only-graph.js';
import { readOnlyServer, serialized } from '../store/serialized.js';
import type { ThreadImporter } from '../store/thread-importer.js';
import { SqliteAgentGraph } from '../stores/local/agent-graph.js';
import { type CodexConfig, codexConfig, readInstallationId } from '../stores/local/codex-config.js';
import { CodexStateDb } from '../stores/local/codex-state-db.js';
import { LocalImporter } from '../stores/local/importer.js';
import type { BackfillSummary } from '../stores/local/index/backfill.js';
import { IndexDb } from '../stores/local/index/index-db.js';
import type { Warn } from '../stores/local/local-home.js';
import { LocalThreadStore } from '../stores/local/local-thread-store.js';
import { RolloutHome } from '../stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../stores/local/rollout/rollout-library.js';
import type { Durability } from '../stores/local/rollout/rollout-recorder.js';
import { RolloutAgentGraph } from '../stores/local/rollout-agent-graph.js';
import type { StateDbConfig } from '../stores/local/state-db/open-state-db.js';
import { StateDbHandle } from '../stores/local/state-db/state-db-handle.js';
import type { SkippedStateDb, SqliteHomes } from '../stores/local/state-db/state-db-search.js';
import type { LocalStoreOptions } from './store-options.js';
import { createManager, type Threadkeeper } from './threadkeeper.js';

/** The parts over a Codex home, with what only a home has. */
export interface LocalThreadkeeper extends Threadkeeper {
  readonly importer: ThreadImporter;
  readonly library: RolloutLibrary;
  readonly stateDb: StateDbHandle;
  /** Files that look like a state DB of Codex's and do not serve. */
  readonly otherStateDbs: readonly SkippedStateDb[];
  /** Which installation of Codex the home belongs to, if that is known. */
  readonly installationId: string | undefined;
  /** Why the index is missing or was replaced; undefined when all is well. */
  readonly indexProblem: string | undefined;
  /** What the backfill of the index did; undefined when there was nothing to fill, or it was stopped. */
  readonly backfilled: Promise<BackfillSummary | undefined>;
}

export interface OpenLocalOptions extends LocalStoreOptions {
  /** Where Codex has no DB: whether the index is created, only used when it exists, or neither. */
  readonly indexUse: StateDbConfig['indexUse'];
  /** How long to wait for the index to be filled before serving without it, milliseconds. */
  readonly backfillWaitMs?: number | undefined;
  readonly onBackfillProgress?: ((done: number, total: number) => void) | undefined;
  /** What a flush of a live thread promises. */
  readonly durability?: Durability | undefined;
  /** The id of the installation; absent: as the home's `installation_id` says. */
  readonly installationId?: string | undefined;
  /** Loaded threads that nobody writes to are closed after this, milliseconds; 0, the default: never. */
  readonly idleMs?: number | undefined;
}

const DEFAULT_BACKFILL_WAIT_MS = 30_000;

/** Puts the parts over a Codex home together, and is the only one that opens its state DB. */
export async function openLocal(options: OpenLocalOptions, warn: Warn): Promise<LocalThreadkeeper> {
  const library = new RolloutLibrary(new RolloutHome(options.home));
  const stateDb = new StateDbHandle();
  const configured = codexConfig(options.home, warn);
  const homes = sqliteHomes(options, configured);
  const config = { homes, readOnly: options.readOnly, indexUse: options.indexUse };
  const codexStateDb = new CodexStateDb(library, stateDb, config, warn);
  const indexDb = new IndexDb(library, stateDb, config, options.onBackfillProgress, warn);
  if (options.useStateDb) await codexStateDb.start();
  else if (codexStateDb.find() !== undefined) {
    stateDb.wait('threadkeeper was started with --no-state-db, and Codex keeps a state DB for this home');
  }
  const index = options.useStateDb && stateDb.status.kind === 'files' ? await indexDb.open() : undefined;
  if (index && !index.isRemade) {
    const wait = options.backfillWaitMs ?? DEFAULT_BACKFILL_WAIT_MS;
    await Promise.race([indexDb.backfilled, sleep(wait, undefined, { ref: false })]);
  }
  if (index && !stateDb.db) warn('serving from the rollout files until the index is filled');
  const graph = new SqliteAgentGraph(stateDb, new RolloutAgentGraph(library));
  const { readOnly, durability, idleMs } = options;
  const local = new LocalThreadStore({ library, stateDb, isReadOnly: readOnly, durability, warn });
  const store = serialized(local);
  const manager = createManager({ store, graph, modelProvider: configured.modelProvider, idleMs, warn });
  return {
    manager,
    store,
    graph: readOnly ? readOnlyGraph(graph) : graph,
    importer: new LocalImporter({ library, stateDb, store, graph }),
    repair: async () => {
      if (readOnly) throw readOnlyServer();
      await local.repair();
    },
    library,
    stateDb,
    get otherStateDbs() {
      return codexStateDb.others;
    },
    installationId: options.installationId ?? readInstallationId(options.home),
    get indexProblem() {
      return indexDb.problem;
    },
    backfilled: indexDb.backfilled,
    async close() {
      await manager.close();
      await indexDb.close();
      await codexStateDb.close();
      stateDb.close();
    },
  };
}

/** Where Codex may keep its state DB: what a flag or the environment names alone, else what is configured or usual. */
function sqliteHomes({ home, sqliteHome }: OpenLocalOptions, configured: CodexConfig): SqliteHomes {
  if (sqliteHome !== undefined) return { main: sqliteHome, isConfigured: true, others: [] };
  const desktop = path.join(home, 'sqlite');
  if (configured.sqliteHome === undefined) {
    return { main: home, isConfigured: false, others: [desktop], ambiguity: configured.problem };
  }
  return { main: configured.sqliteHome, isConfigured: true, others: [home, desktop] };
}
