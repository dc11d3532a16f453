import { cutText } from '../../protocol/cut-text.js';
import { invalidRequest } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import { asIndex, asString } from '../../protocol/json.js';
import { decodeCursor, encodeCursor } from '../../store/opaque-cursor.js';
import type { TurnCursor } from '../../store/thread-store.js';

/** The turns of one thread in one direction. */
export interface TurnList {
  readonly threadId: ThreadId;
  readonly order: 'newestFirst' | 'oldestFirst';
}

/** An opaque cursor; it belongs to one thread and one direction. */
export function encodeTurnCursor(list: TurnList, cursor: TurnCursor): string {
  const { rolloutId, offset, item, itemId, from } = cursor;
  // The place identifies the turn; the id is for people who decode a cursor.
  const turnId = cutText(cursor.turnId, 40);
  return encodeCursor([list.threadId, list.order, turnId, rolloutId, offset, item, itemId, from]);
}

/** Throws `invalid_request` for what is not a cursor of this thread and direction. */
export function decodeTurnCursor(list: TurnList, text: string): TurnCursor {
  const [threadId, order, turnId, rolloutId, offset, item, itemId, from] = decodeCursor(text);
  const cursor = {
    turnId: asString(turnId),
    rolloutId: asString(rolloutId),
    offset: asIndex(offset),
    item: asIndex(item),
    itemId: asString(itemId),
    from: asIndex(from),
  };
  if (cursor.turnId === undefined || cursor.rolloutId === undefined || cursor.offset === undefined) {
    throw invalidRequest('the cursor is not one of read_thread', 'Leave the cursor out to start from the first page.');
  }
  if (threadId !== list.threadId || order !== list.order) {
    throw invalidRequest(
      'the cursor belongs to another thread or another order',
      'Repeat threadId and order of the call that gave the cursor, or leave the cursor out.',
    );
  }
  return { ...cursor, turnId: cursor.turnId, rolloutId: cursor.rolloutId, offset: cursor.offset };
}
