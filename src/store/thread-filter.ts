import { realpathSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { cutText } from '../protocol/cut-text.js';
import { cwdKey } from '../protocol/cwd-key.js';
import { invalidRequest } from '../protocol/errors.js';
import { containsFolded, foldCase } from '../protocol/fold-case.js';
import { BoundedMap } from './bounded-map.js';
import type { ListPosition } from './list-cursor.js';
import type { ListThreadsParams, StoredThread, ThreadCount, ThreadFilter, ThreadSort } from './thread-store.js';

/** Throws `invalid_request` for what no store can answer: a limit below one, an empty list of values. */
export function validateListParams({ filter, limit }: ListThreadsParams): void {
  if (!Number.isInteger(limit) || limit < 1)
    throw invalidRequest('limit must be at least 1', 'Leave it out for the default.');
  for (const key of ['sources', 'modelProviders', 'cwds'] as const) {
    if (filter[key]?.length === 0) {
      throw invalidRequest(`${key} is an empty list, which matches nothing`, `Leave ${key} out to match everything.`);
    }
  }
  const relative = filter.cwds?.find((cwd) => !isAbsoluteDirectory(cwd));
  if (relative !== undefined) {
    throw invalidRequest(
      `"${cutText(relative, 100)}" is not an absolute path`,
      'Give cwd as an absolute path, such as /home/me/project.',
    );
  }
}

function isAbsoluteDirectory(directory: string): boolean {
  return /^(?:\/|~$|~[/\\]|[a-z]:(?:[\\/]|$)|\\\\)/i.test(directory);
}

/** Tells whether a thread matches, the archived state and the source left aside: those two are counted. */
export function threadMatcher(filter: ThreadFilter): (thread: StoredThread) => boolean {
  const needle = filter.search === undefined ? undefined : foldCase(filter.search);
  const ids = filter.within && new Set(filter.within.members);
  const isBelow = filter.cwds && directoryMatcher(filter.cwds);
  return (thread) =>
    (!ids || ids.has(thread.threadId)) &&
    (!filter.modelProviders || filter.modelProviders.includes(thread.modelProvider ?? '')) &&
    (!isBelow || (thread.cwd !== undefined && isBelow(thread.cwd))) &&
    (filter.gitBranch === undefined || thread.git.branch === filter.gitBranch) &&
    (needle === undefined ||
      containsFolded([thread.name, thread.title, thread.preview, thread.firstUserMessage], needle));
}

/** The other half of a filter: archived state and source. */
export function isShown(filter: ThreadFilter, thread: Pick<ThreadCount, 'isArchived' | 'source'>): boolean {
  const archived = filter.archived === 'include' || thread.isArchived === (filter.archived === 'only');
  return archived && (!filter.sources || filter.sources.includes(thread.source));
}

export function totalShown(filter: ThreadFilter, counts: readonly ThreadCount[]): number {
  return counts.reduce((sum, entry) => sum + (isShown(filter, entry) ? entry.count : 0), 0);
}

export function countThreads(threads: Iterable<StoredThread>): ThreadCount[] {
  const counts = new Map<string, { isArchived: boolean; source: ThreadCount['source']; count: number }>();
  for (const { isArchived, source } of threads) {
    const key = `${isArchived} ${source.kind}`;
    const entry = counts.get(key) ?? { isArchived, source: source.kind, count: 0 };
    entry.count += 1;
    counts.set(key, entry);
  }
  return [...counts.values()];
}

export function positionOf(thread: StoredThread, sortBy: ThreadSort): ListPosition {
  return { time: thread[sortBy], id: thread.threadId };
}

/** Orders positions: by time, ties by id, so that no thread is skipped or repeated between pages. */
export function comparePositions(order: 'asc' | 'desc'): (a: ListPosition, b: ListPosition) => number {
  const sign = order === 'asc' ? 1 : -1;
  return (a, b) => sign * (a.time - b.time || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

/** Tells whether a directory is one of the wanted ones or below one, whichever way either is written. */
export function directoryMatcher(wanted: readonly string[]): (cwd: string) => boolean {
  const directories = wanted.flatMap(directorySpellings);
  return (cwd) =>
    directorySpellings(cwd).some((spelling) => directories.some((directory) => isSameOrBelow(spelling, directory)));
}

function isSameOrBelow(cwd: string, directory: string): boolean {
  return cwd === directory || cwd.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

/** A directory as it is written, and with links resolved where it exists. */
export function directorySpellings(directory: string): string[] {
  const home = directory === '~' || /^~[/\\]/.test(directory) ? path.join(os.homedir(), directory.slice(1)) : directory;
  const written = cwdKey(home);
  if (!path.isAbsolute(home)) return [written];
  const resolved = cwdKey(realDirectory(path.resolve(home)));
  return resolved === written ? [written] : [written, resolved];
}

const REAL_DIRECTORY_TTL_MS = 5000;
const realDirectories = new BoundedMap<string, { real: string; at: number }>(10_000);

function realDirectory(directory: string): string {
  const known = realDirectories.get(directory);
  if (known && Date.now() - known.at < REAL_DIRECTORY_TTL_MS) return known.real;
  let real = directory;
  try {
    real = realpathSync(directory);
  } catch {
    // A directory that is gone is compared as it is written.
  }
  realDirectories.set(directory, { real, at: Date.now() });
  return real;
}
