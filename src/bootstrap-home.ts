import { setTimeout as sleep } from 'node:timers/promises';
import { RolloutAgentGraph } from './agent-graph/rollout-agent-graph.js';
import { SqliteAgentGraph } from './agent-graph/sqlite-agent-graph.js';
import type { HomeOptions } from './cli.js';
import { codexConfig, installationIdOf } from './codex-config.js';
import { CodexsDb } from './codexs-db.js';
import { OwnDb } from './own-db.js';
import { RolloutHome } from './rollout/rollout-home.js';
import { RolloutLibrary } from './rollout/rollout-library.js';
import type { Durability } from './rollout/rollout-recorder.js';
import type { StateDbConfig } from './state/open-state-db.js';
import { StateDbSlot } from './state/state-db-slot.js';
import type { BackfillSummary } from './thread-store/local/backfill.js';
import type { Warn } from './thread-store/local/local-home.js';
import { LocalThreadStore } from './thread-store/local/local-thread-store.js';
import { managerOver, type Threadkeeper } from './threadkeeper.js';

/** The parts over a Codex home, with what only a home has. */
export interface HomeThreadkeeper extends Threadkeeper {
  readonly store: LocalThreadStore;
  readonly library: RolloutLibrary;
  readonly slot: StateDbSlot;
  /** Which installation of Codex the home belongs to, if that is known. */
  readonly installationId: string | undefined;
  /** Why there is no state DB, or not the one that would be wanted. */
  readonly stateDbProblem: string | undefined;
  /** What the backfill of our own DB did, once it is done; undefined where there was nothing to fill, or it was stopped. */
  readonly backfilled: Promise<BackfillSummary | undefined>;
}

export interface HomeBootstrapOptions extends HomeOptions {
  /** May our own state DB be made where Codex has none, only be used when it is there, or neither? */
  readonly ownStateDb: StateDbConfig['own'];
  /** How long to wait for our own DB to be filled before serving without it, milliseconds. */
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
export async function bootstrapHome(options: HomeBootstrapOptions, warn: Warn): Promise<HomeThreadkeeper> {
  const library = new RolloutLibrary(new RolloutHome(options.home));
  const slot = new StateDbSlot();
  const configured = codexConfig(options.home, warn);
  const sqliteHome = options.sqliteHome ?? configured.sqliteHome ?? options.home;
  const config = { sqliteHome, readOnly: options.readOnly, own: options.ownStateDb };
  const codexsDb = new CodexsDb(library, slot, config, warn);
  const ownDb = new OwnDb(library, slot, config, options.onBackfillProgress, warn);
  if (options.useStateDb) await codexsDb.start();
  else if (codexsDb.isThere) slot.passedOverBecause = 'threadkeeper was started with --no-state-db';
  const own = options.useStateDb && !codexsDb.isThere ? await ownDb.open() : undefined;
  if (own && !own.isRemade) {
    const wait = options.backfillWaitMs ?? DEFAULT_BACKFILL_WAIT_MS;
    await Promise.race([ownDb.backfilled, sleep(wait, undefined, { ref: false })]);
  }
  if (own && !slot.current) warn('serving from the rollout files until the state DB is filled');
  const graph = new SqliteAgentGraph(slot, new RolloutAgentGraph(library));
  const { readOnly, durability, idleMs } = options;
  const store = new LocalThreadStore({ library, slot, readOnly, durability, warn });
  const manager = managerOver({ store, graph, modelProvider: configured.modelProvider, idleMs, warn });
  return {
    manager,
    store,
    graph,
    repair: () => store.repair(),
    library,
    slot,
    installationId: options.installationId ?? installationIdOf(options.home),
    get stateDbProblem() {
      return codexsDb.problem ?? ownDb.problem;
    },
    backfilled: ownDb.backfilled,
    async close() {
      await manager.close();
      await ownDb.close();
      codexsDb.close();
    },
  };
}
