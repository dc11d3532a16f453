import { statSync } from 'node:fs';
import { conflict } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import type { ThreadMetadataPatch } from '../../store/thread-patch.js';
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
import { Archiver } from './archiver.js';
import { readHistory } from './history.js';
import { repairHome } from './home-repair.js';
import { IndexUpdater } from './index/index-updater.js';
import { LocalListing } from './listing/local-listing.js';
import { LiveThreads } from './live/live-threads.js';
import { LoadedLines } from './loaded-lines.js';
import { LocalHome, type Warn } from './local-home.js';
import { MetadataWriter } from './metadata-writer.js';
import { PreviewReader } from './preview-reader.js';
import { type Lineage, resolveLineage } from './rollout/lineage.js';
import type { RolloutFile } from './rollout/rollout-file.js';
import type { RolloutLibrary } from './rollout/rollout-library.js';
import type { Durability } from './rollout/rollout-recorder.js';
import { hasWriter } from './rollout/writer-lock.js';
import type { StateDbHandle } from './state-db/state-db-handle.js';
import type { StateDbStatus } from './state-db/state-db-status.js';
import type { ThreadRow } from './state-db/thread-rows.js';
import { threadFromFile, threadFromRow } from './thread-from-home.js';
import { assertOwn, type ResolvedThread, resolvedHistoryMode, ThreadResolver } from './thread-resolver.js';
import { rolloutTurns } from './turns.js';

export interface LocalThreadStoreOptions {
  readonly library: RolloutLibrary;
  /** Opened and closed by the caller; one without a DB is a normal case, then the files serve alone. */
  readonly stateDb: StateDbHandle;
  /** Told by `capabilities`; `serialized()` refuses the writes. */
  readonly isReadOnly: boolean;
  /** What a flush of a live thread promises. */
  readonly durability?: Durability | undefined;
  readonly warn: Warn;
}

/** The threads of a Codex home, shared with Codex while both run. Files are the truth, rows an index that may be missing. */
export class LocalThreadStore implements ThreadStore {
  readonly capabilities: StoreCapabilities;
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #loadedLines = new LoadedLines();
  readonly #listing: LocalListing;
  readonly #previews: PreviewReader;
  readonly #indexUpdater: IndexUpdater;
  readonly #writer: MetadataWriter;
  readonly #archiver: Archiver;
  readonly #live: LiveThreads;

  constructor({ library, stateDb, isReadOnly, durability, warn }: LocalThreadStoreOptions) {
    this.#local = new LocalHome(library, stateDb, warn);
    this.#resolver = new ThreadResolver(this.#local);
    this.#previews = new PreviewReader(this.#local);
    this.#indexUpdater = new IndexUpdater(this.#local);
    this.#live = new LiveThreads(this.#local, this.#resolver, durability);
    this.#writer = new MetadataWriter(this.#local, this.#resolver, this.#live);
    this.#archiver = new Archiver(this.#local, this.#resolver, this.#live);
    this.#listing = new LocalListing(this.#local, this.#resolver, this.#indexUpdater);
    const description = () => {
      return `${library.home.root} (${described(stateDb.status)})`;
    };
    this.capabilities = {
      get description() {
        return description();
      },
      get keepsRecency() {
        return stateDb.status.kind === 'codex';
      },
      isReadOnly,
      // Codex reads legacy threads at once; paginated ones only after it has made a projection of them.
      defaultHistoryMode: 'legacy',
    };
  }

  async readThread(threadId: ThreadId): Promise<StoredThread> {
    const unwritten = this.#live.unwritten(threadId);
    if (unwritten) return unwritten;
    return await this.#resolver.reading(threadId, (thread) => this.#stored(thread));
  }

  async listThreads(params: ListThreadsParams): Promise<ThreadPage> {
    return await this.#listing.list(params);
  }

