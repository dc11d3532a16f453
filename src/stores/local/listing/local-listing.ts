import { containsFolded, foldCase } from '../../../protocol/fold-case.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { decodeListCursor, encodeListCursor, type ListPosition } from '../../../store/list-cursor.js';
import {
  comparePositions,
  directoryMatcher,
  threadMatcher,
  totalShown,
  validateListParams,
} from '../../../store/thread-filter.js';
import type {
  ListThreadsParams,
  StoredThread,
  ThreadCount,
  ThreadFilter,
  ThreadPage,
} from '../../../store/thread-store.js';
import type { IndexUpdater } from '../index/index-updater.js';
import type { LocalHome } from '../local-home.js';
import { PreviewReader } from '../preview-reader.js';
import { isNoThread } from '../rollout/rollout-metadata.js';
import type { RowFilter, ThreadRow, ThreadRows } from '../state-db/thread-rows.js';
import { threadFromRow } from '../thread-from-home.js';
import { findRowFile, type ThreadResolver } from '../thread-resolver.js';
import { listWarnings } from './list-warnings.js';
import { Reconciler, type Reconciliation, rowsVersion } from './reconciliation.js';
import { type Placed, type UnindexedThread, UnindexedThreadReader } from './unindexed-threads.js';

/**
 * Lists: rows by SQL, and beside them the files that the rows do not know, merged in one order. Without a state DB
 * every file is unindexed.
 */
export class LocalListing {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #previews: PreviewReader;
  readonly #reconciler: Reconciler;
  readonly #unindexed: UnindexedThreadReader;
  #counted: { key: string; counts: readonly ThreadCount[] } | undefined;
  #cwds: { key: string; values: readonly string[] } | undefined;

  constructor(local: LocalHome, resolver: ThreadResolver, indexUpdater: IndexUpdater) {
    this.#local = local;
    this.#reconciler = new Reconciler(local, indexUpdater);
    this.#resolver = resolver;
    this.#previews = new PreviewReader(local);
    this.#unindexed = new UnindexedThreadReader(local, resolver, this.#previews);
  }

