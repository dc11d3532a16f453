import { readOnly } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { RolloutItem } from '../protocol/rollout-item.js';
import { KeyedQueue } from './keyed-queue.js';
import { isEmptyPatch, type ThreadMetadataPatch } from './thread-patch.js';
import type {
  CreateThreadParams,
  ForkThreadParams,
  ListThreadsParams,
  ListTurnsParams,
  MetadataUpdate,
  MoveOptions,
  StoreCapabilities,
  StoredThread,
  ThreadReader,
  ThreadStore,
} from './thread-store.js';

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

  readThread(threadId: ThreadId): Promise<StoredThread> {
    return this.#reader.readThread(threadId);
  }

  listThreads(params: ListThreadsParams) {
    return this.#reader.listThreads(params);
  }

  listTurns(params: ListTurnsParams) {
    return this.#reader.listTurns(params);
  }

  findThreadsByName(name: string, limit: number) {
    return this.#reader.findThreadsByName(name, limit);
  }

  loadHistory(threadId: ThreadId, warn?: (problem: string) => void) {
    return this.#reader.loadHistory(threadId, warn);
  }

  historyVersion(threadId: ThreadId) {
    return this.#reader.historyVersion(threadId);
  }

  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    if (isEmptyPatch(patch)) {
      const thread = await this.readThread(threadId);
      return { thread: async () => thread, warnings: [] };
    }
    return await this.#write(threadId, (store) => store.updateThreadMetadata(threadId, patch));
  }

  archiveThread(threadId: ThreadId, options?: MoveOptions) {
    return this.#write(threadId, (store) => store.archiveThread(threadId, options));
  }

  unarchiveThread(threadId: ThreadId, options?: MoveOptions) {
    return this.#write(threadId, (store) => store.unarchiveThread(threadId, options));
  }

  createThread(params: CreateThreadParams) {
    return this.#write(params.threadId, (store) => store.createThread(params));
  }

  resumeThread(threadId: ThreadId) {
    return this.#write(threadId, (store) => store.resumeThread(threadId));
  }

  forkThread(params: ForkThreadParams) {
    return this.#write(params.thread.threadId, (store) => store.forkThread(params));
  }

  appendItems(threadId: ThreadId, items: readonly RolloutItem[]) {
    return this.#write(threadId, (store) => store.appendItems(threadId, items));
  }

  persistThread(threadId: ThreadId) {
    return this.#write(threadId, (store) => store.persistThread(threadId));
  }

  flushThread(threadId: ThreadId) {
    return this.#write(threadId, (store) => store.flushThread(threadId));
  }

  shutdownThread(threadId: ThreadId) {
    return this.#write(threadId, (store) => store.shutdownThread(threadId));
  }

  discardThread(threadId: ThreadId) {
    return this.#write(threadId, (store) => store.discardThread(threadId));
  }

  close() {
    return this.#reader.close();
  }

  async #write<T>(threadId: ThreadId, write: (store: ThreadStore) => Promise<T>): Promise<T> {
    const store = this.#writer;
    if (!store) throw readOnly('this server is read-only', 'Start it without --read-only to change threads.');
    return await this.#queue.run(threadId, () => write(store));
  }
}
