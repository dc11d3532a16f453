import { asThreadId, type ThreadId } from '../protocol/ids.js';
import { storedSessionSource } from '../protocol/session-source.js';
import { SpawnEdgeRows } from '../state/spawn-edge-rows.js';
import { type StateDb, StateDbLost } from '../state/state-db.js';
import type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from './agent-graph-store.js';
import type { RolloutAgentGraph } from './rollout-agent-graph.js';
import { childrenOf, descendantsOf, type EdgesBelow, edgesByParent } from './spawn-tree.js';

/** What the table lacks is looked for again after this, whatever the counts say. */
const TRUSTED_MS = 10_000;
const LOOK_MS = 500;

/**
 * Edges of the state DB. What its table lacks is made up for: by the source of a row, which names the parent too, and
 * by the rollouts that have no row. A DB that turns out to be damaged leaves the rollouts.
 */
export class SqliteAgentGraph implements AgentGraphStore {
  readonly #db: StateDb;
  readonly #rows: SpawnEdgeRows;
  readonly #rollouts: RolloutAgentGraph;
  #lacking: { key: string; at: number; below: EdgesBelow } | undefined;

  constructor(db: StateDb, rollouts: RolloutAgentGraph) {
    this.#db = db;
    this.#rows = new SpawnEdgeRows(db);
    this.#rollouts = rollouts;
  }

  async upsertSpawnEdge(edge: SpawnEdge): Promise<void> {
    await this.#db.write(() => this.#rows.upsert(edge));
  }

  async setSpawnEdgeStatus(childThreadId: ThreadId, status: SpawnEdgeStatus): Promise<void> {
    await this.#db.write(() => this.#rows.setStatus(childThreadId, status));
  }

  async listChildren(parentThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<ThreadId[]> {
    return await this.#walk((below) => childrenOf(below, parentThreadId, status));
  }

  async listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]> {
    return await this.#walk((below) => descendantsOf(below, rootThreadId, status));
  }

  async #walk<T>(walk: (below: EdgesBelow) => T): Promise<T> {
    try {
      const lacking = await this.#edgesThatTheTableLacks();
      return await this.#db.read(() =>
        walk((parent) => [...this.#rows.below(parent).flatMap(edgeOfRow), ...lacking(parent)]),
      );
    } catch (error) {
      if (!(error instanceof StateDbLost)) throw error;
      return walk(edgesByParent(await this.#rollouts.edges()));
    }
  }

  async #edgesThatTheTableLacks(): Promise<EdgesBelow> {
    const key = `${await this.#db.read(() => this.#rows.population())} ${this.#rollouts.population(LOOK_MS)}`;
    const known = this.#lacking;
    if (known?.key === key && Date.now() - known.at < TRUSTED_MS) return known.below;
    const { spawned, indexed } = await this.#db.read(() => ({
      spawned: this.#rows.spawnedWithoutEdge(),
      indexed: new Set(this.#rows.threadIds()),
    }));
    const below = edgesByParent([...spawned.flatMap(edgeOfSource), ...(await this.#rollouts.edges(indexed))]);
    this.#lacking = { key, at: Date.now(), below };
    return below;
  }
}

function edgeOfRow(row: { parentThreadId: string; childThreadId: string; status: string }): SpawnEdge[] {
  const parentThreadId = asThreadId(row.parentThreadId);
  const childThreadId = asThreadId(row.childThreadId);
  if (!parentThreadId || !childThreadId) return [];
  return [{ parentThreadId, childThreadId, status: row.status === 'closed' ? 'closed' : 'open' }];
}

function edgeOfSource({ id, source }: { id: string; source: string }): SpawnEdge[] {
  const childThreadId = asThreadId(id);
  const parentThreadId = storedSessionSource(source).spawn?.parentThreadId;
  return childThreadId && parentThreadId ? [{ parentThreadId, childThreadId, status: 'open' }] : [];
}
