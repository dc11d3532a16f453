import { type Dirent, existsSync, lstatSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { parseRolloutFileName, type RolloutFileName } from './rollout-file-name.js';
import type { RolloutHome } from './rollout-home.js';

/** A rollout file as its name and place tell it; nothing of it has been read. */
export interface RolloutFile extends RolloutFileName {
  readonly path: string;
  readonly isArchived: boolean;
}

interface Folder {
  readonly ino: number;
  readonly mtimeMs: number;
  readonly scannedAt: number;
  readonly files: readonly RolloutFile[];
  readonly folders: readonly string[];
  /** Links that leave the home, relative to it. */
  readonly passedOver: readonly string[];
}

/** A folder's time can stand still for two changes in a row: a listing younger than this is not trusted yet. */
const SETTLED_MS = 50;
const MAX_DEPTH = 8;

/**
 * Which rollout files a home holds, by thread and by rollout id. A refresh looks at the folders' times and lists
 * only those that changed, so it costs one `stat` a folder.
 */
export class RolloutCatalog {
  readonly #home: RolloutHome;
  #folders = new Map<string, Folder>();
  /** Files by rollout id, the one that counts first: more than one only where a home holds a rollout twice. */
  readonly #byRollout = new Map<string, RolloutFile[]>();
  /** Rollouts that are there more than once. */
  readonly #doubled = new Set<string>();
  readonly #byThread = new Map<ThreadId, Set<string>>();
  /** Files that were made here since the last look. */
  #made: RolloutFile[] = [];
  #refreshedAt = 0;
  #unreadable: string[] = [];
  /** Changes whenever a file comes, goes or moves. */
  generation = 0;
  /** Changes whenever a thread comes or goes. */
  population = 0;

  constructor(home: RolloutHome) {
    this.#home = home;
  }

  /**
   * Looks for new, moved and vanished files; a look younger than `maxAgeMs` is good enough.
   * Throws when the home is missing, or a folder of it is a link that leaves it.
   */
  refresh(maxAgeMs = 0): void {
    const now = Date.now();
    if (maxAgeMs > 0 && now - this.#refreshedAt < maxAgeMs) return;
    this.#home.assertUsable();
    const folders = new Map<string, Folder>();
    this.#unreadable = [];
    this.#scan(this.#home.sessions, 0, folders);
    this.#scan(this.#home.archived, 0, folders);
    this.#take(folders);
    this.#refreshedAt = now;
  }

  /** A file was made by this process: known at once, without a look at the folders. */
  made(file: RolloutFile): void {
    this.#add(file);
    this.#made.push(file);
  }

  /** A file was moved by this process: known at once, without a look at the folders. */
  moved(file: RolloutFile, target: string): void {
    this.#add({ ...file, path: target, isArchived: this.#home.isArchivedPath(target) });
    this.#remove(file);
  }

  /** All files of a thread; a reverted thread has several. The current one is first, see `compareCurrent`. */
  filesOf(threadId: ThreadId): readonly RolloutFile[] {
    const files: RolloutFile[] = [];
    for (const rolloutId of this.#byThread.get(threadId) ?? []) {
      const file = this.byRolloutId(rolloutId);
      if (file) files.push(file);
    }
    return files.length > 1 ? files.sort(compareCurrent) : files;
  }

  /** The file whose name ends in this rollout id. */
  byRolloutId(rolloutId: string): RolloutFile | undefined {
    return this.#byRollout.get(rolloutId)?.[0];
  }

  /** All files of a rollout: more than one where it is compressed and plain, or active and archived. */
  copiesOf(rolloutId: string): readonly RolloutFile[] {
    return this.#byRollout.get(rolloutId) ?? [];
  }

  /** Threads with a rollout that is there more than once. */
  doubledThreads(): ThreadId[] {
    const doubled = [...this.#doubled].map((rolloutId) => this.byRolloutId(rolloutId)?.threadId);
    return doubled.filter((threadId) => threadId !== undefined);
  }

  threadIds(): Iterable<ThreadId> {
    return this.#byThread.keys();
  }

  /** The folders that the last look found, with their inodes: one can be made again at the same path. */
  folders(): Map<string, number> {
    return new Map([...this.#folders].map(([folder, { ino }]) => [folder, ino]));
  }

  get threadCount(): number {
    return this.#byThread.size;
  }

  /** Links that leave the home, and what could not be listed or is no file, relative to the home. */
  get passedOver(): readonly string[] {
    return [...this.#unreadable, ...[...this.#folders.values()].flatMap(({ passedOver }) => passedOver)];
  }

  #scan(folder: string, depth: number, into: Map<string, Folder>): void {
    const listing = this.#list(folder);
    if (!listing) return;
    into.set(folder, listing);
    if (depth >= MAX_DEPTH) {
      for (const child of listing.folders) this.#unreadable.push(path.relative(this.#home.root, child));
      return;
    }
    for (const child of listing.folders) this.#scan(child, depth + 1, into);
  }

  #list(folder: string): Folder | undefined {
    try {
      const { ino, mtimeMs } = statSync(folder);
      const known = this.#folders.get(folder);
      const isSame = known?.ino === ino && known.mtimeMs === mtimeMs;
      if (isSame && known.scannedAt - mtimeMs > SETTLED_MS) return known;
      const scannedAt = Date.now();
      const isArchived = folder === this.#home.archived || this.#home.isArchivedPath(folder);
      const listing = { files: [] as RolloutFile[], folders: [] as string[], passedOver: [] as string[] };
      for (const entry of readdirSync(folder, { withFileTypes: true })) this.#sort(entry, folder, isArchived, listing);
      return { ino, mtimeMs, scannedAt, ...listing };
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#unreadable.push(path.relative(this.#home.root, folder));
      return undefined;
    }
  }

  #sort(
    entry: Dirent,
    folder: string,
    isArchived: boolean,
    into: { files: RolloutFile[]; folders: string[]; passedOver: string[] },
  ): void {
    const file = path.join(folder, entry.name);
    const name = parseRolloutFileName(entry.name);
    if (entry.isFile() && name) {
      into.files.push({ ...name, path: file, isArchived });
    } else if (entry.isDirectory()) {
      if (name) into.passedOver.push(path.relative(this.#home.root, file));
      else into.folders.push(file);
    } else if (entry.isSymbolicLink()) {
      // Links are followed to files only, and only inside the home: a linked folder could make the walk endless.
      if (name && this.#home.contains(file) && isFile(file)) into.files.push({ ...name, path: file, isArchived });
      else into.passedOver.push(path.relative(this.#home.root, file));
    } else if (name) {
      into.passedOver.push(path.relative(this.#home.root, file));
    }
  }

  /** Takes the difference in: what came before what went, so that a moved file is never missing in between. */
  #take(folders: Map<string, Folder>): void {
    const before = this.#folders;
    const changed = [...folders].filter(([folder, listing]) => before.get(folder) !== listing);
    const gone = [...before].filter(([folder]) => !folders.has(folder));
    for (const [, { files }] of changed) for (const file of files) this.#add(file);
    for (const [folder] of changed) {
      const kept = new Set(folders.get(folder)?.files.map((file) => file.path));
      for (const file of before.get(folder)?.files ?? []) if (!kept.has(file.path)) this.#remove(file);
    }
    for (const [, { files }] of gone) for (const file of files) this.#remove(file);
    this.#folders = folders;
    // One that was made here and is gone again was never seen in a folder.
    for (const file of this.#made.splice(0)) if (!existsSync(file.path)) this.#remove(file);
  }

  #add(file: RolloutFile): void {
    const files = this.#byRollout.get(file.rolloutId);
    if (files?.some((known) => known.path === file.path)) return;
    if (files) files.push(file);
    else this.#byRollout.set(file.rolloutId, [file]);
    if (files) {
      files.sort(compareCurrent);
      this.#doubled.add(file.rolloutId);
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
    if (left.length < 2) this.#doubled.delete(file.rolloutId);
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

/**
 * Which of two files of one thread (or one rollout) is the current one, first: active before archived, the later
 * stamp, the later modification, plain before compressed. Codex keeps this in its state DB alone.
 */
function compareCurrent(a: RolloutFile, b: RolloutFile): number {
  if (a.isArchived !== b.isArchived) return a.isArchived ? 1 : -1;
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  if (a.rolloutId !== b.rolloutId)
    return modifiedAt(b.path) - modifiedAt(a.path) || (a.rolloutId < b.rolloutId ? 1 : -1);
  return Number(a.isCompressed) - Number(b.isCompressed);
}

function modifiedAt(file: string): number {
  try {
    return statSync(file).mtimeMs;
  } catch {
    return 0;
  }
}

function isFile(file: string): boolean {
  try {
    return statSync(file).isFile() && lstatSync(file).isSymbolicLink();
  } catch {
    return false;
  }
}
