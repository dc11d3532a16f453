import { ThreadkeeperError } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import type { AgentGraphStore, SpawnEdge } from '../../store/agent-graph-store.js';
import type { ImportedThread, ImportOutcome, ImportState, ThreadImporter } from '../../store/thread-importer.js';
import type { StoredThread } from '../../store/thread-store.js';
import type { Query } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';
import { ITEM_COLUMNS, type ItemRow, itemRow, selectFromJson, splitIntoBatches } from './item-rows.js';
import { threadColumns } from './thread-row.js';

/** Takes threads over into the database. A row's `import_mark` is the version that was imported. */
export class PostgresImporter implements ThreadImporter {
  readonly #db: Database;
  readonly #graph: AgentGraphStore;

  constructor(db: Database, graph: AgentGraphStore) {
    this.#db = db;
    this.#graph = graph;
  }

  async add(imported: ImportedThread, { dryRun }: { readonly dryRun: boolean }): Promise<ImportOutcome> {
    const { thread, edge } = imported;
    const mark = await imported.version();
    const state = await stateOf(this.#db.query, thread.threadId, mark);
    if (dryRun || isKept(state)) return { state, items: 0, notes: [] };
    // The edge first: a thread with its mark is complete. An edge may name a thread that does not exist yet.
    if (edge) await this.#graph.upsertSpawnEdge(edge);
    return await this.#write(imported, mark);
  }

  /** An item may be too large, and another server may hold a row; all else concerns every thread. */
  isFatal({ code }: ThreadkeeperError): boolean {
    return code === 'internal' || code === 'read_only' || code === 'unsupported';
  }

  async addEdge(edge: SpawnEdge, { dryRun }: { readonly dryRun: boolean }): Promise<boolean> {
    if (!dryRun) await this.#graph.upsertSpawnEdge(edge);
    return true;
  }

  async #write(imported: ImportedThread, mark: string): Promise<ImportOutcome> {
    const { thread } = imported;
    const { threadId } = thread;
    return await this.#db.transaction(async (query) => {
      const state = await stateOf(query, threadId, mark, 'FOR UPDATE');
      if (isKept(state)) return { state, items: 0, notes: [] };
      await query('DELETE FROM {items} WHERE thread_id = $1', [threadId]);
      await this.#putRow(query, thread, mark);
      let leftOut = 0;
      let items = 0;
      const rows = rowsOf(imported.lines(), () => {
        leftOut += 1;
      });
      for await (const { json, count } of splitIntoBatches(rows)) {
        await query(
          `INSERT INTO {items} (thread_id, ${ITEM_COLUMNS}) SELECT $1, ${ITEM_COLUMNS} FROM ${selectFromJson('$2')}`,
          [threadId, json],
        );
        items += count;
      }
      const note = `${leftOut} items are too large or too deep for the database and were left out`;
      return { state, items, notes: leftOut > 0 ? [note] : [] };
    });
  }

  async #putRow(query: Query, thread: StoredThread, mark: string): Promise<void> {
    const row = threadColumns(thread).set('import_mark', mark);
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

const isKept = (state: ImportState) => state === 'unchanged' || state === 'changedHere';

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
