import koffi from 'koffi';
import { internalError } from '../../../protocol/errors.js';

/**
 * The OS lock that Codex takes on its lock files: `flock(2)` on Unix, `LockFileEx` on Windows. Locks of `fcntl` or
 * SQLite do not see it. The lock lives as long as its descriptor: a process that dies leaves none behind.
 */
type Flock = (fd: number, mode: 'exclusive' | 'shared') => boolean;

const SHARED = 1;
const EXCLUSIVE = 2;
const NON_BLOCKING = 4;

/** Takes a lock without waiting; false when another descriptor holds it. Closing the descriptor releases it. */
export const flockNow: Flock = (fd, mode) => {
  system ??= process.platform === 'win32' ? windowsFlock() : unixFlock();
  return system(fd, mode);
};

let system: Flock | undefined;

function unixFlock(): Flock {
  const flock = koffi.load(null).func('int flock(int fd, int operation)');
  const busy = new Set([koffi.os.errno['EAGAIN'], koffi.os.errno['EWOULDBLOCK'], koffi.os.errno['EACCES']]);
  return (fd, mode) => {
    const operation = (mode === 'shared' ? SHARED : EXCLUSIVE) | NON_BLOCKING;
    for (;;) {
      if (flock(fd, operation) === 0) return true;
      const errno = koffi.errno();
      if (busy.has(errno)) return false;
      if (errno !== koffi.os.errno['EINTR']) {
        throw internalError(
          `the file system refuses locks (errno ${errno})`,
          'Put the home on a file system that has them.',
        );
      }
    }
  };
}

function windowsFlock(): Flock {
  const kernel = koffi.load('kernel32.dll');
  const runtime = koffi.load(process.execPath);
  const getHandle = runtime.func('intptr_t uv_get_osfhandle(int fd)');
  const lock = kernel.func(
    'bool __stdcall LockFileEx(intptr_t file, uint32_t flags, uint32_t reserved, uint32_t low, uint32_t high, void *overlapped)',
  );
  const FAIL_IMMEDIATELY = 1;
  const EXCLUSIVE_LOCK = 2;
  return (fd, mode) => {
    const flags = FAIL_IMMEDIATELY | (mode === 'exclusive' ? EXCLUSIVE_LOCK : 0);
    return Boolean(lock(getHandle(fd), flags, 0, 0xffffffff, 0xffffffff, Buffer.alloc(32)));
  };
}
