import type { ThreadId } from '../../protocol/ids.js';
import type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from '../../store/agent-graph-store.js';
import { edgesByParent, findChildren, findDescendants } from '../../store/spawn-tree.js';

/** Edges that live as long as the process. */
export class InMemoryAgentGraph implements AgentGraphStore {
  readonly #edges = new Map<ThreadId, SpawnEdge>();

  async upsertSpawnEdge(edge: SpawnEdge): Promise<void> {
    this.#edges.set(edge.childThreadId, edge);
  }

  async setSpawnEdgeStatus(childThreadId: ThreadId, status: SpawnEdgeStatus): Promise<void> {
    const edge = this.#edges.get(childThreadId);
    if (edge) this.#edges.set(childThreadId, { ...edge, status });
  }

  async listChildren(parentThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<ThreadId[]> {
    return findChildren(edgesByParent(this.#edges.values()), parentThreadId, status);
  }

  async listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]> {
    return findDescendants(edgesByParent(this.#edges.values()), rootThreadId, status);
  }
}
