import { cutText } from './cut-text.js';

/** Every code that a caller of threadkeeper can meet. The set is closed: an agent can act on each. */
export type ErrorCode =
  | 'thread_not_found'
  | 'invalid_request'
  | 'conflict'
  | 'unsupported'
  | 'read_only'
  | 'resource_exhausted'
  | 'internal';

/**
 * The only error class that layers throw. `message` states the problem, never with a thread's text; `hint` says what
 * to do next.
 */
export class ThreadkeeperError extends Error {
  override readonly name = 'ThreadkeeperError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The store cannot be reached: no other call would succeed now. */
export class StoreUnreachable extends ThreadkeeperError {
  constructor(message: string, hint: string, cause: unknown) {
    super('internal', message, hint, { cause });
  }
}

/** No thread has the id. `reason` is what was found in its place. */
export class ThreadNotFound extends ThreadkeeperError {
  constructor(
    threadId: string,
    hint: string,
    readonly reason: string | undefined,
  ) {
    super('thread_not_found', `thread ${threadId} not found${reason === undefined ? '' : `: ${reason}`}`, hint);
  }
}

export const threadNotFound = (
  threadId: string,
  hint = 'Find thread ids with list_threads.',
  reason?: string,
): ThreadNotFound => new ThreadNotFound(threadId, hint, reason);

export const invalidRequest = (message: string, hint: string): ThreadkeeperError =>
  new ThreadkeeperError('invalid_request', message, hint);

export const noSuchTurn = (turnId: string): ThreadkeeperError =>
  invalidRequest(
    `the thread has no turn ${cutText(turnId, 100)}`,
    'Give the turnId of one of its turns, as read_thread shows them, or leave lastTurnId out.',
  );

export const conflict = (message: string, hint: string, cause?: unknown): ThreadkeeperError =>
  new ThreadkeeperError('conflict', message, hint, { cause });

export const unsupported = (message: string, hint: string): ThreadkeeperError =>
  new ThreadkeeperError('unsupported', message, hint);

export const readOnly = (message: string, hint: string): ThreadkeeperError =>
  new ThreadkeeperError('read_only', message, hint);

export const internalError = (message: string, hint: string, cause?: unknown): ThreadkeeperError =>
  new ThreadkeeperError('internal', message, hint, { cause });

/** The `code` of a Node system error (`ENOENT`, `EACCES`…), or undefined. */
export function systemErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** What a Node system error is about: its path, else the call that failed; undefined for any other error. */
export function systemErrorPath(error: unknown): string | undefined {
  if (systemErrorCode(error) === undefined || !(error instanceof Error) || !('syscall' in error)) return undefined;
  if ('path' in error && typeof error.path === 'string') return error.path;
  return String(error.syscall);
}

const DENIED_CODES = new Set(['EROFS', 'EACCES', 'EPERM']);
const EXHAUSTED_CODES = new Set(['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE', 'ENOMEM']);

/** True when the process or the system has run out of file handles or memory. The file is not at fault. */
export function isResourceExhausted(error: unknown): boolean {
  return ['EMFILE', 'ENFILE', 'ENOMEM'].includes(systemErrorCode(error) ?? '');
}

/** Turns a file that could not be read into the error a caller can act on: the path and the reason are in it. */
export function readFailure(file: string, error: unknown): ThreadkeeperError {
  if (error instanceof ThreadkeeperError) return error;
  const code = systemErrorCode(error) ?? 'unknown error';
  if (EXHAUSTED_CODES.has(code)) return exhausted(`reading ${file}`, code, error, 'Nothing was changed.');
  if (DENIED_CODES.has(code)) {
    return new ThreadkeeperError(
      'unsupported',
      `${file} may not be read (${code})`,
      'Nothing was changed. Give the user that runs this server permission to read the file and its directory.',
      { cause: error },
    );
  }
  return internalError(`${file} cannot be read (${code})`, 'Nothing was changed. Look at the file.', error);
}

function exhausted(
  what: string,
  code: string,
  cause: unknown,
  nothing = 'Nothing was confirmed as written.',
): ThreadkeeperError {
  const [problem, way] =
    code === 'EMFILE' || code === 'ENFILE'
      ? ['too many files are open', 'Raise the limit of open files (ulimit -n), or close threads, then call again.']
      : code === 'ENOMEM'
        ? ['the system is out of memory', 'Close other programs, then call again.']
        : ['the disk is full', 'Free some space, then call again.'];
  return new ThreadkeeperError('resource_exhausted', `${what}: ${problem} (${code})`, `${nothing} ${way}`, { cause });
}

/** Turns a failed write into the error a caller can act on; a ThreadkeeperError passes through. */
export function writeFailure(what: string, error: unknown): ThreadkeeperError {
  if (error instanceof ThreadkeeperError) return error;
  const code = systemErrorCode(error) ?? 'unknown error';
  if (DENIED_CODES.has(code)) {
    return new ThreadkeeperError(
      'read_only',
      `${what}: the home is not writable (${code})`,
      'Nothing was changed. Check the permissions of the home directory.',
      { cause: error },
    );
  }
  if (EXHAUSTED_CODES.has(code)) return exhausted(what, code, error);
  return internalError(`${what} failed (${code})`, 'See the server log; calling again is safe.', error);
}

/** The error of a failed append that left `count` lines to be written. The caller must not send them again. */
export function appendFailure(error: ThreadkeeperError, count: number): ThreadkeeperError {
  const options = { cause: error.cause ?? error };
  if (count === 0) {
    const hint = 'No line waits in memory. Call read_thread to see what was written before you send anything again.';
    return new ThreadkeeperError(error.code, error.message, hint, options);
  }
  return new ThreadkeeperError(
    error.code,
    `${error.message}; ${count === 1 ? '1 line waits' : `${count} lines wait`} in memory`,
    'They are written first by the next append, flush or close of this thread: do not send them again.',
    options,
  );
}
