import { ThreadkeeperError } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import type { StoredThread } from '../../store/thread-store.js';
import type { Query } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';
import { batchesOf, ITEM_COLUMNS, type ItemRow, itemRow, itemsOfJson } from './item-rows.js';
import { rowOf } from './thread-row.js';

/** How a thread of another store stands here: `changedHere` was made or changed in this store, and is left alone. */
export type ImportState = 'new' | 'unchanged' | 'outdated' | 'changedHere';

export interface ImportedThread {
  readonly thread: StoredThread;
  /** Changes when the thread does, where it comes from. */
  readonly mark: string;
  /** All lines, oldest first. Read again when the database was away meanwhile. */
  readonly lines: () => AsyncIterable<RolloutLine>;
}

export interface ImportOutcome {
  /** As it stood before. */
  readonly state: ImportState;
  readonly items: number;
  /** Items that the table cannot hold. */
  readonly leftOut: number;
}

/** Takes threads of another store over as they are: ids, times and all. Each of them whole or not at all. */
export class PostgresImport {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async stateOf(threadId: ThreadId, mark: string): Promise<ImportState> {
    return await stateOf(this.#db.query, threadId, mark);
  }

  /** Can be repeated: a thread that is here as it is there, or was changed here, is left alone. */
  async add({ thread, mark, lines }: ImportedThread): Promise<ImportOutcome> {
    const { threadId } = thread;
    return await this.#db.transaction(async (query) => {
      const state = await stateOf(query, threadId, mark, 'FOR UPDATE');
      if (state === 'unchanged' || state === 'changedHere') return { state, items: 0, leftOut: 0 };
      await query('DELETE FROM {items} WHERE thread_id = $1', [threadId]);
      await this.#putRow(query, thread, mark);
      let leftOut = 0;
      let items = 0;
      const rows = rowsOf(lines(), () => {
        leftOut += 1;
      });
      for await (const { json, count } of batchesOf(rows)) {
        await query(
          `INSERT INTO {items} (thread_id, ${ITEM_COLUMNS}) SELECT $1, ${ITEM_COLUMNS} FROM ${itemsOfJson('$2')}`,
          [threadId, json],
        );
        items += count;
      }
      return { state, items, leftOut };
    });
  }

  async #putRow(query: Query, thread: StoredThread, mark: string): Promise<void> {
    const row = rowOf(thread).set('import_mark', mark);
    const columns = [...row.keys()];
    const places = columns.map((_, index) => `$${index + 1}`);
    const settings = columns.map((column) => `${column} = excluded.${column}`);
    await query(
      `INSERT INTO {threads} (${columns.join(', ')}) VALUES (${places.join(', ')})
      ON CONFLICT (id) DO UPDATE SET ${settings.join(', ')}`,
      [...row.values()],
    );
  }
}

async function stateOf(query: Query, threadId: ThreadId, mark: string, lock = ''): Promise<ImportState> {
  const [row] = await query(`SELECT import_mark FROM {threads} WHERE id = $1 ${lock}`, [threadId]);
  if (!row) return 'new';
  if (row['import_mark'] === null) return 'changedHere';
  return row['import_mark'] === mark ? 'unchanged' : 'outdated';
}

async function* rowsOf(lines: AsyncIterable<RolloutLine>, leaveOut: () => void): AsyncGenerator<ItemRow> {
  let ordinal = 0;
  for await (const line of lines) {
    try {
      yield itemRow(line, ordinal);
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      leaveOut();
    }
    ordinal += 1;
  }
}
