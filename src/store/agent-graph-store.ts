import type { ThreadId } from '../protocol/ids.js';

/** A spawned agent is `open` until whoever spawned it closes it. */
export type SpawnEdgeStatus = 'open' | 'closed';

/** Who spawned whom. A child has one parent. */
export interface SpawnEdge {
  readonly parentThreadId: ThreadId;
  readonly childThreadId: ThreadId;
  readonly status: SpawnEdgeStatus;
}

/** A thread below another; `depth` 1 is a direct child. */
export interface Descendant {
  readonly threadId: ThreadId;
  readonly parentThreadId: ThreadId;
  readonly depth: number;
}

/** The graph of spawned threads. Injected like the store; an edge may name a thread that the store does not have. */
export interface AgentGraphStore {
  /**
   * Sets the one parent of a child, and the status. Throws `unsupported` where edges are derived, and this one
   * cannot be.
   */
  upsertSpawnEdge(edge: SpawnEdge): Promise<void>;

  /** Does nothing for a child without an edge. Throws `unsupported` where edges are derived and not kept. */
  setSpawnEdgeStatus(childThreadId: ThreadId, status: SpawnEdgeStatus): Promise<void>;

  /** The direct children, by id. */
  listChildren(parentThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<ThreadId[]>;

  /**
   * Everything below a thread, itself left out, breadth first: by depth, then id. A status holds along the whole
   * walk, so a closed agent hides the open ones below it. A cycle ends where it would come back.
   */
  listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]>;
}
