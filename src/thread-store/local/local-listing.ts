import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { containsFolded, foldCase } from '../../protocol/fold-case.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutFile } from '../../rollout/rollout-catalog.js';
import type { RowFilter, ThreadRow, ThreadRows } from '../../state/thread-rows.js';
import { decodeListCursor, encodeListCursor, type ListPosition } from '../list-cursor.js';
import {
  comparePositions,
  folderMatcher,
  isShown,
  positionOf,
  threadMatcher,
  totalShown,
  validateListParams,
} from '../thread-filter.js';
import type { ListThreadsParams, StoredThread, ThreadCount, ThreadFilter, ThreadPage } from '../thread-store.js';
import type { LocalHome } from './local-home.js';
import { threadFromFile, threadFromRow } from './stored-thread.js';
import { fileOfRow, type ThreadResolver } from './thread-resolver.js';

/** How the rows and the files of a home differ. */
interface Reconciliation {
  /** Files to be listed by themselves: without a row, or not where the row says. */
  readonly loose: readonly { file: RolloutFile; row: ThreadRow | undefined }[];
  /** Ids of rows that do not stand for a file where they say it is. */
  readonly unusableRows: readonly string[];
  readonly missingFiles: number;
  readonly outsideHome: number;
}

/** A look at the files younger than this is good enough for a list. */
const LOOK_MS = 500;
const YIELD_EVERY = 64;
const MAX_BASES = 20;

/**
 * Lists: rows by SQL, and beside them the files that the rows do not know, merged in one order. Without a state DB
 * every file is loose.
 */
export class LocalListing {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  #reconciled: { key: string; at: number; value: Reconciliation } | undefined;
  #counted: { key: string; counts: readonly ThreadCount[] } | undefined;
  #cwds: { key: string; values: readonly string[] } | undefined;
  #looseThreads: { key: unknown; at: number; threads: readonly LooseThread[]; unreadable: number } | undefined;

  constructor(local: LocalHome, resolver: ThreadResolver) {
    this.#local = local;
    this.#resolver = resolver;
  }

  async list(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    const after = decodeListCursor(params);
    const reconciled = await this.#reconcile();
    const { threads: loose, unreadable } = await this.#loose(reconciled, params.filter.gitBranch !== undefined);
    const matches = threadMatcher(params.filter);
    const looseMatches = loose.filter(({ thread }) => matches(thread));
    const fromRows = await this.#rowPage(params, after, reconciled);
    const fromFiles = await this.#loosePage(params, after, looseMatches);
    const compare = comparePositions(params.order);
    const merged = [...fromRows.threads, ...fromFiles].sort((a, b) =>
      compare(positionOf(a, params.sortBy), positionOf(b, params.sortBy)),
    );
    const threads = merged.slice(0, params.limit);
    const counts = mergeCounts(fromRows.counts, looseMatches);
    return {
      threads: threads.map((thread) => ({
        thread,
        cursor: encodeListCursor(params, positionOf(thread, params.sortBy)),
      })),
      hasMore: fromRows.hasMore || merged.length > params.limit,
      total: totalShown(params.filter, counts),
      counts,
      warnings: this.#warnings(reconciled, unreadable),
    };
  }

  // ---- Rows

