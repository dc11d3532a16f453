import { closeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { conflict } from '../../../protocol/errors.js';
import { flockNow } from './flock.js';
import { openLockFile } from './regular-file.js';

const RETRY_MS = 10;

/**
 * Runs `action` while holding an exclusive lock on `lockFile`, which is made when missing, in a folder that is there, and left in place.
 * Waits up to `waitMs` for another holder; then throws `conflict`.
 */
export async function withFileLock<T>(lockFile: string, action: () => T | Promise<T>, waitMs = 5000): Promise<T> {
  const fd = openLockFile(lockFile);
  try {
    const deadline = Date.now() + waitMs;
    while (!flockNow(fd, 'exclusive')) {
      if (Date.now() > deadline) {
        throw conflict(`${path.basename(lockFile)} is held by another process`, 'Try again in a moment.');
      }
      await sleep(RETRY_MS);
    }
    return await action();
  } finally {
    closeSync(fd);
  }
}
