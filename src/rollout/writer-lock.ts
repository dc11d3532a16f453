import { closeSync, existsSync, fchmodSync, fstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { conflict } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { withFileLock } from './file-lock.js';
import { flockNow } from './flock.js';
import { openLockFile, openToRead } from './regular-file.js';
import type { RolloutHome } from './rollout-home.js';

/** The right to write a thread's rollout, shared with Codex. Release it when done. */
export interface WriterLock {
  release(): Promise<void>;
}

const COORDINATION_WAIT_MS = 2000;
/** Another threadkeeper holds the lock for the moment of a write, Codex for hours: only the former is waited for. */
const PATIENCE_MS = 250;
/** The mode of a lock file of ours, by which it is told from Codex's; nobody's umask makes it. */
const MARK = 0o604;
const RETRY_MS = 25;

/**
 * Takes the lock of a thread's one writer, in the same way and on the same files as Codex (docs/codex-home.md, Writer
 * locks): `.coordination.lock` first, then `<id>.lock`. Throws `conflict` when another process keeps it.
 */
export async function acquireWriterLock(home: RolloutHome, threadId: ThreadId): Promise<WriterLock> {
  home.assertInside(home.writerLocks);
  mkdirSync(home.writerLocks, { recursive: true });
  const file = lockFile(home, threadId);
  const deadline = Date.now() + PATIENCE_MS;
  let fd = await tryLock(home, threadId, file);
  while (fd === undefined) {
    if (Date.now() > deadline) throw hasWriterConflict(threadId);
    await sleep(RETRY_MS);
    fd = await tryLock(home, threadId, file);
  }
  const held = fd;
  return {
    release: () =>
      withCoordination(home, () => {
        // Unlinked under the coordination lock, and only if it is still ours: nobody can be waiting on it.
        if (existsSync(file) && statSync(file).ino === fstatSync(held).ino) unlinkSync(file);
      })
        // An unlocked file left behind is harmless (Codex sweeps them); what the lock guarded has been done.
        .catch(() => undefined)
        .finally(() => closeSync(held)),
  };
}

/** The lock, or undefined while another threadkeeper has it. Throws `conflict` when another program does. */
function tryLock(home: RolloutHome, threadId: ThreadId, file: string): Promise<number | undefined> {
  return withCoordination(home, () => {
    const opened = openLockFile(file);
    if (flockNow(opened, 'exclusive')) {
      fchmodSync(opened, MARK);
      return opened;
    }
    const isOurs = (fstatSync(opened).mode & 0o777) === MARK;
    closeSync(opened);
    if (isOurs) return undefined;
    throw hasWriterConflict(threadId);
  });
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
    const fd = openToRead(file);
    try {
      return !flockNow(fd, 'shared');
    } finally {
      closeSync(fd);
    }
  });
}

function withCoordination<T>(home: RolloutHome, action: () => T): Promise<T> {
  home.assertInside(home.writerLocks);
  return withFileLock(path.join(home.writerLocks, '.coordination.lock'), action, COORDINATION_WAIT_MS);
}

function lockFile(home: RolloutHome, threadId: ThreadId): string {
  return path.join(home.writerLocks, `${threadId}.lock`);
}
