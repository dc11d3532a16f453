import { createHash } from 'node:crypto';
import pMap from 'p-map';
import { internalError, StoreUnreachable, systemErrorCode, ThreadkeeperError } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { AgentGraphStore, SpawnEdge } from '../store/agent-graph-store.js';
import type { ImportedThread, ThreadImporter } from '../store/thread-importer.js';
import type { StoredThread, ThreadReader } from '../store/thread-store.js';
import { allThreads, countThreads } from './all-threads.js';
import { type CopyReport, emptyReport } from './report.js';

/** Where threads come from. */
export interface CopySource {
  readonly reader: ThreadReader;
  readonly graph: AgentGraphStore;
}

export interface CopyOptions {
  /** Changes nothing, and reports what would be done. */
  readonly dryRun: boolean;
  readonly onProgress: (done: number, total: number) => void;
}

/** So many threads are copied at once. */
const CONCURRENCY = 4;

/**
 * Copies all threads of a store into another: metadata, history, archived state, and who spawned whom. Each thread is
 * there whole or not at all, so a copy can be stopped and run again at any time. A thread that cannot be read is
 * reported, and the others follow. Throws when the target can take no thread, or the source cannot be reached.
 */
export async function copyThreads(
  { reader, graph }: CopySource,
  importer: ThreadImporter,
  { dryRun, onProgress }: CopyOptions,
): Promise<CopyReport> {
  const report = emptyReport();
  const { total, warnings } = await countThreads(reader);
  report.total = total;
  report.warnings.push(...warnings);
  const edges = await spawnEdges(reader, graph);
  let done = 0;
  onProgress(done, total);
  await pMap(
    allThreads(reader),
    async (thread) => {
      const edge = edges.get(thread.threadId);
      edges.delete(thread.threadId);
      await copyThread(new ReadThread(reader, thread, edge), importer, { report, dryRun });
      done += 1;
      onProgress(done, Math.max(done, total));
    },
    { concurrency: CONCURRENCY },
  );
  for (const edge of edges.values()) if (await importer.addEdge(edge, { dryRun })) report.edges += 1;
  return report;
}

interface CopyContext {
  readonly report: CopyReport;
  readonly dryRun: boolean;
}

async function copyThread(source: ReadThread, importer: ThreadImporter, context: CopyContext): Promise<void> {
  const { report, dryRun } = context;
  const { threadId } = source.thread;
  const notes = new Set<string>();
  try {
    const outcome = await importer.add(source, { dryRun });
    report[COUNTER_OF[outcome.state]] += 1;
    report.items += outcome.items;
    if (source.edge && (outcome.state === 'new' || outcome.state === 'outdated')) report.edges += 1;
    for (const note of [...source.problems, ...outcome.notes]) notes.add(note);
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    const isFatal = error === source.failure ? error instanceof StoreUnreachable : importer.isFatal(error);
    if (isFatal) throw error;
    report.failed.push({ threadId, problem: error.message });
    for (const note of source.problems) notes.add(note);
  }
  for (const problem of notes) report.notes.push({ threadId, problem });
}

const COUNTER_OF = { new: 'added', outdated: 'updated', unchanged: 'unchanged', changedHere: 'leftAlone' } as const;

/** The fields in the order that versions were made with: another order would copy every thread again. Append only. */
const VERSION_ORDER = [
  'threadId, sessionId, name, preview, title, firstUserMessage, cwd, source, threadSource, modelProvider, model',
  'reasoningEffort, git, createdAt, updatedAt, recencyAt, isArchived, archivedAt, parentThreadId, agentNickname',
  'agentRole, agentPath, agentDepth, forkedFromId, tokensUsed, memoryMode, historyMode, cliVersion, approvalMode',
  'permissionProfile',
].flatMap((line) => line.split(', '));

function inVersionOrder(thread: StoredThread): object {
  const fields: Record<string, unknown> = { ...thread };
  const later = Object.keys(fields).filter((name) => !VERSION_ORDER.includes(name));
  return Object.fromEntries([...VERSION_ORDER, ...later.sort()].map((name) => [name, fields[name]]));
}

/** A thread as its store gives it. It remembers whether reading it failed, which is no failure of the target. */
class ReadThread implements ImportedThread {
  failure: ThreadkeeperError | undefined;
  /** What of the history is missing or cannot be read; each problem once, though the history may be read twice. */
  readonly problems = new Set<string>();

  constructor(
    private readonly reader: ThreadReader,
    readonly thread: StoredThread,
    readonly edge: SpawnEdge | undefined,
  ) {}

  async version(): Promise<string> {
    const history = await this.#reading(() => this.reader.historyVersion(this.thread.threadId));
    return createHash('sha256')
      .update(JSON.stringify([inVersionOrder(this.thread), history, this.edge]))
      .digest('base64url');
  }

  async *lines(): AsyncGenerator<RolloutLine> {
    const warn = (problem: string) => this.problems.add(problem);
    const lines = this.reader.loadHistory(this.thread.threadId, warn)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#reading(() => lines.next());
      if (next.done) return;
      yield next.value;
    }
  }

  async #reading<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      this.failure =
        error instanceof ThreadkeeperError
          ? error
          : internalError(`its history cannot be read (${systemErrorCode(error) ?? error})`, 'See doctor.', error);
      throw this.failure;
    }
  }
}

/** All edges from threads of the store and from the parents that they name, by child. The child may be gone. */
async function spawnEdges(reader: ThreadReader, graph: AgentGraphStore): Promise<Map<ThreadId, SpawnEdge>> {
  const parents = new Set<ThreadId>();
  for await (const { threadId, parentThreadId } of allThreads(reader)) {
    parents.add(threadId);
    if (parentThreadId !== undefined) parents.add(parentThreadId);
  }
  const edges = new Map<ThreadId, SpawnEdge>();
  // The set grows while the loop runs: each parent is asked once, found ones included.
  for (const parentThreadId of parents) {
    for (const status of ['open', 'closed'] as const) {
      for (const childThreadId of await graph.listChildren(parentThreadId, status)) {
        edges.set(childThreadId, { parentThreadId, childThreadId, status });
        parents.add(childThreadId);
      }
    }
  }
  return edges;
}
