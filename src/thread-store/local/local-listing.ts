import { statSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { containsFolded, foldCase } from '../../protocol/fold-case.js';
import { asThreadId, type ThreadId } from '../../protocol/ids.js';
import type { RolloutFile } from '../../rollout/rollout-catalog.js';
import type { RolloutHome } from '../../rollout/rollout-home.js';
import { isNoThread } from '../../rollout/rollout-metadata.js';
import type { StateDb } from '../../state/state-db.js';
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
import type { OwnIndex } from './own-index.js';
import { PreviewReader } from './preview-reader.js';
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
  readonly malformed: number;
}

/** A look at the files younger than this is good enough for a list. */
const LOOK_MS = 500;
const YIELD_EVERY = 64;

/**
 * Lists: rows by SQL, and beside them the files that the rows do not know, merged in one order. Without a state DB
 * every file is loose.
 */
export class LocalListing {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #previews: PreviewReader;
  readonly #ownIndex: OwnIndex;
  #reconciled: { key: string; db: StateDb | undefined; at: number; value: Reconciliation } | undefined;
  #counted: { key: string; counts: readonly ThreadCount[] } | undefined;
  #cwds: { key: string; values: readonly string[] } | undefined;
  #looseThreads: { key: unknown; at: number; threads: readonly LooseThread[]; unreadable: number } | undefined;

  constructor(local: LocalHome, resolver: ThreadResolver, ownIndex: OwnIndex) {
    this.#local = local;
    this.#ownIndex = ownIndex;
    this.#resolver = resolver;
    this.#previews = new PreviewReader(local);
  }

  async list(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    for (;;) {
      const { db } = this.#local.stateDb;
      const page = await this.#list(params);
      // Rows and files were of two minds when the handle came or went meanwhile.
      if (this.#local.stateDb.db === db) return page;
    }
  }

  async #list(params: ListThreadsParams): Promise<ThreadPage> {
    const after = decodeListCursor(params);
    const reconciled = await this.#reconcile();
    const { threads: loose, unreadable } = await this.#loose(reconciled, params.filter.gitBranch !== undefined);
    const matches = threadMatcher(params.filter);
    const looseMatches = loose.filter(({ thread }) => matches(thread));
    const fromRows = await this.#rowPage(params, after, reconciled);
    const fromFiles = await this.#loosePage(params, after, looseMatches);
    const compare = comparePositions(params.order);
    const merged = [...fromRows.threads, ...fromFiles].sort((a, b) => compare(a.position, b.position));
    const counts = mergeCounts(fromRows.counts, looseMatches);
    return {
      threads: merged
        .slice(0, params.limit)
        .map(({ thread, position }) => ({ thread, cursor: encodeListCursor(params, position) })),
      hasMore: fromRows.hasMore || merged.length > params.limit,
      total: totalShown(params.filter, counts),
      counts,
      warnings: this.#warnings(reconciled, unreadable),
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
    { unusableRows }: Reconciliation,
  ): Promise<{ threads: Placed[]; counts: readonly ThreadCount[]; hasMore: boolean }> {
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
    const threads: Placed[] = [];
    for (const row of found.page) {
      const position = { time: row.sortTime, id: row.id as ThreadId };
      threads.push({ thread: await this.#threadOfRow(row), position });
    }
    return { threads, counts: found.counts, hasMore: found.page.length > limit };
  }

  async #threadOfRow(row: ThreadRow): Promise<StoredThread> {
    const file = fileOfRow(this.#local.home, row.rolloutPath);
    // It has vanished this moment; the next look leaves it out.
    if (!file) return threadFromRow(row, row, undefined, this.#local.names);
    const meta = await this.#resolver.metaOf(file).catch(() => undefined);
    const thread = threadFromRow(row, file, meta, this.#local.names);
    // What our index took from another file may be gone with that file.
    const isBorrowed = this.#local.status.kind === 'index' && meta?.historyBase !== undefined;
    if (thread.preview !== '' && !isBorrowed) return thread;
    return { ...thread, preview: await this.#previews.previewOf(file).catch(() => '') };
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

  /** Inside a read of rows. */
  #rowsVersion(): string {
    return this.#local.rows?.db.version() ?? '';
  }

  // ---- Files that the rows do not know

  async #reconcile(): Promise<Reconciliation> {
    const { catalog } = this.#local;
    catalog.refresh(LOOK_MS);
    await this.#ownIndex.sync();
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
      const files = threadId === id ? catalog.filesOf(threadId) : [];
      if (!isSound || threadId !== id) {
        unusableRows.push(id);
        const [file] = files;
        if (file) loose.push({ file, row: undefined });
        else malformed += 1;
        continue;
      }
      const local = home.localPath(stored);
      const copies = files.flatMap(({ rolloutId }) => catalog.copiesOf(rolloutId));
      const isThere = copies.some((file) => file.isArchived === isArchived && isSameRollout(file.path, local));
      // A file that is not named after its thread is found by the row alone.
      const isNamedOtherwise = files.length === 0 && local !== undefined && isFileInside(home, local);
      if (!stale.has(id) && (isThere || isNamedOtherwise)) continue;
      unusableRows.push(id);
      const [file] = files;
      if (file) loose.push({ file, row: stale.has(id) ? undefined : rows.get(id) });
      else if (local === undefined) outsideHome += 1;
      else missingFiles += 1;
    }
    // A file that is named after another thread has the row of its own.
    const withRow = new Set([...paths.values()].map(({ path: stored }) => stored));
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesOf(id);
      if (file && !paths.has(id) && !withRow.has(file.path)) loose.push({ file, row: undefined });
    }
    return { loose, unusableRows, missingFiles, outsideHome, malformed };
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
      const stat = statSync(file, { throwIfNoEntry: false });
      if (stat?.size !== size || stat.mtimeMs !== modifiedAt) stale.add(id);
    }
    return stale;
  }

  #allLoose(): Reconciliation {
    const { catalog } = this.#local;
    const loose: { file: RolloutFile; row: undefined }[] = [];
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesOf(id);
      if (file) loose.push({ file, row: undefined });
    }
    return { loose, unusableRows: [], missingFiles: 0, outsideHome: 0, malformed: 0 };
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
    if (isNoThread(summary.metadata)) return undefined;
    const { meta } = summary.metadata;
    const preview = await this.#previews.previewOf(file);
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
      const whole = await this.#looseThread(file, row, true).catch(() => undefined);
      page.push({ thread: whole ?? thread, position });
    }
    return page;
  }

  #warnings({ missingFiles, outsideHome, malformed }: Reconciliation, unreadable: number): string[] {
    const { passedOver } = this.#local.catalog;
    const warnings: string[] = [];
    const { problem } = this.#local.names;
    if (problem !== undefined) warnings.push(`Names may be missing: ${problem}.`);
    if (unreadable > 0) warnings.push(`${unreadable} rollout files hold no readable thread and are left out.`);
    if (malformed > 0) warnings.push(`${malformed} rows of the state DB are left out: their values make no sense.`);
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
  return (statSync(file, { throwIfNoEntry: false })?.isFile() ?? false) && home.contains(file);
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
