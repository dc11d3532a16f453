import type { ThreadId } from '../protocol/ids.js';

/** Something that a person should know of one thread. */
export interface ThreadProblem {
  readonly threadId: ThreadId;
  readonly problem: string;
}

/** What a transfer did, or as a dry run would have done. */
export interface TransferReport {
  /** How many threads there are where they come from. */
  total: number;
  /** Copied, and not there before. */
  added: number;
  /** Copied again, as they were changed where they come from. */
  updated: number;
  /** There already, as they are. */
  unchanged: number;
  /** There already, and made or changed there: left alone. */
  leftAlone: number;
  /** Lines of history that were copied. */
  items: number;
  /** Edges of who spawned whom that were copied. */
  edges: number;
  /** Threads that could not be copied, and why. */
  readonly failed: ThreadProblem[];
  /** What of a copied thread is not as it was. */
  readonly notes: ThreadProblem[];
  /** What is to be known of the whole. */
  readonly warnings: string[];
}

export function emptyReport(): TransferReport {
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

export interface TransferOptions {
  /** Changes nothing, and tells what would be done. */
  readonly dryRun: boolean;
  readonly onProgress: (done: number, total: number) => void;
}
