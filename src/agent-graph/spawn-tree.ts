import type { ThreadId } from '../protocol/ids.js';
import type { Descendant, SpawnEdge, SpawnEdgeStatus } from './agent-graph-store.js';

/** The edges to the children of a thread. */
export type EdgesBelow = (parentThreadId: ThreadId) => readonly SpawnEdge[];

/** Edges in memory as a lookup. Of several edges to one child the first holds; one from a thread to itself is dropped. */
export function edgesByParent(edges: Iterable<SpawnEdge>): EdgesBelow {
  const children = new Map<ThreadId, SpawnEdge[]>();
  const known = new Set<ThreadId>();
  for (const edge of edges) {
    if (edge.parentThreadId === edge.childThreadId || known.has(edge.childThreadId)) continue;
    known.add(edge.childThreadId);
    const siblings = children.get(edge.parentThreadId);
    if (siblings) siblings.push(edge);
    else children.set(edge.parentThreadId, [edge]);
  }
  return (parentThreadId) => children.get(parentThreadId) ?? [];
}

/** The direct children, by id. */
export function childrenOf(below: EdgesBelow, parentThreadId: ThreadId, status?: SpawnEdgeStatus): ThreadId[] {
  const wanted = below(parentThreadId).filter((edge) => status === undefined || edge.status === status);
  return [...new Set(wanted.map(({ childThreadId }) => childThreadId))].sort();
}

/** Breadth first, ids in order within a depth; every thread once, whatever cycles the edges make. */
export function descendantsOf(below: EdgesBelow, rootThreadId: ThreadId, status?: SpawnEdgeStatus): Descendant[] {
  const visited = new Set<ThreadId>([rootThreadId]);
  const found: Descendant[] = [];
  let level: readonly ThreadId[] = [rootThreadId];
  for (let depth = 1; level.length > 0; depth += 1) {
    const fresh: Descendant[] = [];
    for (const parentThreadId of level) {
      for (const threadId of childrenOf(below, parentThreadId, status)) {
        if (visited.has(threadId)) continue;
        visited.add(threadId);
        fresh.push({ threadId, parentThreadId, depth });
      }
    }
    fresh.sort((a, b) => (a.threadId < b.threadId ? -1 : 1));
    found.push(...fresh);
    level = fresh.map(({ threadId }) => threadId);
  }
  return found;
}
