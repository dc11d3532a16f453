import type { ThreadId } from '../protocol/ids.js';
import type { Descendant, SpawnEdge, SpawnEdgeStatus } from './agent-graph-store.js';

/** Edges by parent, as every implementation walks them. Of several edges to one child the first given holds. */
export class SpawnTree {
  readonly #children = new Map<ThreadId, SpawnEdge[]>();
  readonly #parents = new Map<ThreadId, ThreadId>();

  constructor(edges: Iterable<SpawnEdge>) {
    for (const edge of edges) this.#add(edge);
  }

  children(parentThreadId: ThreadId, status?: SpawnEdgeStatus): ThreadId[] {
    const edges = this.#children.get(parentThreadId) ?? [];
    const wanted = edges.filter((edge) => status === undefined || edge.status === status);
    return wanted.map(({ childThreadId }) => childThreadId).sort();
  }

  /** Breadth first, ids in order within a depth; every thread once, whatever cycles the edges make. */
  descendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Descendant[] {
    const visited = new Set<ThreadId>([rootThreadId]);
    const found: Descendant[] = [];
    let level: readonly ThreadId[] = [rootThreadId];
    for (let depth = 1; level.length > 0; depth += 1) {
      const below = level.flatMap((parentThreadId) =>
        this.children(parentThreadId, status).map((threadId) => ({ threadId, parentThreadId, depth })),
      );
      const fresh = below.filter(({ threadId }) => !visited.has(threadId) && visited.add(threadId));
      fresh.sort((a, b) => (a.threadId < b.threadId ? -1 : 1));
      found.push(...fresh);
      level = fresh.map(({ threadId }) => threadId);
    }
    return found;
  }

  #add(edge: SpawnEdge): void {
    if (edge.parentThreadId === edge.childThreadId || this.#parents.has(edge.childThreadId)) return;
    this.#parents.set(edge.childThreadId, edge.parentThreadId);
    const siblings = this.#children.get(edge.parentThreadId);
    if (siblings) siblings.push(edge);
    else this.#children.set(edge.parentThreadId, [edge]);
  }
}
