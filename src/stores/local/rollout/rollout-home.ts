import { accessSync, constants, existsSync, mkdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { conflict, systemErrorCode, unsupported, writeFailure } from '../../../protocol/errors.js';

/** The directories and files of a Codex home that hold threads (docs/codex-home.md, Layout). */
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
  /** Where `sessions` and `archived` really lie: the user may have put them on another disk, by a link. */
  #realDirectories: readonly { readonly real: string; readonly local: string }[] = [];
  #existedBefore = false;

  constructor(home: string) {
    this.#given = path.resolve(home);
    this.root = realpathOr(this.#given);
    this.sessions = path.join(this.root, 'sessions');
    this.archived = path.join(this.root, 'archived_sessions');
    this.nameIndex = path.join(this.root, 'session_index.jsonl');
    this.nameIndexLock = `${this.nameIndex}.lock`;
    this.writerLocks = path.join(this.root, 'thread-writer-locks');
    this.resolveDirectories();
  }

  get exists(): boolean {
    return statSync(this.root, { throwIfNoEntry: false })?.isDirectory() ?? false;
  }

  /** Resolves the real paths of the thread directories again. */
  resolveDirectories(): void {
    this.#existedBefore ||= this.exists;
    this.#realDirectories = [this.sessions, this.archived].map((local) => ({ real: realpathOr(local), local }));
  }

  /** Why there is no home, for a person or a model; undefined when there is one. */
  get absence(): string | undefined {
    const stat = statSync(this.root, { throwIfNoEntry: false });
    if (stat?.isDirectory()) return undefined;
    if (stat) return `The home ${this.root} is no directory. Give the right one with --home or CODEX_HOME.`;
    const parent = path.dirname(this.root);
    if (!this.#existedBefore && !existsSync(parent))
      return `The home ${this.root} does not exist, nor does ${parent}. Set --home (or CODEX_HOME) to the right directory.`;
    return this.#existedBefore
      ? `The home ${this.root} was removed while it was served. Restart the server with --home (or CODEX_HOME) set to where it is now.`
      : `The home ${this.root} does not exist yet: no thread was ever kept there. Codex or start_thread makes it; if your threads are elsewhere, set --home (or CODEX_HOME) to that directory.`;
  }

  /** True when the path, with all links resolved, is below the home. A path that does not exist is judged as it is written. */
  contains(file: string): boolean {
    const real = realpathOr(path.resolve(file));
    return isBelow(this.root, real) || this.#realDirectories.some((directory) => isAtOrBelow(directory.real, real));
  }

  /**
   * A path from a row, as a path below `root`; undefined when it lies elsewhere (a copied home, a link that leaves).
   * The verbatim prefix of Windows is dropped.
   */
  localPath(stored: string): string | undefined {
    const file = stored.replace(/^\\\\\?\\(UNC\\)?/, (_, unc?: string) => (unc ? '\\\\' : ''));
    if (isBelow(this.root, file)) return file;
    if (isBelow(this.#given, file)) return path.join(this.root, path.relative(this.#given, file));
    return this.#behindDirectory(file) ?? this.#behindDirectory(realpathOr(path.resolve(file)));
  }

  /** The path as it is reached through the home, for a real path. */
  #behindDirectory(file: string): string | undefined {
    const directory = this.#realDirectories.find(({ real }) => isBelow(real, file));
    if (directory) return path.join(directory.local, path.relative(directory.real, file));
    return isBelow(this.root, file) ? file : undefined;
  }

  /** True when the path lies below `archived_sessions/`. */
  isArchivedPath(file: string): boolean {
    return isBelow(this.archived, file);
  }

  /** Creates the home if it does not exist, in an existing directory. Throws `unsupported`, or `conflict` when it was removed. */
  makeIfMissing(): void {
    if (this.exists) return;
    if (existsSync(this.root)) this.assertUsable();
    if (this.#existedBefore) {
      throw conflict(
        `the home ${this.root} was removed while it was served`,
        'Nothing was written. Restart the server with --home (or CODEX_HOME) set to where the home is now.',
      );
    }
    const parent = path.dirname(this.root);
    if (!statSync(parent, { throwIfNoEntry: false })?.isDirectory()) {
      throw unsupported(
        `the home ${this.root} cannot be created, because ${parent} does not exist`,
        'Nothing was written. Make that directory, or set --home (or CODEX_HOME) to the right home.',
      );
    }
    try {
      mkdirSync(this.root, { mode: 0o700 });
    } catch (error) {
      throw writeFailure(`making the home ${this.root}`, error);
    }
    this.resolveDirectories();
  }

  /** Throws `unsupported` when there is no such home. */
  assertUsable(): void {
    if (this.exists) return;
    throw unsupported(
      `the home ${this.root} does not exist, or is no directory`,
      'Start Codex once, which makes it, or set --home (or CODEX_HOME) to the right directory.',
    );
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
      'Only sessions and archived_sessions themselves may be links. Put the real directory in the place of the link.',
    );
  }
}

function isAtOrBelow(directory: string, file: string): boolean {
  return file === directory || isBelow(directory, file);
}

function isBelow(directory: string, file: string): boolean {
  const relative = path.relative(directory, file);
  return relative !== '' && relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
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

/** The real path; for what does not exist, the real path of the nearest directory that does, and the rest. */
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
