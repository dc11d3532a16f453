import { type Dirent, lstatSync, readdirSync, statSync } from 'node:fs';
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
  readonly mtimeMs: number;
  readonly scannedAt: number;
  readonly files: readonly RolloutFile[];
  readonly folders: readonly string[];
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
  #byThread = new Map<ThreadId, RolloutFile[]>();
  #byRollout = new Map<ThreadId, RolloutFile>();
  #refreshedAt = 0;
  /** Changes whenever the set of files does. */
  generation = 0;
  /** Links that leave the home, and folders that could not be listed. */
  #passedOver: string[] = [];

  constructor(home: RolloutHome) {
    this.#home = home;
  }

  /**
   * Looks for new, moved and vanished files; a look younger than `maxAgeMs` is good enough.
   * Throws when a folder of the home is a link that leaves it.
   */
  refresh(maxAgeMs = 0): void {
    const now = Date.now();
    if (maxAgeMs > 0 && now - this.#refreshedAt < maxAgeMs) return;
    this.#home.assertFoldersStayInside();
    const folders = new Map<string, Folder>();
    this.#passedOver = [];
    this.#scan(this.#home.sessions, 0, folders);
    this.#scan(this.#home.archived, 0, folders);
    if (this.#differs(folders)) this.#index(folders);
    this.#folders = folders;
    this.#refreshedAt = now;
  }

  /** The files have changed: the next refresh looks, however young the last look is. */
  expire(): void {
    this.#refreshedAt = 0;
  }

  /** All files of a thread; a reverted thread has several. The current one is first, see `compareCurrent`. */
  filesOf(threadId: ThreadId): readonly RolloutFile[] {
    return this.#byThread.get(threadId) ?? [];
  }

  /** The file whose name ends in this rollout id. */
  byRolloutId(rolloutId: string): RolloutFile | undefined {
    return this.#byRollout.get(rolloutId as ThreadId);
  }

  threadIds(): Iterable<ThreadId> {
    return this.#byThread.keys();
  }

  get threadCount(): number {
    return this.#byThread.size;
  }

  get passedOver(): readonly string[] {
    return this.#passedOver;
  }

  #scan(folder: string, depth: number, into: Map<string, Folder>): void {
    const listing = this.#list(folder);
    if (!listing) return;
    into.set(folder, listing);
    if (depth >= MAX_DEPTH) return;
    for (const child of listing.folders) this.#scan(child, depth + 1, into);
  }

  #list(folder: string): Folder | undefined {
    try {
      const { mtimeMs } = statSync(folder);
      const known = this.#folders.get(folder);
      if (known?.mtimeMs === mtimeMs && known.scannedAt - mtimeMs > SETTLED_MS) return known;
      const scannedAt = Date.now();
      const entries = readdirSync(folder, { withFileTypes: true });
      const isArchived = folder === this.#home.archived || this.#home.isArchivedPath(folder);
      const files: RolloutFile[] = [];
      const folders: string[] = [];
      for (const entry of entries) this.#sort(entry, folder, isArchived, files, folders);
      return { mtimeMs, scannedAt, files, folders };
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') this.#passedOver.push(path.relative(this.#home.root, folder));
      return undefined;
    }
  }

  #sort(entry: Dirent, folder: string, isArchived: boolean, files: RolloutFile[], folders: string[]): void {
    const file = path.join(folder, entry.name);
    const name = parseRolloutFileName(entry.name);
    if (entry.isFile() && name) {
      files.push({ ...name, path: file, isArchived });
    } else if (entry.isDirectory()) {
      folders.push(file);
    } else if (entry.isSymbolicLink()) {
      // Links are followed to files only, and only inside the home: a linked folder could make the walk endless.
      if (name && this.#home.contains(file) && isFile(file)) files.push({ ...name, path: file, isArchived });
      else this.#passedOver.push(path.relative(this.#home.root, file));
    }
  }

  #differs(folders: Map<string, Folder>): boolean {
    if (folders.size !== this.#folders.size) return true;
    for (const [folder, listing] of folders) if (this.#folders.get(folder) !== listing) return true;
    return false;
  }

  #index(folders: Map<string, Folder>): void {
    this.#byThread = new Map();
    this.#byRollout = new Map();
    for (const { files } of folders.values()) {
      for (const file of files) {
        const known = this.#byRollout.get(file.rolloutId);
        if (!known || compareCurrent(file, known) < 0) this.#byRollout.set(file.rolloutId, file);
      }
    }
    for (const file of this.#byRollout.values()) {
      const others = this.#byThread.get(file.threadId);
      if (others) others.push(file);
      else this.#byThread.set(file.threadId, [file]);
    }
    for (const files of this.#byThread.values()) if (files.length > 1) files.sort(compareCurrent);
    this.generation += 1;
  }
}

/**
 * Which of two files of one thread (or one rollout) is the current one, first: active before archived, the later
 * stamp, the later modification, plain before compressed. Codex keeps this in its state DB alone.
 */
function compareCurrent(a: RolloutFile, b: RolloutFile): number {
  if (a.isArchived !== b.isArchived) return a.isArchived ? 1 : -1;
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  if (a.rolloutId !== b.rolloutId) return modifiedAt(b.path) - modifiedAt(a.path) || (a.rolloutId < b.rolloutId ? 1 : -1);
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
