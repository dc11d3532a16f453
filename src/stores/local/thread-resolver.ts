import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import {
  conflict,
  internalError,
  isResourceExhausted,
  readFailure,
  systemErrorCode,
  ThreadkeeperError,
  threadNotFound,
  unsupported,
} from '../../protocol/errors.js';
import type { HistoryMode } from '../../protocol/history-mode.js';
import { asThreadId, type ThreadId } from '../../protocol/ids.js';
import type { SessionMeta } from '../../protocol/session-meta.js';
import { TimeSlice } from '../../protocol/time-slice.js';
import { BoundedMap } from '../../store/bounded-map.js';
import { retry } from '../../store/retry.js';
import type { LocalHome } from './local-home.js';
import type { LeftOut } from './rollout/directory-listing.js';
import { ownMeta } from './rollout/owner-meta.js';
import { isRegularFile } from './rollout/regular-file.js';
import type { RolloutFile } from './rollout/rollout-file.js';
import { inexactRolloutName, parseRolloutFileName } from './rollout/rollout-file-name.js';
import type { RolloutHome } from './rollout/rollout-home.js';
import { isNoThread } from './rollout/rollout-metadata.js';
import { hasWriter } from './rollout/writer-lock.js';
import type { ThreadRow } from './state-db/thread-rows.js';

/** A thread as it was found: its current file, and its row if the state DB has one. */
export interface ResolvedThread {
  readonly threadId: ThreadId;
  readonly file: RolloutFile;
  /** Undefined for a file without a session_meta that parses; then the id in the file's name counts. */
  readonly meta: SessionMeta | undefined;
  readonly row: ThreadRow | undefined;
  /** The thread that the content says it is, where that is another one: then nothing is written under this id. */
  readonly ownerId?: ThreadId | undefined;
}

/** A check for a file with the exact name reuses a catalog refresh younger than this, milliseconds. */
const MAX_REFRESH_AGE_MS = 500;
/** A search reuses a catalog refresh that is younger than this, milliseconds. */
const RECENT_MS = 100;
/** A refresh that takes n milliseconds is reused for REFRESH_REUSE_FACTOR * n milliseconds. */
const REFRESH_REUSE_FACTOR = 10;
/** Threads that other programs move all the time are looked for again for this long. */
const MOVES_MS = 1000;

export function resolvedHistoryMode({ meta, row }: Pick<ResolvedThread, 'meta' | 'row'>): HistoryMode {
  return (meta?.historyMode ?? row?.historyMode) === 'paginated' ? 'paginated' : 'legacy';
}

/**
 * Finds a thread: the row's path first, if the file there says in its session_meta that it is this thread; else by
 * the file names; else by what the files say; last a file that has the id in its name alone, as Codex does. A row that
 * pointed elsewhere is repaired.
 */
export class ThreadResolver {
  readonly #local: LocalHome;
  /** First metas by path: the first line of a rollout never changes, so an entry holds as long as the file does. */
  readonly #metas = new BoundedMap<string, { identity: string; meta: SessionMeta | undefined }>(50_000);

  /** Files of the threads that are live here: nobody moves them while this process holds their writer locks. */
  readonly #live = new Map<ThreadId, Pick<ResolvedThread, 'file' | 'meta'>>();

  /** Threads that were found here before. */
  readonly #seen = new Set<ThreadId>();

  constructor(local: LocalHome) {
    this.#local = local;
  }

  /** Throws `thread_not_found`. */
  async resolve(threadId: ThreadId): Promise<ResolvedThread> {
    return await this.reading(threadId, async (thread) => thread);
  }

