import { appendFailure, conflict, ThreadkeeperError, threadNotFound } from '../../protocol/errors.js';
import type { HistoryMode } from '../../protocol/history-mode.js';
import type { ThreadId } from '../../protocol/ids.js';
import { keptItems, type RolloutItem } from '../../protocol/rollout-item.js';
import { newThread } from '../../store/new-thread.js';
import type { CreateThreadParams, ForkThreadParams, StoredThread } from '../../store/thread-store.js';
import { turnAfter } from '../../store/turn-after.js';
import { TurnPager } from '../../store/turn-pager.js';
import type { Query, SqlValue } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';
import { ITEM_COLUMNS, type ItemRow, itemRow, selectFromJson, splitIntoBatches } from './item-rows.js';
import { ItemTurns } from './item-turns.js';
import { insertSql, THREAD_COLUMNS, threadColumns, threadFromRow } from './thread-row.js';
import { type Lease, validLeaseSql, type WriterLeases } from './writer-leases.js';

/** A thread that this process has open for writing, under a lease. */
interface OpenThread {
  readonly lease: Lease;
  readonly mode: HistoryMode;
  /** The thread as it was made, for as long as it has no row. */
  made: { readonly thread: StoredThread; readonly row: ReadonlyMap<string, SqlValue> } | undefined;
  nextOrdinal: number;
  /** Rows that are still to be written. Their ordinals are set, so a repeated write has no effect. */
  waiting: ItemRow[];
}

/** A fork copies at most so many items in one statement. */
const COPY_AT_ONCE = 5000;

/** The live threads of this process, and what is appended to them. */
export class PostgresLiveThreads {
  readonly #db: Database;
  readonly #leases: WriterLeases;
  readonly #open = new Map<ThreadId, OpenThread>();

  constructor(db: Database, leases: WriterLeases) {
    this.#db = db;
    this.#leases = leases;
  }

  leaseFor(threadId: ThreadId): Lease | undefined {
    return this.#open.get(threadId)?.lease;
  }

  /** The thread, if it is live here and has no row yet. */
  unwritten(threadId: ThreadId): StoredThread | undefined {
    return this.#open.get(threadId)?.made?.thread;
  }

