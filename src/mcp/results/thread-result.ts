import { z } from 'zod';
import { ThreadkeeperError } from '../../protocol/errors.js';
import type { StoredThread } from '../../store/thread-store.js';
import type { ThreadManager, UpdatedThread } from '../../threads/thread-manager.js';
import type { NewThread } from '../../threads/thread-starter.js';
import { present, threadSchema, threadView } from './thread-view.js';

/** What the tools that make or change one thread answer. */
export const threadOutput = z.object({ thread: threadSchema, warnings: z.array(z.string()).optional() });

export type ThreadResult = z.output<typeof threadOutput>;

export function updateResult({ thread, warnings }: UpdatedThread, manager: ThreadManager): ThreadResult {
  return threadResult(thread, warnings, manager);
}

/** Succeeds even when the thread cannot be read: it exists, and must not be made again. */
export async function newThreadResult(made: NewThread, manager: ThreadManager): Promise<ThreadResult> {
  const { thread, warnings } = made;
  try {
    return threadResult(await thread.read(), warnings, manager);
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    const warning = `The thread is made. It cannot be read now (${error.message}): call read_thread later.`;
    return threadResult(made.made, [...warnings, warning], manager);
  }
}

function threadResult(thread: StoredThread, warnings: readonly string[], manager: ThreadManager): ThreadResult {
  return present({
    thread: threadView(thread, { isLoaded: manager.loadedThread(thread.threadId) !== undefined }),
    warnings: warnings.length > 0 ? [...warnings] : undefined,
  });
}
