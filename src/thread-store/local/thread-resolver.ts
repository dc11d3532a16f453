import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { internalError, systemErrorCode, ThreadkeeperError, threadNotFound } from '../../protocol/errors.js';
import type { HistoryMode } from '../../protocol/history-mode.js';
import { asThreadId, type ThreadId } from '../../protocol/ids.js';
import type { SessionMeta } from '../../protocol/session-meta.js';
import { ownMeta } from '../../rollout/lineage.js';
import type { RolloutFile } from '../../rollout/rollout-catalog.js';
import { parseRolloutFileName } from '../../rollout/rollout-file-name.js';
import type { RolloutHome } from '../../rollout/rollout-home.js';
import type { ThreadRow } from '../../state/thread-rows.js';
import type { LocalHome } from './local-home.js';

/** A thread as it was found: its current file, and its row if the state DB has one. */
export interface ResolvedThread {
  readonly threadId: ThreadId;
  readonly file: RolloutFile;
  /** Undefined for a file without a session_meta that parses; then the file's name speaks. */
  readonly meta: SessionMeta | undefined;
  readonly row: ThreadRow | undefined;
}

/** Threads that other programs move all the time are looked for again for this long. */
const MOVES_MS = 1000;

export function historyModeOf({ meta, row }: Pick<ResolvedThread, 'meta' | 'row'>): HistoryMode {
  return (meta?.historyMode ?? row?.historyMode) === 'paginated' ? 'paginated' : 'legacy';
}

/**
 * Finds a thread: the row's path first, if the file there says in its session_meta that it is this thread; else by
 * the file names; last by what the files say. A row that pointed elsewhere is repaired.
 */
export class ThreadResolver {
  readonly #local: LocalHome;
  /** First metas by path: the first line of a rollout never changes, so an entry holds as long as the file does. */
  readonly #metas = new Map<string, { identity: string; meta: SessionMeta | undefined }>();

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
    const deadline = Date.now() + MOVES_MS;
    for (;;) {
      try {
        return await read(await this.#resolve(threadId));
      } catch (error) {
        if (!isVanishedFile(error) || Date.now() > deadline) throw error;
        await setImmediate();
      }
    }
  }

  /** Brings rows in line whose files were moved without them; ends at the first that cannot be, as when the DB is held. */
  async repairRows(rows: readonly ThreadRow[]): Promise<void> {
    for (const row of rows) {
      const threadId = asThreadId(row.id);
      const found = threadId && (await this.#search(threadId, row).catch(() => undefined));
      if (found && !(await this.#repair(found, row))) return;
    }
  }

  async #resolve(threadId: ThreadId): Promise<ResolvedThread> {
    const row = await this.#local.readRows((rows) => rows.get(threadId));
    const fromRow = row && fileOfRow(this.#local.home, row.rolloutPath);
    let rowProblem: unknown;
    if (row && fromRow) {
      const meta = await this.metaOf(fromRow).catch((error: unknown) => {
        rowProblem = error;
        return undefined;
      });
      if (meta?.id === threadId) {
        const resolved = { threadId, file: fromRow, meta, row };
        if (fromRow.isArchived !== row.isArchived) await this.#repair(resolved, row);
        return resolved;
      }
    }
    const found = await this.#search(threadId, row);
    if (found && row) await this.#repair(found, row);
    if (found) return found;
    if (fromRow && rowProblem !== undefined) throw unreadableRollout(fromRow, rowProblem);
    const { passedOver } = this.#local.catalog;
    const unread = passedOver.length > 0 ? ` Not readable or not followed: ${passedOver.slice(0, 3).join(', ')}.` : '';
    if (row) {
      const hint = 'The state DB has a row for it, but its rollout file is gone from the home, or cannot be reached.';
      throw threadNotFound(threadId, hint + unread);
    }
    throw threadNotFound(threadId, `Find thread ids with list_threads.${unread}`);
  }

  /** The session_meta that owns a file; undefined when it has none. Throws `internal` when it cannot be read. */
  async metaOf(file: RolloutFile): Promise<SessionMeta | undefined> {
    const { ino, birthtimeMs, size } = statSync(file.path);
    const identity = `${ino} ${birthtimeMs}`;
    const known = this.#metas.get(file.path);
    if (known?.identity === identity) return known.meta;
    if (!this.#local.home.contains(file.path)) {
      throw internalError(
        'the rollout is a link that leaves the home',
        'threadkeeper never follows a path out of the home.',
      );
    }
    const meta = await ownMeta(file);
    if (this.#metas.size > 50_000) this.#metas.clear();
    // An empty file may still get its first line.
    if (meta || size > 0) this.#metas.set(file.path, { identity, meta });
    return meta;
  }

  async #search(threadId: ThreadId, row: ThreadRow | undefined): Promise<ResolvedThread | undefined> {
    const { catalog } = this.#local;
    catalog.refresh();
    // A file that moved from a folder not listed yet to one that was would be in neither.
    if (catalog.filesOf(threadId).length === 0) catalog.refresh();
    let unreadable: { error: unknown; file: RolloutFile } | undefined;
    for (const file of catalog.filesOf(threadId)) {
      try {
        const meta = await this.metaOf(file);
        if (meta?.id === threadId || (!meta && statSync(file.path).size > 0)) return { threadId, file, meta, row };
        if (!meta) unreadable ??= { error: undefined, file };
      } catch (error) {
        unreadable ??= { error, file };
      }
    }
    if (unreadable) throw unreadableRollout(unreadable.file, unreadable.error);
    return await this.#searchInside(threadId, row);
  }

  /** A file can be named after another thread: what its session_meta says decides. */
  async #searchInside(threadId: ThreadId, row: ThreadRow | undefined): Promise<ResolvedThread | undefined> {
    for (const otherId of this.#local.catalog.threadIds()) {
      for (const file of this.#local.catalog.filesOf(otherId)) {
        const meta = await this.metaOf(file).catch(() => undefined);
        if (meta?.id === threadId) return { threadId, file, meta, row };
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

/** The file that a row points at, plain or compressed, if it is there and inside the home. */
export function fileOfRow(home: RolloutHome, storedPath: string): RolloutFile | undefined {
  const local = home.localPath(storedPath);
  if (local === undefined) return undefined;
  const sibling = local.endsWith('.zst') ? local.slice(0, -'.zst'.length) : `${local}.zst`;
  const file = [local, sibling].find((candidate) => existsSync(candidate));
  const name = file === undefined ? undefined : parseRolloutFileName(path.basename(file));
  if (file === undefined || name === undefined) return undefined;
  return { ...name, path: file, isArchived: home.isArchivedPath(file) };
}

function isVanishedFile(error: unknown): boolean {
  const cause = error instanceof ThreadkeeperError ? error.cause : error;
  return systemErrorCode(cause) === 'ENOENT';
}

function unreadableRollout(file: RolloutFile, error: unknown): Error {
  const reason = error === undefined ? 'is empty' : `cannot be read (${systemErrorCode(error) ?? 'unknown error'})`;
  return internalError(
    `the rollout of thread ${file.threadId} ${reason}`,
    'The file holds no history to show. Nothing was changed.',
    error,
  );
}
