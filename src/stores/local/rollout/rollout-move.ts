import {
  closeSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';
import { conflict, systemErrorCode, unsupported } from '../../../protocol/errors.js';
import { openToRead } from './regular-file.js';
import { copyAcross } from './rollout-copy.js';
import type { RolloutFile } from './rollout-file.js';
import { datedDirectory } from './rollout-file-name.js';
import type { RolloutHome } from './rollout-home.js';

/**
 * A move in two steps, so that a program that is killed at any moment leaves the thread readable where its row says:
 * first the files are in both directories, as hard links or, between two file systems, as copies, then (`finish`) no more in
 * the old one. Where the file system has no hard links they are renamed at once.
 */
export interface RolloutMove {
  /** Where the thread's current file will be found. */
  readonly currentPath: string;
  /** Takes the files out of the old directory. */
  finish(): void;
  /** Puts everything back; not after `finish`. */
  undo(): void;
}

/** The path of a file in `archived_sessions/`: flat, same name. */
export function archivedPath(home: RolloutHome, file: RolloutFile): string {
  return path.join(home.archived, path.basename(file.path));
}

/** The path of a file below `sessions/`: the directory of the date in its name. */
export function activePath(home: RolloutHome, file: RolloutFile): string {
  return path.join(home.sessions, ...datedDirectory(file.stamp), path.basename(file.path));
}

/**
 * Begins to move all files of a thread, the current one (the first) last: until then the thread is where it was. Bytes
 * and times stay. Throws `conflict`, with nothing moved, when a target is another file; a failure undoes what was done.
 */
export async function moveRollouts(
  home: RolloutHome,
  files: readonly RolloutFile[],
  target: (file: RolloutFile) => string,
): Promise<RolloutMove> {
  const moves = plannedMoves(home, files, target);
  const done: (() => void)[] = [];
  /** Names in the old directory that `finish` takes away. */
  const withCopies: string[] = [];
  const undo = () => {
    for (const putBack of done.splice(0).reverse()) putBack();
  };
  try {
    for (const { from, to } of moves) {
      mkdirSync(path.dirname(to), { recursive: true });
      const way = linkOrNot(from, to);
      if (way === 'linked') {
        withCopies.push(from);
        done.push(() => (areHardLinks(from, to) ? unlinkSync(to) : renameSync(to, from)));
      } else if (way === 'other file system') {
        await copyAcross(from, to);
        withCopies.push(from);
        // Never removes the last copy.
        done.push(() => existsSync(from) && unlinkSync(to));
      } else {
        renameSync(from, to);
        done.push(() => renameSync(to, from));
      }
    }
  } catch (error) {
    undo();
    throw error;
  }
  const finish = () => {
    const [current, ...others] = withCopies.splice(0).reverse();
    if (current !== undefined) unlinkSync(current);
    done.length = 0;
    // The thread has moved once its current file has. `Archiver.completeInterruptedMove` can remove the other names later.
    for (const other of others) removeIfPossible(other);
  };
  return { currentPath: moves.at(-1)?.to ?? '', finish, undo };
}

function removeIfPossible(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Left for later.
  }
}

/** Hard-links a file, unless an interrupted move has done so already. Returns why it could not. */
function linkOrNot(from: string, to: string): 'linked' | 'no hard links' | 'other file system' {
  if (areHardLinks(from, to)) return 'linked';
  if (isLeftCopy(to, from)) return 'other file system';
  try {
    linkSync(from, to);
    return 'linked';
  } catch (error) {
    const code = systemErrorCode(error) ?? '';
    if (code === 'EXDEV') return 'other file system';
    if (NO_HARD_LINKS.has(code)) return 'no hard links';
    throw error;
  }
}

const NO_HARD_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL']);

/**
 * True for two hard links of one file, as an interrupted move leaves them. Two paths to one name, as where a
 * directory is a link, do not count: removing one would remove the file.
 */
function areHardLinks(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) => lstatSync(file, { bigint: true, throwIfNoEntry: false }));
  const isOneFile = a !== undefined && b !== undefined && a.ino !== 0n && a.ino === b.ino && a.dev === b.dev;
  return isOneFile && a.nlink > 1n && realName(one) !== realName(other);
}

/** True if `left` is what an interrupted move left of `file`. */
export const isLeftOver = (left: string, file: string): boolean => areHardLinks(left, file) || isLeftCopy(left, file);

/**
 * True for a copy on another file system that holds nothing but a beginning of the file, or all of it: what a move
 * between two file systems leaves that was cut short.
 */
function isLeftCopy(copy: string, file: string): boolean {
  const [a, b] = [copy, file].map((name) => lstatSync(name, { throwIfNoEntry: false }));
  return !!a?.isFile() && !!b?.isFile() && a.dev !== b.dev && a.size <= b.size && isBeginning(copy, file);
}

function isBeginning(part: string, whole: string): boolean {
  const fds: number[] = [];
  try {
    for (const name of [part, whole]) fds.push(openToRead(name));
    const [one, other] = [Buffer.allocUnsafe(COMPARED_BYTES), Buffer.allocUnsafe(COMPARED_BYTES)];
    for (let position = 0; ; ) {
      const count = readSync(Number(fds[0]), one, 0, one.length, position);
      if (count === 0) return true;
      readSync(Number(fds[1]), other, 0, count, position);
      if (!one.subarray(0, count).equals(other.subarray(0, count))) return false;
      position += count;
    }
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}

const COMPARED_BYTES = 1024 * 1024;

function realName(file: string): string {
  return path.join(realpathSync(path.dirname(file)), path.basename(file));
}

/** From where to where, the current file last. Throws `conflict` for a target that exists, `unsupported` for one outside. */
export function plannedMoves(
  home: RolloutHome,
  files: readonly RolloutFile[],
  target: (file: RolloutFile) => string,
): { from: string; to: string }[] {
  const moves = files.map((file) => ({ from: file.path, to: target(file) })).reverse();
  for (const { from, to } of moves) {
    home.assertInside(from);
    home.assertInside(path.dirname(to));
    if (lstatSync(from).isSymbolicLink()) {
      throw unsupported(
        'the rollout is a link, which a move could break',
        'Put the file itself in its place, then call again.',
      );
    }
    if (existsSync(to) && !isLeftOver(to, from)) throw inTheWay(to);
  }
  return moves;
}

/** A thread with two files of one name, plain and compressed or on both sides: which one counts is for a person to say. */
export const inTheWay = (file: string) =>
  conflict(
    `a file named ${path.basename(file)} is in the way`,
    'The home holds this thread twice. Move one of the two files away by hand, then call again.',
  );
