import { existsSync, lstatSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { conflict, unsupported } from '../protocol/errors.js';
import type { RolloutFile } from './rollout-catalog.js';
import { datedFolder } from './rollout-file-name.js';
import type { RolloutHome } from './rollout-home.js';

/** A move that was made; `undo` puts the files back. */
export interface RolloutMove {
  /** Where the thread's current file is now. */
  readonly currentPath: string;
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
 * Renames all files of a thread, the current one (the first) last: until then the thread is still where it was.
 * Bytes and times stay. Throws `conflict`, with nothing moved, when a target exists; a failed rename undoes the others.
 */
export function moveRollouts(
  home: RolloutHome,
  files: readonly RolloutFile[],
  target: (file: RolloutFile) => string,
): RolloutMove {
  const moves = plannedMoves(home, files, target);
  const done: { from: string; to: string }[] = [];
  const undo = () => {
    for (const { from, to } of done.splice(0).reverse()) renameSync(to, from);
  };
  try {
    for (const move of moves) {
      mkdirSync(path.dirname(move.to), { recursive: true });
      renameSync(move.from, move.to);
      done.push(move);
    }
  } catch (error) {
    undo();
    throw error;
  }
  return { currentPath: moves.at(-1)?.to ?? '', undo };
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
    if (existsSync(to)) throw inTheWay(to);
  }
  return moves;
}

/** A thread with two files of one name, plain and compressed or on both sides: which one counts is for a person to say. */
export const inTheWay = (file: string) =>
  conflict(
    `a file named ${path.basename(file)} is in the way`,
    'The home holds this thread twice. Move one of the two files away by hand, then call again.',
  );