  async #rowPage(
    params: ListThreadsParams,
    after: ListPosition | undefined,
    { unusableRows }: Reconciliation,
  ): Promise<{ threads: StoredThread[]; counts: readonly ThreadCount[]; hasMore: boolean }> {
    const { filter, sortBy, order, limit } = params;
    const found = await this.#local.readRows((rows) => {
      const base = this.#rowFilter(rows, filter, unusableRows);
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
    if (!found) return { threads: [], counts: [], hasMore: false };
    const threads: StoredThread[] = [];
    for (const row of found.page) {
      const thread = await this.#threadOfRow(row);
      if (thread) threads.push(thread);
    }
    return { threads, counts: found.counts, hasMore: found.page.length > limit };
  }

  async #threadOfRow(row: ThreadRow): Promise<StoredThread | undefined> {
    const file = fileOfRow(this.#local.home, row.rolloutPath);
    if (!file) return undefined;
    const meta = await this.#resolver.metaOf(file).catch(() => undefined);
    const thread = threadFromRow(row, file, meta, this.#local.names);
    return thread.preview === '' ? { ...thread, preview: await this.previewOf(file) } : thread;
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

  /** Threads whose name in the index matches: the row of a recovered name does not hold it. */
  #idsNamed(needle: string): string[] {
    const ids: string[] = [];
    for (const [id, name] of this.#local.names.entries()) if (name && containsFolded([name], needle)) ids.push(id);
    return ids;
  }

  #matchingCwds(rows: ThreadRows, wanted: readonly string[]): string[] {
    const key = this.#rowsVersion();
    if (this.#cwds?.key !== key) this.#cwds = { key, values: rows.distinctCwds() };
    return this.#cwds.values.filter(folderMatcher(wanted));
  }

  /** Counts cost a scan of the table; they are kept until a row changes. */
  #counts(rows: ThreadRows, filter: RowFilter): readonly ThreadCount[] {
    const key = `${this.#rowsVersion()} ${JSON.stringify(filter)}`;
    if (this.#counted?.key !== key) this.#counted = { key, counts: rows.counts(filter) };
    return this.#counted.counts;
  }

  #rowsVersion(): string {
    return this.#local.rows?.db.version() ?? '';
  }

  // ---- Files that the rows do not know

  async #reconcile(): Promise<Reconciliation> {
    const { catalog } = this.#local;
    catalog.refresh(LOOK_MS);
    const known = this.#reconciled;
    const now = Date.now();
    if (known && now - known.at < LOOK_MS && known.key.startsWith(`${catalog.generation} `)) return known.value;
    const key = `${catalog.generation} ${this.#rowsVersion()}`;
    if (known?.key === key) {
      known.at = now;
      return known.value;
    }
    const value = (await this.#local.readRows((rows) => this.#compare(rows))) ?? this.#allLoose();
    this.#reconciled = { key, at: now, value };
    return value;
  }

  #compare(rows: ThreadRows): Reconciliation {
    const { catalog, home } = this.#local;
    const paths = rows.paths();
    const loose: { file: RolloutFile; row: ThreadRow | undefined }[] = [];
    const unusableRows: string[] = [];
    let missingFiles = 0;
    let outsideHome = 0;
    for (const [id, { path: stored, isArchived }] of paths) {
      const local = home.localPath(stored);
      const files = catalog.filesOf(id as ThreadId);
      const isThere = files.some((file) => file.isArchived === isArchived && isSameRollout(file.path, local));
      // A file that is not named after its thread is found by the row alone.
      if (isThere || (files.length === 0 && local !== undefined && existsSync(local))) continue;
      unusableRows.push(id);
      const [file] = files;
      if (file) loose.push({ file, row: rows.get(id) });
      else if (local === undefined) outsideHome += 1;
      else missingFiles += 1;
    }
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesOf(id);
      if (file && !paths.has(id)) loose.push({ file, row: undefined });
    }
    return { loose, unusableRows, missingFiles, outsideHome };
  }

  #allLoose(): Reconciliation {
    const { catalog } = this.#local;
    const loose: { file: RolloutFile; row: undefined }[] = [];
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesOf(id);
      if (file) loose.push({ file, row: undefined });
    }
    return { loose, unusableRows: [], missingFiles: 0, outsideHome: 0 };
  }

  async #loose(
    { loose }: Reconciliation,
    whole: boolean,
  ): Promise<{ threads: readonly LooseThread[]; unreadable: number }> {
    const known = this.#looseThreads;
    const key = `${this.#local.catalog.generation} ${this.#local.names.generation} ${loose.length} ${whole}`;
    if (known?.key === key && Date.now() - known.at < LOOK_MS) return known;
    const threads: LooseThread[] = [];
    const seen = new Set<ThreadId>();
    let unreadable = 0;
    for (const [index, { file, row }] of loose.entries()) {
      if (index % YIELD_EVERY === 0) await setImmediate();
      const thread = await this.#looseThread(file, row, whole).catch(() => undefined);
      if (thread && !seen.has(thread.threadId)) {
        seen.add(thread.threadId);
        threads.push({ thread, file, row });
      } else if (!thread) {
        unreadable += 1;
      }
    }
    this.#looseThreads = { key, at: Date.now(), threads, unreadable };
    return this.#looseThreads;
  }

  /** Undefined for a file that holds no thread: an empty one, or one without any line that parses. */
  async #looseThread(file: RolloutFile, row: ThreadRow | undefined, whole: boolean): Promise<StoredThread | undefined> {
    const summary = whole ? await this.#local.summaries.full(file) : await this.#local.summaries.head(file);
    const { meta, lineCount, badLines } = summary.metadata;
    if (lineCount === 0 || (!meta && badLines === lineCount)) return undefined;
    const preview = await this.previewOf(file);
    if (row) return { ...threadFromRow(row, file, meta, this.#local.names), preview: row.preview || preview };
    return threadFromFile(file, summary, preview, this.#local.names);
  }

  async #loosePage(
    { filter, sortBy, order, limit }: ListThreadsParams,
    after: ListPosition | undefined,
    threads: readonly LooseThread[],
  ): Promise<StoredThread[]> {
    const compare = comparePositions(order);
    const shown = threads
      .filter(({ thread }) => isShown(filter, { isArchived: thread.isArchived, source: thread.source.kind }))
      .map((loose) => ({ ...loose, position: positionOf(loose.thread, sortBy) }))
      .filter(({ position }) => !after || compare(position, after) > 0)
      .sort((a, b) => compare(a.position, b.position))
      .slice(0, limit + 1);
    const page: StoredThread[] = [];
    for (const { thread, file, row } of shown) page.push((await this.#looseThread(file, row, true)) ?? thread);
    return page;
  }

  /**
   * The first message of the whole history: what a fork or a reverted thread builds on comes before its own file, and
   * Codex keeps that preview too.
   */
  async previewOf(file: RolloutFile): Promise<string> {
    let current: RolloutFile | undefined = file;
    let preview = '';
    for (let depth = 0; current && depth < MAX_BASES; depth += 1) {
      const { metadata } = await this.#local.summaries.head(current);
      preview = metadata.displayPreview || preview;
      if (!metadata.meta?.historyBase) break;
      current = this.#local.catalog.byRolloutId(metadata.meta.historyBase.rolloutId);
    }
    return preview;
  }

  #warnings({ missingFiles, outsideHome }: Reconciliation, unreadable: number): string[] {
    const { passedOver } = this.#local.catalog;
    const warnings: string[] = [];
    const { problem } = this.#local.names;
    if (problem !== undefined) warnings.push(`Names may be missing: ${problem}.`);
    if (unreadable > 0) warnings.push(`${unreadable} rollout files hold no readable thread and are left out.`);
    if (missingFiles > 0)
      warnings.push(`${missingFiles} threads of the state DB are left out: their rollout files are gone.`);
    if (outsideHome > 0)
      warnings.push(`${outsideHome} threads of the state DB are left out: their rollouts lie outside the home.`);
    if (passedOver.length > 0)
      warnings.push(
        `Not followed or not readable: ${passedOver.slice(0, 3).join(', ')} (${passedOver.length} in all).`,
      );
    return warnings;
  }
}

interface LooseThread {
  readonly thread: StoredThread;
  readonly file: RolloutFile;
  readonly row: ThreadRow | undefined;
}

function isSameRollout(file: string, rowPath: string | undefined): boolean {
  return rowPath !== undefined && withoutZst(file) === withoutZst(rowPath);
}

function withoutZst(file: string): string {
  return file.endsWith('.zst') ? file.slice(0, -'.zst'.length) : file;
}

function mergeCounts(counts: readonly ThreadCount[], loose: readonly LooseThread[]): ThreadCount[] {
  const merged = counts.map((entry) => ({ ...entry }));
  for (const { thread } of loose) {
    const entry = merged.find((known) => known.isArchived === thread.isArchived && known.source === thread.source.kind);
    if (entry) entry.count += 1;
    else merged.push({ isArchived: thread.isArchived, source: thread.source.kind, count: 1 });
  }
  return merged;
}
