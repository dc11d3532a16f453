import { existsSync, linkSync, lstatSync, mkdirSync, realpathSync, renameSync, rmSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { conflict, systemErrorCode, unsupported } from '../protocol/errors.js';
import type { RolloutFile } from './rollout-file.js';
import { datedFolder } from './rollout-file-name.js';
import type { RolloutHome } from './rollout-home.js';

/**
 * A move in two steps, so that a program that is killed at any moment leaves the thread readable where its row says:
 * first the files are in both folders, as hard links, then (`finish`) no more in the old one. Where the file system
 * has no hard links they are renamed at once.
 */
export interface RolloutMove {
  /** Where the thread's current file will be found. */
  readonly currentPath: string;
  /** Takes the files out of the old folder. */
  finish(): void;
  /** Puts everything back; not after `finish`. */
  undo(): void;
}

/** The path of a file in `archived_sessions/`: flat, same name. */
export function archivedPath(home: RolloutHome, file: RolloutFile): string {
  return path.join(home.archived, path.basename(file.path));
}

/** The path of a file below `sessions/`: the folder of the date in its name. */
export function activePath(home: RolloutHome, file: RolloutFile): string {
  return path.join(home.sessions, ...datedFolder(file.stamp), path.basename(file.path));
}

/**
 * Begins to move all files of a thread, the current one (the first) last: until then the thread is where it was. Bytes
 * and times stay. Throws `conflict`, with nothing moved, when a target is another file; a failure undoes what was done.
 */
export function moveRollouts(
  home: RolloutHome,
  files: readonly RolloutFile[],
  target: (file: RolloutFile) => string,
): RolloutMove {
  const moves = plannedMoves(home, files, target);
  const done: (() => void)[] = [];
  const linked: string[] = [];
  const undo = () => {
    for (const putBack of done.splice(0).reverse()) putBack();
  };
  try {
    for (const { from, to } of moves) {
      mkdirSync(path.dirname(to), { recursive: true });
      if (isLinked(from, to)) {
        linked.push(from);
        done.push(() => (areTwins(from, to) ? unlinkSync(to) : renameSync(to, from)));
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
    const [current, ...others] = linked.splice(0).reverse();
    if (current !== undefined) unlinkSync(current);
    // The thread has moved with its current file; a second name that stays is taken away by a later look.
    for (const other of others) rmSync(other, { force: true });
  };
  return { currentPath: moves.at(-1)?.to ?? '', finish, undo };
}

/** Makes a second name for a file, unless a killed move has made it already; false where there are no hard links. */
function isLinked(from: string, to: string): boolean {
  if (areTwins(from, to)) return true;
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (NO_HARD_LINKS.has(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}

const NO_HARD_LINKS: ReadonlySet<string> = new Set([
  'EPERM',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
  'EMLINK',
  'EXDEV',
  'EINVAL',
]);

/**
 * True for two names of one file: what a move leaves that was cut short. One name that two paths lead to, as where a
 * folder is a link, is not two: taking it away would take the file.
 */
export function areTwins(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) => lstatSync(file, { bigint: true, throwIfNoEntry: false }));
  const isOneFile = a !== undefined && b !== undefined && a.ino !== 0n && a.ino === b.ino && a.dev === b.dev;
  return isOneFile && a.nlink > 1n && realName(one) !== realName(other);
}

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
    if (existsSync(to) && !areTwins(from, to)) throw inTheWay(to);
  }
  return moves;
}

/** A thread with two files of one name, plain and compressed or on both sides: which one counts is for a person to say. */
export const inTheWay = (file: string) =>
  conflict(
    `a file named ${path.basename(file)} is in the way`,
    'The home holds this thread twice. Move one of the two files away by hand, then call again.',
  );
