import { readOnly } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import { isEmptyPatch, type ThreadMetadataPatch } from '../../protocol/thread-patch.js';
import { resolveLineage } from '../../rollout/lineage.js';
import type { RolloutLibrary } from '../../rollout/rollout-library.js';
import { hasWriter } from '../../rollout/writer-lock.js';
import type { StateDb } from '../../state/state-db.js';
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
} from '../thread-store.js';
import { KeyedQueue } from './keyed-queue.js';
import { LocalHome, type Warn } from './local-home.js';
import { LocalListing } from './local-listing.js';
import { MetadataWriter } from './metadata-writer.js';
import { RolloutTurns } from './rollout-turns.js';
import { threadFromFile, threadFromRow } from './stored-thread.js';
import { ThreadMover } from './thread-mover.js';
import { historyModeOf, type ResolvedThread, ThreadResolver } from './thread-resolver.js';

export interface LocalThreadStoreOptions {
  readonly library: RolloutLibrary;
  /** Opened and closed by the caller; undefined is a normal case, then the files serve alone. */
  readonly stateDb: StateDb | undefined;
  /** Refuses every write. */
  readonly readOnly: boolean;
  readonly warn: Warn;
}

/** The threads of a Codex home, shared with Codex while both run. Files are the truth, rows an index that may be missing. */
export class LocalThreadStore implements ThreadStore {
  readonly capabilities: StoreCapabilities;
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #listing: LocalListing;
  readonly #writer: MetadataWriter;
  readonly #mover: ThreadMover;
  /** Calls of one client can come all at once: two writes on one thread are no conflict. */
  readonly #writes = new KeyedQueue<ThreadId>();

  constructor({ library, stateDb, readOnly: isReadOnly, warn }: LocalThreadStoreOptions) {
    this.#local = new LocalHome(library, stateDb, warn);
    this.#resolver = new ThreadResolver(this.#local);
    this.#listing = new LocalListing(this.#local, this.#resolver);
    this.#writer = new MetadataWriter(this.#local);
    this.#mover = new ThreadMover(this.#local);
    const database = stateDb ? `state DB ${stateDb.file}` : 'no state DB, from the rollout files';
    this.capabilities = { description: `${library.home.root} (${database})`, isReadOnly };
  }

  async readThread(threadId: ThreadId): Promise<StoredThread> {
    return await this.#stored(await this.#resolver.resolve(threadId));
  }

  async listThreads(params: ListThreadsParams): Promise<ThreadPage> {
    return await this.#listing.list(params);
  }

  async listTurns(params: ListTurnsParams): Promise<TurnPage> {
    const thread = await this.#resolver.resolve(params.threadId);
    if (thread.meta?.historyBase) this.#local.catalog.refresh();
    const lineage = await resolveLineage(thread.file, this.#local.catalog, params.threadId);
    const isLive = () => hasWriter(this.#local.home, params.threadId).catch(() => false);
    return await new RolloutTurns(lineage, { mode: historyModeOf(thread), isLive }).page(params);
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    const wanted = name.trim();
    const page = await this.#listing.list({
      filter: { archived: 'include', search: wanted },
      sortBy: 'updatedAt',
      order: 'desc',
      limit: 100,
    });
    const exact = page.threads.filter(({ thread }) => thread.name === wanted);
    return exact.slice(0, limit).map(({ thread }) => thread.threadId);
  }

  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    if (isEmptyPatch(patch)) return { thread: await this.readThread(threadId), warnings: [] };
    return await this.#writes.run(threadId, async () => {
      const thread = await this.#resolver.resolve(threadId);
      this.#assertWritable();
      const warnings = await this.#writer.write(thread, patch);
      return { thread: await this.readThread(threadId), warnings };
    });
  }

  async archiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return await this.#writes.run(threadId, () => this.#setArchived(threadId, true, options));
  }

  async unarchiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return await this.#writes.run(threadId, () => this.#setArchived(threadId, false, options));
  }

  async #setArchived(threadId: ThreadId, isArchived: boolean, options?: MoveOptions): Promise<boolean> {
    const thread = await this.#resolver.resolve(threadId);
    if (thread.file.isArchived === isArchived) return false;
    this.#assertWritable();
    if (options?.dryRun) await this.#mover.assertMovable(thread);
    else if (isArchived) await this.#mover.archive(thread);
    else await this.#mover.unarchive(thread);
    return true;
  }

  async close(): Promise<void> {
    // Files are opened per call, and the state DB belongs to whoever opened it.
  }

  #assertWritable(): void {
    if (this.capabilities.isReadOnly)
      throw readOnly('this server is read-only', 'Start it without --read-only to change threads.');
  }

  async #stored({ file, meta, row }: ResolvedThread): Promise<StoredThread> {
    if (row) {
      const thread = threadFromRow(row, file, meta, this.#local.names);
      return thread.preview === '' ? { ...thread, preview: await this.#listing.previewOf(file) } : thread;
    }
    const summary = await this.#local.summaries.full(file);
    const preview = await this.#listing.previewOf(file);
    return threadFromFile(file, summary, preview, this.#local.names);
  }
}
