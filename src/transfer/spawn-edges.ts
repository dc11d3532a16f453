import type { ThreadId } from '../protocol/ids.js';
import type { AgentGraphStore, SpawnEdge } from '../store/agent-graph-store.js';

/** All edges below the given threads, by child; those that name a thread that is gone included. */
export async function spawnEdges(
  graph: AgentGraphStore,
  threadIds: Iterable<ThreadId>,
): Promise<Map<ThreadId, SpawnEdge>> {
  const edges = new Map<ThreadId, SpawnEdge>();
  const parents = new Set(threadIds);
  // A set that grows while it is walked: each parent once, found ones included.
  for (const parentThreadId of parents) {
    for (const status of ['open', 'closed'] as const) {
      for (const childThreadId of await graph.listChildren(parentThreadId, status)) {
        edges.set(childThreadId, { parentThreadId, childThreadId, status });
        parents.add(childThreadId);
      }
    }
  }
  return edges;
}
