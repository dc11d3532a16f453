import type { HistoryMode } from '../protocol/history-mode.js';
import type { ThreadId } from '../protocol/ids.js';
import type { RolloutItem } from '../protocol/rollout-item.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { GitInfo } from '../protocol/session-meta.js';
import type { SessionSource, SourceKind } from '../protocol/session-source.js';
import type { Turn } from '../transcript/turn.js';
import type { PlainFields } from './thread-fields.js';
import type { ThreadMetadataPatch } from './thread-patch.js';

/**
 * The reading half of a store. A store that cannot be written implements this and nothing else. Nothing above the
 * contract knows SQLite, JSONL, a path or a home. Every method throws ThreadkeeperError and nothing else on purpose.
 */
export interface ThreadReader {
  /** What this store can do beyond the methods below. */
  readonly capabilities: StoreCapabilities;

  /** The thread, archived or not. Throws `thread_not_found`. */
  readThread(threadId: ThreadId): Promise<StoredThread>;

  /** A page of threads. Throws `invalid_request` for a bad cursor or an empty list where at least one is needed. */
  listThreads(params: ListThreadsParams): Promise<ThreadPage>;

  /** A page of turns. Throws `thread_not_found`, and `invalid_request` for a bad or stale cursor. */
  listTurns(params: ListTurnsParams): Promise<TurnPage>;

  /** The threads, archived or not, whose name is exactly this; at most `limit`. */
  findThreadsByName(name: string, limit: number): Promise<ThreadId[]>;

  /**
   * The history of a thread, oldest first, inherited parts included. `warn` is called with what is missing or cannot
   * be read. Throws `thread_not_found`.
   */
  loadHistory(threadId: ThreadId, warn?: (problem: string) => void): AsyncIterable<RolloutLine>;

  /** A text that differs whenever the history may have changed. Throws `thread_not_found`. */
  historyVersion(threadId: ThreadId): Promise<string>;

  /** Releases what the store holds. Live threads are closed, and what waits to be written is dropped. */
  close(): Promise<void>;
}

/**
 * The whole contract of a store: a reader that can also be written.
 *
 * A thread is live while this store has it open for writing; nobody else can write it then. `appendItems` writes raw
 * history and `updateThreadMetadata` alone writes metadata; whoever appends derives the metadata (`threads/`).
 *
 * `serialized()` calls the writing methods of one thread one after another, and none of them on a read-only store.
 */
export interface ThreadStore extends ThreadReader, LiveThreadStore {
  /**
   * Applies one literal patch, all of it or nothing. An empty patch reads the thread. Works for archived threads.
   * Throws `thread_not_found`, `conflict` (another writer, a lock that did not free up), `unsupported` (a field that
   * this store cannot keep), `read_only`.
   */
  updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate>;

  /**
   * Archives this one thread and none of its descendants. Returns false, and does nothing, when it is archived
   * already. Throws `thread_not_found`, and `conflict` when it is live, here or elsewhere. A dry run makes the same
   * checks, except for being live here, and moves nothing.
   */
  archiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean>;

  /**
   * Unarchives this one thread. Returns false, and does nothing, when it is not archived; a live one never is. Throws
   * as `archiveThread` does.
   */
  unarchiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean>;
}

/**
 * The part of the contract for live threads. When the thread is not live here, all methods but `createThread`,
 * `resumeThread`, `forkThread` and `discardThread` throw `thread_not_found`. Where a store can lose its right to write
 * a thread (a lease that ran out), every method that writes throws `conflict`: nothing of the call is written, nothing
 * waits, and the thread is no longer live here.
 */
export interface LiveThreadStore {
  /**
   * Opens a new thread for writing. Lazy: until it has an item, a patch or is persisted it leaves no trace, but can be
   * read. Throws `conflict` when the id is taken, `invalid_request` when this store needs a cwd and there is none.
   */
  createThread(params: CreateThreadParams): Promise<void>;

  /**
   * Opens an existing thread for writing; returns it as it is then. Throws `thread_not_found`, `conflict` when it is archived or live, here or
   * elsewhere, and `unsupported` when it cannot be appended to.
   */
  resumeThread(threadId: ThreadId): Promise<StoredThread>;

  /**
   * Creates a thread that continues another one, whole or up to and including one of its turns, and opens it for
   * writing. Its history can be read at once. Throws `thread_not_found`, and `invalid_request`
   * when there is no such turn.
   */
  forkThread(params: ForkThreadParams): Promise<void>;

  /**
   * Appends the items that the shared policy keeps (`keptItems`), in order; they can be read when this returns. No
   * metadata changes. When it throws, the items wait in memory and are written before those of the next append or
   * flush: do not repeat them.
   */
  appendItems(threadId: ThreadId, items: readonly RolloutItem[]): Promise<void>;

  /** Makes the thread durable even when it has no item, and writes what waits. */
  persistThread(threadId: ThreadId): Promise<void>;

  /** Writes the pending items. A thread that is not stored stays so. */
  flushThread(threadId: ThreadId): Promise<void>;

  /** Flushes and closes. When that fails the thread stays live. */
  shutdownThread(threadId: ThreadId): Promise<void>;

  /** Closes without writing what waits; what is written stays. Does nothing when the thread is not live. */
  discardThread(threadId: ThreadId): Promise<void>;
}

/** A new thread's own settings. */
export interface NewThreadSettings {
  /** Absent: a thread without a file system. */
  readonly cwd: string | undefined;
  readonly modelProvider: string | undefined;
  /** Absent: not known. */
  readonly model?: string | undefined;
  readonly memoryMode: 'enabled' | 'disabled';
}

