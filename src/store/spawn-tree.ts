import type { ThreadId } from '../protocol/ids.js';
import { TimeSlice } from '../protocol/time-slice.js';
import type { Descendant, SpawnEdge, SpawnEdgeStatus } from './agent-graph-store.js';

/** The edges to the children of some threads. */
export type EdgesBelow = (parentThreadIds: readonly ThreadId[]) => readonly SpawnEdge[] | Promise<readonly SpawnEdge[]>;

/** Threads that are asked for at once. */
const AT_ONCE = 500;

/** Edges in memory as a lookup. Of several edges to one child the first holds; one from a thread to itself is dropped. */
export function edgesByParent(edges: Iterable<SpawnEdge>): (parents: readonly ThreadId[]) => readonly SpawnEdge[] {
  const children = new Map<ThreadId, SpawnEdge[]>();
  const known = new Set<ThreadId>();
  for (const edge of edges) {
    if (edge.parentThreadId === edge.childThreadId || known.has(edge.childThreadId)) continue;
    known.add(edge.childThreadId);
    const siblings = children.get(edge.parentThreadId);
    if (siblings) siblings.push(edge);
    else children.set(edge.parentThreadId, [edge]);
  }
  return (parents) => parents.flatMap((parent) => children.get(parent) ?? []);
}

/** The direct children, by id. */
export async function findChildren(
  below: EdgesBelow,
  parentThreadId: ThreadId,
  status?: SpawnEdgeStatus,
): Promise<ThreadId[]> {
  const wanted = (await below([parentThreadId])).filter((edge) => status === undefined || edge.status === status);
  return [...new Set(wanted.map(({ childThreadId }) => childThreadId))].sort();
}

/** Breadth first, ids in order within a depth; every thread once, whatever cycles the edges make. */
export async function findDescendants(
  below: EdgesBelow,
  rootThreadId: ThreadId,
  status?: SpawnEdgeStatus,
): Promise<Descendant[]> {
  const visited = new Set<ThreadId>([rootThreadId]);
  const found: Descendant[] = [];
  const slice = new TimeSlice();
  let level: readonly ThreadId[] = [rootThreadId];
  for (let depth = 1; level.length > 0; depth += 1) {
    const fresh: Descendant[] = [];
    for (let start = 0; start < level.length; start += AT_ONCE) {
      for (const edge of await below(level.slice(start, start + AT_ONCE))) {
        const { parentThreadId, childThreadId: threadId } = edge;
        if (visited.has(threadId) || (status !== undefined && edge.status !== status)) continue;
        visited.add(threadId);
        fresh.push({ threadId, parentThreadId, depth });
      }
      await slice.yield();
    }
    fresh.sort((a, b) => (a.threadId < b.threadId ? -1 : 1));
    for (const descendant of fresh) found.push(descendant);
    level = fresh.map(({ threadId }) => threadId);
  }
  return found;
}
