import { readOnly } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { KeyedQueue } from './keyed-queue.js';
import { isEmptyPatch } from './thread-patch.js';
import type { StoreCapabilities, ThreadReader, ThreadStore } from './thread-store.js';

/**
 * The store as the manager uses it. Writes of one thread run one after another, because a client may send several
 * calls at once. Every write throws `read_only` when the store is read-only or implements the reading half alone.
 */
export function serialized(store: ThreadReader | ThreadStore): ThreadStore {
  return new SerializedStore(store);
}

class SerializedStore implements ThreadStore {
  readonly #reader: ThreadReader;
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
    this.#write(threadId, (store) => store.archiveThread(threadId, options));

  unarchiveThread: ThreadStore['unarchiveThread'] = (threadId, options) =>
    this.#write(threadId, (store) => store.unarchiveThread(threadId, options));

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
  discardThread: ThreadStore['discardThread'] = (id) => this.#write(id, (store) => store.discardThread(id));

  async #write<T>(threadId: ThreadId, write: (store: ThreadStore) => Promise<T>): Promise<T> {
    const store = this.#writer;
    if (!store) throw readOnly('this server is read-only', 'Start it without --read-only to change threads.');
    return await this.#queue.run(threadId, () => write(store));
  }
}
