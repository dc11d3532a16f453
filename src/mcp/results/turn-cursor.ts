import { cutText } from '../../protocol/cut-text.js';
import { invalidRequest } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import { asNumber, asString, parseJson } from '../../protocol/json.js';
import type { TurnCursor } from '../../store/thread-store.js';

/** The turns of one thread in one direction. */
export interface TurnList {
  readonly threadId: ThreadId;
  readonly order: 'newestFirst' | 'oldestFirst';
}

/** An opaque cursor; it belongs to one thread and one direction. */
export function encodeTurnCursor(list: TurnList, cursor: TurnCursor): string {
  const { rolloutId, offset, item, itemId, from } = cursor;
  // The place tells the turn; its id is there for a person who looks.
  const turnId = cutText(cursor.turnId, 40);
  const parts = [list.threadId, list.order, turnId, rolloutId, offset, item ?? null, itemId ?? null, from ?? null];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** Throws `invalid_request` for what is not a cursor of this thread and direction. */
export function decodeTurnCursor(list: TurnList, text: string): TurnCursor {
  const value = parseJson(Buffer.from(text, 'base64url').toString());
  const [threadId, order, turnId, rolloutId, offset, item, itemId, from] = Array.isArray(value) ? value : [];
  const cursor = {
    turnId: asString(turnId),
    rolloutId: asString(rolloutId),
    offset: index(offset),
    item: index(item),
    itemId: asString(itemId),
    from: index(from),
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

function index(value: unknown): number | undefined {
  const number = asNumber(value);
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}
