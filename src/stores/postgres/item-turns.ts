import type { HistoryMode } from '../../protocol/history-mode.js';
import type { ThreadId } from '../../protocol/ids.js';
import { asArray, asNumber, asObject, asString } from '../../protocol/json.js';
import { eventsWith, typesWithoutTurns } from '../../protocol/line-types.js';
import { type SourceLine, staleCursor, type TurnSource, type TurnStart } from '../../store/turn-pager.js';
import type { TurnAnchor } from '../../transcript/turn.js';
import { IS_MARK } from './db/indexed.js';
import type { SqlRow } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';
import { itemRows, lineFromRow } from './item-rows.js';

const { lines: LINES, events: EVENTS } = typesWithoutTurns();
const quoted = (names: readonly string[]) => names.map((name) => `'${name}'`).join(', ');
/** What no turn is made of stays in the database. */
const MAKES_TURNS = `type NOT IN (${quoted(LINES)}) AND coalesce(event, '') NOT IN (${quoted(EVENTS)})`;
const BEGINS_TURN = `event IN (${quoted(eventsWith('start', 'rollback'))})`;
const STARTS_TURN = `event IN (${quoted(eventsWith('start'))})`;
/** Lines that may name a turn. */
const NAMES_TURN = `type = 'event_msg' AND event NOT IN (${quoted(EVENTS)})`;

/** A larger payload is not read for a page: its beginning tells what it is. */
const LARGEST = 16 * 1024 * 1024;
const STARTS_AT_ONCE = 200;

/** The items of a thread as one history; a place is the ordinal of the item after it. */
export class ItemTurns implements TurnSource<number> {
  readonly begin = 0;
  readonly #db: Database;
  readonly #threadId: ThreadId;
  readonly #mode: HistoryMode;

  private constructor(
    db: Database,
    threadId: ThreadId,
    mode: HistoryMode,
    readonly end: number,
  ) {
    this.#db = db;
    this.#threadId = threadId;
    this.#mode = mode;
  }

  static async open(db: Database, threadId: ThreadId, mode: HistoryMode): Promise<ItemTurns> {
    const [row] = await db.query('SELECT max(ordinal) AS last FROM {items} WHERE thread_id = $1', [threadId]);
    return new ItemTurns(db, threadId, mode, (asNumber(row?.['last']) ?? -1) + 1);
  }

  async forward(start: number, end: number, visit: (line: SourceLine) => boolean): Promise<void> {
    const columns = `ordinal, said_at, type, event, bytes, CASE WHEN bytes <= ${LARGEST} THEN payload END AS payload,
      CASE WHEN bytes > ${LARGEST} THEN jsonb_build_array(payload -> 'type', payload -> 'turn_id',
        payload -> 'item' -> 'type', payload -> 'item' -> 'id') END AS head, NULL AS metadata`;
    for await (const row of itemRows(
      this.#db,
      { threadId: this.#threadId, start, end },
      { columns, where: MAKES_TURNS },
    )) {
      if (!visit(this.#lineFromRow(row))) return;
    }
  }

  async *startsBefore(end: number): AsyncGenerator<TurnStart<number>> {
    let before = end;
    for (;;) {
      const rows = await this.#db.query(
        `SELECT ordinal, event, CASE WHEN event = 'thread_rolled_back' THEN payload -> 'num_turns' END AS rolled_back
        FROM {items} WHERE thread_id = $1 AND ordinal < $2 AND ${IS_MARK} AND ${BEGINS_TURN}
        ORDER BY ordinal DESC LIMIT ${STARTS_AT_ONCE}`,
        [this.#threadId, before],
      );
      for (const row of rows) {
        const rolledBack = Math.max(0, asNumber(row['rolled_back']) ?? 0);
        if (row['event'] !== 'thread_rolled_back' || rolledBack > 0)
          yield { position: Number(row['ordinal']), rolledBack };
      }
      const last = rows.at(-1);
      if (!last || rows.length < STARTS_AT_ONCE) return;
      before = Number(last['ordinal']);
    }
  }

  async namedBefore(turnIds: ReadonlySet<string>, end: number, what: 'names' | 'starts'): Promise<ReadonlySet<string>> {
    const where = what === 'names' ? NAMES_TURN : STARTS_TURN;
    const rows = await this.#db.query(
      `SELECT DISTINCT payload ->> 'turn_id' AS id FROM {items}
      WHERE thread_id = $1 AND ordinal < $2 AND ${where} AND payload ->> 'turn_id' = ANY($3)`,
      [this.#threadId, end, [...turnIds]],
    );
    return new Set(rows.map(({ id }) => String(id)));
  }

  async hasNoRollbacks(): Promise<boolean> {
    const [row] = await this.#db.query(
      `SELECT EXISTS (SELECT FROM {items} WHERE thread_id = $1 AND event = 'thread_rolled_back') AS any`,
      [this.#threadId],
    );
    return row?.['any'] === false;
  }

  positionOf({ rolloutId, offset }: TurnAnchor): number {
    if (rolloutId !== this.#threadId || offset < 0 || offset >= this.end) throw staleCursor();
    return offset;
  }

  async implicitTurnId({ offset }: TurnAnchor): Promise<string> {
    return `rollout-${offset}`;
  }

  #lineFromRow(row: SqlRow): SourceLine {
    const head = asArray(row['head']);
    const line = head ? undefined : lineFromRow(row, this.#mode);
    const turnId = asString(line?.payload['turn_id']);
    const itemId = row['event'] === 'item_completed' ? asString(asObject(line?.payload['item'])?.['id']) : undefined;
    return {
      anchor: { rolloutId: this.#threadId, offset: Number(row['ordinal']) },
      bytes: Number(row['bytes']),
      turnId: () => turnId,
      item: turnId !== undefined && itemId !== undefined ? { turnId, itemId } : undefined,
      unparsedHead: head && lineHead(row, head),
      read: () => line,
    };
  }
}

/** The beginning that the line has in a rollout. */
function lineHead(row: SqlRow, [type, turnId, itemType, itemId]: readonly unknown[]): string {
  const payload = { type, turn_id: turnId, item: { type: itemType, id: itemId } };
  return JSON.stringify({ type: row['type'], payload });
}