  async list(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    for (;;) {
      const { db } = this.#local.stateDb;
      const page = await this.#list(params);
      // Rows and files do not match if the state DB was opened, closed or locked between reading them: list again.
      if (page && this.#local.stateDb.db === db) return page;
      this.#reconciler.forget();
    }
  }

  async #list(params: ListThreadsParams): Promise<ThreadPage | undefined> {
    const after = decodeListCursor(params);
    const reconciled = await this.#reconciler.reconcile();
    const unindexed = await this.#unindexed.threads(reconciled, params.filter);
    const matches = threadMatcher(params.filter);
    const looseMatches = unindexed.threads.filter(({ thread }) => matches(thread));
    const found = await this.#rowPage(params, after, reconciled);
    if ((found !== undefined) !== reconciled.hasRows) return undefined;
    const fromRows = found ?? { threads: [], counts: [], last: undefined, emptyFiles: 0 };
    const { last } = fromRows;
    const compare = comparePositions(params.order);
    const fromFiles = await this.#unindexed.page(params, after, looseMatches);
    // What comes after the rows of this page comes with the next.
    const inReach = fromFiles.filter(({ position }) => !last || compare(position, last) <= 0);
    const merged = [...fromRows.threads, ...inReach].sort((a, b) => compare(a.position, b.position));
    const counts = mergeCounts(fromRows.counts, looseMatches);
    return {
      threads: merged
        .slice(0, params.limit)
        .map(({ thread, position }) => ({ thread, cursor: encodeListCursor(params, position) })),
      hasMore: last !== undefined || merged.length > params.limit,
      total: totalShown(params.filter, counts),
      counts,
      warnings: listWarnings(this.#local, reconciled, unindexed, fromRows.emptyFiles),
    };
  }

  /** Rows whose files are elsewhere in the home than they say. */
  async strayRows(): Promise<ThreadRow[]> {
    const { unindexed } = await this.#reconciler.reconcile();
    return unindexed.map(({ row }) => row).filter((row) => row !== undefined);
  }

  // ---- Rows

  async #rowPage(
    params: ListThreadsParams,
    after: ListPosition | undefined,
    reconciled: Reconciliation,
  ): Promise<RowPage | undefined> {
    const { filter, sortBy, order, limit } = params;
    const found = await this.#local.readRows((rows) => {
      const base = this.#rowFilter(rows, filter, reconciled.unusableRows);
      const isArchived = filter.archived === 'include' ? undefined : filter.archived === 'only';
      const page = rows.page({
        filter: { ...base, isArchived, sources: filter.sources },
        sortBy,
        order,
        after,
        limit: limit + 1,
      });
      return { page, counts: this.#counts(rows, base) };
    });
    if (!found) return undefined;
    const threads: Placed[] = [];
    let emptyFiles = 0;
    for (const row of found.page) {
      const position = { time: row.sortTime, id: row.id as ThreadId };
      const thread = await this.#threadFromIndexedRow(row);
      if (thread) threads.push({ thread, position });
      else emptyFiles += 1;
    }
    const lastRow = found.page.length > limit ? found.page.at(-1) : undefined;
    const last = lastRow && { time: lastRow.sortTime, id: lastRow.id as ThreadId };
    if (threads.length > 0 || !last) return { threads, counts: found.counts, last, emptyFiles };
    // A whole page of rows without content is no end of the list.
    const next = await this.#rowPage(params, last, reconciled);
    return next && { ...next, emptyFiles: emptyFiles + next.emptyFiles };
  }

  /** Undefined for a row whose file has no content any more: neither a list nor a read returns it. */
  async #threadFromIndexedRow(row: ThreadRow): Promise<StoredThread | undefined> {
    const file = findRowFile(this.#local.home, row);
    // The file was removed just now. The next list leaves the thread out.
    if (!file) return threadFromRow(row, row, undefined, this.#local.names);
    let isReadable = true;
    const meta = await this.#resolver.metaOf(file).catch(() => {
      isReadable = false;
      return undefined;
    });
    const isEmpty = !meta && isReadable && isNoThread((await this.#local.summaries.head(file)).metadata);
    if (isEmpty) return undefined;
    const thread = threadFromRow(row, file, meta, this.#local.names);
    // The preview in the index may come from a base file that no longer exists.
    const isBorrowed = this.#local.status.kind === 'index' && meta?.historyBase !== undefined;
    if (thread.preview !== '' && !isBorrowed) return thread;
    return { ...thread, preview: await this.#previews.readPreview(file).catch(() => '') };
  }

  #rowFilter(rows: ThreadRows, filter: ThreadFilter, excludeIds: readonly string[]): RowFilter {
    const needle = filter.search === undefined ? undefined : foldCase(filter.search);
    return {
      modelProviders: filter.modelProviders,
      cwds: filter.cwds && this.#matchingCwds(rows, filter.cwds),
      gitBranch: filter.gitBranch,
      search: needle === undefined ? undefined : { needle, alsoIds: this.#idsNamed(needle) },
      ids: filter.within?.members,
      excludeIds,
    };
  }

  /** Threads whose name in the name index matches: a row that was rebuilt may lack the name. */
  #idsNamed(needle: string): string[] {
    const ids: string[] = [];
    for (const [id, name] of this.#local.names.entries()) if (name && containsFolded([name], needle)) ids.push(id);
    return ids;
  }

  #matchingCwds(rows: ThreadRows, wanted: readonly string[]): string[] {
    const key = rowsVersion(this.#local);
    if (this.#cwds?.key !== key) this.#cwds = { key, values: rows.distinctCwds() };
    return this.#cwds.values.filter(directoryMatcher(wanted));
  }

  /** Counts cost a scan of the table; they are kept until a row changes. */
  #counts(rows: ThreadRows, filter: RowFilter): readonly ThreadCount[] {
    const key = `${rowsVersion(this.#local)} ${JSON.stringify(filter)}`;
    if (this.#counted?.key !== key) this.#counted = { key, counts: rows.counts(filter) };
    return this.#counted.counts;
  }
}

/** Threads of rows; when `last` is set, more follow after it. */
interface RowPage {
  readonly threads: readonly Placed[];
  readonly counts: readonly ThreadCount[];
  readonly last: ListPosition | undefined;
  readonly emptyFiles: number;
}

function mergeCounts(counts: readonly ThreadCount[], unindexed: readonly UnindexedThread[]): ThreadCount[] {
  const merged = counts.map((entry) => ({ ...entry }));
  for (const { thread } of unindexed) {
    const entry = merged.find((known) => known.isArchived === thread.isArchived && known.source === thread.source.kind);
    if (entry) entry.count += 1;
    else merged.push({ isArchived: thread.isArchived, source: thread.source.kind, count: 1 });
  }
  return merged;
}
