import { ThreadkeeperError, writeFailure } from '../../protocol/errors.js';
import { strictJson } from '../../protocol/json.js';
import type { AgentGraphStore } from '../../store/agent-graph-store.js';
import { patchFromThread } from '../../store/patched-thread.js';
import type { ImportedThread, ImportOutcome, ThreadImporter } from '../../store/thread-importer.js';
import type { ThreadStore } from '../../store/thread-store.js';
import { newRolloutFile } from './rollout/new-rollout.js';
import { RolloutDraft } from './rollout/rollout-draft.js';
import type { RolloutLibrary } from './rollout/rollout-library.js';
import { archivedPath } from './rollout/rollout-move.js';
import type { StateDbHandle } from './state-db/state-db-handle.js';
import { NO_CWD, threadRollout } from './thread-rollout.js';

export interface LocalImporterOptions {
  readonly library: RolloutLibrary;
  readonly stateDb: StateDbHandle;
  /** The store and the graph of the same home. */
  readonly store: ThreadStore;
  readonly graph: AgentGraphStore;
}

/**
 * Takes threads over into a home: each as one rollout that holds it whole, with its name, in the directory where it
 * belongs. A rollout gets its name when it is complete. A thread that the home has is left alone, whatever it is like.
 */
export class LocalImporter implements ThreadImporter {
  readonly #options: LocalImporterOptions;
  #isCatalogRead = false;

  constructor(options: LocalImporterOptions) {
    this.#options = options;
  }

  async add(imported: ImportedThread, { dryRun }: { readonly dryRun: boolean }): Promise<ImportOutcome> {
    const { thread, edge } = imported;
    if (this.#has(thread.threadId)) return { state: 'changedHere', items: 0, notes: [] };
    const items = dryRun ? 0 : await this.#writeRollout(imported);
    const notes: string[] = [];
    if (thread.cwd === undefined) notes.push(`it has no cwd, and was given ${NO_CWD}: Codex needs one`);
    if (this.#options.stateDb.status.kind === 'codex') {
      if (!dryRun) notes.push(...(await this.#writeRow(imported)));
    } else if (edge?.status === 'closed') {
      notes.push('its parent has closed it, which only Codex’s state DB can store');
    }
    return { state: 'new', items, notes };
  }

  /** Each thread is a new file, so what keeps one from being written keeps all. */
  isFatal(): boolean {
    return true;
  }

  async addEdge(): Promise<boolean> {
    return false;
  }

  #has(threadId: ImportedThread['thread']['threadId']): boolean {
    const { home, catalog } = this.#options.library;
    if (!this.#isCatalogRead && home.exists) catalog.refresh();
    this.#isCatalogRead = true;
    return catalog.filesFor(threadId).length > 0;
  }

  /** Writes the name, then the file: once the file exists nothing is missing. Returns how many lines it wrote. */
  async #writeRollout(imported: ImportedThread): Promise<number> {
    const { thread } = imported;
    const { threadId, name, createdAt, updatedAt, isArchived } = thread;
    const { home, names, catalog } = this.#options.library;
    const active = newRolloutFile(home, threadId, new Date(createdAt));
    const file = isArchived ? archivedPath(home, active) : active.path;
    try {
      home.assertInside(file);
      if (name !== undefined && names.nameFor(threadId) !== name)
        await names.locked(async (append) => append(threadId, name));
      const draft = new RolloutDraft(file);
      let count = 0;
      try {
        for await (const line of threadRollout(thread, () => imported.lines())) {
          draft.write(Buffer.from(`${strictJson(line)}\n`));
          count += 1;
        }
        draft.finish(updatedAt);
      } finally {
        draft.close();
      }
      catalog.made({ ...active, path: file, isArchived });
      return count;
    } catch (error) {
      throw writeFailure('writing to the home', error);
    }
  }

  /** Writes into Codex's DB what a rollout cannot store. The thread is complete without it. Returns what failed. */
  async #writeRow({ thread, edge }: ImportedThread): Promise<string[]> {
    try {
      await this.#options.store.updateThreadMetadata(thread.threadId, patchFromThread(thread));
      if (edge) await this.#options.graph.upsertSpawnEdge(edge);
      return [];
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      return [`its row was not written (${error.message}): Codex makes one from the file`];
    }
  }
}
