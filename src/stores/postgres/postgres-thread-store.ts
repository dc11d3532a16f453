import { conflict, threadNotFound } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import { noRolloutPath, patchedThread } from '../../store/patched-thread.js';
import { presentFields, type ThreadMetadataPatch } from '../../store/thread-patch.js';
import type {
  ListThreadsParams,
  ListTurnsParams,
  MetadataUpdate,
  MoveOptions,
  StoreCapabilities,
  StoredThread,
  ThreadPage,
  ThreadStore,
  TurnPage,
} from '../../store/thread-store.js';
import { TurnPager } from '../../store/turn-pager.js';
import type { Query } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';
import { ITEM_COLUMNS, itemRows, lineFromRow } from './item-rows.js';
import { ItemTurns } from './item-turns.js';
import { PostgresListing } from './listing.js';
import { PostgresLiveThreads } from './live-threads.js';
import { changedColumns, THREAD_COLUMNS, threadFromRow, updateSql } from './thread-row.js';
import { WriterLeases, writerSql } from './writer-leases.js';

export interface PostgresThreadStoreOptions {
  /** Closed with the store. */
  readonly db: Database;
  /** Told by `capabilities`; `serialized()` refuses the writes. */
  readonly isReadOnly: boolean;
  /** How long the hold of a server that has died keeps others from writing a thread, milliseconds. */
  readonly leaseMs: number;
}

/** The threads of a team: one row for each thread, one for each item, for as many servers as there are. */
export class PostgresThreadStore implements ThreadStore {
  readonly capabilities: StoreCapabilities;
  readonly #db: Database;
  readonly #listing: PostgresListing;
  readonly #leases: WriterLeases;
  readonly #live: PostgresLiveThreads;

  constructor({ db, isReadOnly, leaseMs }: PostgresThreadStoreOptions) {
    this.#db = db;
    this.#listing = new PostgresListing(db, { isReadOnly });
    this.#leases = new WriterLeases(db, leaseMs);
    this.#live = new PostgresLiveThreads(db, this.#leases);
    this.capabilities = {
      description: db.description,
      isReadOnly,
      defaultHistoryMode: 'legacy',
      keepsRecency: true,
    };
  }

  async readThread(threadId: ThreadId): Promise<StoredThread> {
    return this.#live.unwritten(threadId) ?? threadFromRow(await this.#row(this.#db.query, threadId));
  }

  async listThreads(params: ListThreadsParams): Promise<ThreadPage> {
    return await this.#listing.list(params);
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    return await this.#listing.named(name, limit);
  }

  async listTurns(params: ListTurnsParams): Promise<TurnPage> {
    const { threadId } = params;
    const { historyMode: mode } = await this.readThread(threadId);
    const isLive = async () => (await this.#db.query(writerSql('$1'), [threadId])).length > 0;
    const source = await ItemTurns.open(this.#db, threadId, mode);
    return { ...(await new TurnPager(source, { mode, isLive }).page(params)), warnings: [] };
  }

  async *loadHistory(threadId: ThreadId): AsyncGenerator<RolloutLine> {
    const { historyMode } = await this.readThread(threadId);
    const { end } = await ItemTurns.open(this.#db, threadId, historyMode);
    for await (const row of itemRows(this.#db, { threadId, start: 0, end }, { columns: ITEM_COLUMNS })) {
      yield lineFromRow(row, historyMode);
    }
  }

  async historyVersion(threadId: ThreadId): Promise<string> {
    const { historyMode } = await this.readThread(threadId);
    return String((await ItemTurns.open(this.#db, threadId, historyMode)).end);
  }

  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    const { rolloutPath, ...fields } = presentFields(patch);
    if (rolloutPath !== undefined) throw noRolloutPath();
    if (this.#live.unwritten(threadId)) await this.#live.persist(threadId);
    const thread = await this.#db.transaction(async (query) => {
      const before = threadFromRow(await this.#row(query, threadId, 'FOR UPDATE'));
      const after = patchedThread(before, fields);
      await this.#set(query, before, after);
      return after;
    });
    return { thread: async () => thread, warnings: [] };
  }

  async archiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return await this.#setArchived(threadId, true, options);
  }

  async unarchiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return await this.#setArchived(threadId, false, options);
  }

  createThread: ThreadStore['createThread'] = (params) => this.#live.create(params);
  resumeThread: ThreadStore['resumeThread'] = (threadId) => this.#live.resume(threadId);
  forkThread: ThreadStore['forkThread'] = (params) => this.#live.fork(params);
  appendItems: ThreadStore['appendItems'] = (threadId, items) => this.#live.append(threadId, items);
  persistThread: ThreadStore['persistThread'] = (threadId) => this.#live.persist(threadId);
  flushThread: ThreadStore['flushThread'] = (threadId) => this.#live.flush(threadId);
  shutdownThread: ThreadStore['shutdownThread'] = (threadId) => this.#live.shutdown(threadId);
  discardThread: ThreadStore['discardThread'] = (threadId) => this.#live.discard(threadId);

  async close(): Promise<void> {
    await this.#live.closeAll();
    await this.#db.close();
  }

  /** The row is locked meanwhile, as it is when a thread is opened for writing: a thread is never both. */
  async #setArchived(threadId: ThreadId, isArchived: boolean, options?: MoveOptions): Promise<boolean> {
    const dryRun = options?.dryRun === true;
    const mine = this.#live.leaseFor(threadId);
    if (mine && !isArchived) return false;
    if (mine && !dryRun) throw conflict(`thread ${threadId} is loaded here`, 'Close it first; nothing was moved.');
    if (this.#live.unwritten(threadId)) return isArchived;
    const now = Date.now();
    return await this.#db.transaction(async (query) => {
      const before = threadFromRow(await this.#row(query, threadId, 'FOR UPDATE'));
      // The change is ours when the answer to a first attempt was lost.
      if (before.isArchived === isArchived) return (isArchived ? before.archivedAt : before.updatedAt) === now;
      await this.#leases.assertFree(query, threadId, mine);
      const times = isArchived ? { archivedAt: now } : { archivedAt: undefined, updatedAt: now };
      if (!dryRun) await this.#set(query, before, { ...before, isArchived, ...times });
      return true;
    });
  }

  async #set(query: Query, before: StoredThread, after: StoredThread): Promise<void> {
    const changes = changedColumns(before, after);
    // What is changed here is no longer as it was imported.
    if (changes.size > 0) changes.set('import_mark', null);
    const update = updateSql(before.threadId, changes);
    if (update) await query(...update);
  }

  async #row(query: Query, threadId: ThreadId, lock = '') {
    const [row] = await query(`SELECT ${THREAD_COLUMNS} FROM {threads} WHERE id = $1 ${lock}`, [threadId]);
    if (!row) throw threadNotFound(threadId);
    return row;
  }
}
