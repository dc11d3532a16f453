import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { ThreadkeeperError } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutFile } from '../../rollout/rollout-catalog.js';
import { RolloutWatcher } from '../../rollout/rollout-watcher.js';
import type { LocalHome } from './local-home.js';
import { type IndexedRollout, RolloutIndexer } from './rollout-indexer.js';

/** A look at the files younger than this is good enough. */
const LOOK_MS = 500;
const BATCH = 100;

interface Seen {
  readonly size: number;
  readonly modifiedAt: number;
}

/**
 * Keeps our own state DB true to the files after its backfill: rollouts that appear, grow, move or vanish behind our
 * back are indexed again before the next list. Which ones were written to the OS tells, so that no call walks them all.
 */
export class OwnIndex {
  readonly #local: LocalHome;
  readonly #indexer: RolloutIndexer;
  readonly #watcher = new RolloutWatcher();
  /** Files that gave no row of their name, as they were then: not to be read again until they change. */
  readonly #passedOver = new Map<string, Seen>();
  #generation = -1;

  constructor(local: LocalHome) {
    this.#local = local;
    this.#indexer = new RolloutIndexer(local);
  }

  /** Brings the rows in line with the files. Does nothing where the rows are Codex's, or may not be written. */
  async sync(): Promise<void> {
    const { rows, catalog, indexesFiles } = this.#local;
    if (!rows || !indexesFiles || rows.db.readOnly) return;
    catalog.refresh(LOOK_MS);
    this.#watcher.follow(catalog.folders());
    const dirty = this.#watcher.takeDirty();
    if (dirty.size === 0 && this.#generation === catalog.generation) return;
    const { generation } = catalog;
    try {
      await this.#compare(dirty);
      this.#generation = generation;
    } catch (error) {
      // What could not be indexed now is listed from its file, and indexed later.
      if (!(error instanceof ThreadkeeperError)) throw error;
      this.#generation = -1;
    }
  }

  close(): void {
    this.#watcher.close();
  }

  async #compare(dirty: ReadonlySet<string>): Promise<void> {
    const { catalog } = this.#local;
    const indexed = await this.#local.readRows((rows) => rows.indexed());
    if (!indexed) return;
    const changed: RolloutFile[] = [];
    for (const threadId of catalog.threadIds()) {
      const [file] = catalog.filesOf(threadId);
      if (!file) continue;
      const known = indexed.get(threadId);
      const isDirty = dirty.has(file.path) || dirty.has(path.dirname(file.path));
      const isMoved = known?.path !== file.path;
      if ((isMoved || isDirty) && !this.#isAsSeen(file, isMoved ? undefined : known)) changed.push(file);
    }
    const gone = [...indexed].filter(([id, { path: file }]) => !this.#isThere(id as ThreadId, file)).map(([id]) => id);
    if (gone.length > 0) {
      await this.#local.writeRows((rows) => {
        for (const id of gone) rows.delete(id);
      });
    }
    for (let start = 0; start < changed.length; start += BATCH) await this.#index(changed.slice(start, start + BATCH));
  }

  /** A file that is not named after its thread is found by its row alone. */
  #isThere(threadId: ThreadId, file: string): boolean {
    return this.#local.catalog.filesOf(threadId).length > 0 || existsSync(file);
  }

  #isAsSeen(file: RolloutFile, known: Seen | undefined): boolean {
    const stat = statSync(file.path, { throwIfNoEntry: false });
    if (!stat) return true;
    const seen = known ?? this.#passedOver.get(file.path);
    return seen?.size === stat.size && seen.modifiedAt === stat.mtimeMs;
  }

  async #index(files: readonly RolloutFile[]): Promise<void> {
    const indexed: IndexedRollout[] = [];
    for (const file of files) {
      const stat = statSync(file.path, { throwIfNoEntry: false });
      const found = await this.#indexer.read(file);
      if (found) indexed.push(found);
      if (found?.threadId === file.threadId) this.#passedOver.delete(file.path);
      else if (stat) this.#passedOver.set(file.path, { size: stat.size, modifiedAt: stat.mtimeMs });
    }
    const { rows } = this.#local;
    if (rows && indexed.length > 0) await this.#local.writeRows(() => this.#indexer.write(rows.db, indexed));
  }
}
