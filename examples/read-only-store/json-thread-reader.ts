// A read-only store of one's own: threads in one JSON value. It implements ThreadReader and nothing else. What is easy
// to get wrong (paging, sorting, filters, turns) comes from the in-memory store, which it fills.
import {
  InMemoryThreadStore,
  type ListThreadsParams,
  type ListTurnsParams,
  type RolloutLine,
  type StoreCapabilities,
  type StoredThread,
  type ThreadId,
  type ThreadReader,
} from 'threadkeeper';

export interface JsonThread {
  readonly thread: StoredThread;
  readonly history: readonly RolloutLine[];
}

export class JsonThreadReader implements ThreadReader {
  readonly capabilities: StoreCapabilities = {
    description: 'threads of a JSON file',
    isReadOnly: true,
    defaultHistoryMode: 'legacy',
    keepsRecency: true,
  };
  readonly #threads = new InMemoryThreadStore();

  constructor(threads: readonly JsonThread[]) {
    for (const { thread, history } of threads) this.#threads.add(thread, history);
  }

  readThread(threadId: ThreadId) {
    return this.#threads.readThread(threadId);
  }

  listThreads(params: ListThreadsParams) {
    return this.#threads.listThreads(params);
  }

  listTurns(params: ListTurnsParams) {
    return this.#threads.listTurns(params);
  }

  findThreadsByName(name: string, limit: number) {
    return this.#threads.findThreadsByName(name, limit);
  }

  loadHistory(threadId: ThreadId) {
    return this.#threads.loadHistory(threadId);
  }

  historyVersion(threadId: ThreadId) {
    return this.#threads.historyVersion(threadId);
  }

  close() {
    return this.#threads.close();
  }
}
