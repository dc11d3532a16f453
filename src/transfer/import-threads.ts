import { createHash } from 'node:crypto';
import { internalError, systemErrorCode, ThreadkeeperError } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { AgentGraphStore, SpawnEdge } from '../store/agent-graph-store.js';
import type { StoredThread, ThreadStore } from '../store/thread-store.js';
import type { ImportedThread, ImportOutcome, ImportState } from '../stores/postgres/importer.js';
import type { TransferOptions, TransferReport } from './transfer-report.js';
import { type TransferSource, transferThreads } from './transfer-threads.js';

/** Where threads are taken from: a home. */
export interface ImportSource extends TransferSource {
  readonly store: ThreadStore & { historyVersion(threadId: ThreadId): Promise<string> };
}

/** Where they go: a database. */
export interface ImportTarget {
  readonly importer: {
    stateOf(threadId: ThreadId, mark: string): Promise<ImportState>;
    add(thread: ImportedThread): Promise<ImportOutcome>;
  };
  readonly graph: AgentGraphStore;
}

/**
 * Copies all threads of a home: metadata, history, archived state, and who spawned whom. Each thread is there whole or
 * not at all, so that it can be stopped and run again at any time: what is there unchanged is not copied again, what
 * was changed where it went is left alone. A thread that cannot be read is reported, and the others go on; when the
 * target cannot take any, it throws.
 */
export async function importThreads(
  source: ImportSource,
  target: ImportTarget,
  options: TransferOptions,
): Promise<TransferReport> {
  const { report, orphans } = await transferThreads(source, options, async (thread, edge, into) => {
    await new ThreadImport(source, target, into, thread, edge).run(options.dryRun);
  });
  for (const edge of orphans) {
    if (!options.dryRun) await target.graph.upsertSpawnEdge(edge);
    report.edges += 1;
  }
  return report;
}

class ThreadImport {
  /** What kept the history from being read, as opposed to being written. */
  #unreadable: ThreadkeeperError | undefined;
  readonly #notes = new Set<string>();

  constructor(
    private readonly source: ImportSource,
    private readonly target: ImportTarget,
    private readonly report: TransferReport,
    private readonly thread: StoredThread,
    private readonly edge: SpawnEdge | undefined,
  ) {}

  async run(dryRun: boolean): Promise<void> {
    const { threadId } = this.thread;
    try {
      const mark = await this.#reading(() => this.#mark());
      const state = await this.target.importer.stateOf(threadId, mark);
      if (dryRun || state === 'unchanged' || state === 'changedHere') this.#count(state);
      else await this.#copy(mark);
    } catch (error) {
      if (!(error instanceof ThreadkeeperError) || this.#concernsAll(error)) throw error;
      this.report.failed.push({ threadId, problem: error.message });
    }
    for (const problem of this.#notes) this.report.notes.push({ threadId, problem });
  }

  async #copy(mark: string): Promise<void> {
    // First, as its thread being there means that all of it is; an edge may name a thread that is not there yet.
    if (this.edge) await this.target.graph.upsertSpawnEdge(this.edge);
    const { state, items, leftOut } = await this.target.importer.add({
      thread: this.thread,
      mark,
      lines: () => this.#lines(),
    });
    if (leftOut > 0) this.#notes.add(`${leftOut} items are too large or too deep for the database and were left out`);
    this.report.items += items;
    this.#count(state);
  }

  /** Another one when the thread changes: its metadata, its history, or who spawned it. */
  async #mark(): Promise<string> {
    const version = await this.source.store.historyVersion(this.thread.threadId);
    return createHash('sha256')
      .update(JSON.stringify([this.thread, version, this.edge]))
      .digest('base64url');
  }

  async *#lines(): AsyncGenerator<RolloutLine> {
    const warn = (problem: string) => this.#notes.add(problem);
    const lines = this.source.store.loadHistory(this.thread.threadId, warn)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#reading(() => lines.next());
      if (next.done) return;
      yield next.value;
    }
  }

  async #reading<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      this.#unreadable =
        error instanceof ThreadkeeperError
          ? error
          : internalError(`its history cannot be read (${systemErrorCode(error) ?? error})`, 'See doctor.', error);
      throw this.#unreadable;
    }
  }

  /** A database that cannot take this thread now takes no other. */
  #concernsAll(error: ThreadkeeperError): boolean {
    return error !== this.#unreadable && ['internal', 'read_only', 'unsupported'].includes(error.code);
  }

  #count(state: ImportState): void {
    if (state === 'new') this.report.added += 1;
    else if (state === 'outdated') this.report.updated += 1;
    else if (state === 'unchanged') this.report.unchanged += 1;
    else this.report.leftAlone += 1;
    if (this.edge && (state === 'new' || state === 'outdated')) this.report.edges += 1;
  }
}
