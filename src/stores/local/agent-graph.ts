import { asThreadId, type ThreadId } from '../../protocol/ids.js';
import { storedSessionSource } from '../../protocol/session-source.js';
import type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from '../../store/agent-graph-store.js';
import { type EdgesBelow, edgesByParent, findChildren, findDescendants } from '../../store/spawn-tree.js';
import type { RolloutAgentGraph } from './rollout-agent-graph.js';
import { SpawnEdgeRows } from './state-db/spawn-edge-rows.js';
import { type StateDb, StateDbLost } from './state-db/state-db.js';
import type { StateDbHandle } from './state-db/state-db-handle.js';

/** What the table lacks is looked for again after this, whatever the counts say. */
const TRUSTED_MS = 10_000;
const MAX_REFRESH_AGE_MS = 500;

/**
 * Edges of the state DB. An edge that its table lacks comes from the source of a row, which names the parent too, or
 * from a rollout without a row. Without a DB, or when it turns out to be damaged, all edges come from the rollouts.
 */
export class SqliteAgentGraph implements AgentGraphStore {
  readonly #stateDb: StateDbHandle;
  readonly #rollouts: RolloutAgentGraph;
  #rows: { db: StateDb; edges: SpawnEdgeRows } | undefined;
  #missingEdges: { key: string; at: number; below: EdgesBelow } | undefined;

  constructor(stateDb: StateDbHandle, rollouts: RolloutAgentGraph) {
    this.#stateDb = stateDb;
    this.#rollouts = rollouts;
  }

  async upsertSpawnEdge(edge: SpawnEdge): Promise<void> {
    const rows = this.#opened();
    if (!rows) return await this.#rollouts.upsertSpawnEdge(edge);
    await rows.db.write(() => rows.edges.upsert(edge));
  }

  async setSpawnEdgeStatus(childThreadId: ThreadId, status: SpawnEdgeStatus): Promise<void> {
    const rows = this.#opened();
    if (!rows) return await this.#rollouts.setSpawnEdgeStatus();
    await rows.db.write(() => rows.edges.setStatus(childThreadId, status));
  }

  async listChildren(parentThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<ThreadId[]> {
    return await this.#walk((below) => findChildren(below, parentThreadId, status));
  }

  async listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]> {
    return await this.#walk((below) => findDescendants(below, rootThreadId, status));
  }

  #opened(): { db: StateDb; edges: SpawnEdgeRows } | undefined {
    const { db } = this.#stateDb;
    if (this.#rows?.db !== db) this.#rows = db && { db, edges: new SpawnEdgeRows(db) };
    return this.#rows;
  }

  async #walk<T>(walk: (below: EdgesBelow) => Promise<T>): Promise<T> {
    const rows = this.#opened();
    try {
      if (rows) {
        const { db, edges } = rows;
        const missingEdges = await this.#findMissingEdges(db, edges);
        const ofRows = (parents: readonly ThreadId[]) => db.read(() => edges.below(parents).flatMap(edgeFromRow));
        return await walk(async (parents) => [...(await ofRows(parents)), ...(await missingEdges(parents))]);
      }
    } catch (error) {
      if (!(error instanceof StateDbLost)) throw error;
      if (rows) this.#stateDb.lose(rows.db, error.message);
    }
    return await walk(edgesByParent(await this.#rollouts.edges()));
  }

  async #findMissingEdges(db: StateDb, edges: SpawnEdgeRows): Promise<EdgesBelow> {
    const key = `${await db.read(() => edges.population())} ${await this.#rollouts.population(MAX_REFRESH_AGE_MS)}`;
    const known = this.#missingEdges;
    if (known?.key === key && Date.now() - known.at < TRUSTED_MS) return known.below;
    const { spawned, indexed } = await db.read(() => ({
      spawned: edges.spawnedWithoutEdge(),
      indexed: new Set(edges.threadIds()),
    }));
    const below = edgesByParent([...spawned.flatMap(edgeFromSource), ...(await this.#rollouts.edges(indexed))]);
    this.#missingEdges = { key, at: Date.now(), below };
    return below;
  }
}

function edgeFromRow(row: { parentThreadId: string; childThreadId: string; status: string }): SpawnEdge[] {
  const parentThreadId = asThreadId(row.parentThreadId);
  const childThreadId = asThreadId(row.childThreadId);
  if (!parentThreadId || !childThreadId) return [];
  return [{ parentThreadId, childThreadId, status: row.status === 'closed' ? 'closed' : 'open' }];
}

function edgeFromSource({ id, source }: { id: string; source: string }): SpawnEdge[] {
  const childThreadId = asThreadId(id);
  const parentThreadId = storedSessionSource(source).spawn?.parentThreadId;
  return childThreadId && parentThreadId ? [{ parentThreadId, childThreadId, status: 'open' }] : [];
}
