import path from 'node:path';
import { isWithoutResources, readFailure, systemErrorCode } from '../../../protocol/errors.js';
import { containsFolded, foldCase } from '../../../protocol/fold-case.js';
import { asThreadId, type ThreadId } from '../../../protocol/ids.js';
import { TimeSlice } from '../../../protocol/time-slice.js';
import { decodeListCursor, encodeListCursor, type ListPosition } from '../../../store/list-cursor.js';
import {
  comparePositions,
  directoryMatcher,
  isShown,
  positionOf,
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
import { isRegularFile, statOf } from '../rollout/regular-file.js';
import type { LeftOut } from '../rollout/rollout-catalog.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutHome } from '../rollout/rollout-home.js';
import { isNoThread } from '../rollout/rollout-metadata.js';
import type { StateDb } from '../state-db/state-db.js';
import type { RowFilter, ThreadRow, ThreadRows } from '../state-db/thread-rows.js';
import { threadFromFile, threadFromRow } from '../thread-from-home.js';
import { findRowFile, type ThreadResolver } from '../thread-resolver.js';
import { PreviewReader } from './preview-reader.js';

/** How the rows and the files of a home differ. */
interface Reconciliation {
  /** False where no rows could be read: all files are loose then. */
  readonly hasRows: boolean;
  /** Files to be listed by themselves: without a row, or not where the row says. */
  readonly loose: readonly { file: RolloutFile; row: ThreadRow | undefined }[];
  /** Ids of rows that do not stand for a file where they say it is. */
  readonly unusableRows: readonly string[];
  readonly missingFiles: number;
  readonly outsideHome: number;
  readonly malformed: number;
  /** Paths that rows name, whatever the names of the files are. */
  readonly rowPaths: ReadonlySet<string>;
}

/** A look at the files younger than this is good enough for a list. */
const LOOK_MS = 500;

/**
 * Lists: rows by SQL, and beside them the files that the rows do not know, merged in one order. Without a state DB
 * every file is loose.
 */
export class LocalListing {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #previews: PreviewReader;
  readonly #indexUpdater: IndexUpdater;
  #reconciled: { key: string; db: StateDb | undefined; at: number; value: Reconciliation } | undefined;
  #counted: { key: string; counts: readonly ThreadCount[] } | undefined;
  #cwds: { key: string; values: readonly string[] } | undefined;
  #looseThreads: { key: string; at: number; value: LooseThreads } | undefined;

  constructor(local: LocalHome, resolver: ThreadResolver, indexUpdater: IndexUpdater) {
    this.#local = local;
    this.#indexUpdater = indexUpdater;
    this.#resolver = resolver;
    this.#previews = new PreviewReader(local);
  }

  async list(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    for (;;) {
      const { db } = this.#local.stateDb;
      const page = await this.#list(params);
      // Rows and files were of two minds when the handle came or went meanwhile, or was held for one of them.
      if (page && this.#local.stateDb.db === db) return page;
      this.#reconciled = undefined;
    }
  }

  async #list(params: ListThreadsParams): Promise<ThreadPage | undefined> {
    const after = decodeListCursor(params);
    const reconciled = await this.#reconcile();
    const loose = await this.#loose(reconciled, params.filter);
    const matches = threadMatcher(params.filter);
    const looseMatches = loose.threads.filter(({ thread }) => matches(thread));
    const found = await this.#rowPage(params, after, reconciled);
    if ((found !== undefined) !== reconciled.hasRows) return undefined;
    const fromRows = found ?? { threads: [], counts: [], last: undefined, without: 0 };
    const { last } = fromRows;
    const compare = comparePositions(params.order);
    const fromFiles = await this.#loosePage(params, after, looseMatches);
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
      warnings: this.#warnings(reconciled, loose, fromRows.without),
    };
  }

  /** Rows whose files are elsewhere in the home than they say. */
  async strayRows(): Promise<ThreadRow[]> {
    const { loose } = await this.#reconcile();
    return loose.map(({ row }) => row).filter((row) => row !== undefined);
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
    let without = 0;
    for (const row of found.page) {
      const position = { time: row.sortTime, id: row.id as ThreadId };
      const thread = await this.#threadFromIndexedRow(row);
      if (thread) threads.push({ thread, position });
      else without += 1;
    }
    const lastRow = found.page.length > limit ? found.page.at(-1) : undefined;
    const last = lastRow && { time: lastRow.sortTime, id: lastRow.id as ThreadId };
    if (threads.length > 0 || !last) return { threads, counts: found.counts, last, without };
    // A whole page of rows without content is no end of the list.
    const next = await this.#rowPage(params, last, reconciled);
    return next && { ...next, without: without + next.without };
  }

  /** Undefined for a row whose file has no content any more: it can be listed as little as it can be read. */
  async #threadFromIndexedRow(row: ThreadRow): Promise<StoredThread | undefined> {
    const file = findRowFile(this.#local.home, row);
    // It has vanished this moment; the next look leaves it out.
    if (!file) return threadFromRow(row, row, undefined, this.#local.names);
    let isReadable = true;
    const meta = await this.#resolver.metaOf(file).catch(() => {
      isReadable = false;
      return undefined;
    });
    const isEmpty = !meta && isReadable && isNoThread((await this.#local.summaries.head(file)).metadata);
    if (isEmpty) return undefined;
    const thread = threadFromRow(row, file, meta, this.#local.names);
    // What our index took from another file may be gone with that file.
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

  /** Threads whose name in the index matches: the row of a recovered name does not hold it. */
  #idsNamed(needle: string): string[] {
    const ids: string[] = [];
    for (const [id, name] of this.#local.names.entries()) if (name && containsFolded([name], needle)) ids.push(id);
    return ids;
  }

  #matchingCwds(rows: ThreadRows, wanted: readonly string[]): string[] {
    const key = this.#rowsVersion();
    if (this.#cwds?.key !== key) this.#cwds = { key, values: rows.distinctCwds() };
    return this.#cwds.values.filter(directoryMatcher(wanted));
  }

  /** Counts cost a scan of the table; they are kept until a row changes. */
  #counts(rows: ThreadRows, filter: RowFilter): readonly ThreadCount[] {
    const key = `${this.#rowsVersion()} ${JSON.stringify(filter)}`;
    if (this.#counted?.key !== key) this.#counted = { key, counts: rows.counts(filter) };
    return this.#counted.counts;
  }

  /** Inside a read of rows. */
  #rowsVersion(): string {
    return this.#local.rows?.db.version() ?? '';
  }

  // ---- Files that the rows do not know

  async #reconcile(): Promise<Reconciliation> {
    const { catalog } = this.#local;
    await catalog.refreshInSlices(LOOK_MS);
    await this.#indexUpdater.sync();
    const known = this.#reconciled;
    const now = Date.now();
    const isSameDb = known?.db === this.#local.rows?.db;
    const isSameFiles = known?.key.startsWith(`${catalog.generation} `);
    if (known && isSameDb && isSameFiles && now - known.at < LOOK_MS) return known.value;
    const version = await this.#local.readRows(() => this.#rowsVersion());
    const key = `${catalog.generation} ${version ?? ''}`;
    if (known?.key === key && isSameDb && !this.#mayLag) {
      known.at = now;
      return known.value;
    }
    const value = (await this.#local.readRows((rows) => this.#compare(rows))) ?? this.#allLoose();
    this.#reconciled = { key, db: this.#local.rows?.db, at: now, value };
    return value;
  }

  #compare(rows: ThreadRows): Reconciliation {
    const { catalog, home } = this.#local;
    const paths = rows.paths();
    const stale = this.#staleRows(rows);
    const loose: { file: RolloutFile; row: ThreadRow | undefined }[] = [];
    const unusableRows: string[] = [];
    let missingFiles = 0;
    let outsideHome = 0;
    let malformed = 0;
    for (const [id, { path: stored, isArchived, isSound }] of paths) {
      const threadId = asThreadId(id);
      const files = threadId === id ? catalog.filesFor(threadId) : [];
      if (!isSound || threadId !== id) {
        unusableRows.push(id);
        const [file] = files;
        if (file) loose.push({ file, row: undefined });
        else malformed += 1;
        continue;
      }
      const local = home.localPath(stored);
      const copies = files.flatMap(({ rolloutId }) => catalog.copiesFor(rolloutId));
      const isThere = copies.some(
        (file) =>
          file.isArchived === isArchived && isSameRollout(file.path, local) && (file.isExact || !files[0]?.isExact),
      );
      // A file that is not named after its thread is found by the row alone.
      const isNamedOtherwise = files.length === 0 && local !== undefined && isFileInside(home, local);
      if (!stale.has(id) && (isThere || isNamedOtherwise)) continue;
      unusableRows.push(id);
      const [file] = files;
      if (file) loose.push({ file, row: stale.has(id) ? undefined : rows.get(id) });
      else if (local === undefined) outsideHome += 1;
      // What lies in a directory that cannot be read is told with that directory.
      else if (!catalog.hiddenBehind(local)) missingFiles += 1;
    }
    // A file that is named after another thread has the row of its own.
    const unusable = new Set(unusableRows);
    const withRow = new Set([...paths].filter(([id]) => !unusable.has(id)).map(([, row]) => row.path));
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesFor(id);
      if (file && !paths.has(id) && !withRow.has(file.path)) loose.push({ file, row: undefined });
    }
    return { hasRows: true, loose, unusableRows, missingFiles, outsideHome, malformed, rowPaths: withRow };
  }

  /** True for an index of ours that may only be read: its rows can lag behind the files. */
  get #mayLag(): boolean {
    const { status } = this.#local;
    return status.kind === 'index' && !status.isWritable;
  }

  /** Rows of an index of ours that may not be brought in line: those whose files have changed since. */
  #staleRows(rows: ThreadRows): ReadonlySet<string> {
    const stale = new Set<string>();
    if (!this.#mayLag) return stale;
    for (const [id, { path: file, size, modifiedAt }] of rows.indexed()) {
      const stat = statOf(file);
      if (stat?.size !== size || stat.mtimeMs !== modifiedAt) stale.add(id);
    }
    return stale;
  }

  #allLoose(): Reconciliation {
    const { catalog } = this.#local;
    const loose: { file: RolloutFile; row: undefined }[] = [];
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesFor(id);
      if (file) loose.push({ file, row: undefined });
    }
    return {
      hasRows: false,
      loose,
      unusableRows: [],
      missingFiles: 0,
      outsideHome: 0,
      malformed: 0,
      rowPaths: new Set(),
    };
  }

  /** The threads of the loose files; what of these is left out is counted. */
  async #loose({ loose }: Reconciliation, { gitBranch, search }: ThreadFilter): Promise<LooseThreads> {
    const known = this.#looseThreads;
    const reading = { whole: gitBranch !== undefined, previews: search !== undefined };
    const { catalog, names } = this.#local;
    const key = `${catalog.generation} ${names.generation} ${loose.length} ${JSON.stringify(reading)}`;
    if (known?.key === key && Date.now() - known.at < LOOK_MS) return known.value;
    const value: LooseThreads = { threads: [], unreadable: [], without: 0, copies: [] };
    const seen = new Set<ThreadId>();
    const slice = new TimeSlice();
    for (const { file, row } of loose) {
      await slice.yield();
      const name = path.relative(this.#local.home.root, file.path);
      try {
        const thread = await this.#looseThread(file, row, reading);
        if (!thread) value.without += 1;
        else if (seen.has(thread.threadId) || (await this.#hasExactFile(thread.threadId, file)))
          value.copies.push(name);
        else {
          seen.add(thread.threadId);
          value.threads.push({ thread, file, row });
        }
      } catch (error) {
        if (isWithoutResources(error)) throw readFailure(file.path, error);
        const code = systemErrorCode(error) ?? 'damaged';
        // It has gone this moment; the next look tells.
        if (code !== 'ENOENT') value.unreadable.push({ path: name, why: code });
      }
    }
    this.#looseThreads = { key, at: Date.now(), value };
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
  async #looseThread(
    file: RolloutFile,
    row: ThreadRow | undefined,
    { whole, previews }: LooseReading,
  ): Promise<StoredThread | undefined> {
    const { summaries } = this.#local;
    const head = whole ? undefined : await summaries.head(file);
    // What a list shows as preview can stand far behind the head: then a search looks there too.
    const needsAll = !head || (previews && head.metadata.displayPreview === '' && !head.isComplete);
    const summary = needsAll ? await summaries.full(file) : head;
    if (isNoThread(summary.metadata)) return undefined;
    const { meta } = summary.metadata;
    const preview = (await this.#previews.readPreview(file)) || summary.metadata.displayPreview;
    if (row) return { ...threadFromRow(row, file, meta, this.#local.names), preview: row.preview || preview };
    return threadFromFile(file, summary, preview, this.#local.names);
  }

  async #loosePage(
    { filter, sortBy, order, limit }: ListThreadsParams,
    after: ListPosition | undefined,
    threads: readonly LooseThread[],
  ): Promise<Placed[]> {
    const compare = comparePositions(order);
    const shown = threads
      .filter(({ thread }) => isShown(filter, { isArchived: thread.isArchived, source: thread.source.kind }))
      .map((loose) => ({ ...loose, position: positionOf(loose.thread, sortBy) }))
      .filter(({ position }) => !after || compare(position, after) > 0)
      .sort((a, b) => compare(a.position, b.position))
      .slice(0, limit + 1);
    const page: Placed[] = [];
    for (const { thread, file, row, position } of shown) {
      const whole = await this.#looseThread(file, row, { whole: true, previews: true }).catch(() => undefined);
      page.push({ thread: whole ?? thread, position });
    }
    return page;
  }

  /** What is left out of the list, each kind counted, and the first of each named. */
  #warnings(reconciled: Reconciliation, loose: LooseThreads, emptyRows: number): string[] {
    const { missingFiles, outsideHome, malformed, rowPaths } = reconciled;
    const { home, catalog, names } = this.#local;
    const { status } = this.#local;
    const warnings: string[] = [];
    const tell = (count: number, text: string) => {
      if (count > 0) warnings.push(text);
    };
    if (home.absence !== undefined) warnings.push(home.absence);
    if (status.kind === 'waiting')
      warnings.push(`Read from the files; no thread can be named, changed or archived: ${status.reason}.`);
    if (names.problem !== undefined) warnings.push(`Names may be missing: ${names.problem}.`);
    const withPaths = (list: readonly LeftOut[]) => list.map(({ path: file, why }) => `${file} (${why})`);
    const unread = [...withPaths(catalog.passedOver), ...withPaths(loose.unreadable)];
    tell(unread.length, `Not read: ${firstOf(unread)}.`);
    const without = loose.without + emptyRows;
    tell(without, `${counted(without, 'rollout file')} without content left out.`);
    const copies = [...new Set([...catalog.copies, ...loose.copies])];
    tell(copies.length, `${counted(copies.length, 'copy', 'copies')} of rollouts left out: ${firstOf(copies)}.`);
    const others = catalog.otherNames.filter((name) => !rowPaths.has(path.join(home.root, name)));
    tell(others.length, `Left out, as their names are not those of rollouts: ${firstOf(others)}.`);
    tell(malformed, `${counted(malformed, 'row')} of the state DB left out: their values make no sense.`);
    tell(missingFiles, `${counted(missingFiles, 'thread')} of the state DB left out: their rollout files are gone.`);
    tell(
      outsideHome,
      `${counted(outsideHome, 'thread')} of the state DB left out: their rollouts lie outside the home.`,
    );
    return warnings;
  }
}

/** The first three of a list, and how many there are. */
function firstOf(names: readonly string[]): string {
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** How much of the loose files a list reads: whole files, or as far as what it shows as preview. */
interface LooseReading {
  readonly whole: boolean;
  readonly previews: boolean;
}

interface LooseThreads {
  readonly threads: LooseThread[];
  readonly unreadable: LeftOut[];
  /** Files that hold no thread. */
  without: number;
  readonly copies: string[];
}

/** Threads of rows; more follow after `last`, if it is there. */
interface RowPage {
  readonly threads: readonly Placed[];
  readonly counts: readonly ThreadCount[];
  readonly last: ListPosition | undefined;
  readonly without: number;
}

/** A thread and its place in the order of the list. */
interface Placed {
  readonly thread: StoredThread;
  readonly position: ListPosition;
}

interface LooseThread {
  readonly thread: StoredThread;
  readonly file: RolloutFile;
  readonly row: ThreadRow | undefined;
}

/** True for a regular file that no link puts outside of the home. */
function isFileInside(home: RolloutHome, file: string): boolean {
  return isRegularFile(file) && home.contains(file);
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