  async create(params: CreateThreadParams): Promise<void> {
    const { threadId, historyMode: mode } = params;
    await this.#opening(threadId, async (query) => {
      await assertNew(query, threadId);
      const thread = newThread(params);
      return { open: { mode, made: rowForNewThread(thread, params), nextOrdinal: 0 }, thread };
    });
  }

  async resume(threadId: ThreadId): Promise<StoredThread> {
    return await this.#opening(threadId, async (query) => {
      const [row] = await query(`SELECT ${THREAD_COLUMNS} FROM {threads} WHERE id = $1 FOR SHARE`, [threadId]);
      if (!row) throw threadNotFound(threadId);
      const thread = threadFromRow(row);
      if (thread.isArchived) {
        throw conflict(`thread ${threadId} is archived`, 'Bring it back with unarchive_thread, then call again.');
      }
      await query('UPDATE {threads} SET import_mark = NULL WHERE id = $1 AND import_mark IS NOT NULL', [threadId]);
      const open = { mode: thread.historyMode, made: undefined, nextOrdinal: await findHistoryEnd(query, threadId) };
      return { open, thread };
    });
  }

  async fork({ sourceThreadId, lastTurnId, thread }: ForkThreadParams): Promise<void> {
    if (this.unwritten(sourceThreadId)) {
      throw conflict(`thread ${sourceThreadId} has no history yet`, 'Append to it first; there is nothing to fork.');
    }
    const [row] = await this.#db.query(`SELECT ${THREAD_COLUMNS} FROM {threads} WHERE id = $1`, [sourceThreadId]);
    if (!row) throw threadNotFound(sourceThreadId);
    const { historyMode, preview, title, firstUserMessage } = threadFromRow(row);
    const fork = newThread({ ...thread, historyMode });
    const stored = { ...fork, preview, title, firstUserMessage, forkedFromId: sourceThreadId };
    const end = await this.#forkEnd(sourceThreadId, historyMode, lastTurnId);
    const { threadId } = thread;
    const made = rowForNewThread(stored, thread);
    await this.#opening(threadId, async (query) => {
      await assertNew(query, threadId);
      return { open: { mode: historyMode, made, nextOrdinal: end }, thread: stored };
    });
    await this.#copy(threadId, sourceThreadId, end).catch(async (error: unknown) => {
      await this.discard(threadId);
      throw error;
    });
  }

  /** Appends what the policy keeps. What cannot be written waits. */
  async append(threadId: ThreadId, items: readonly RolloutItem[]): Promise<void> {
    const open = this.#open.get(threadId);
    const kept = keptItems(items, open?.mode ?? 'legacy');
    if (kept.length === 0) return;
    const { nextOrdinal } = open ?? notLive(threadId);
    const timestamp = new Date().toISOString();
    const rows = kept.map((item, index) => itemRow({ ...item, timestamp, ordinal: undefined }, nextOrdinal + index));
    open?.waiting.push(...rows);
    if (open) open.nextOrdinal += rows.length;
    try {
      await this.flush(threadId);
    } catch (error) {
      const waiting = this.#open.get(threadId)?.waiting.length ?? 0;
      if (waiting === 0 || !(error instanceof ThreadkeeperError)) throw error;
      throw appendFailure(error, waiting);
    }
  }

  async persist(threadId: ThreadId): Promise<void> {
    const open = this.#open.get(threadId) ?? notLive(threadId);
    await this.#materialise(open);
    await this.flush(threadId);
  }

  async flush(threadId: ThreadId): Promise<void> {
    const open = this.#open.get(threadId) ?? notLive(threadId);
    if (open.waiting.length === 0) return;
    await this.#materialise(open);
    for await (const { json, count } of splitIntoBatches([...open.waiting])) {
      await this.#write(open, json);
      open.waiting = open.waiting.slice(count);
    }
  }

  async shutdown(threadId: ThreadId): Promise<void> {
    await this.flush(threadId);
    await this.discard(threadId);
  }

  async discard(threadId: ThreadId): Promise<void> {
    const open = this.#open.get(threadId);
    if (!open) return;
    this.#open.delete(threadId);
    await this.#leases.release(open.lease);
  }

  async closeAll(): Promise<void> {
    await Promise.allSettled([...this.#open.keys()].map((threadId) => this.discard(threadId)));
  }

  /** Writes rows in one statement that also checks the lease. */
  async #write(open: OpenThread, json: string): Promise<void> {
    const { threadId, token } = open.lease;
    const [row] = await this.#db.query(
      `WITH held AS (${validLeaseSql('$1', '$2')}), added AS (
        INSERT INTO {items} (thread_id, ${ITEM_COLUMNS}) SELECT $1, ${ITEM_COLUMNS} FROM held, ${selectFromJson('$3')}
        ON CONFLICT DO NOTHING
      ) SELECT count(*) AS held FROM held`,
      [threadId, token, json],
    );
    if (row?.['held'] !== 1) throw this.#lost(open);
  }

  async #materialise(open: OpenThread): Promise<void> {
    const { made } = open;
    if (made) await this.#underLease(open, (query) => query(...insertSql(made.row)));
    open.made = undefined;
  }

  async #copy(threadId: ThreadId, sourceThreadId: ThreadId, end: number): Promise<void> {
    const open = this.#open.get(threadId) ?? notLive(threadId);
    const { made } = open;
    await this.#underLease(open, async (query) => {
      if (made) await query(...insertSql(made.row));
      for (let from = 0; from < end; from += COPY_AT_ONCE) {
        await query(
          `INSERT INTO {items} (thread_id, ${ITEM_COLUMNS}) SELECT $1, ${ITEM_COLUMNS} FROM {items}
          WHERE thread_id = $2 AND ordinal >= $3 AND ordinal < $4`,
          [threadId, sourceThreadId, from, Math.min(end, from + COPY_AT_ONCE)],
        );
      }
    });
    open.made = undefined;
  }

  /** Runs statements in a transaction during which nobody can take the lease over. */
  async #underLease(open: OpenThread, action: (query: Query) => Promise<unknown>): Promise<void> {
    const { threadId, token } = open.lease;
    const isHeld = await this.#db.transaction(async (query) => {
      const held = await query(validLeaseSql('$1', '$2'), [threadId, token]);
      if (held.length > 0) await action(query);
      return held.length > 0;
    });
    if (!isHeld) throw this.#lost(open);
  }

  #lost({ lease }: OpenThread): Error {
    const { threadId } = lease;
    this.#open.delete(threadId);
    this.#leases.forget(lease);
    return conflict(
      `this server did not renew its lease on thread ${threadId} in time and has lost it`,
      'Items of this call are not written. Read the thread, then call again: it is reopened if nobody else has it.',
    );
  }

  async #forkEnd(threadId: ThreadId, mode: HistoryMode, lastTurnId: string | undefined): Promise<number> {
    const source = await ItemTurns.open(this.#db, threadId, mode);
    if (lastTurnId === undefined) return source.end;
    const pager = new TurnPager(source, { mode, isLive: async () => false });
    const next = await turnAfter((params) => pager.page(params), threadId, lastTurnId);
    return next?.offset ?? source.end;
  }

  /** Takes the lease and opens in one transaction. */
  async #opening(
    threadId: ThreadId,
    begin: (query: Query) => Promise<{
      open: Pick<OpenThread, 'mode' | 'made' | 'nextOrdinal'>;
      thread: StoredThread;
    }>,
  ): Promise<StoredThread> {
    if (this.#open.has(threadId)) throw conflict(`thread ${threadId} is loaded here already`, 'Use it as it is.');
    const lease = this.#leases.newLease(threadId);
    const { open, thread } = await this.#db.transaction(async (query) => {
      await this.#leases.acquire(query, lease);
      return await begin(query);
    });
    this.#open.set(threadId, { ...open, lease, waiting: [] });
    this.#leases.keep(lease);
    return thread;
  }
}

async function assertNew(query: Query, threadId: ThreadId): Promise<void> {
  const found = await query('SELECT FROM {threads} WHERE id = $1', [threadId]);
  if (found.length > 0) throw conflict(`thread ${threadId} exists`, 'Take another id.');
}

async function findHistoryEnd(query: Query, threadId: ThreadId): Promise<number> {
  const [row] = await query('SELECT coalesce(max(ordinal) + 1, 0) AS end FROM {items} WHERE thread_id = $1', [
    threadId,
  ]);
  return Number(row?.['end'] ?? 0);
}

function rowForNewThread(thread: StoredThread, { originator }: Pick<CreateThreadParams, 'originator'>) {
  return { thread, row: new Map([...threadColumns(thread), ['originator', originator] as const]) };
}

function notLive(threadId: ThreadId): never {
  throw threadNotFound(threadId, 'It is not loaded for writing here: resume it first.');
}
