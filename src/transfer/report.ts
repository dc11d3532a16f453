import type { ThreadId } from '../protocol/ids.js';

/** Something that a person should know of one thread. */
export interface ThreadProblem {
  readonly threadId: ThreadId;
  readonly problem: string;
}

/** What a copy did, or what a dry run would have done. */
export interface CopyReport {
  /** How many threads the source has. */
  total: number;
  /** Copied; the target did not have them. */
  added: number;
  /** Copied again, because they have changed in the source. */
  updated: number;
  /** The target has them already, unchanged. */
  unchanged: number;
  /** Made or changed in the target, and left alone. */
  leftAlone: number;
  /** Lines of history that were copied. */
  items: number;
  /** Edges of who spawned whom that were copied. */
  edges: number;
  /** Threads that could not be copied, and why. */
  readonly failed: ThreadProblem[];
  /** What a copied thread has lost. */
  readonly notes: ThreadProblem[];
  /** What concerns all threads. */
  readonly warnings: string[];
}

export function emptyReport(): CopyReport {
  return {
    total: 0,
    added: 0,
    updated: 0,
    unchanged: 0,
    leftAlone: 0,
    items: 0,
    edges: 0,
    failed: [],
    notes: [],
    warnings: [],
  };
}
