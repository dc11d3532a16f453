import type { StoredThread, ThreadStore } from '../store/thread-store.js';

const PAGE = 500;

/** How many threads a store has, archived ones included, and what it says is not among them. */
export async function countThreads(store: ThreadStore): Promise<{ total: number; warnings: readonly string[] }> {
  const { total, warnings } = await store.listThreads({ ...ALL, limit: 1 });
  return { total, warnings };
}

/** All threads of a store, archived ones included, the oldest first, some at a time in memory. */
export async function* allThreads(store: ThreadStore): AsyncGenerator<StoredThread> {
  let cursor: string | undefined;
  do {
    const page = await store.listThreads({ ...ALL, limit: PAGE, cursor });
    for (const { thread } of page.threads) yield thread;
    cursor = page.hasMore ? page.threads.at(-1)?.cursor : undefined;
  } while (cursor !== undefined);
}

// A thread's time of creation does not change while others write it.
const ALL = { filter: { archived: 'include' }, sortBy: 'createdAt', order: 'asc' } as const;
