import { existsSync } from 'node:fs';
import path from 'node:path';
import { ThreadkeeperError } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import type { LocalHome } from '../local-home.js';
import { statOf } from '../rollout/regular-file.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import { RolloutWatcher } from '../rollout/rollout-watcher.js';
import { StateDbLost } from '../state-db/state-db.js';
import { type IndexedRollout, RolloutIndexer } from './rollout-indexer.js';

/** A sync reuses a catalog refresh younger than this, milliseconds. */
const MAX_REFRESH_AGE_MS = 500;
/** Every file is checked again after this, milliseconds. */
const FULL_CHECK_MS = 30_000;
const BATCH = 100;

interface Seen {
  readonly size: number;
  readonly modifiedAt: number;
}

/**
 * Keeps the index in line with the files after its backfill: rollouts that appear, grow, move or vanish unnoticed
 * are indexed again before the next list. OS watches report the files that were written to, so no call checks all.
 */
export class IndexUpdater {
  readonly #local: LocalHome;
  readonly #indexer: RolloutIndexer;
  readonly #watcher = new RolloutWatcher();
  /** Files that gave no row for the thread in their name, as they were then. They are read again when they change. */
  readonly #skipped = new Map<string, Seen>();
  #generation = -1;
  #fullCheckAt = 0;
  #syncing: Promise<void> | undefined;

  constructor(local: LocalHome) {
    this.#local = local;
    this.#indexer = new RolloutIndexer(local);
  }

  /** Brings the rows in line with the files. Does nothing where the rows are Codex's, or may not be written. */
  async sync(): Promise<void> {
    // Concurrent lists share one sync.
    this.#syncing ??= this.#sync().finally(() => {
      this.#syncing = undefined;
    });
    await this.#syncing;
  }

  async #sync(): Promise<void> {
    const { status, catalog } = this.#local;
    if (status.kind !== 'index' || !status.isWritable) {
      // Codex's DB may have replaced the index.
      this.#watcher.close();
      return;
    }
    await catalog.refreshInSlices(MAX_REFRESH_AGE_MS);
    this.#watcher.follow(catalog.directories());
    // The OS drops events when too many come at once, and does not say so here.
    const isFullCheck = Date.now() - this.#fullCheckAt > FULL_CHECK_MS;
    const dirty = this.#watcher.takeDirty();
    if (dirty.size === 0 && this.#generation === catalog.generation && !isFullCheck) return;
    const { generation } = catalog;
    let isDone = false;
    try {
      isDone = await this.#compare(dirty, isFullCheck);
    } catch (error) {
      this.#warnBehind(error);
    }
    if (isDone) this.#generation = generation;
    if (isDone && isFullCheck) this.#fullCheckAt = Date.now();
    if (isDone) return;
    // Locked by another program, lost, or the disk is full: the next list tries again.
    this.#generation = -1;
    this.#watcher.giveBack(dirty);
  }

  /** Indexes a file that this process has just written to: a list then shows every write of this process. */
  async written(file: RolloutFile): Promise<void> {
    const { status } = this.#local;
    if (status.kind !== 'index' || !status.isWritable) return;
    try {
      await this.#index([file]);
    } catch (error) {
      this.#warnBehind(error);
    }
  }

  /** An index that cannot be written is only a warning: the files serve in its place. */
  #warnBehind(error: unknown): void {
    if (!(error instanceof ThreadkeeperError) && !(error instanceof StateDbLost)) throw error;
    this.#local.warn(`the index is behind the files for now (${error.message})`);
  }

  close(): void {
    this.#watcher.close();
  }

  /** False when the index cannot be read now. */
  async #compare(dirty: ReadonlySet<string>, isFullCheck: boolean): Promise<boolean> {
    const { catalog } = this.#local;
    const indexed = await this.#local.readRows((rows) => rows.indexed());
    if (!indexed) return false;
    const changed: RolloutFile[] = [];
    for (const threadId of catalog.threadIds()) {
      const [file] = catalog.filesFor(threadId);
      if (!file) continue;
      const known = indexed.get(threadId);
      const isDirty = isFullCheck || dirty.has(file.path) || dirty.has(path.dirname(file.path));
      const isMoved = known?.path !== file.path;
      if ((isMoved || isDirty) && !this.#isAsSeen(file, isMoved ? undefined : known)) changed.push(file);
    }
    const gone = [...indexed].filter(([id, { path: file }]) => !this.#hasFile(id as ThreadId, file)).map(([id]) => id);
    if (gone.length > 0) {
      await this.#local.writeRows((rows) => {
        for (const id of gone) rows.delete(id);
      });
    }
    for (let start = 0; start < changed.length; start += BATCH) await this.#index(changed.slice(start, start + BATCH));
    return true;
  }

  /** A file that is not named after its thread is found by its row alone. */
  #hasFile(threadId: ThreadId, file: string): boolean {
    return this.#local.catalog.filesFor(threadId).length > 0 || existsSync(file);
  }

  #isAsSeen(file: RolloutFile, known: Seen | undefined): boolean {
    const stat = statOf(file.path);
    if (!stat) return false;
    const seen = known ?? this.#skipped.get(file.path);
    return seen?.size === stat.size && seen.modifiedAt === stat.mtimeMs;
  }

  async #index(files: readonly RolloutFile[]): Promise<void> {
    const indexed: IndexedRollout[] = [];
    const withoutThread: RolloutFile[] = [];
    for (const file of files) {
      const stat = statOf(file.path);
      const found = await this.#indexer.read(file, { isGrowing: true });
      if (found) indexed.push(found);
      if (found?.threadId === file.threadId) {
        this.#skipped.delete(file.path);
        continue;
      }
      withoutThread.push(file);
      if (stat) this.#skipped.set(file.path, { size: stat.size, modifiedAt: stat.mtimeMs });
    }
    const { rows } = this.#local;
    if (!rows) return;
    await this.#local.writeRows((threads) => {
      // Deletes the row of a file that no longer holds its thread.
      for (const file of withoutThread)
        if (threads.get(file.threadId)?.rolloutPath === file.path) threads.delete(file.threadId);
      this.#indexer.write(rows.db, indexed);
    });
  }
}
