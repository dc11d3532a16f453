import path from 'node:path';
import type { LocalHome } from '../local-home.js';
import type { LeftOut } from '../rollout/directory-listing.js';
import type { Reconciliation } from './reconciliation.js';
import type { UnindexedThreads } from './unindexed-threads.js';

/** What is left out of the list, each kind counted, and the first of each named. */
export function listWarnings(
  { home, catalog, names, status }: LocalHome,
  reconciled: Reconciliation,
  unindexed: UnindexedThreads,
  emptyRows: number,
): string[] {
  const { missingFiles, outsideHome, malformed, rowPaths } = reconciled;
  const warnings: string[] = [];
  const addWarning = (count: number, text: string) => {
    if (count > 0) warnings.push(text);
  };
  if (home.absence !== undefined) warnings.push(home.absence);
  if (status.kind === 'waiting')
    warnings.push(`Read from the files; no thread can be named, changed or archived: ${status.reason}.`);
  if (names.problem !== undefined) warnings.push(`Names may be missing: ${names.problem}.`);
  const withPaths = (list: readonly LeftOut[]) => list.map(({ path: file, why }) => `${file} (${why})`);
  const unread = [...withPaths(catalog.skipped), ...withPaths(unindexed.unreadable)];
  addWarning(unread.length, `Not read: ${firstNames(unread)}.`);
  const emptyFiles = unindexed.emptyFiles + emptyRows;
  addWarning(emptyFiles, `${counted(emptyFiles, 'rollout file')} without content left out.`);
  const copies = [...new Set([...catalog.copies, ...unindexed.copies])];
  addWarning(copies.length, `${counted(copies.length, 'copy', 'copies')} of rollouts left out: ${firstNames(copies)}.`);
  const others = catalog.otherNames.filter((name) => !rowPaths.has(path.join(home.root, name)));
  addWarning(others.length, `Left out, as their names are not those of rollouts: ${firstNames(others)}.`);
  addWarning(malformed, `${counted(malformed, 'row')} of the state DB left out: their values are not valid.`);
  addWarning(
    missingFiles,
    `${counted(missingFiles, 'thread')} of the state DB left out: their rollout files are gone.`,
  );
  addWarning(
    outsideHome,
    `${counted(outsideHome, 'thread')} of the state DB left out: their rollouts lie outside the home.`,
  );
  return warnings;
}

/** The first three of a list, and how many there are. */
function firstNames(names: readonly string[]): string {
  return `${names.slice(0, 3).join(', ')}${names.length > 3 ? ` and ${names.length - 3} more` : ''}`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
