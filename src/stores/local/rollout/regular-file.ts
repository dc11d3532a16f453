import { closeSync, constants, fstatSync, fsyncSync, openSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import { internalError } from '../../../protocol/errors.js';

/** The stats of a file; undefined when it does not exist or may not be read. */
export function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

export function isRegularFile(file: string): boolean {
  return statOf(file)?.isFile() ?? false;
}

/** Opens a file to be read; anything but a regular file is refused, as a FIFO would block the whole process. */
export function openToRead(file: string): number {
  return opened(file, constants.O_RDONLY);
}

/** Opens a file to be read and appended to; it must be there. */
export function openToAppend(file: string): number {
  return opened(file, constants.O_RDWR | constants.O_APPEND);
}

/** Opens a file to be read and appended to, and makes it when it is missing. */
export function openOrCreate(file: string): number {
  return opened(file, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT);
}

/** Makes a file to be read and appended to; it must not be there yet. */
export function openNew(file: string): number {
  return opened(file, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | constants.O_EXCL);
}

/** As openOrCreate, for a lock file: never through a link. */
export function openLockFile(file: string): number {
  return opened(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW);
}

function opened(file: string, flags: number): number {
  const fd = openSync(file, flags | constants.O_NONBLOCK, 0o644);
  if (fstatSync(fd).isFile()) return fd;
  closeSync(fd);
  throw internalError(
    'a path in the home should be a regular file, and is not',
    'Check the home: something else is at that path.',
  );
}

/** Makes the name of a new file durable: syncs its directory. Windows cannot sync a directory. */
export function syncParentDirectory(file: string): void {
  if (process.platform === 'win32') return;
  const directory = openSync(path.dirname(file), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
