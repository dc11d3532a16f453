import { ThreadkeeperError } from '../../protocol/errors.js';
import type { HistoryMode } from '../../protocol/history-mode.js';
import type { ThreadId } from '../../protocol/ids.js';
import { asNumber, asObject, asString, isDeeperThan } from '../../protocol/json.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import { toJsonb, toText } from './db/jsonb.js';
import type { SqlRow } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';

/** An item as it goes into the table. `json` is one object of the list that `selectFromJson` reads. */
export interface ItemRow {
  readonly ordinal: number;
  readonly json: string;
}

/** The columns that an item fills, except the thread id. */
export const ITEM_COLUMNS = 'ordinal, said_at, type, event, bytes, payload, metadata';

export const selectFromJson = (place: string): string =>
  `jsonb_to_recordset(${place}::jsonb) AS item (ordinal bigint, said_at text, type text, event text, bytes integer,
    payload jsonb, metadata jsonb)`;

/** `jsonb` takes no text of 256 MiB. */
const LONGEST = 128 * 1024 * 1024;
/** What `jsonb` nests deeper overflows the database's stack. */
const DEEPEST = 1000;

/** Throws `resource_exhausted` for an item that the table cannot hold. */
export function itemRow({ timestamp, type, payload, metadata }: RolloutLine, ordinal: number): ItemRow {
  if (isDeeperThan(payload, DEEPEST) || isDeeperThan(metadata, DEEPEST)) throw tooLarge('is nested too deeply');
  const payloadJson = toJsonb(payload);
  const metadataJson = metadata ? `,"metadata":${toJsonb(metadata)}` : '';
  if (payloadJson.length + metadataJson.length > LONGEST) throw tooLarge('has more than 128 MiB');
  const bytes = Buffer.byteLength(payloadJson);
  const event = type === 'event_msg' ? asString(payload['type']) : undefined;
  const facts = JSON.stringify({
    ordinal,
    said_at: toText(timestamp),
    type: toText(type),
    event: event && toText(event),
    bytes,
  });
  return { ordinal, json: `${facts.slice(0, -1)},"payload":${payloadJson}${metadataJson}}` };
}

/** At most so many rows, and so many bytes beyond the first, are in memory at once. */
const BATCH_ROWS = 500;
const BATCH_BYTES = 4 * 1024 * 1024;

/** Cuts rows into lists that are sent in one statement each, as JSON text. */
export async function* splitIntoBatches(
  rows: Iterable<ItemRow> | AsyncIterable<ItemRow>,
): AsyncGenerator<{ json: string; count: number }> {
  let parts: string[] = [];
  let length = 0;
  for await (const { json } of rows) {
    if (parts.length > 0 && (parts.length >= BATCH_ROWS || length + json.length > BATCH_BYTES)) {
      yield { json: `[${parts.join(',')}]`, count: parts.length };
      parts = [];
      length = 0;
    }
    parts.push(json);
    length += json.length;
  }
  if (parts.length > 0) yield { json: `[${parts.join(',')}]`, count: parts.length };
}

export interface ItemRange {
  readonly threadId: ThreadId;
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * Rows of a thread, oldest first, some at a time. `columns` may use those of the table, `where` is a condition on them.
 */
export async function* itemRows(
  db: Database,
  { threadId, start, end }: ItemRange,
  { columns, where = 'true' }: { columns: string; where?: string },
): AsyncGenerator<SqlRow> {
  let from = start;
  for (;;) {
    const rows = await db.query(
      `SELECT ${columns} FROM (
        SELECT *, sum(bytes) OVER (ORDER BY ordinal) - bytes AS before FROM (
          SELECT * FROM {items} WHERE thread_id = $1 AND ordinal >= $2 AND ordinal < $3 AND ${where}
          ORDER BY ordinal LIMIT ${BATCH_ROWS}
        ) AS next
      ) AS batch WHERE before < ${BATCH_BYTES} ORDER BY ordinal`,
      [threadId, from, end],
    );
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    from = Number(last['ordinal']) + 1;
  }
}

/** The line in a row of `ITEM_COLUMNS`. */
export function lineFromRow(row: SqlRow, mode: HistoryMode): RolloutLine {
  return {
    timestamp: asString(row['said_at']) ?? '',
    ordinal: mode === 'paginated' ? asNumber(row['ordinal']) : undefined,
    type: asString(row['type']) ?? '',
    payload: asObject(row['payload']) ?? {},
    metadata: asObject(row['metadata']),
  };
}

const tooLarge = (what: string) =>
  new ThreadkeeperError('resource_exhausted', `an item ${what}`, 'This call stored nothing. Make the item smaller.');
