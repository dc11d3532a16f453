import { createHash } from 'node:crypto';
import { invalidRequest } from '../protocol/errors.js';
import { asThreadId, type ThreadId } from '../protocol/ids.js';
import { asNumber } from '../protocol/json.js';
import { decodeCursor, encodeCursor } from './opaque-cursor.js';
import type { ListThreadsParams } from './thread-store.js';

/** The thread after which a list continues: its sort time in milliseconds, and its id for ties. */
export interface ListPosition {
  readonly time: number;
  readonly id: ThreadId;
}

/** An opaque cursor. It carries a digest of sort and filter: with others it would skip or repeat threads. */
export function encodeListCursor(params: ListThreadsParams, position: ListPosition): string {
  return encodeCursor([digest(params), position.time, position.id]);
}

/** The position in the cursor of the parameters, if they have one. Throws `invalid_request`. */
export function decodeListCursor(params: ListThreadsParams): ListPosition | undefined {
  if (params.cursor === undefined) return undefined;
  const [filterDigest, time, id] = decodeCursor(params.cursor);
  const position = { time: asNumber(time), id: asThreadId(id) };
  if (position.time === undefined || position.id === undefined) {
    throw invalidRequest('the cursor is not one of this server', 'Leave the cursor out to start from the first page.');
  }
  if (filterDigest !== digest(params)) {
    throw invalidRequest(
      'the cursor belongs to a list with another sort or other filters',
      'Repeat the arguments of the call that gave the cursor, or leave the cursor out to start again.',
    );
  }
  return { time: position.time, id: position.id };
}

function digest({ filter, sortBy, order }: ListThreadsParams): string {
  // A family may grow between two pages; the list stays the same list.
  const within = filter.within && [filter.within.relation, filter.within.threadId];
  const text = JSON.stringify([{ ...filter, within }, sortBy, order]);
  return createHash('sha256').update(text).digest('base64url').slice(0, 10);
}
