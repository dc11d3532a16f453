import { readOnly, type ThreadkeeperError } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { KeyedQueue } from './keyed-queue.js';
import { isEmptyPatch } from './thread-patch.js';
import type { MoveOptions, StoreCapabilities, ThreadReader, ThreadStore } from './thread-store.js';

/**
 * The store as the manager uses it. Writes of one thread run one after another, because a client may send several
 * calls at once. Every write throws `read_only` when the store is read-only or implements the reading half alone.
 * A store that is serialized already is returned as it is.
 */
export function serialized(store: ThreadReader | ThreadStore): ThreadStore {
  return store instanceof SerializedStore ? store : new SerializedStore(store);
}

/** The error of every write on a read-only store. */
export const readOnlyServer = (): ThreadkeeperError =>
  readOnly('this server is read-only', 'Start it without --read-only to change threads.');

class SerializedStore implements ThreadStore {
  readonly #reader: ThreadReader | ThreadStore;
  readonly #writer: ThreadStore | undefined;
  readonly #queue = new KeyedQueue<ThreadId>();

  constructor(store: ThreadReader | ThreadStore) {
    this.#reader = store;
    this.#writer = 'updateThreadMetadata' in store && !store.capabilities.isReadOnly ? store : undefined;
  }

  get capabilities(): StoreCapabilities {
    return this.#reader.capabilities;
  }

  readThread: ThreadStore['readThread'] = (threadId) => this.#reader.readThread(threadId);
  listThreads: ThreadStore['listThreads'] = (params) => this.#reader.listThreads(params);
  listTurns: ThreadStore['listTurns'] = (params) => this.#reader.listTurns(params);
  findThreadsByName: ThreadStore['findThreadsByName'] = (name, limit) => this.#reader.findThreadsByName(name, limit);
  loadHistory: ThreadStore['loadHistory'] = (threadId, warn) => this.#reader.loadHistory(threadId, warn);
  historyVersion: ThreadStore['historyVersion'] = (threadId) => this.#reader.historyVersion(threadId);
  close: ThreadStore['close'] = () => this.#reader.close();

  updateThreadMetadata: ThreadStore['updateThreadMetadata'] = async (threadId, patch) => {
    if (!isEmptyPatch(patch))
      return await this.#write(threadId, (store) => store.updateThreadMetadata(threadId, patch));
    const thread = await this.readThread(threadId);
    return { thread: async () => thread, warnings: [] };
  };

  archiveThread: ThreadStore['archiveThread'] = (threadId, options) =>
    this.#move(threadId, options, (store) => store.archiveThread(threadId, options));

  unarchiveThread: ThreadStore['unarchiveThread'] = (threadId, options) =>
    this.#move(threadId, options, (store) => store.unarchiveThread(threadId, options));

  createThread: ThreadStore['createThread'] = (params) =>
    this.#write(params.threadId, (store) => store.createThread(params));

  forkThread: ThreadStore['forkThread'] = (params) =>
    this.#write(params.thread.threadId, (store) => store.forkThread(params));

  appendItems: ThreadStore['appendItems'] = (threadId, items) =>
    this.#write(threadId, (store) => store.appendItems(threadId, items));

  resumeThread: ThreadStore['resumeThread'] = (id) => this.#write(id, (store) => store.resumeThread(id));
  persistThread: ThreadStore['persistThread'] = (id) => this.#write(id, (store) => store.persistThread(id));
  flushThread: ThreadStore['flushThread'] = (id) => this.#write(id, (store) => store.flushThread(id));
  shutdownThread: ThreadStore['shutdownThread'] = (id) => this.#write(id, (store) => store.shutdownThread(id));

  /** On a read-only store no thread is live, so there is nothing to discard. */
  discardThread: ThreadStore['discardThread'] = async (id) => {
    if (this.#writer) await this.#write(id, (store) => store.discardThread(id));
  };

  /** A dry run changes nothing, so a read-only store answers it. */
  async #move(threadId: ThreadId, options: MoveOptions | undefined, move: (store: ThreadStore) => Promise<boolean>) {
    const store = this.#reader;
    if (options?.dryRun && !this.#writer && 'archiveThread' in store) return await move(store);
    return await this.#write(threadId, move);
  }

  async #write<T>(threadId: ThreadId, write: (store: ThreadStore) => Promise<T>): Promise<T> {
    const store = this.#writer;
    if (!store) throw readOnlyServer();
    return await this.#queue.run(threadId, () => write(store));
  }
}
