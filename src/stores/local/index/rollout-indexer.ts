import type { ThreadId } from '../../../protocol/ids.js';
import { PreviewReader } from '../preview-reader.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutLibrary } from '../rollout/rollout-library.js';
import { isNoThread } from '../rollout/rollout-metadata.js';
import { SpawnEdgeRows } from '../state-db/spawn-edge-rows.js';
import type { StateDb } from '../state-db/state-db.js';
import { type RowChanges, ThreadRows } from '../state-db/thread-rows.js';
import { rowFromRollout } from './rollout-row.js';

/** What our index holds of one rollout. */
export interface IndexedRollout {
  readonly row: RowChanges;
  readonly threadId: ThreadId;
  readonly parentThreadId: ThreadId | undefined;
}

/** Reads rollouts and writes their rows into the index. Never into Codex's DB. */
export class RolloutIndexer {
  readonly #library: RolloutLibrary;
  readonly #previews: PreviewReader;

  constructor(library: RolloutLibrary) {
    this.#library = library;
    this.#previews = new PreviewReader(library);
  }

  /**
   * The row of a file; undefined when the file holds no thread or cannot be read. What was read of a growing file is
   * kept, so that the next time only the rest is.
   */
  async read(file: RolloutFile, { isGrowing = false } = {}): Promise<IndexedRollout | undefined> {
    try {
      const { summaries } = this.#library;
      const summary = isGrowing ? await summaries.full(file) : await summaries.once(file);
      if (isNoThread(summary.metadata)) return undefined;
      const { meta } = summary.metadata;
      const threadId = meta?.id ?? file.threadId;
      // A copy under another thread's name does not take the row of the thread that it is a copy of.
      if (threadId !== file.threadId && this.#library.catalog.filesFor(threadId).length > 0) return undefined;
      const preview = meta?.historyBase ? await this.#previews.readPreview(file) : summary.metadata.displayPreview;
      const row = {
        ...rowFromRollout({ threadId, file, meta }, summary),
        preview,
        name: null,
        // Nothing in a file says when it was archived.
        archived_at: null,
        rollout_size: summary.size,
        rollout_mtime_ms: summary.modifiedAt,
      };
      return { row, threadId, parentThreadId: meta?.source.spawn?.parentThreadId };
    } catch {
      return undefined;
    }
  }

  /** Writes rows in the caller's transaction. */
  write(db: StateDb, indexed: readonly IndexedRollout[]): void {
    const rows = new ThreadRows(db);
    const edges = new SpawnEdgeRows(db);
    for (const { row, threadId, parentThreadId } of indexed) {
      rows.replace(row);
      edges.setParent(threadId, parentThreadId);
    }
  }
}
