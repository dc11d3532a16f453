import type { AgentGraphStore } from '../agent-graph/agent-graph-store.js';
import { internalError, ThreadkeeperError } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { ThreadMetadataPatch } from '../protocol/thread-patch.js';
import type {
  ListThreadsParams,
  ListTurnsParams,
  MetadataUpdate,
  StoreCapabilities,
  StoredThread,
  ThreadFamily,
  ThreadFilter,
  ThreadPage,
  ThreadStore,
  TurnPage,
} from '../thread-store/thread-store.js';

/** Which relatives of a thread to list. */
export interface FamilyQuery {
  readonly relation: ThreadFamily['relation'];
  readonly threadId: ThreadId;
}

export interface ThreadQuery extends Omit<ListThreadsParams, 'filter'> {
  readonly filter: Omit<ThreadFilter, 'within'>;
  readonly family?: FamilyQuery | undefined;
}

export interface TreeMoveOptions {
  readonly includeDescendants: boolean;
  /** Tells what would happen, and changes nothing. */
  readonly dryRun: boolean;
}

/** What became of each thread of a tree, in the order in which they were taken. */
export interface TreeMove {
  readonly moved: readonly ThreadId[];
  readonly skipped: readonly { readonly threadId: ThreadId; readonly reason: string }[];
  readonly failed: readonly { readonly threadId: ThreadId; readonly error: ThreadkeeperError }[];
}

export interface ThreadManagerParts {
  readonly store: ThreadStore;
  readonly graph: AgentGraphStore;
}

/** The one entry to threads for everything above: it knows the store and the graph, and neither knows the other. */
export class ThreadManager {
  readonly #store: ThreadStore;
  readonly #graph: AgentGraphStore;

  constructor({ store, graph }: ThreadManagerParts) {
    this.#store = store;
    this.#graph = graph;
  }

  get capabilities(): StoreCapabilities {
    return this.#store.capabilities;
  }

  /** Throws `thread_not_found`. */
  async readThread(threadId: ThreadId): Promise<StoredThread> {
    return await this.#store.readThread(threadId);
  }

  /** Throws `invalid_request`, and `thread_not_found` for relatives of a thread that is in neither store nor graph. */
  async listThreads({ family, ...params }: ThreadQuery): Promise<ThreadPage> {
    const within = family && (await this.#family(family));
    return await this.#store.listThreads({ ...params, filter: { ...params.filter, within } });
  }

  /** Throws `thread_not_found`, and `invalid_request` for a bad or stale cursor. */
  async listTurns(params: ListTurnsParams): Promise<TurnPage> {
    return await this.#store.listTurns(params);
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    return await this.#store.findThreadsByName(name, limit);
  }

  /** All of the patch or nothing; errors as the store's. */
  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    return await this.#store.updateThreadMetadata(threadId, patch);
  }

  /**
   * Archives a thread and, after it, all that it spawned, deepest first. When the root cannot be archived the call
   * fails and nothing has moved; a descendant that cannot be is told in the result, and the others go on.
   */
  async archiveThread(threadId: ThreadId, options: TreeMoveOptions): Promise<TreeMove> {
    const descendants = options.includeDescendants ? await this.#graph.listDescendants(threadId) : [];
    const deepestFirst = descendants.map((descendant) => descendant.threadId).reverse();
    const archive = (id: ThreadId) => this.#store.archiveThread(id, { dryRun: options.dryRun });
    return await moveTree([threadId, ...deepestFirst], archive, 'already archived');
  }

  /** Brings a thread and all that it spawned back, parents before their children. Fails as archiveThread does. */
  async unarchiveThread(threadId: ThreadId, options: TreeMoveOptions): Promise<TreeMove> {
    const descendants = options.includeDescendants ? await this.#graph.listDescendants(threadId) : [];
    const parentsFirst = descendants.map((descendant) => descendant.threadId);
    const unarchive = (id: ThreadId) => this.#store.unarchiveThread(id, { dryRun: options.dryRun });
    return await moveTree([threadId, ...parentsFirst], unarchive, 'not archived');
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #family({ relation, threadId }: FamilyQuery): Promise<ThreadFamily> {
    const members =
      relation === 'childrenOf'
        ? await this.#graph.listChildren(threadId)
        : (await this.#graph.listDescendants(threadId)).map((descendant) => descendant.threadId);
    // No relatives is an answer only for a thread that is there.
    if (members.length === 0) await this.#store.readThread(threadId);
    return { relation, threadId, members };
  }
}

async function moveTree(
  [root, ...rest]: readonly [ThreadId, ...ThreadId[]],
  move: (threadId: ThreadId) => Promise<boolean>,
  skipReason: string,
): Promise<TreeMove> {
  const moved: ThreadId[] = [];
  const skipped: { threadId: ThreadId; reason: string }[] = [];
  const failed: { threadId: ThreadId; error: ThreadkeeperError }[] = [];
  const take = async (threadId: ThreadId) => {
    if (await move(threadId)) moved.push(threadId);
    else skipped.push({ threadId, reason: skipReason });
  };
  await take(root);
  for (const threadId of rest) {
    try {
      await take(threadId);
    } catch (error) {
      const known =
        error instanceof ThreadkeeperError ? error : internalError('the move failed', 'See the server log.', error);
      // An edge can outlive its thread.
      if (known.code === 'thread_not_found') skipped.push({ threadId, reason: 'its thread is no longer there' });
      else failed.push({ threadId, error: known });
    }
  }
  return { moved, skipped, failed };
}
