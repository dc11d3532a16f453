import { closeSync } from 'node:fs';
import path from 'node:path';
import { conflict } from '../../../protocol/errors.js';
import { retry } from '../../../store/retry.js';
import { flockNow } from './flock.js';
import { openLockFile } from './regular-file.js';

const RETRY_MS = 10;
/** Made once: to make an error for each lock that is taken costs more than taking it. */
const HELD = new Error('the lock is held');

/**
 * Runs `action` while holding an exclusive lock on `lockFile`, which is created when missing, in an existing directory, and left in place.
 * Waits up to `waitMs` for another holder; then throws `conflict`.
 */
export async function withFileLock<T>(lockFile: string, action: () => T | Promise<T>, waitMs = 5000): Promise<T> {
  const fd = openLockFile(lockFile);
  try {
    const take = () => {
      if (!flockNow(fd, 'exclusive')) throw HELD;
    };
    const isTransient = (error: unknown) => error === HELD;
    try {
      await retry(take, { isTransient, forMs: waitMs, firstPauseMs: RETRY_MS, longestPauseMs: RETRY_MS });
    } catch (error) {
      if (error !== HELD) throw error;
      throw conflict(`${path.basename(lockFile)} is held by another process`, 'Try again in a moment.');
    }
    return await action();
  } finally {
    closeSync(fd);
  }
}
