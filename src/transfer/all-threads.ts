import type { StoredThread, ThreadReader } from '../store/thread-store.js';

const PAGE = 500;

/** How many threads a store has, archived ones included, and its warnings about what is left out. */
export async function countThreads(reader: ThreadReader): Promise<{ total: number; warnings: readonly string[] }> {
  const { total, warnings } = await reader.listThreads({ ...ALL, limit: 1 });
  return { total, warnings };
}

/** All threads of a store, archived ones included, the oldest first, one page in memory at a time. */
export async function* allThreads(reader: ThreadReader): AsyncGenerator<StoredThread> {
  let cursor: string | undefined;
  do {
    const page = await reader.listThreads({ ...ALL, limit: PAGE, cursor });
    for (const { thread } of page.threads) yield thread;
    cursor = page.hasMore ? page.threads.at(-1)?.cursor : undefined;
  } while (cursor !== undefined);
}

// The creation time of a thread does not change while others write it.
const ALL = { filter: { archived: 'include' }, sortBy: 'createdAt', order: 'asc' } as const;
