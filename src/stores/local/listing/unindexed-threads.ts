import path from 'node:path';
import { isResourceExhausted, readFailure, systemErrorCode } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { TimeSlice } from '../../../protocol/time-slice.js';
import type { ListPosition } from '../../../store/list-cursor.js';
import { comparePositions, isShown, positionOf } from '../../../store/thread-filter.js';
import type { ListThreadsParams, StoredThread, ThreadFilter } from '../../../store/thread-store.js';
import type { LocalHome } from '../local-home.js';
import type { PreviewReader } from '../preview-reader.js';
import type { LeftOut } from '../rollout/directory-listing.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import { isNoThread } from '../rollout/rollout-metadata.js';
import type { ThreadRow } from '../state-db/thread-rows.js';
import { threadFromFile, threadFromRow } from '../thread-from-home.js';
import type { ThreadResolver } from '../thread-resolver.js';
import { FRESH_MS, type Reconciliation } from './reconciliation.js';

/** A thread and its place in the order of the list. */
export interface Placed {
  readonly thread: StoredThread;
  readonly position: ListPosition;
}

/** How much of the unindexed files a list reads: whole files, or as far as what it shows as preview. */
interface ReadingDepth {
  readonly whole: boolean;
  readonly previews: boolean;
}

export interface UnindexedThreads {
  readonly threads: UnindexedThread[];
  readonly unreadable: LeftOut[];
  /** Files that hold no thread. */
  emptyFiles: number;
  readonly copies: string[];
}

export interface UnindexedThread {
  readonly thread: StoredThread;
  readonly file: RolloutFile;
  readonly row: ThreadRow | undefined;
}

/** Reads the threads of files without a usable row. */
export class UnindexedThreadReader {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #previews: PreviewReader;
  #kept: { key: string; at: number; value: UnindexedThreads } | undefined;

  constructor(local: LocalHome, resolver: ThreadResolver, previews: PreviewReader) {
    this.#local = local;
    this.#resolver = resolver;
    this.#previews = previews;
  }

  /** The threads of the unindexed files; what of these is left out is counted. */
  async threads({ unindexed }: Reconciliation, { gitBranch, search }: ThreadFilter): Promise<UnindexedThreads> {
    const known = this.#kept;
    const reading = { whole: gitBranch !== undefined, previews: search !== undefined };
    const { catalog, names } = this.#local;
    const key = `${catalog.generation} ${names.generation} ${unindexed.length} ${JSON.stringify(reading)}`;
    if (known?.key === key && Date.now() - known.at < FRESH_MS) return known.value;
    const value: UnindexedThreads = { threads: [], unreadable: [], emptyFiles: 0, copies: [] };
    const seen = new Set<ThreadId>();
    const slice = new TimeSlice();
    for (const { file, row } of unindexed) {
      await slice.yield();
      const name = path.relative(this.#local.home.root, file.path);
      try {
        const thread = await this.#read(file, row, reading);
        if (!thread) value.emptyFiles += 1;
        else if (seen.has(thread.threadId) || (await this.#hasExactFile(thread.threadId, file)))
          value.copies.push(name);
        else {
          seen.add(thread.threadId);
          value.threads.push({ thread, file, row });
        }
      } catch (error) {
        if (isResourceExhausted(error)) throw readFailure(file.path, error);
        const code = systemErrorCode(error) ?? 'damaged';
        // The file was removed just now. The next list leaves it out.
        if (code !== 'ENOENT') value.unreadable.push({ path: name, why: code });
      }
    }
    this.#kept = { key, at: Date.now(), value };
    return value;
  }

  /** A file that is named after another thread is a copy where its thread has a file of its own name. */
  async #hasExactFile(threadId: ThreadId, file: RolloutFile): Promise<boolean> {
    if (threadId === file.threadId) return false;
    for (const other of this.#local.catalog.filesFor(threadId)) {
      const meta = await this.#resolver.metaOf(other).catch(() => undefined);
      if (meta?.id === threadId) return true;
    }
    return false;
  }

  /** Undefined for a file that holds no thread: an empty one, or one without any line that parses. */
  async #read(
    file: RolloutFile,
    row: ThreadRow | undefined,
    { whole, previews }: ReadingDepth,
  ): Promise<StoredThread | undefined> {
    const { summaries } = this.#local;
    const head = whole ? undefined : await summaries.head(file);
    // The preview can come long after the head of the file. A search then reads the whole file.
    const needsAll = !head || (previews && head.metadata.displayPreview === '' && !head.isComplete);
    const summary = needsAll ? await summaries.full(file) : head;
    if (isNoThread(summary.metadata)) return undefined;
    const { meta } = summary.metadata;
    const preview = (await this.#previews.readPreview(file)) || summary.metadata.displayPreview;
    if (row) return { ...threadFromRow(row, file, meta, this.#local.names), preview: row.preview || preview };
    return threadFromFile(file, summary, preview, this.#local.names);
  }

  /** The threads of a page that come from unindexed files, read as far as a list shows them. */
  async page(
    { filter, sortBy, order, limit }: ListThreadsParams,
    after: ListPosition | undefined,
    threads: readonly UnindexedThread[],
  ): Promise<Placed[]> {
    const compare = comparePositions(order);
    const shown = threads
      .filter(({ thread }) => isShown(filter, { isArchived: thread.isArchived, source: thread.source.kind }))
      .map((unindexed) => ({ ...unindexed, position: positionOf(unindexed.thread, sortBy) }))
      .filter(({ position }) => !after || compare(position, after) > 0)
      .sort((a, b) => compare(a.position, b.position))
      .slice(0, limit + 1);
    const page: Placed[] = [];
    for (const { thread, file, row, position } of shown) {
      const whole = await this.#read(file, row, { whole: true, previews: true }).catch(() => undefined);
      page.push({ thread: whole ?? thread, position });
    }
    return page;
  }
}
