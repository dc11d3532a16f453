import { ThreadkeeperError, writeFailure } from '../protocol/errors.js';
import { strictJson } from '../protocol/json.js';
import type { ThreadMetadataPatch } from '../protocol/thread-patch.js';
import type { AgentGraphStore, SpawnEdge } from '../store/agent-graph-store.js';
import type { StoredThread, ThreadStore } from '../store/thread-store.js';
import { newRolloutFile } from '../stores/local/rollout/new-rollout.js';
import { RolloutDraft } from '../stores/local/rollout/rollout-draft.js';
import type { RolloutLibrary } from '../stores/local/rollout/rollout-library.js';
import { archivedPath } from '../stores/local/rollout/rollout-move.js';
import { NO_FOLDER, rolloutOfThread } from './rollout-of-thread.js';
import type { TransferOptions, TransferReport } from './transfer-report.js';
import { type TransferSource, transferThreads } from './transfer-threads.js';

/** Where they go: a home. */
export interface ExportTarget {
  readonly library: RolloutLibrary;
  readonly store: ThreadStore;
  readonly graph: AgentGraphStore;
  /** Has Codex a state DB there? Then that gets what rollouts do not tell. */
  readonly hasRows: boolean;
}

/**
 * Writes all threads of a store into a home, each as one rollout that holds it whole, with its name, where it belongs.
 * A rollout has its name when it is whole, so that it can be stopped and run again at any time; a thread that the home
 * has is left alone, whatever it is like. A thread that cannot be read is reported, and the others go on; when the home
 * cannot be written, it throws.
 */
export async function exportThreads(
  source: TransferSource,
  target: ExportTarget,
  options: TransferOptions,
): Promise<TransferReport> {
  if (target.library.home.exists) target.library.catalog.refresh();
  const { report } = await transferThreads(source, options, async (thread, edge, into) => {
    await new ThreadExport(source, target, into, thread, edge).run(options.dryRun);
  });
  return report;
}

class ThreadExport {
  readonly #noted = new Set<string>();

  constructor(
    private readonly source: TransferSource,
    private readonly target: ExportTarget,
    private readonly report: TransferReport,
    private readonly thread: StoredThread,
    private readonly edge: SpawnEdge | undefined,
  ) {}

  async run(dryRun: boolean): Promise<void> {
    const { threadId } = this.thread;
    if (this.target.library.catalog.filesOf(threadId).length > 0) {
      this.report.leftAlone += 1;
      return;
    }
    if (!dryRun && !(await this.#write())) return;
    this.report.added += 1;
    if (this.thread.cwd === undefined) this.#note(`it has no folder, and was given ${NO_FOLDER}: Codex needs one`);
    if (this.target.hasRows) await (dryRun ? undefined : this.#writeRow());
    else if (this.edge?.status === 'closed') this.#note('that it was closed by its parent is kept in Codex’s DB alone');
    if (this.edge) this.report.edges += 1;
  }

  /** The name first, then the file: when the file is there nothing is missing. False when the thread cannot be read. */
  async #write(): Promise<boolean> {
    const { threadId, name, createdAt, updatedAt, isArchived } = this.thread;
    const { home, names, catalog } = this.target.library;
    const active = newRolloutFile(home, threadId, new Date(createdAt));
    const file = isArchived ? archivedPath(home, active) : active.path;
    try {
      home.assertInside(file);
      if (name !== undefined && names.nameOf(threadId) !== name)
        await names.locked(async (append) => append(threadId, name));
      const draft = new RolloutDraft(file);
      try {
        if (!(await this.#writeLines(draft))) return false;
        draft.finish(updatedAt);
      } finally {
        draft.close();
      }
      catalog.made({ ...active, path: file, isArchived });
      return true;
    } catch (error) {
      throw writeFailure('writing to the home', error);
    }
  }

  async #writeLines(draft: RolloutDraft): Promise<boolean> {
    const { threadId } = this.thread;
    const warn = (problem: string) => this.#note(problem);
    const lines = rolloutOfThread(this.thread, () => this.source.store.loadHistory(threadId, warn))[
      Symbol.asyncIterator
    ]();
    for (;;) {
      let next: Awaited<ReturnType<typeof lines.next>>;
      try {
        next = await lines.next();
      } catch (error) {
        // Gone meanwhile, or too large; a store that fails altogether fails for all.
        if (!(error instanceof ThreadkeeperError) || error.code === 'internal') throw error;
        this.report.failed.push({ threadId, problem: error.message });
        return false;
      }
      if (next.done) return true;
      draft.write(Buffer.from(`${strictJson(next.value)}\n`));
      this.report.items += 1;
    }
  }

  /** What the rollout does not tell, Codex keeps in its DB. Without it the thread is there all the same. */
  async #writeRow(): Promise<void> {
    try {
      await this.target.store.updateThreadMetadata(this.thread.threadId, patchOf(this.thread));
      if (this.edge) await this.target.graph.upsertSpawnEdge(this.edge);
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      this.#note(`its row was not written (${error.message}): Codex makes one from the file`);
    }
  }

  /** Once each: the history is read twice. */
  #note(problem: string): void {
    if (this.#noted.has(problem)) return;
    this.#noted.add(problem);
    this.report.notes.push({ threadId: this.thread.threadId, problem });
  }
}

/** All that is to be set on a thread that was just written, so that it is as it was. */
function patchOf(thread: StoredThread): ThreadMetadataPatch {
  const { git, memoryMode } = thread;
  return {
    name: thread.name,
    gitInfo: { sha: git.sha ?? null, branch: git.branch ?? null, originUrl: git.originUrl ?? null },
    memoryMode: memoryMode === 'enabled' || memoryMode === 'disabled' ? memoryMode : undefined,
    title: thread.title,
    preview: thread.preview,
    firstUserMessage: thread.firstUserMessage,
    modelProvider: thread.modelProvider,
    model: thread.model,
    reasoningEffort: thread.reasoningEffort,
    createdAt: thread.createdAt,
    updatedAt: thread.updatedAt,
    advanceRecencyAt: thread.recencyAt,
    threadSource: thread.threadSource,
    agentNickname: thread.agentNickname,
    agentRole: thread.agentRole,
    agentPath: thread.agentPath,
    cwd: thread.cwd,
    cliVersion: thread.cliVersion,
    approvalMode: thread.approvalMode,
    permissionProfile: thread.permissionProfile,
    tokensUsed: thread.tokensUsed,
  };
}
