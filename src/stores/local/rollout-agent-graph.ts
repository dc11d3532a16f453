import { unsupported } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import { TimeSlice } from '../../protocol/time-slice.js';
import type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from '../../store/agent-graph-store.js';
import { edgesByParent, findChildren, findDescendants } from '../../store/spawn-tree.js';
import type { RolloutLibrary } from './rollout/rollout-library.js';

/**
 * Edges derived from the rollouts: the source of a spawned agent names its parent. Threads that Codex makes for reviews or
 * for its guardian name one too, but are no spawned agents. All edges are open, as nothing in a rollout says that one was
 * closed.
 */
export class RolloutAgentGraph implements AgentGraphStore {
  readonly #library: RolloutLibrary;
  #known: { population: number; edges: readonly SpawnEdge[] } | undefined;

  constructor(library: RolloutLibrary) {
    this.#library = library;
  }

  /** Stores nothing. Throws `unsupported` for an edge that the child's rollout does not name. */
  async upsertSpawnEdge({ parentThreadId, childThreadId, status }: SpawnEdge): Promise<void> {
    this.#library.catalog.refresh();
    const edge = await this.#edgeTo(childThreadId);
    const isTold = edge !== undefined && edge !== 'unknown yet' && edge.parentThreadId === parentThreadId;
    if (!isTold || status !== 'open') throw cannotKeep();
  }

  async setSpawnEdgeStatus(): Promise<void> {
    throw cannotKeep();
  }

  async listChildren(parentThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<ThreadId[]> {
    return findChildren(edgesByParent(await this.edges()), parentThreadId, status);
  }

  async listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]> {
    return findDescendants(edgesByParent(await this.edges()), rootThreadId, status);
  }

  /** Changes when a thread's rollout comes or goes; a look at the files younger than `maxAgeMs` is good enough. */
  async population(maxAgeMs: number): Promise<number> {
    await this.#library.catalog.refreshInSlices(maxAgeMs);
    return this.#library.catalog.population;
  }

  /** The edges of all rollouts, or of those whose thread is not in `excludedIds`. */
  async edges(excludedIds?: ReadonlySet<string>): Promise<readonly SpawnEdge[]> {
    const { catalog } = this.#library;
    if (!excludedIds) await catalog.refreshInSlices(0);
    if (!excludedIds && this.#known?.population === catalog.population) return this.#known.edges;
    // A thread that comes while files are read is not among these.
    const { population } = catalog;
    const edges: SpawnEdge[] = [];
    let isComplete = true;
    const slice = new TimeSlice();
    for (const threadId of [...catalog.threadIds()]) {
      await slice.yield();
      if (excludedIds?.has(threadId)) continue;
      const edge = await this.#edgeTo(threadId);
      if (edge === 'unknown yet') isComplete = false;
      else if (edge) edges.push(edge);
    }
    if (!excludedIds && isComplete) this.#known = { population, edges };
    return edges;
  }

  /** A file that has no first line yet, or cannot be read now, may tell its parent later. */
  async #edgeTo(threadId: ThreadId): Promise<SpawnEdge | 'unknown yet' | undefined> {
    const [file] = this.#library.catalog.filesFor(threadId);
    if (!file) return undefined;
    const summary = await this.#library.summaries.head(file).catch(() => undefined);
    const meta = summary?.metadata.meta;
    if (!meta) return 'unknown yet';
    const parentThreadId = meta.source.spawn?.parentThreadId;
    return parentThreadId && { parentThreadId, childThreadId: meta.id, status: 'open' };
  }
}

const cannotKeep = () =>
  unsupported(
    'spawn edges cannot be kept without a state DB',
    'Nothing was changed. Start Codex once: it makes the DB.',
  );
