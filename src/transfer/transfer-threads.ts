import pMap from 'p-map';
import type { ThreadId } from '../protocol/ids.js';
import type { AgentGraphStore, SpawnEdge } from '../store/agent-graph-store.js';
import type { StoredThread, ThreadStore } from '../store/thread-store.js';
import { allThreads, countThreads } from './all-threads.js';
import { spawnEdges } from './spawn-edges.js';
import { emptyReport, type TransferOptions, type TransferReport } from './transfer-report.js';

/** Where threads come from. */
export interface TransferSource {
  readonly store: ThreadStore;
  readonly graph: AgentGraphStore;
}

/** Copies one thread, and the edge to it if it was spawned; writes into the report what became of it. */
export type TransferThread = (
  thread: StoredThread,
  edge: SpawnEdge | undefined,
  report: TransferReport,
) => Promise<void>;

/** As many threads at once. */
const AT_ONCE = 4;

/** Copies each thread of a store. `orphans` are edges whose child is none of them. */
export async function transferThreads(
  { store, graph }: TransferSource,
  { onProgress }: TransferOptions,
  transfer: TransferThread,
): Promise<{ report: TransferReport; orphans: readonly SpawnEdge[] }> {
  const report = emptyReport();
  const { total, warnings } = await countThreads(store);
  report.total = total;
  report.warnings.push(...warnings);
  const edges = await spawnEdges(graph, await idsAndParents(store));
  let done = 0;
  onProgress(done, total);
  await pMap(
    allThreads(store),
    async (thread) => {
      const edge = edges.get(thread.threadId);
      edges.delete(thread.threadId);
      await transfer(thread, edge, report);
      done += 1;
      onProgress(done, Math.max(done, total));
    },
    { concurrency: AT_ONCE },
  );
  return { report, orphans: [...edges.values()] };
}

/** Threads, and the parents that they name, which may be gone. */
async function idsAndParents(store: ThreadStore): Promise<Set<ThreadId>> {
  const ids = new Set<ThreadId>();
  for await (const { threadId, parentThreadId } of allThreads(store)) {
    ids.add(threadId);
    if (parentThreadId !== undefined) ids.add(parentThreadId);
  }
  return ids;
}
