import { statOf } from './regular-file.js';
import type { RolloutFile } from './rollout-file.js';

/**
 * Which of two files of one thread (or one rollout) is the current one, first: an exact name before that of a copy unless
 * the file is empty, active before archived, the later stamp, the later modification, plain before compressed.
 */
export function compareCurrent(a: RolloutFile, b: RolloutFile): number {
  if (a.isExact !== b.isExact) {
    const [exact, sign] = a.isExact ? [a, -1] : [b, 1];
    return (statOf(exact.path)?.size ?? 0) > 0 ? sign : -sign;
  }
  if (!a.isExact) return modifiedAt(b.path) - modifiedAt(a.path) || (a.path < b.path ? -1 : 1);
  const emptyLast = Number(isEmpty(a)) - Number(isEmpty(b));
  if (emptyLast !== 0) return emptyLast;
  if (a.isArchived !== b.isArchived) return a.isArchived ? 1 : -1;
  if (a.createdAt !== b.createdAt) return b.createdAt - a.createdAt;
  if (a.rolloutId !== b.rolloutId)
    return modifiedAt(b.path) - modifiedAt(a.path) || (a.rolloutId < b.rolloutId ? 1 : -1);
  return Number(a.isCompressed) - Number(b.isCompressed);
}

export function isEmpty(file: RolloutFile): boolean {
  return statOf(file.path)?.size === 0;
}

function modifiedAt(file: string): number {
  return statOf(file)?.mtimeMs ?? 0;
}
