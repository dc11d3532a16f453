import { closeSync, existsSync, fchmodSync, fstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { conflict, systemErrorCode } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { retry } from '../../../store/retry.js';
import { withFileLock } from './file-lock.js';
import { flockNow } from './flock.js';
import { openLockFile, openToRead } from './regular-file.js';
import type { RolloutHome } from './rollout-home.js';

/** The right to write a thread's rollout, shared with Codex. Release it when done. */
export interface WriterLock {
  release(): Promise<void>;
}

const COORDINATION_WAIT_MS = 2000;
/** How long to wait for a brief lock (one write). A lasting lock (an open thread) is not waited for. */
const WAIT_MS = 2000;
/** Made once: to make an error for each lock that is taken costs more than taking it. */
const HELD_BRIEFLY = new Error('the lock is held for a moment');
/** The file mode that marks a brief lock. No common umask produces it. */
const BRIEF = 0o604;
const LASTING = 0o644;
const RETRY_MS = 25;

/**
 * Takes the lock of a thread's one writer, in the same way and on the same files as Codex (docs/codex-home.md, Writer
 * locks): `.coordination.lock` first, then `<id>.lock`. Throws `conflict` when another process keeps it, or this one
 * does. A `lasting` lock is for a thread that stays open: nobody waits for it.
 */
export async function acquireWriterLock(
  home: RolloutHome,
  threadId: ThreadId,
  span: 'brief' | 'lasting' = 'brief',
): Promise<WriterLock> {
  home.assertInside(home.writerLocks);
  makeLockDirectory(home);
  const file = lockFile(home, threadId);
  const mode = span === 'brief' ? BRIEF : LASTING;
  const take = async () => {
    const fd = await tryLock(home, threadId, file, mode);
    if (fd === undefined) throw HELD_BRIEFLY;
    return fd;
  };
  const isTransient = (error: unknown) => error === HELD_BRIEFLY;
  const pauses = { firstPauseMs: RETRY_MS, longestPauseMs: RETRY_MS };
  const held = await retry(take, { isTransient, forMs: WAIT_MS, ...pauses }).catch((error: unknown) => {
    throw error === HELD_BRIEFLY ? hasWriterConflict(threadId) : error;
  });
  return {
    release: () =>
      withCoordination(home, () => {
        // Unlinked under the coordination lock, and only if it is still this lock's file: nobody can be waiting for it.
        if (existsSync(file) && statSync(file).ino === fstatSync(held).ino) unlinkSync(file);
      })
        // An unlocked file left behind is harmless (Codex sweeps them); what the lock guarded has been done.
        .catch(() => undefined)
        .finally(() => closeSync(held)),
  };
}

/** The locked descriptor; undefined while another process holds a brief lock. Throws `conflict` for a lasting lock. */
function tryLock(home: RolloutHome, threadId: ThreadId, file: string, mode: number): Promise<number | undefined> {
  return withCoordination(home, () => {
    const opened = openLockFile(file);
    let isHeldBriefly = false;
    try {
      if (flockNow(opened, 'exclusive')) {
        mark(opened, mode);
        return opened;
      }
      isHeldBriefly = isBrief(opened);
    } catch (error) {
      closeSync(opened);
      throw error;
    }
    closeSync(opened);
    if (isHeldBriefly) return undefined;
    throw hasWriterConflict(threadId);
  });
}

/** If the mode cannot be set, the only effect is that other processes do not wait for a brief lock. */
function mark(fd: number, mode: number): void {
  try {
    fchmodSync(fd, mode);
  } catch (error) {
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'EROFS'].includes(systemErrorCode(error) ?? '')) throw error;
  }
}

/** True for a held lock file that is marked as brief. */
function isBrief(fd: number): boolean {
  return (fstatSync(fd).mode & 0o777) === BRIEF;
}

export const hasWriterConflict = (threadId: ThreadId) =>
  conflict(
    `thread ${threadId} already has an active writer`,
    'Another program (Codex, or another threadkeeper) has this thread open. Close it there, then call again.',
  );

/**
 * True while some process has the thread open for writing; one that holds the lock for a moment does not count. Takes no
 * lock that could make another writer fail.
 */
export async function hasWriter(home: RolloutHome, threadId: ThreadId): Promise<boolean> {
  const file = lockFile(home, threadId);
  if (!existsSync(file)) return false;
  return await withCoordination(home, () => {
    if (!existsSync(file)) return false;
    const fd = openToRead(file);
    try {
      return !flockNow(fd, 'shared') && !isBrief(fd);
    } finally {
      closeSync(fd);
    }
  });
}

/** Never the home itself: one that was removed is not made again. */
function makeLockDirectory({ writerLocks }: RolloutHome): void {
  try {
    mkdirSync(writerLocks);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

async function withCoordination<T>(home: RolloutHome, action: () => T): Promise<T> {
  home.assertInside(home.writerLocks);
  makeLockDirectory(home);
  return await withFileLock(path.join(home.writerLocks, '.coordination.lock'), action, COORDINATION_WAIT_MS);
}

function lockFile(home: RolloutHome, threadId: ThreadId): string {
  return path.join(home.writerLocks, `${threadId}.lock`);
}
