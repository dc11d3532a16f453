import { IS_MARK } from '../../postgres/migrations.js';
import type { SqlRow } from '../../postgres/postgres-db.js';
import type { Database } from '../../postgres/ready-db.js';
import type { HistoryMode } from '../../protocol/history-mode.js';
import type { ThreadId } from '../../protocol/ids.js';
import { asArray, asNumber } from '../../protocol/json.js';
import type { TurnAnchor } from '../../transcript/turn.js';
import { type SourceLine, staleCursor, type TurnMark, type TurnSource } from '../turn-pager.js';
import { itemRows, lineOf } from './item-rows.js';

/** What no turn is made of stays in the database. */
const MAKES_TURNS = `type NOT IN ('response_item', 'turn_context', 'world_state', 'token_usage_record', 'session_meta',
  'inter_agent_communication') AND coalesce(event, '') NOT IN ('token_count', 'thread_settings_applied', 'thread_goal_updated')`;

/** A larger payload is not read for a page: its beginning tells what it is. */
const LARGEST = 16 * 1024 * 1024;
const MARKS_AT_ONCE = 200;

const MARK_OF: Readonly<Record<string, TurnMark>> = {
  task_started: 'start',
  turn_started: 'start',
  task_complete: 'end',
  turn_complete: 'end',
  turn_aborted: 'end',
  user_message: 'userMessage',
};

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

  async *forward(start: number, end: number): AsyncGenerator<SourceLine> {
    const columns = `ordinal, said_at, type, event, bytes, CASE WHEN bytes <= ${LARGEST} THEN payload END AS payload,
      CASE WHEN bytes > ${LARGEST} THEN jsonb_build_array(payload -> 'type', payload -> 'turn_id',
        payload -> 'item' -> 'type', payload -> 'item' -> 'id') END AS head, NULL AS metadata`;
    for await (const row of itemRows(
      this.#db,
      { threadId: this.#threadId, start, end },
      { columns, where: MAKES_TURNS },
    )) {
      yield this.#lineOf(row);
    }
  }

  async *marksBefore(end: number): AsyncGenerator<{ mark: TurnMark; position: number }> {
    let before = end;
    for (;;) {
      const rows = await this.#db.query(
        `SELECT ordinal, event, CASE WHEN event = 'thread_rolled_back' THEN payload -> 'num_turns' END AS rolled_back
        FROM {items} WHERE thread_id = $1 AND ordinal < $2 AND ${IS_MARK} ORDER BY ordinal DESC LIMIT ${MARKS_AT_ONCE}`,
        [this.#threadId, before],
      );
      for (const row of rows) yield { mark: markOf(row), position: Number(row['ordinal']) };
      const last = rows.at(-1);
      if (!last || rows.length < MARKS_AT_ONCE) return;
      before = Number(last['ordinal']);
    }
  }

  async hasMarkedTurns(): Promise<boolean> {
    const [first] = await this.#db.query(
      `SELECT event FROM {items} WHERE thread_id = $1 AND ${IS_MARK}
      AND event IN ('task_started', 'turn_started', 'user_message') ORDER BY ordinal LIMIT 1`,
      [this.#threadId],
    );
    return first?.['event'] !== 'user_message';
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

  implicitTurnId({ offset }: TurnAnchor): string {
    return `rollout-${offset}`;
  }

  #lineOf(row: SqlRow): SourceLine {
    const bytes = Number(row['bytes']);
    const found = { anchor: { rolloutId: this.#threadId, offset: Number(row['ordinal']) }, bytes };
    const head = asArray(row['head']);
    return head ? { ...found, unparsedHead: lineHead(row, head) } : { ...found, line: lineOf(row, this.#mode) };
  }
}

function markOf(row: SqlRow): TurnMark {
  return MARK_OF[String(row['event'])] ?? { rolledBack: asNumber(row['rolled_back']) ?? 0 };
}

/** The beginning that the line has in a rollout. */
function lineHead(row: SqlRow, [type, turnId, itemType, itemId]: readonly unknown[]): string {
  const payload = { type, turn_id: turnId, item: { type: itemType, id: itemId } };
  return JSON.stringify({ type: row['type'], payload });
}