/** A new thread. Ids and times are the caller's. */
export interface CreateThreadParams {
  readonly threadId: ThreadId;
  /** The root of the tree of spawned threads; for a root its own id. */
  readonly sessionId: ThreadId;
  readonly parentThreadId?: ThreadId | undefined;
  readonly source: SessionSource;
  readonly threadSource: string | undefined;
  /** Which program makes it, and in which version. */
  readonly originator: string;
  readonly cliVersion: string;
  readonly agentNickname?: string | undefined;
  readonly agentRole?: string | undefined;
  readonly agentPath?: string | undefined;
  readonly historyMode: HistoryMode;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  readonly git: GitInfo | undefined;
  readonly metadata: NewThreadSettings;
}

export interface ForkThreadParams {
  readonly sourceThreadId: ThreadId;
  /** The last turn that the fork inherits; absent: all of them, an open one included. */
  readonly lastTurnId?: string | undefined;
  /** Its history mode is that of the source. */
  readonly thread: Omit<CreateThreadParams, 'historyMode'>;
  /** Called with a warning when another program will not see all of the fork. */
  readonly warn?: ((warning: string) => void) | undefined;
}

export interface MoveOptions {
  readonly dryRun: boolean;
  /** Is told where another program will not see all of the thread in its new place. */
  readonly warn?: ((warning: string) => void) | undefined;
}

export interface StoreCapabilities {
  /** One line for a person: what is served from where. */
  readonly description: string;
  readonly isReadOnly: boolean;
  /** How a new thread should keep its history. */
  readonly defaultHistoryMode: HistoryMode;
  /** False when this store reports the time of the last change as recency. */
  readonly keepsRecency: boolean;
}

/** A thread's metadata. Times are milliseconds since the epoch; undefined is unknown. */
export interface StoredThread extends PlainFields {
  readonly threadId: ThreadId;
  /** The root of the tree of spawned threads, if the thread says. */
  readonly sessionId: ThreadId | undefined;
  /** The name that a person chose. */
  readonly name: string | undefined;
  /** Derived from the first message; may be empty, and is never cut. */
  readonly preview: string;
  readonly source: SessionSource;
  readonly git: GitInfo;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly recencyAt: number;
  readonly isArchived: boolean;
  readonly archivedAt: number | undefined;
  readonly parentThreadId: ThreadId | undefined;
  readonly agentDepth: number | undefined;
  readonly forkedFromId: ThreadId | undefined;
  readonly historyMode: HistoryMode;
}

export const THREAD_SORTS = ['updatedAt', 'createdAt', 'recencyAt'] as const;
export type ThreadSort = (typeof THREAD_SORTS)[number];
export type SortOrder = 'asc' | 'desc';

/** Which threads. An absent filter matches all; an empty list is refused, as it would match none. */
export interface ThreadFilter {
  readonly archived: 'exclude' | 'only' | 'include';
  readonly sources?: readonly SourceKind[] | undefined;
  readonly modelProviders?: readonly string[] | undefined;
  /** Directories: a thread matches when its cwd is one of them or below. */
  readonly cwds?: readonly string[] | undefined;
  readonly gitBranch?: string | undefined;
  /** Part of the name, title, preview or first user message, without regard to case. */
  readonly search?: string | undefined;
  /** Only the relatives of one thread. */
  readonly within?: ThreadFamily | undefined;
}

/** The children or all descendants of a thread, as the agent graph tells them. */
export interface ThreadFamily {
  readonly relation: 'children' | 'descendants';
  readonly threadId: ThreadId;
  /** May be empty. */
  readonly members: readonly ThreadId[];
}

export interface ListThreadsParams {
  readonly filter: ThreadFilter;
  readonly sortBy: ThreadSort;
  readonly order: SortOrder;
  /** At least 1. */
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface ThreadPage {
  readonly threads: readonly ListedThread[];
  /** True when more threads follow the last one. */
  readonly hasMore: boolean;
  /** How many threads match on all pages. */
  readonly total: number;
  /** Matches by archived state and source, whatever the filter says of those two. */
  readonly counts: readonly ThreadCount[];
  /** What was left out and why: files that could not be read, links that were not followed. */
  readonly warnings: readonly string[];
}

export interface ListedThread {
  readonly thread: StoredThread;
  /** Continues after this thread. */
  readonly cursor: string;
}

export interface ThreadCount {
  readonly isArchived: boolean;
  readonly source: SourceKind;
  readonly count: number;
}

export interface ListTurnsParams {
  readonly threadId: ThreadId;
  readonly order: 'newestFirst' | 'oldestFirst';
  /** At least 1. */
  readonly limit: number;
  readonly cursor?: TurnCursor | undefined;
}

/** Where a page of turns continues. */
export interface TurnCursor {
  readonly turnId: string;
  readonly rolloutId: string;
  readonly offset: number;
  /** Continue inside that turn, at its item of this index… */
  readonly item?: number | undefined;
  /** …whose long text continues at this character. */
  readonly itemId?: string | undefined;
  readonly from?: number | undefined;
}

export interface TurnPage {
  readonly turns: readonly Turn[];
  /** True when more turns follow the last one in the order. */
  readonly hasMore: boolean;
  /** What is missing from the history, and lines that could not be read. */
  readonly warnings: readonly string[];
}

/** What became of a patch. */
export interface MetadataUpdate {
  /** The thread after the change. It is read when this is called, and not before: many callers do not need it. */
  thread(): Promise<StoredThread>;
  /** Where the change could not be stored in every place that should have it. */
  readonly warnings: readonly string[];
}
