import { cutText } from './cut-text.js';
import { invalidRequest } from './errors.js';

/** A thread's UUID in lower case. Codex makes version 7; any version is accepted. */
export type ThreadId = string & { readonly __brand: 'ThreadId' };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The id when `value` is a UUID in any case, else undefined. */
export function asThreadId(value: unknown): ThreadId | undefined {
  return typeof value === 'string' && UUID.test(value) ? (value.toLowerCase() as ThreadId) : undefined;
}

/** The id in `value`. Throws `invalid_request` when it is not a UUID. */
export function parseThreadId(value: string): ThreadId {
  const id = asThreadId(value.trim());
  if (id === undefined) {
    throw invalidRequest(
      `"${cutText(value, 100)}" is not a thread id`,
      'A thread id is a UUID such as 01a202bc-7049-7093-9231-5a69deb1e62a; list_threads gives them.',
    );
  }
  return id;
}