  /**
   * Finds a thread and reads its files: once more from the start when they are moved meanwhile, as archiving in
   * another program does. `read` must change nothing before it has read. Throws `thread_not_found`.
   */
  async reading<T>(threadId: ThreadId, read: (thread: ResolvedThread) => Promise<T>): Promise<T> {
    const attempt = async () => {
      const thread = (await this.#liveThread(threadId)) ?? (await this.find(threadId));
      this.#seen.add(threadId);
      return await readingFiles(thread, read);
    };
    // A thread that was found before is more likely to be moving between directories than to be gone.
    const isTransient = (error: unknown) => isVanished(error) || (isNotFound(error) && this.#seen.has(threadId));
    try {
      return await retry(attempt, { isTransient, forMs: MOVES_MS, firstPauseMs: 1, longestPauseMs: 50 });
    } catch (error) {
      if (isTransient(error)) this.#seen.delete(threadId);
      throw error;
    }
  }

  /**
   * As `reading`, for a thread that was found before: its row is read anew, and its file is searched for only when it is
   * no longer there or the row names another one.
   */
  async readingAgain<T>(found: ResolvedThread, read: (thread: ResolvedThread) => Promise<T>): Promise<T> {
    const row = await this.#local.readRows((rows) => rows.get(found.threadId));
    if (row?.rolloutPath === found.row?.rolloutPath && isRegularFile(found.file.path)) {
      try {
        return await readingFiles({ ...found, row }, read);
      } catch (error) {
        if (!isVanished(error)) throw error;
      }
    }
    return await this.reading(found.threadId, read);
  }

  /** A thread is live from here on: its file need not be searched for. */
  setLive(threadId: ThreadId, thread: Pick<ResolvedThread, 'file' | 'meta'>): void {
    this.#live.set(threadId, thread);
  }

  /** A thread is no longer live. */
  unsetLive(threadId: ThreadId): void {
    this.#live.delete(threadId);
  }

  async #liveThread(threadId: ThreadId): Promise<ResolvedThread | undefined> {
    const live = this.#live.get(threadId);
    if (!live || !isRegularFile(live.file.path)) return undefined;
    return { threadId, ...live, row: await this.#local.readRows((rows) => rows.get(threadId)) };
  }

  /** Corrects rows whose files were moved without them. Stops at the first that cannot be written, as when the DB is locked. */
  async repairRows(rows: readonly ThreadRow[]): Promise<void> {
    for (const row of rows) {
      const threadId = asThreadId(row.id);
      const found = threadId && (await this.#search(threadId, row).catch(() => undefined));
      if (found && !(await this.#repair(found, row))) return;
    }
  }

  /** Finds a thread by its row and its files, once. Throws `thread_not_found`. */
  async find(threadId: ThreadId): Promise<ResolvedThread> {
    const row = await this.#local.readRows((rows) => rows.get(threadId));
    const fromRow = row && findRowFile(this.#local.home, row);
    let failed: Unreadable | undefined;
    if (row && fromRow) {
      try {
        const meta = await this.metaOf(fromRow);
        if (meta?.id === threadId && !this.#isBehindExactName(fromRow, threadId)) {
          const resolved = { threadId, file: fromRow, meta, row };
          if (fromRow.isArchived !== row.isArchived) await this.#repair(resolved, row);
          return resolved;
        }
      } catch (error) {
        if (!isVanished(error)) failed = { file: fromRow, error };
      }
    }
    const found = await this.#search(threadId, row, failed);
    if (found && row) await this.#repair(found, row);
    if (found) return found;
    const hidden = row && this.#local.catalog.hiddenBehind(this.#local.home.localPath(row.rolloutPath) ?? '');
    if (row && hidden) throw unreadableDirectory(threadId, row, hidden);
    throw threadNotFound(threadId, this.#whereLooked(row));
  }

  /** True if the row names a copy of the rollout and a file with the exact name exists: that file wins. */
  #isBehindExactName(file: RolloutFile, threadId: ThreadId): boolean {
    if (file.isExact && file.threadId === threadId) return false;
    this.#local.catalog.refresh(MAX_REFRESH_AGE_MS);
    const [named] = this.#local.catalog.filesFor(threadId);
    const isSameRollout = named?.rolloutId === file.rolloutId;
    return isSameRollout && named.isExact && named.path !== file.path && existsSync(named.path);
  }

  #whereLooked(row: ThreadRow | undefined): string {
    const { absence } = this.#local.home;
    if (absence !== undefined) return absence;
    const { skipped } = this.#local.catalog;
    const named = skipped.slice(0, 3).map(({ path: file, why }) => `${file} (${why})`);
    const unread = named.length > 0 ? ` Not looked into: ${named.join(', ')}.` : '';
    if (!row) return `Find thread ids with list_threads.${unread}`;
    return `The state DB has a row for it, but there is no rollout of it in the home; the row names ${row.rolloutPath}.${unread}`;
  }

  /** The session_meta that owns a file; undefined when it has none. Throws the system's error when it cannot be read. */
  async metaOf(file: RolloutFile): Promise<SessionMeta | undefined> {
    const { ino, birthtimeMs, size } = statSync(file.path);
    const identity = `${ino} ${birthtimeMs}`;
    const known = this.#metas.get(file.path);
    if (known?.identity === identity || known?.identity === `${identity} ${size}`) return known.meta;
    if (!this.#local.home.contains(file.path)) {
      throw internalError(
        'the rollout is a link that leaves the home',
        'threadkeeper never follows a path out of the home.',
      );
    }
    const meta = await ownMeta(file);
    // A file without a session_meta may get one later, so its size is part of the key.
    this.#metas.set(file.path, { identity: meta ? identity : `${identity} ${size}`, meta });
    return meta;
  }

  async #search(
    threadId: ThreadId,
    row: ThreadRow | undefined,
    failedBefore?: Unreadable,
  ): Promise<ResolvedThread | undefined> {
    const { catalog } = this.#local;
    // The catalog knows this process's own moves at once. It is refreshed again if the thread has no file where it was.
    await catalog.refreshInSlices(Math.max(RECENT_MS, REFRESH_REUSE_FACTOR * catalog.refreshMs));
    if (!catalog.filesFor(threadId).some((file) => existsSync(file.path))) catalog.refresh();
    // A file that moved from a directory not listed yet to one that was would be in neither.
    for (let again = 0; again < 2 && catalog.filesFor(threadId).length === 0; again += 1) catalog.refresh();
    let failed = failedBefore;
    let empty: RolloutFile | undefined;
    let byName: ResolvedThread | undefined;
    for (const file of catalog.filesFor(threadId)) {
      try {
        const meta = await this.metaOf(file);
        if (meta?.id === threadId) return { threadId, file, meta, row };
        if (!meta && isNoThread((await this.#local.summaries.head(file)).metadata)) empty ??= file;
        // The file name decides where the content has no id or names another thread.
        else byName ??= { threadId, file, meta: meta && { ...meta, id: threadId }, row, ownerId: meta?.id };
      } catch (error) {
        if (isVanished(error)) {
          catalog.refresh();
          throw error;
        }
        failed ??= { file, error };
      }
    }
    if (byName && !byName.meta) return byName;
    const found = byName || (!failed && !empty) ? await this.#searchInside(threadId, row) : undefined;
    if (found || byName) return found ?? byName;
    if (failed) throw unreadableRollout(failed);
    if (empty) await this.#failOn(empty, threadId);
    return undefined;
  }

  /** A rollout without content is a thread that is just being started, or what was left of one. */
  async #failOn(file: RolloutFile, threadId: ThreadId): Promise<never> {
    const name = path.relative(this.#local.home.root, file.path);
    if (await hasWriter(this.#local.home, threadId).catch(() => false)) {
      throw conflict(
        `thread ${threadId} is just being started: ${name} has no content yet`,
        'Another program is writing it. Call again in a moment.',
      );
    }
    const what = statSync(file.path).size === 0 ? 'is empty' : 'holds no line of a rollout';
    throw threadNotFound(
      threadId,
      'If it is just being started, call again shortly. Else the file is left over from a thread of which nothing was written.',
      `its rollout ${name} ${what}`,
    );
  }

  /** A file can be named after another thread: what its session_meta says decides. */
  async #searchInside(threadId: ThreadId, row: ThreadRow | undefined): Promise<ResolvedThread | undefined> {
    const slice = new TimeSlice();
    for (const otherId of this.#local.catalog.threadIds()) {
      for (const file of this.#local.catalog.filesFor(otherId)) {
        const meta = await this.metaOf(file).catch(() => undefined);
        if (meta?.id === threadId && otherId !== threadId) return { threadId, file, meta, row };
        if (slice.isOver) await slice.yield();
      }
    }
    return undefined;
  }

  /** Brings a row in line with its file, unless another program changed it meanwhile. False when that failed. */
  async #repair({ threadId, file }: ResolvedThread, row: ThreadRow): Promise<boolean> {
    if (this.#local.stateDb.db?.readOnly) return true;
    // A copied home still points at the original: its rows are Codex's business.
    if (this.#local.home.localPath(row.rolloutPath) === undefined) return true;
    const archivedAt = file.isArchived ? Math.floor((row.archivedAt ?? statSync(file.path).mtimeMs) / 1000) : null;
    const changes = { rollout_path: file.path, archived: file.isArchived ? 1 : 0, archived_at: archivedAt };
    try {
      await this.#local.writeRows((rows) => rows.repairPath(threadId, row.rolloutPath, changes));
      return true;
    } catch (error) {
      this.#local.warn(
        `thread ${threadId}: its row could not be repaired (${error instanceof Error ? error.message : error})`,
      );
      return false;
    }
  }
}

/**
 * The file that a row names, plain or compressed, if it exists inside the home. The file may have any name: the row
 * counts, as in Codex's own store.
 */
export function findRowFile(
  home: RolloutHome,
  row: Pick<ThreadRow, 'id' | 'rolloutPath' | 'createdAt'>,
): RolloutFile | undefined {
  const local = home.localPath(row.rolloutPath);
  const threadId = asThreadId(row.id);
  if (local === undefined || threadId === undefined) return undefined;
  const sibling = local.endsWith('.zst') ? local.slice(0, -'.zst'.length) : `${local}.zst`;
  const file = [local, sibling].find(isRegularFile);
  if (file === undefined) return undefined;
  const name = parseRolloutFileName(path.basename(file)) ?? {
    threadId,
    rolloutId: threadId,
    stamp: '',
    createdAt: row.createdAt,
    isCompressed: file.endsWith('.zst'),
    isExact: false,
    ...inexactIds(path.basename(file), threadId),
  };
  return { ...name, path: file, isArchived: home.isArchivedPath(file) };
}

/** What the name of a copy tells of its rollout and its time, where it is of this thread. */
function inexactIds(name: string, threadId: ThreadId): Partial<Pick<RolloutFile, 'rolloutId' | 'stamp'>> {
  const parsed = inexactRolloutName(name);
  return parsed?.threadId === threadId ? { rolloutId: parsed.rolloutId ?? threadId, stamp: parsed.stamp } : {};
}

/** A file that could not be read, and why. */
interface Unreadable {
  readonly file: RolloutFile;
  readonly error: unknown;
}

/** Runs `read`; too few file descriptors become an error that a caller can act on. */
async function readingFiles<T>(thread: ResolvedThread, read: (thread: ResolvedThread) => Promise<T>): Promise<T> {
  try {
    return await read(thread);
  } catch (error) {
    throw isResourceExhausted(error) ? readFailure(thread.file.path, error) : error;
  }
}

function isVanished(error: unknown): boolean {
  const cause = error instanceof ThreadkeeperError ? (error.cause ?? error) : error;
  return systemErrorCode(cause) === 'ENOENT';
}

/** Throws `unsupported` for a thread whose rollout says that it is another one: writes go by the id in the content. */
export function assertOwn({ threadId, ownerId, file }: ResolvedThread): void {
  if (ownerId === undefined) return;
  throw unsupported(
    `${path.basename(file.path)} is named after thread ${threadId} and holds thread ${ownerId}`,
    `Nothing was changed. Use the id ${ownerId}.`,
  );
}

/** The error for a thread whose row names a file below a directory that was skipped. */
function unreadableDirectory(threadId: ThreadId, row: ThreadRow, { path: directory, why }: LeftOut): ThreadkeeperError {
  return unsupported(
    `thread ${threadId} cannot be read: its rollout ${row.rolloutPath} lies below ${directory} (${why})`,
    'Nothing was changed. Give the user that runs this server permission to read that directory; a link there is not followed.',
  );
}

function isNotFound(error: unknown): boolean {
  return error instanceof ThreadkeeperError && error.code === 'thread_not_found';
}

function unreadableRollout({ file, error }: Unreadable): ThreadkeeperError {
  return readFailure(file.path, error);
}
