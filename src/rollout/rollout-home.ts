import { accessSync, constants, readlinkSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode, unsupported, writeFailure } from '../protocol/errors.js';

/** The folders and files of a Codex home that hold threads (docs/codex-home.md, Layout). */
export class RolloutHome {
  /** The home with its own links resolved; everything else is checked against it. */
  readonly root: string;
  readonly sessions: string;
  readonly archived: string;
  readonly nameIndex: string;
  readonly nameIndexLock: string;
  readonly writerLocks: string;

  /** The home as it was named, which may be a link. */
  readonly #given: string;

  constructor(home: string) {
    this.#given = path.resolve(home);
    this.root = realpathOr(this.#given);
    this.sessions = path.join(this.root, 'sessions');
    this.archived = path.join(this.root, 'archived_sessions');
    this.nameIndex = path.join(this.root, 'session_index.jsonl');
    this.nameIndexLock = `${this.nameIndex}.lock`;
    this.writerLocks = path.join(this.root, 'thread-writer-locks');
  }

  get exists(): boolean {
    return statSync(this.root, { throwIfNoEntry: false })?.isDirectory() ?? false;
  }

  /** True when the path, with all links resolved, is below the home. A path that does not exist is judged as it is written. */
  contains(file: string): boolean {
    return isBelow(this.root, realpathOr(path.resolve(file)));
  }

  /**
   * A path from a row, as a path below `root`; undefined when it lies elsewhere (a copied home, a link that leaves).
   * The verbatim prefix of Windows is dropped.
   */
  localPath(stored: string): string | undefined {
    const file = stored.replace(/^\\\\\?\\(UNC\\)?/, (_, unc?: string) => (unc ? '\\\\' : ''));
    if (isBelow(this.root, file)) return file;
    if (isBelow(this.#given, file)) return path.join(this.root, path.relative(this.#given, file));
    const real = realpathOr(path.resolve(file));
    return isBelow(this.root, real) ? real : undefined;
  }

  /** True when the path lies below `archived_sessions/`. */
  isArchivedPath(file: string): boolean {
    return isBelow(this.archived, file);
  }

  /** Throws `unsupported` when there is no such home, or one of its two rollout folders is a link that leaves it. */
  assertUsable(): void {
    if (!this.exists) {
      throw unsupported(
        `the home ${this.root} does not exist, or is no folder`,
        'Start Codex once, which makes it, or restart this server with --home (or CODEX_HOME) set to the right folder.',
      );
    }
    for (const folder of [this.sessions, this.archived]) this.assertInside(folder);
  }

  /** Throws `read_only` when nothing can be made in the home. */
  assertWritable(): void {
    try {
      accessSync(this.root, constants.W_OK);
    } catch (error) {
      throw writeFailure('writing to the home', error);
    }
  }

  /** Throws `unsupported` when a path of the home leads out of it through a link. */
  assertInside(file: string): void {
    if (this.contains(file)) return;
    throw unsupported(
      `${path.relative(this.root, file)} is, or lies below, a link that leaves the home`,
      'threadkeeper never follows a path out of the home. Point --home at the folder that really holds the threads.',
    );
  }
}

function isBelow(folder: string, file: string): boolean {
  const relative = path.relative(folder, file);
  return relative !== '' && !relative.startsWith('..') && !path.isAbsolute(relative);
}

const MAX_LINKS = 40;

/** Where a link points, dangling or not; undefined for anything else. */
function linkTarget(file: string): string | undefined {
  try {
    return readlinkSync(file);
  } catch {
    return undefined;
  }
}

/** The real path; for what does not exist, the real path of the nearest folder that does, and the rest. */
function realpathOr(file: string, depth = 0): string {
  try {
    return realpathSync.native(file);
  } catch (error) {
    const parent = path.dirname(file);
    if (systemErrorCode(error) !== 'ENOENT' || parent === file) return file;
    const target = depth < MAX_LINKS ? linkTarget(file) : undefined;
    if (target !== undefined) return realpathOr(path.resolve(realpathOr(parent, depth), target), depth + 1);
    return path.join(realpathOr(parent, depth), path.basename(file));
  }
}
