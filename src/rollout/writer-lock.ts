import { closeSync, existsSync, fstatSync, mkdirSync, openSync, statSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { conflict } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { withFileLock } from './file-lock.js';
import { flockNow } from './flock.js';
import type { RolloutHome } from './rollout-home.js';

/** The right to write a thread's rollout, shared with Codex. Release it when done. */
export interface WriterLock {
  release(): Promise<void>;
}

const COORDINATION_WAIT_MS = 2000;

/**
 * Takes the lock of a thread's one writer, in the same way and on the same files as Codex (docs/codex-home.md, Writer
 * locks): `.coordination.lock` first, then `<id>.lock` without waiting. Throws `conflict` when another process has it.
 */
export async function acquireWriterLock(home: RolloutHome, threadId: ThreadId): Promise<WriterLock> {
  home.assertInside(home.writerLocks);
  mkdirSync(home.writerLocks, { recursive: true });
  const file = lockFile(home, threadId);
  const fd = await withCoordination(home, () => {
    const opened = openSync(file, 'a+', 0o644);
    if (flockNow(opened, 'exclusive')) return opened;
    closeSync(opened);
    throw hasWriterConflict(threadId);
  });
  return {
    release: () =>
      withCoordination(home, () => {
        // Unlinked under the coordination lock, and only if it is still ours: nobody can be waiting on it.
        if (existsSync(file) && statSync(file).ino === fstatSync(fd).ino) unlinkSync(file);
      })
        // An unlocked file left behind is harmless (Codex sweeps them); what the lock guarded has been done.
        .catch(() => undefined)
        .finally(() => closeSync(fd)),
  };
}

export const hasWriterConflict = (threadId: ThreadId) =>
  conflict(
    `thread ${threadId} already has an active writer`,
    'Another program (Codex, or another threadkeeper) has this thread open. Close it there, then call again.',
  );

/** True while some process holds the thread's writer lock. Takes no lock that could make another writer fail. */
export async function hasWriter(home: RolloutHome, threadId: ThreadId): Promise<boolean> {
  const file = lockFile(home, threadId);
  if (!existsSync(file)) return false;
  return await withCoordination(home, () => {
    if (!existsSync(file)) return false;
    const fd = openSync(file, 'r');
    try {
      return !flockNow(fd, 'shared');
    } finally {
      closeSync(fd);
    }
  });
}

function withCoordination<T>(home: RolloutHome, action: () => T): Promise<T> {
  return withFileLock(path.join(home.writerLocks, '.coordination.lock'), action, COORDINATION_WAIT_MS);
}

function lockFile(home: RolloutHome, threadId: ThreadId): string {
  return path.join(home.writerLocks, `${threadId}.lock`);
}
