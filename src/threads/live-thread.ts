import { ThreadkeeperError } from '../protocol/errors.js';
import type { HistoryMode } from '../protocol/history-mode.js';
import type { ThreadId } from '../protocol/ids.js';
import { keptItems, type RolloutItem } from '../protocol/rollout-item.js';
import type { ThreadMetadataPatch } from '../store/thread-patch.js';
import type {
  CreateThreadParams,
  ForkThreadParams,
  MetadataUpdate,
  StoredThread,
  ThreadStore,
} from '../store/thread-store.js';
import { ThreadMetadataSync } from './thread-metadata-sync.js';

/** What could not be done beside what was asked for. */
export interface Warned {
  readonly warnings: readonly string[];
}

/**
 * A live thread over its store: history goes in raw, then what it means for the metadata as one patch. A patch that the
 * store could not take stays pending and is sent again. Calls are to be made one after another.
 */
export class LiveThread {
  readonly #store: ThreadStore;
  readonly #sync: ThreadMetadataSync;
  /** True while items wait in the store that it could not write. */
  #hasBacklog = false;
  /** False for a new thread of which the store keeps nothing yet. */
  #isDurable: boolean;
  #isLost = false;

  private constructor(
    store: ThreadStore,
    sync: ThreadMetadataSync,
    readonly threadId: ThreadId,
    readonly historyMode: HistoryMode,
    isDurable: boolean,
  ) {
    this.#store = store;
    this.#sync = sync;
    this.#isDurable = isDurable;
  }

  get isDurable(): boolean {
    return this.#isDurable;
  }

  /** True when another writer has taken the thread over: this one is of no use any more. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** A new thread. It leaves no trace until something is appended or said of it. */
  static async create(store: ThreadStore, params: CreateThreadParams): Promise<LiveThread> {
    await store.createThread(params);
    return new LiveThread(store, ThreadMetadataSync.ofNew(params), params.threadId, params.historyMode, false);
  }

  /** An existing thread. */
  static async resume(store: ThreadStore, threadId: ThreadId): Promise<LiveThread> {
    const thread = await store.resumeThread(threadId);
    return new LiveThread(store, ThreadMetadataSync.ofStored(thread), threadId, thread.historyMode, true);
  }

  /** A thread that goes on from another. It is in the store when this returns. */
  static async fork(store: ThreadStore, params: ForkThreadParams): Promise<LiveThread> {
    const { threadId } = params.thread;
    await store.forkThread(params);
    return await reportForkExists(threadId, () => guarded(store, threadId, () => LiveThread.#ofFork(store, params)));
  }

  static async #ofFork(store: ThreadStore, params: ForkThreadParams): Promise<LiveThread> {
    const { threadId } = params.thread;
    const thread = await store.readThread(threadId);
    const made: CreateThreadParams = { ...params.thread, historyMode: thread.historyMode };
    const sync = ThreadMetadataSync.ofFork(made, thread);
    sync.release();
    const live = new LiveThread(store, sync, threadId, thread.historyMode, true);
    // The fork is there; metadata that cannot be kept now follow with the next call.
    await live.#tryToSend('barrier');
    return live;
  }

  /** Runs `makeReady` for an open thread, and releases the writer when it fails. */
  async guard<T>(makeReady: () => Promise<T>): Promise<T> {
    return await guarded(this.#store, this.threadId, makeReady);
  }

  /** The thread as its store tells it. */
  async read(): Promise<StoredThread> {
    return await this.#store.readThread(this.threadId);
  }

  /**
   * Throws when items of an earlier call still cannot be written: an append then takes no items. Call it
   * before TurnWriter makes items, as that changes its state.
   */
  async clearBacklog(): Promise<void> {
    if (!this.#hasBacklog) return;
    await this.#writing(this.#store.flushThread(this.threadId));
    this.#hasBacklog = false;
  }

  /**
   * Appends items; they are in the history when this returns. Throws when they are not, and then they wait and come
   * first with the next call. Metadata that the store could not take now is a warning: it follows later.
   */
  async append(items: readonly RolloutItem[]): Promise<Warned> {
    await this.clearBacklog();
    const kept = keptItems(items, this.historyMode);
    try {
      await this.#writing(this.#store.appendItems(this.threadId, items));
    } catch (error) {
      this.#hasBacklog = true;
      throw error;
    } finally {
      this.#sync.observe(kept, Date.now());
      this.#isDurable ||= kept.length > 0;
    }
    return await this.#tryToSend();
  }

  /** Makes the thread durable even when it has no item. */
  async persist(): Promise<Warned> {
    await this.#materialise();
    return await this.#tryToSend('barrier');
  }

  async flush(): Promise<Warned> {
    await this.#writing(this.#store.flushThread(this.threadId));
    this.#hasBacklog = false;
    return await this.#tryToSend('barrier');
  }

  /** Changes metadata on demand; what is pending goes first. */
  async updateMetadata(patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    await this.#materialise();
    await this.#send('barrier');
    return await this.#store.updateThreadMetadata(this.threadId, patch);
  }

  /** Flushes, then lets the writer go. When history cannot be written the thread stays live. */
  async shutdown(): Promise<Warned> {
    const sent = await this.flush();
    await this.#store.shutdownThread(this.threadId);
    return sent;
  }

  /** Lets the writer go without writing what waits. */
  async discard(): Promise<void> {
    await this.#store.discardThread(this.threadId);
  }

  async #writing(call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      this.#isLost ||= error instanceof ThreadkeeperError && error.code === 'conflict';
      throw error;
    }
  }

  async #materialise(): Promise<void> {
    await this.#writing(this.#store.persistThread(this.threadId));
    this.#sync.release();
    this.#isDurable = true;
  }

  async #tryToSend(barrier?: 'barrier'): Promise<Warned> {
    try {
      return { warnings: await this.#send(barrier) };
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      const what = 'The history is written; the metadata derived from it is not yet';
      return { warnings: [`${what} (${error.message}). It is stored with the next write to the thread.`] };
    }
  }

  async #send(barrier?: 'barrier'): Promise<readonly string[]> {
    const pending = this.#sync.pending(Date.now(), barrier === 'barrier');
    if (!pending) return [];
    const { warnings } = await this.#store.updateThreadMetadata(this.threadId, pending.patch);
    this.#sync.applied(pending);
    return warnings;
  }
}

async function guarded<T>(store: ThreadStore, threadId: ThreadId, makeReady: () => Promise<T>): Promise<T> {
  try {
    return await makeReady();
  } catch (error) {
    await store.discardThread(threadId);
    throw error;
  }
}

/** Adds to an error that the fork is already stored, because a second call would fork again. */
export async function reportForkExists<T>(threadId: ThreadId, makeReady: () => Promise<T>): Promise<T> {
  try {
    return await makeReady();
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    const problem = `the fork is made, as ${threadId}, but cannot be opened: ${error.message}`;
    const hint = 'Do not fork again: use that id when the cause is fixed.';
    throw new ThreadkeeperError(error.code, problem, hint, { cause: error });
  }
}
