import { accessSync, constants, existsSync, statSync, unlinkSync, utimesSync } from 'node:fs';
import path from 'node:path';
import { systemErrorCode, ThreadkeeperError, unsupported, writeFailure } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { LiveThreads } from './live/live-threads.js';
import type { LocalHome } from './local-home.js';
import { ownMeta } from './rollout/owner-meta.js';
import type { RolloutFile } from './rollout/rollout-file.js';
import type { RolloutHome } from './rollout/rollout-home.js';
import { activePath, archivedPath, inTheWay, isLeftOver, moveRollouts, plannedMoves } from './rollout/rollout-move.js';
import { acquireWriterLock, hasWriter, hasWriterConflict } from './rollout/writer-lock.js';
import type { RowChanges } from './state-db/thread-rows.js';
import type { ResolvedThread, ThreadResolver } from './thread-resolver.js';

/**
 * Archives and unarchives one thread as Codex does: all its files by rename under the writer lock, then the row. If
 * the row cannot be written, the files are put back.
 */
export class Archiver {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #live: LiveThreads;

  constructor(local: LocalHome, resolver: ThreadResolver, live: LiveThreads) {
    this.#local = local;
    this.#resolver = resolver;
    this.#live = live;
  }

  /**
   * Why Codex will not show all turns of an archived thread; undefined where it does. It shows those of a paginated one as
   * far as it has read the rollout, and reads on only when it resumes the thread.
   */
  hiddenWhenArchived({ threadId, file, meta }: ResolvedThread): string | undefined {
    if (this.#local.status.kind !== 'codex' || meta?.historyMode !== 'paginated' || file.isCompressed) return undefined;
    const { size } = statSync(file.path);
    if (this.#local.bytesShownByCodex(file.rolloutId) >= size) return undefined;
    return `Codex does not show the newest turns of thread ${threadId} until it has resumed it, which it cannot while the thread is archived. To let it read them, unarchive the thread and resume it in Codex once.`;
  }

  /** Archives: the bytes, the times and the recency stay as they are. False when another process has done it already. */
  async archive(found: ResolvedThread): Promise<boolean> {
    return await this.#move(found, true, archivedPath, () => ({
      archived: 1,
      archived_at: Math.floor(Date.now() / 1000),
    }));
  }

  /** Brings back: the current file is modified now, as with Codex, so that both programs sort it alike. */
  async unarchive(found: ResolvedThread): Promise<boolean> {
    return await this.#move(found, false, activePath, (currentPath) => {
      const now = Date.now();
      touch(currentPath, now);
      return { archived: 0, archived_at: null, updated_at: Math.floor(now / 1000), updated_at_ms: now };
    });
  }

  /**
   * Completes a move that a killed program left half-way: the files then have names in both directories, and the names
   * on the wrong side are removed. Best effort: while another program writes the thread, nothing is done.
   */
  async completeInterruptedMove(threadId: ThreadId): Promise<void> {
    if (!this.#hasLeftOver(threadId)) return;
    try {
      await this.#completeInterruptedMove(threadId);
    } catch (error) {
      if (error instanceof ThreadkeeperError && error.code === 'conflict') return;
      const reason = error instanceof Error ? error.message : error;
      this.#local.warn(`thread ${threadId} is in both directories, after a move that was cut short (${reason})`);
    }
  }

  async #completeInterruptedMove(threadId: ThreadId): Promise<void> {
    const { home, catalog } = this.#local;
    const lock = await acquireWriterLock(home, threadId);
    try {
      catalog.refresh();
      const { file: current } = await this.#resolver.resolve(threadId);
      for (const { rolloutId } of catalog.filesFor(threadId)) {
        const copies = catalog.copiesFor(rolloutId);
        const kept = copies.find(({ isArchived }) => isArchived === current.isArchived);
        for (const copy of copies) {
          if (copy === kept || !kept || !isLeftOver(copy.path, kept.path)) continue;
          home.assertInside(copy.path);
          unlinkSync(copy.path);
        }
      }
      catalog.refresh();
    } finally {
      await lock.release();
    }
  }

  #hasLeftOver(threadId: ThreadId): boolean {
    const { catalog } = this.#local;
    return catalog.filesFor(threadId).some(({ rolloutId }) => {
      const [first, ...others] = catalog.copiesFor(rolloutId);
      return (
        first !== undefined &&
        others.some((other) => isLeftOver(other.path, first.path) || isLeftOver(first.path, other.path))
      );
    });
  }

  /** Makes the checks of a move, and no move. Throws what the move would throw. */
  async assertMovable(thread: ResolvedThread): Promise<void> {
    const { home } = this.#local;
    try {
      for (const file of await this.#filesFor(thread)) accessSync(path.dirname(file.path), constants.W_OK);
      const isLiveHere = this.#live.get(thread.threadId) !== undefined;
      if (!isLiveHere && (await hasWriter(home, thread.threadId))) throw hasWriterConflict(thread.threadId);
      const target = thread.file.isArchived ? activePath : archivedPath;
      plannedMoves(home, await this.#filesFor(thread), (file) => target(home, file));
    } catch (error) {
      throw writeFailure(`moving thread ${thread.threadId}`, error);
    }
  }

  async #move(
    found: ResolvedThread,
    toArchived: boolean,
    target: (home: RolloutHome, file: RolloutFile) => string,
    afterMove: (currentPath: string) => RowChanges,
  ): Promise<boolean> {
    const { home } = this.#local;
    const { threadId } = found;
    const lock = await acquireWriterLock(home, threadId).catch((error: unknown) => {
      throw writeFailure('taking the writer lock', error);
    });
    try {
      // What was found before the lock may have been moved since.
      const thread = existsSync(found.file.path) ? found : await this.#resolver.resolve(threadId);
      if (thread.file.isArchived === toArchived) return false;
      const files = await this.#filesFor(thread);
      const { mtime, atime } = statSync(thread.file.path);
      const move = await moveRollouts(home, files, (file) => target(home, file));
      let before: RowChanges | undefined;
      try {
        const changes = afterMove(move.currentPath);
        before = await this.#local.keepRow(threadId, (rows) =>
          rows.update(threadId, { rollout_path: move.currentPath, ...changes }),
        );
        move.finish();
      } catch (error) {
        const row = before;
        if (row) await this.#local.keepRow(threadId, (rows) => rows.update(threadId, row));
        move.undo();
        if (existsSync(thread.file.path)) utimesSync(thread.file.path, atime, mtime);
        throw error;
      }
      for (const file of files) this.#local.catalog.moved(file, target(home, file));
      return true;
    } catch (error) {
      throw writeFailure(`moving thread ${threadId}`, error);
    } finally {
      await lock.release();
    }
  }

  /**
   * All files of the thread on the same side, the current one first. Only a reverted thread has more than one: its
   * current file then has a rollout id of its own.
   */
  async #filesFor({ threadId, file }: ResolvedThread): Promise<RolloutFile[]> {
    if (!file.isExact) {
      throw unsupported(
        `${path.basename(file.path)} cannot be archived or brought back: Codex does so only with names that end in the thread id`,
        `Nothing was moved. While nothing has the thread open, rename the file to rollout-${file.stamp || '<time>'}-${threadId}.jsonl, then call again.`,
      );
    }
    const compressed = `${file.path}.zst`;
    if (existsSync(compressed)) throw inTheWay(compressed);
    if (file.rolloutId === threadId) return [file];
    const { catalog } = this.#local;
    catalog.refresh();
    const files = [file];
    for (const other of catalog.filesFor(threadId)) {
      if (other.path === file.path || other.isArchived !== file.isArchived) continue;
      if ((await ownMeta(other))?.id === threadId) files.push(other);
    }
    return files;
  }
}

/** The time of a file of another user cannot be set: the row says it all the same. */
function touch(file: string, time: number): void {
  try {
    utimesSync(file, time / 1000, time / 1000);
  } catch (error) {
    if (systemErrorCode(error) !== 'EPERM') throw error;
  }
}
