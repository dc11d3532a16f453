import { asThreadId, type ThreadId } from '../protocol/ids.js';
import { storedSessionSource } from '../protocol/session-source.js';
import { SpawnEdgeRows } from '../state/spawn-edge-rows.js';
import { type StateDb, StateDbLost } from '../state/state-db.js';
import type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from './agent-graph-store.js';
import type { RolloutAgentGraph } from './rollout-agent-graph.js';
import { SpawnTree } from './spawn-tree.js';

/**
 * Edges of the state DB. What its table lacks is made up for: by the source of a row, which names the parent too, and
 * by the rollouts that have no row. A DB that turns out to be damaged leaves the rollouts.
 */
export class SqliteAgentGraph implements AgentGraphStore {
  readonly #db: StateDb;
  readonly #rows: SpawnEdgeRows;
  readonly #rollouts: RolloutAgentGraph;
  #known: { version: string; edges: readonly SpawnEdge[]; indexed: ReadonlySet<string> } | undefined;

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
    return (await this.#tree()).children(parentThreadId, status);
  }

  async listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]> {
    return (await this.#tree()).descendants(rootThreadId, status);
  }

  async #tree(): Promise<SpawnTree> {
    try {
      const { edges, indexed } = await this.#db.read(() => this.#read());
      return new SpawnTree([...edges, ...(await this.#rollouts.edges(indexed))]);
    } catch (error) {
      if (!(error instanceof StateDbLost)) throw error;
      return new SpawnTree(await this.#rollouts.edges());
    }
  }

  #read(): { edges: readonly SpawnEdge[]; indexed: ReadonlySet<string> } {
    const version = this.#db.version();
    if (this.#known?.version !== version) {
      const edges = [...this.#rows.all().map(edgeOfRow), ...this.#rows.spawnedThreads().map(edgeOfSource)];
      const indexed = new Set(this.#rows.threadIds());
      this.#known = { version, edges: edges.filter((edge) => edge !== undefined), indexed };
    }
    return this.#known;
  }
}

function edgeOfRow(row: { parentThreadId: string; childThreadId: string; status: string }): SpawnEdge | undefined {
  const parentThreadId = asThreadId(row.parentThreadId);
  const childThreadId = asThreadId(row.childThreadId);
  if (!parentThreadId || !childThreadId) return undefined;
  return { parentThreadId, childThreadId, status: row.status === 'closed' ? 'closed' : 'open' };
}

function edgeOfSource({ id, source }: { id: string; source: string }): SpawnEdge | undefined {
  const childThreadId = asThreadId(id);
  const parentThreadId = storedSessionSource(source).spawn?.parentThreadId;
  return childThreadId && parentThreadId && { parentThreadId, childThreadId, status: 'open' };
}
