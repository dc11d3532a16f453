import { accessSync, constants, type Dirent, lstatSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { firstMetaNow } from './owner-meta.js';
import { statOf } from './regular-file.js';
import type { RolloutFile } from './rollout-file.js';
import { inexactRolloutName, parseRolloutFileName } from './rollout-file-name.js';
import type { RolloutHome } from './rollout-home.js';

/** What is in a directory of threads and is left out, relative to the home, and why. */
export interface LeftOut {
  readonly path: string;
  readonly why: string;
}

/** A copy of a rollout that holds no thread, as when it was found. It may still get its content. */
export interface EmptyCopy {
  /** Relative to the home. */
  readonly path: string;
  readonly size: number;
}

/** What one directory of threads holds. */
export interface DirectoryListing {
  readonly files: readonly RolloutFile[];
  readonly directories: readonly string[];
  /** What cannot be followed or read. */
  readonly skipped: readonly LeftOut[];
  readonly emptyCopies: readonly EmptyCopy[];
  /** JSONL files whose names are not those of rollouts, relative to the home. */
  readonly otherNames: readonly string[];
}

/** Sorts the entries of one directory into what they are. */
export class DirectorySorter {
  readonly listing = {
    files: [] as RolloutFile[],
    directories: [] as string[],
    skipped: [] as LeftOut[],
    emptyCopies: [] as EmptyCopy[],
    otherNames: [] as string[],
  } satisfies DirectoryListing;
  readonly #home: RolloutHome;
  readonly directory: string;
  readonly isArchived: boolean;

  constructor(home: RolloutHome, directory: string) {
    this.#home = home;
    this.directory = directory;
    this.isArchived = directory === home.archived || home.isArchivedPath(directory);
  }

  add(entry: Dirent): void {
    const { isArchived, listing: into } = this;
    const { directory } = this;
    const file = path.join(directory, entry.name);
    const name = parseRolloutFileName(entry.name);
    const skip = (why: string) => into.skipped.push({ path: this.#relative(file), why });
    if (entry.isFile()) {
      const copied = name ? undefined : inexactRolloutName(entry.name);
      if (name) into.files.push({ ...name, path: file, isArchived });
      else if (copied) this.#addCopy({ ...copied, path: file, isArchived }, into);
      else if (OTHER_NAME.test(entry.name)) into.otherNames.push(this.#relative(file));
    } else if (entry.isDirectory()) {
      if (name) skip('no file');
      else into.directories.push(file);
    } else if (entry.isSymbolicLink()) {
      // Links are followed to files only, and only inside the home: a linked directory could make the walk endless.
      if (name && this.#home.contains(file) && isFile(file)) into.files.push({ ...name, path: file, isArchived });
      else skip('a link');
    } else if (name) {
      skip('no file');
    }
  }

  /** A copy belongs to the thread that its content names; a copy without content belongs to none. */
  #addCopy(
    file: Omit<RolloutFile, 'threadId' | 'rolloutId'> & Partial<Record<'threadId' | 'rolloutId', ThreadId | undefined>>,
    into: DirectorySorter['listing'],
  ): void {
    const meta = file.isCompressed ? undefined : firstMetaNow({ ...file, threadId: file.threadId });
    const threadId = meta?.id ?? (file.isCompressed ? file.threadId : undefined);
    const name = this.#relative(file.path);
    if (threadId) {
      // After a revert the name holds a rollout id of the file's own.
      const rolloutId = file.threadId === threadId && file.rolloutId ? file.rolloutId : threadId;
      into.files.push({ ...file, threadId, rolloutId });
      return;
    }
    const why = unreadableBecause(file.path);
    if (why !== undefined) {
      into.skipped.push({ path: name, why });
      return;
    }
    into.emptyCopies.push({ path: name, size: statOf(file.path)?.size ?? 0 });
  }

  #relative(file: string): string {
    return path.relative(this.#home.root, file);
  }
}

/** What looks like a rollout under another name: no list shows it, as in Codex. */
const OTHER_NAME = /\.(?:jsonl|jsonl\.zst|icloud)$|^rollout-.*\.json$/;

function unreadableBecause(file: string): string | undefined {
  try {
    accessSync(file, constants.R_OK);
    return undefined;
  } catch (error) {
    return `may not be read (${systemErrorCode(error) ?? 'unknown error'})`;
  }
}

function isFile(file: string): boolean {
  try {
    return statSync(file).isFile() && lstatSync(file).isSymbolicLink();
  } catch {
    return false;
  }
}
