import { internalError, ThreadkeeperError, ThreadNotFound } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { TimeSlice } from '../protocol/time-slice.js';

export interface TreeMoveOptions {
  readonly includeDescendants: boolean;
  /** Tells what would happen, and changes nothing. */
  readonly dryRun: boolean;
}

/** What became of each thread of a tree, in the order in which they were taken. */
export interface TreeMove {
  readonly moved: readonly ThreadId[];
  readonly skipped: readonly { readonly threadId: ThreadId; readonly reason: string }[];
  readonly failed: readonly { readonly threadId: ThreadId; readonly error: ThreadkeeperError }[];
  /** Where another program will not see all of a thread in its new place. */
  readonly warnings: readonly string[];
}

const GONE = 'the thread no longer exists';

/** Moves the root, then the others one after another. Fails when the root fails; the result lists other failures. */
export async function moveTree(
  [root, ...rest]: readonly [ThreadId, ...ThreadId[]],
  move: (threadId: ThreadId, warn: (warning: string) => void) => Promise<boolean>,
  skipReason: string,
): Promise<TreeMove> {
  const moved: ThreadId[] = [];
  const warnings: string[] = [];
  const skipped: { threadId: ThreadId; reason: string }[] = [];
  const failed: { threadId: ThreadId; error: ThreadkeeperError }[] = [];
  const take = async (threadId: ThreadId) => {
    if (await move(threadId, (warning) => warnings.push(warning))) moved.push(threadId);
    else skipped.push({ threadId, reason: skipReason });
  };
  await take(root);
  const slice = new TimeSlice();
  for (const threadId of rest) {
    await slice.yield();
    try {
      await take(threadId);
    } catch (error) {
      const known =
        error instanceof ThreadkeeperError ? error : internalError('the move failed', 'See the server log.', error);
      // An edge can outlive its thread.
      if (known instanceof ThreadNotFound) skipped.push({ threadId, reason: known.reason ?? GONE });
      else failed.push({ threadId, error: known });
    }
  }
  return { moved, skipped, failed, warnings };
}
