import type { AgentGraphStore } from './agent-graph-store.js';
import { readOnlyServer } from './serialized.js';

/** The graph of a store that must not be changed: every write throws `read_only`. */
export function readOnlyGraph(graph: AgentGraphStore): AgentGraphStore {
  const refuse = async () => {
    throw readOnlyServer();
  };
  return {
    upsertSpawnEdge: refuse,
    setSpawnEdgeStatus: refuse,
    listChildren: (parentThreadId, status) => graph.listChildren(parentThreadId, status),
    listDescendants: (rootThreadId, status) => graph.listDescendants(rootThreadId, status),
  };
}
