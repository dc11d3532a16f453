import { type Dirent, existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { isResourceExhausted, readFailure, systemErrorCode } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { TimeSlice } from '../../../protocol/time-slice.js';
import { compareCurrent, isEmpty } from './current-file.js';
import { type DirectoryListing, DirectorySorter, type EmptyCopy, type LeftOut } from './directory-listing.js';
import { firstMetaNow } from './owner-meta.js';
import { statOf } from './regular-file.js';
import type { RolloutFile } from './rollout-file.js';
import type { RolloutHome } from './rollout-home.js';

interface Directory extends DirectoryListing {
  readonly ino: number;
  readonly mtimeMs: number;
  readonly scannedAt: number;
}

/** Two quick changes can leave a directory's mtime equal: a listing made sooner than this after it is not reused. */
const SETTLED_MS = 50;
/** File system timestamps advance at least this often: a listing made later than that has all earlier changes. */
const TICK_MS = 20;
const MAX_DEPTH = 8;

/**
 * Which rollout files a home holds, by thread and by rollout id. A refresh looks at the directories' times and lists
 * only those that changed, so it costs one `stat` a directory.
 */
export class RolloutCatalog {
  readonly #home: RolloutHome;
  #directories = new Map<string, Directory>();
  /** Files by rollout id, the one that counts first: more than one only where a home holds a rollout twice. */
  readonly #byRollout = new Map<string, RolloutFile[]>();
  /** Rollouts with more than one file. */
  readonly #withCopies = new Set<string>();
  readonly #byThread = new Map<ThreadId, Set<string>>();
  /** Directories that were listed in slices since the last look. */
  readonly #listed = new Map<string, Directory>();
  /** Files that were made here since the last look. */
  #made: RolloutFile[] = [];
  #refreshedAt = 0;
  #unreadable: LeftOut[] = [];
  /** Which rollout each file of a thread with several files builds on; a first line never changes. */
  readonly #bases = new Map<string, string | undefined>();
  /** How long the last refresh took, milliseconds. */
  refreshMs = 0;
  /** Changes whenever a file comes, goes or moves. */
  generation = 0;
  /** Changes whenever a thread comes or goes. */
  population = 0;

  constructor(home: RolloutHome) {
    this.#home = home;
  }

  /**
   * Finds new, moved and removed files, unless the last refresh is younger than `maxAgeMs`. A missing home has
   * none. Throws `resource_exhausted` when no more files can be opened; the catalog then stays as it was.
   */
  refresh(maxAgeMs = 0): void {
    const now = Date.now();
    if (maxAgeMs > 0 && now - this.#refreshedAt < maxAgeMs) return;
    this.#home.resolveDirectories();
    const directories = new Map<string, Directory>();
    this.#unreadable = [];
    this.#lookAtEmptyCopies();
    this.#scan(this.#home.sessions, 0, directories);
    this.#scan(this.#home.archived, 0, directories);
    this.#take(directories);
    // A missing home may appear at any moment, so the next call refreshes again.
    this.#refreshedAt = directories.size > 0 ? now : 0;
    this.refreshMs = Date.now() - now;
  }

  /** The same for a home of any size: other calls are answered while directories with thousands of new files are listed. */
  async refreshInSlices(maxAgeMs: number): Promise<void> {
    if (Date.now() - this.#refreshedAt < maxAgeMs) return;
    const slice = new TimeSlice();
    let level = [this.#home.sessions, this.#home.archived];
    for (let depth = 0; depth <= MAX_DEPTH && level.length > 0; depth += 1) {
      const below: string[] = [];
      for (const directory of level) below.push(...((await this.#listInSlices(directory, slice))?.directories ?? []));
      level = below;
    }
    // The comparison of what was listed with what was known does not pause: other calls run before and after it.
    const isMuch = this.#listed.size > 0;
    if (isMuch) await setImmediate();
    this.refresh(maxAgeMs);
    this.#listed.clear();
    if (isMuch) await setImmediate();
  }

  /** Lists one directory in slices. The refresh that follows reuses the listing if it is still valid. */
  async #listInSlices(directory: string, slice: TimeSlice): Promise<Directory | undefined> {
    const stat = statOf(directory);
    if (!stat) return undefined;
    const known = this.#settled(directory, stat);
    if (known) return known;
    if (Date.now() - stat.mtimeMs <= TICK_MS) await setTimeout(TICK_MS);
    const scannedAt = Date.now();
    const entries = await readdir(directory, { withFileTypes: true }).catch(() => undefined);
    if (!entries) return undefined;
    const sort = this.#sorting(directory);
    for (const entry of entries) {
      await slice.yield();
      sort.add(entry);
    }
    for (const file of sort.listing.files) {
      await slice.yield();
      this.made(file);
    }
    const listing = { ino: stat.ino, mtimeMs: stat.mtimeMs, scannedAt, ...sort.listing };
    this.#listed.set(directory, listing);
    return listing;
  }

  /** A file was made by this process: known at once, without a look at the directories. */
  made(file: RolloutFile): void {
    this.#add(file);
    this.#made.push(file);
  }

  /** A file was moved by this process: known at once, without a look at the directories. */
  moved(file: RolloutFile, target: string): void {
    this.made({ ...file, path: target, isArchived: this.#home.isArchivedPath(target) });
    this.#remove(file);
  }

  /** All files of a thread; a reverted thread has several. The current one is first, see `compareCurrent`. */
  filesFor(threadId: ThreadId): readonly RolloutFile[] {
    const files: RolloutFile[] = [];
    for (const rolloutId of this.#byThread.get(threadId) ?? []) {
      const file = this.byRolloutId(rolloutId);
      if (file) files.push(file);
    }
    return files.length > 1 ? this.#currentFirst(files) : files;
  }

  /**
   * Codex's state DB says which file of a reverted thread is current. Without it, it is the one that no other of the
   * thread builds on; among several of those the later one.
   */
  #currentFirst(files: RolloutFile[]): readonly RolloutFile[] {
    files.sort(compareCurrent);
    const bases = new Set(files.map((file) => this.#baseRolloutId(file)));
    const isBase = (file: RolloutFile) => Number(bases.has(file.rolloutId));
    return files.sort((a, b) => isBase(a) - isBase(b));
  }

  #baseRolloutId(file: RolloutFile): string | undefined {
    if (this.#bases.has(file.path)) return this.#bases.get(file.path);
    const meta = firstMetaNow(file);
    // One that has no first line yet may still get it.
    if (meta) this.#bases.set(file.path, meta.historyBase?.rolloutId);
    return meta?.historyBase?.rolloutId;
  }

  /** The file whose name ends in this rollout id. */
  byRolloutId(rolloutId: string): RolloutFile | undefined {
    return this.#byRollout.get(rolloutId)?.[0];
  }

  /** All files of a rollout: more than one where it is compressed and plain, or active and archived. */
  copiesFor(rolloutId: string): readonly RolloutFile[] {
    return this.#byRollout.get(rolloutId) ?? [];
  }

  /** Threads with a rollout that has more than one file. */
  threadsWithCopies(): ThreadId[] {
    const withCopies = [...this.#withCopies].map((rolloutId) => this.byRolloutId(rolloutId)?.threadId);
    return withCopies.filter((threadId) => threadId !== undefined);
  }

  threadIds(): Iterable<ThreadId> {
    return this.#byThread.keys();
  }

  /** The directories that the last look found, with their inodes: one can be made again at the same path. */
  directories(): Map<string, number> {
    return new Map([...this.#directories].map(([directory, { ino }]) => [directory, ino]));
  }

  /** Links below the directories of threads, what could not be listed, and what is no file. */
  get skipped(): readonly LeftOut[] {
    return [...this.#unreadable, ...[...this.#directories.values()].flatMap(({ skipped }) => skipped)];
  }

  /** The skipped directory that a file lies below; undefined when there is none. */
  hiddenBehind(file: string): LeftOut | undefined {
    const name = this.#relative(file);
    return this.skipped.find(({ path: left }) => name.startsWith(`${left}${path.sep}`));
  }

  /** Copies of rollouts, made by hand or by a sync program, in whose place another file of the thread counts. */
  get copies(): readonly string[] {
    const copies = [...this.#withCopies].flatMap((rolloutId) => this.copiesFor(rolloutId).slice(1));
    // A second hard link of one file belongs to a move in progress.
    const isOther = (file: RolloutFile) => {
      const counted = this.byRolloutId(file.rolloutId);
      return counted !== undefined && !isEmpty(file) && statOf(file.path)?.ino !== statOf(counted.path)?.ino;
    };
    const named = copies.filter((file) => !file.isExact || isOther(file)).map((file) => this.#relative(file.path));
    return [
      ...named,
      ...[...this.#directories.values()].flatMap(({ emptyCopies }) => emptyCopies.map((copy) => copy.path)),
    ];
  }

  /** JSONL files below the directories of threads whose names are not those of rollouts, relative to the home. */
  get otherNames(): readonly string[] {
    return [...this.#directories.values()].flatMap(({ otherNames }) => otherNames);
  }

  #scan(directory: string, depth: number, into: Map<string, Directory>): void {
    const listing = this.#list(directory);
    if (!listing) return;
    into.set(directory, listing);
    if (depth >= MAX_DEPTH) {
      for (const child of listing.directories) this.#unreadable.push({ path: this.#relative(child), why: 'too deep' });
      return;
    }
    for (const child of listing.directories) this.#scan(child, depth + 1, into);
  }

  #list(directory: string): Directory | undefined {
    try {
      const stat = statSync(directory);
      const known = this.#settled(directory, stat);
      if (known) return known;
      const scannedAt = Date.now();
      const sort = this.#sorting(directory);
      for (const entry of readdirSync(directory, { withFileTypes: true })) sort.add(entry);
      return { ino: stat.ino, mtimeMs: stat.mtimeMs, scannedAt, ...sort.listing };
    } catch (error) {
      if (isResourceExhausted(error)) throw readFailure(directory, error);
      const code = systemErrorCode(error) ?? 'unknown error';
      const isDangling = code === 'ENOENT' && lstatSync(directory, { throwIfNoEntry: false }) !== undefined;
      const why = isDangling ? 'a link whose target does not exist' : `may not be read (${code})`;
      if (code !== 'ENOENT' || isDangling) this.#unreadable.push({ path: this.#relative(directory), why });
      return undefined;
    }
  }

  /** The known listing of a directory, if it is still valid. */
  #settled(directory: string, { ino, mtimeMs }: { ino: number; mtimeMs: number }): Directory | undefined {
    const holds = (known: Directory | undefined, ms: number) =>
      known?.ino === ino && known.mtimeMs === mtimeMs && known.scannedAt - mtimeMs > ms ? known : undefined;
    return holds(this.#directories.get(directory), SETTLED_MS) ?? holds(this.#listed.get(directory), TICK_MS);
  }

  /** Files that were listed before are not looked at again: a directory of thousands changes file by file. */
  #sorting(directory: string): { readonly listing: DirectoryListing; add(entry: Dirent): void } {
    const sorter = new DirectorySorter(this.#home, directory);
    const before = new Map<string, RolloutFile>();
    for (const known of [this.#directories.get(directory), this.#listed.get(directory)]) {
      for (const file of known?.files ?? []) before.set(file.path, file);
    }
    const add = (entry: Dirent) => {
      const same = entry.isFile() ? before.get(path.join(directory, entry.name)) : undefined;
      if (same?.isExact) sorter.listing.files.push(same);
      else sorter.add(entry);
    };
    return { listing: sorter.listing, add };
  }

  /** An empty copy may have content by now; the mtime of its directory does not show that. */
  #lookAtEmptyCopies(): void {
    for (const [directory, { emptyCopies }] of this.#directories) {
      const isFilled = (copy: EmptyCopy) => (statOf(path.join(this.#home.root, copy.path))?.size ?? 0) !== copy.size;
      if (emptyCopies.some(isFilled))
        this.#directories.set(directory, { ...emptyDirectory, files: this.#filesIn(directory) });
    }
  }

  #filesIn(directory: string): readonly RolloutFile[] {
    return this.#directories.get(directory)?.files ?? [];
  }

  #relative(file: string): string {
    return path.relative(this.#home.root, file);
  }

  /** Applies the differences, additions before removals, so that a moved file is never missing. */
  #take(directories: Map<string, Directory>): void {
    const before = this.#directories;
    const changed = [...directories].filter(([directory, listing]) => before.get(directory) !== listing);
    const gone = [...before].filter(([directory]) => !directories.has(directory));
    const listed = new Set(changed.flatMap(([, { files }]) => files));
    for (const [directory, { files }] of changed) {
      const was = new Set(before.get(directory)?.files);
      for (const file of files) if (!was.has(file)) this.#add(file);
    }
    for (const [directory, { files }] of changed) {
      const left = (before.get(directory)?.files ?? []).filter((file) => !listed.has(file));
      const kept = left.length > 0 ? new Set(files.map((file) => file.path)) : undefined;
      for (const file of left) if (!kept?.has(file.path)) this.#remove(file);
    }
    for (const [, { files }] of gone) for (const file of files) this.#remove(file);
    this.#directories = directories;
    // A file that was made here and removed again may be in no listing.
    const made = this.#made.splice(0);
    const paths = made.length > 0 ? new Set([...listed].map((file) => file.path)) : undefined;
    for (const file of made) if (!paths?.has(file.path) && !existsSync(file.path)) this.#remove(file);
  }

  #add(file: RolloutFile): void {
    const files = this.#byRollout.get(file.rolloutId);
    if (files?.some((known) => known.path === file.path)) return;
    if (files) files.push(file);
    else this.#byRollout.set(file.rolloutId, [file]);
    if (files) {
      files.sort(compareCurrent);
      this.#withCopies.add(file.rolloutId);
    }
    const rollouts = this.#byThread.get(file.threadId);
    if (rollouts) rollouts.add(file.rolloutId);
    else this.#byThread.set(file.threadId, new Set([file.rolloutId]));
    if (!rollouts) this.population += 1;
    this.generation += 1;
  }

  #remove(file: RolloutFile): void {
    const files = this.#byRollout.get(file.rolloutId);
    const left = files?.filter((known) => known.path !== file.path) ?? [];
    if (!files || left.length === files.length) return;
    this.generation += 1;
    this.#bases.delete(file.path);
    if (left.length < 2) this.#withCopies.delete(file.rolloutId);
    if (left.length > 0) {
      this.#byRollout.set(file.rolloutId, left);
      return;
    }
    this.#byRollout.delete(file.rolloutId);
    const rollouts = this.#byThread.get(file.threadId);
    rollouts?.delete(file.rolloutId);
    if (rollouts?.size === 0) {
      this.#byThread.delete(file.threadId);
      this.population += 1;
    }
  }
}

/** A directory of which nothing is known any more: it is listed again. */
const emptyDirectory: Directory = {
  ino: -1,
  mtimeMs: -1,
  scannedAt: 0,
  files: [],
  directories: [],
  skipped: [],
  emptyCopies: [],
  otherNames: [],
};
