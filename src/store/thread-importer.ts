import type { ThreadkeeperError } from '../protocol/errors.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { SpawnEdge } from './agent-graph-store.js';
import type { StoredThread } from './thread-store.js';

/** The state of another store's thread in this one. `changedHere`: it was made or changed here, and is left alone. */
export type ImportState = 'new' | 'unchanged' | 'outdated' | 'changedHere';

/** A thread of another store, to be taken over as it is: ids, times and all. */
export interface ImportedThread {
  readonly thread: StoredThread;
  /** The edge to this thread, when another one spawned it. */
  readonly edge: SpawnEdge | undefined;
  /** A text that differs whenever the thread, its history or its edge differs at the source. */
  version(): Promise<string>;
  /** The whole history, oldest first. May be called more than once. */
  lines(): AsyncIterable<RolloutLine>;
}

export interface ImportOutcome {
  /** The state before. Only a `new` and an `outdated` one is written. */
  readonly state: ImportState;
  /** How many lines of history were written. */
  readonly items: number;
  /** What this store could not take over of the thread. */
  readonly notes: readonly string[];
}

/** Takes threads of other stores over. */
export interface ThreadImporter {
  /**
   * Takes a thread over, whole or not at all. Can be repeated. A dry run writes nothing. Errors that `version` and
   * `lines` throw pass through unchanged.
   */
  add(thread: ImportedThread, options: { readonly dryRun: boolean }): Promise<ImportOutcome>;

  /** True for an error of `add` after which no other thread could be taken over either. */
  isFatal(error: ThreadkeeperError): boolean;

  /** Takes an edge over whose child is no thread of the source. False when this store keeps no such edge. */
  addEdge(edge: SpawnEdge, options: { readonly dryRun: boolean }): Promise<boolean>;
}
