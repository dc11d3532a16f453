import { asThreadId } from '../../../protocol/ids.js';
import type { IndexUpdater } from '../index/index-updater.js';
import type { LocalHome } from '../local-home.js';
import { isRegularFile, statOf } from '../rollout/regular-file.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutHome } from '../rollout/rollout-home.js';
import type { StateDb } from '../state-db/state-db.js';
import type { ThreadRow, ThreadRows } from '../state-db/thread-rows.js';

/** A file without a usable row, and its row if that only names another path. */
export interface UnindexedFile {
  readonly file: RolloutFile;
  readonly row: ThreadRow | undefined;
}

/** How the rows and the files of a home differ. */
export interface Reconciliation {
  /** False where no rows could be read. */
  readonly hasRows: boolean;
  /** Files without a usable row. */
  readonly unindexed: readonly UnindexedFile[];
  /** Ids of rows that a list cannot use: malformed, out of date, or with a wrong path. */
  readonly unusableRows: readonly string[];
  readonly missingFiles: number;
  readonly outsideHome: number;
  readonly malformed: number;
  /** Paths that rows name, whatever the names of the files are. */
  readonly rowPaths: ReadonlySet<string>;
}

/** A comparison or a look at the files that is younger than this is good enough for a list, milliseconds. */
export const FRESH_MS = 500;

/** Compares the rows of a state DB with the files of its home, and keeps the result until a row or a file changes. */
export class Reconciler {
  readonly #local: LocalHome;
  readonly #indexUpdater: IndexUpdater;
  #known: { key: string; db: StateDb | undefined; at: number; value: Reconciliation } | undefined;

  constructor(local: LocalHome, indexUpdater: IndexUpdater) {
    this.#local = local;
    this.#indexUpdater = indexUpdater;
  }

  /** Compares anew the next time. */
  forget(): void {
    this.#known = undefined;
  }

  /** The comparison as it holds now; one that is a moment old is good enough. */
  async reconcile(): Promise<Reconciliation> {
    const { catalog } = this.#local;
    await catalog.refreshInSlices(FRESH_MS);
    await this.#indexUpdater.sync();
    const known = this.#known;
    const now = Date.now();
    const isSameDb = known?.db === this.#local.rows?.db;
    const isSameFiles = known?.key.startsWith(`${catalog.generation} `);
    if (known && isSameDb && isSameFiles && now - known.at < FRESH_MS) return known.value;
    const version = await this.#local.readRows(() => rowsVersion(this.#local));
    const key = `${catalog.generation} ${version ?? ''}`;
    if (known?.key === key && isSameDb && !this.#mayLag) {
      known.at = now;
      return known.value;
    }
    const value = (await this.#local.readRows((rows) => this.#compare(rows))) ?? this.#allUnindexed();
    this.#known = { key, db: this.#local.rows?.db, at: now, value };
    return value;
  }

  #compare(rows: ThreadRows): Reconciliation {
    const { catalog, home } = this.#local;
    const paths = rows.paths();
    const stale = this.#staleRows(rows);
    const unindexed: UnindexedFile[] = [];
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
        if (file) unindexed.push({ file, row: undefined });
        else malformed += 1;
        continue;
      }
      const local = home.localPath(stored);
      const copies = files.flatMap(({ rolloutId }) => catalog.copiesFor(rolloutId));
      const hasFile = copies.some(
        (file) =>
          file.isArchived === isArchived && isSameRollout(file.path, local) && (file.isExact || !files[0]?.isExact),
      );
      // A file that is not named after its thread is found by the row alone.
      const isNamedOtherwise = files.length === 0 && local !== undefined && isFileInside(home, local);
      if (!stale.has(id) && (hasFile || isNamedOtherwise)) continue;
      unusableRows.push(id);
      const [file] = files;
      if (file) unindexed.push({ file, row: stale.has(id) ? undefined : rows.get(id) });
      else if (local === undefined) outsideHome += 1;
      // The warning about an unreadable directory covers the files in it.
      else if (!catalog.hiddenBehind(local)) missingFiles += 1;
    }
    // A file that is named after another thread can have a row: that of the thread it holds.
    const unusable = new Set(unusableRows);
    const withRow = new Set([...paths].filter(([id]) => !unusable.has(id)).map(([, row]) => row.path));
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesFor(id);
      if (file && !paths.has(id) && !withRow.has(file.path)) unindexed.push({ file, row: undefined });
    }
    return { hasRows: true, unindexed, unusableRows, missingFiles, outsideHome, malformed, rowPaths: withRow };
  }

  /** True for a read-only index: its rows can lag behind the files. */
  get #mayLag(): boolean {
    const { status } = this.#local;
    return status.kind === 'index' && !status.isWritable;
  }

  /** Rows of a read-only index whose files have changed since they were indexed. */
  #staleRows(rows: ThreadRows): ReadonlySet<string> {
    const stale = new Set<string>();
    if (!this.#mayLag) return stale;
    for (const [id, { path: file, size, modifiedAt }] of rows.indexed()) {
      const stat = statOf(file);
      if (stat?.size !== size || stat.mtimeMs !== modifiedAt) stale.add(id);
    }
    return stale;
  }

  #allUnindexed(): Reconciliation {
    const { catalog } = this.#local;
    const unindexed: UnindexedFile[] = [];
    for (const id of catalog.threadIds()) {
      const [file] = catalog.filesFor(id);
      if (file) unindexed.push({ file, row: undefined });
    }
    return {
      hasRows: false,
      unindexed,
      unusableRows: [],
      missingFiles: 0,
      outsideHome: 0,
      malformed: 0,
      rowPaths: new Set(),
    };
  }
}

/** Changes whenever a row does. To be called inside a read of rows. */
export function rowsVersion(local: LocalHome): string {
  return local.rows?.db.version() ?? '';
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