  async listTurns(params: ListTurnsParams): Promise<TurnPage> {
    if (this.#live.unwritten(params.threadId)) return { turns: [], hasMore: false, warnings: [] };
    return await this.#resolver.reading(params.threadId, async (thread) => {
      if (thread.meta?.historyBase) this.#local.catalog.refresh();
      const lineage = await resolveLineage(thread.file, this.#local.catalog, params.threadId);
      const isLive = () => hasWriter(this.#local.home, params.threadId).catch(() => false);
      return await rolloutTurns(lineage, params, {
        mode: resolvedHistoryMode(thread),
        isLive,
        loadedLines: this.#loadedLines,
      });
    });
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    const wanted = name.trim();
    const found: ThreadId[] = [];
    let cursor: string | undefined;
    do {
      const filter = { archived: 'include', search: wanted } as const;
      const page = await this.#listing.list({ filter, sortBy: 'updatedAt', order: 'desc', limit: 100, cursor });
      const exact = page.threads.filter(({ thread }) => thread.name === wanted);
      found.push(...exact.map(({ thread }) => thread.threadId));
      cursor = page.hasMore ? page.threads.at(-1)?.cursor : undefined;
    } while (cursor !== undefined && found.length < limit);
    return found.slice(0, limit);
  }

  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    await this.#local.readyToWrite();
    if (this.#live.unwritten(threadId)) await this.#live.persist(threadId);
    const { thread, warnings } = await this.#writer.write(threadId, patch);
    if (this.#local.status.kind === 'index') await this.#indexUpdater.written(thread.file);
    let read: Promise<StoredThread> | undefined;
    const readOnce = () => {
      read ??= this.#resolver.readingAgain(thread, (changed) => this.#stored(changed));
      return read;
    };
    return { thread: readOnce, warnings };
  }

  async *loadHistory(threadId: ThreadId, warn?: (problem: string) => void): AsyncGenerator<RolloutLine> {
    if (this.#live.unwritten(threadId)) return;
    yield* readHistory(await this.#lineage(threadId), warn);
  }

  async historyVersion(threadId: ThreadId): Promise<string> {
    if (this.#live.unwritten(threadId)) return 'unwritten';
    const [current, ...bases] = (await this.#lineage(threadId)).segments;
    const { mtimeMs, size } = statSync(current?.file.path ?? '');
    // Up to where it counts a base never changes.
    const before = bases.map(({ file, endByteOffset }) => `${file.rolloutId}:${endByteOffset}`);
    return [current?.file.rolloutId, size, mtimeMs, ...before].join(' ');
  }

  async #lineage(threadId: ThreadId): Promise<Lineage> {
    const { file, meta } = await this.#resolver.resolve(threadId);
    if (meta?.historyBase) this.#local.catalog.refresh();
    return await resolveLineage(file, this.#local.catalog, threadId);
  }

  createThread: ThreadStore['createThread'] = (params) => this.#live.create(params);

  async resumeThread(threadId: ThreadId): Promise<StoredThread> {
    const thread = await this.#live.resume(threadId);
    try {
      return await this.#stored(thread);
    } catch (error) {
      await this.#live.discard(threadId);
      throw error;
    }
  }

  forkThread: ThreadStore['forkThread'] = (params) => this.#live.fork(params);
  appendItems: ThreadStore['appendItems'] = (threadId, items) => this.#live.append(threadId, items);
  persistThread: ThreadStore['persistThread'] = (threadId) => this.#live.persist(threadId);
  flushThread: ThreadStore['flushThread'] = (threadId) => this.#live.flush(threadId);
  shutdownThread: ThreadStore['shutdownThread'] = (threadId) => this.#live.shutdown(threadId);
  discardThread: ThreadStore['discardThread'] = (threadId) => this.#live.discard(threadId);

  async archiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return await this.#setArchived(threadId, true, options);
  }

  async unarchiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return await this.#setArchived(threadId, false, options);
  }

  async #setArchived(threadId: ThreadId, isArchived: boolean, options?: MoveOptions): Promise<boolean> {
    if (this.#live.get(threadId) && !options?.dryRun) {
      if (!isArchived) return false;
      throw conflict(`thread ${threadId} is loaded here`, 'Close it first; nothing was moved.');
    }
    return await this.#resolver.reading(threadId, (thread) => this.#moved(thread, isArchived, options));
  }

  async #moved(thread: ResolvedThread, isArchived: boolean, options?: MoveOptions): Promise<boolean> {
    const { threadId } = thread;
    assertOwn(thread);
    if (thread.file.isArchived === isArchived) {
      if (!options?.dryRun) await this.#archiver.completeInterruptedMove(threadId);
      return false;
    }
    await this.#local.readyToWrite();
    const hidden = isArchived && options?.warn ? this.#archiver.hiddenWhenArchived(thread) : undefined;
    if (options?.dryRun) await this.#archiver.assertMovable(thread);
    const isMoved =
      options?.dryRun || (isArchived ? await this.#archiver.archive(thread) : await this.#archiver.unarchive(thread));
    if (isMoved && hidden !== undefined) options?.warn?.(hidden);
    return isMoved;
  }

  /** Puts right what a killed program left half-way. */
  async repair(): Promise<void> {
    const parts = { local: this.#local, listing: this.#listing, resolver: this.#resolver, archiver: this.#archiver };
    await repairHome(parts);
  }

  async close(): Promise<void> {
    // The state DB belongs to whoever opened it.
    await this.#live.closeAll();
    this.#local.close();
    this.#indexUpdater.close();
  }

  async #stored({ threadId, file, meta, row }: ResolvedThread): Promise<StoredThread> {
    const isIndex = this.#local.status.kind === 'index';
    if (row && !(isIndex && isStale(file, row))) {
      const thread = threadFromRow(row, file, meta, this.#local.names);
      const isBorrowed = isIndex && meta?.historyBase !== undefined;
      return thread.preview === '' || isBorrowed
        ? { ...thread, preview: await this.#previews.readPreview(file) }
        : thread;
    }
    const summary = await this.#local.summaries.full(file);
    const preview = await this.#previews.readPreview(file);
    return threadFromFile(file, summary, preview, this.#local.names, threadId);
  }
}

function described(status: StateDbStatus): string {
  switch (status.kind) {
    case 'codex':
    case 'index':
      return `state DB ${status.db.file}`;
    case 'waiting':
      return `from the rollout files, no thread can be changed: ${status.reason}`;
    default:
      return 'no state DB, from the rollout files';
  }
}

/** True for a row of the index whose file has changed since it was indexed. */
function isStale(file: RolloutFile, row: ThreadRow): boolean {
  const stat = statSync(file.path, { throwIfNoEntry: false });
  return row.rolloutSize !== stat?.size;
}
