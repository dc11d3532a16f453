import { ThreadkeeperError, unsupported } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { TimeSlice } from '../protocol/time-slice.js';
import type { AgentGraphStore } from '../store/agent-graph-store.js';
import { KeyedQueue } from '../store/keyed-queue.js';
import { serialized } from '../store/serialized.js';
import type { ThreadMetadataPatch } from '../store/thread-patch.js';
import type {
  ListThreadsParams,
  ListTurnsParams,
  MetadataUpdate,
  StoreCapabilities,
  StoredThread,
  ThreadFamily,
  ThreadFilter,
  ThreadPage,
  ThreadReader,
  ThreadStore,
  TurnPage,
} from '../store/thread-store.js';
import type { ConversationItem } from '../transcript/turn-writer.js';
import { CodexThread, isEphemeral, type Submission, type SubmitOptions, ThreadClosed } from './codex-thread.js';
import { LiveThread, type Warned } from './live-thread.js';
import { LoadedThreads, type Shutdown } from './loaded-threads.js';
import { type ThreadEventListener, ThreadEvents } from './thread-events.js';
import {
  type ForkOptions,
  type NewThread,
  type StartThreadParams,
  ThreadStarter,
  type ThreadStarterParts,
} from './thread-starter.js';
import { moveTree, type TreeMove, type TreeMoveOptions } from './tree-move.js';

/** Which relatives of a thread to list. */
export interface FamilyQuery {
  readonly relation: ThreadFamily['relation'];
  readonly threadId: ThreadId;
}

export interface ThreadQuery extends Omit<ListThreadsParams, 'filter'> {
  readonly filter: Omit<ThreadFilter, 'within'>;
  readonly family?: FamilyQuery | undefined;
}

/** A thread after a patch. */
export interface UpdatedThread extends Warned {
  readonly thread: StoredThread;
}

export interface ThreadManagerParts extends Omit<ThreadStarterParts, 'store'> {
  /** One that implements the reading half alone serves everything that changes nothing. */
  readonly store: ThreadReader | ThreadStore;
  /** Loaded threads that nobody writes to are closed after this, milliseconds; 0: never. */
  readonly idleMs: number;
  readonly warn: (message: string) => void;
}

/** The time that each loaded thread has to be written when the program ends, milliseconds. */
const SHUTDOWN_MS = 250;
/** The most unlisted threads that a warning names. */
const MOST_NAMED = 10;

/** The one entry to threads for everything above: it knows the store and the graph, and neither knows the other. */
export class ThreadManager {
  readonly #store: ThreadStore;
  readonly #graph: AgentGraphStore;
  readonly #starter: ThreadStarter;
  readonly #loaded: LoadedThreads;
  readonly #events: ThreadEvents;
  /** Appends and closes of one thread are taken in the order in which they were asked for. */
  readonly #arrivals = new KeyedQueue<ThreadId>();

  constructor(parts: ThreadManagerParts) {
    this.#store = serialized(parts.store);
    this.#graph = parts.graph;
    this.#starter = new ThreadStarter({ ...parts, store: this.#store });
    this.#events = new ThreadEvents(parts.warn);
    this.#loaded = new LoadedThreads({
      idleMs: parts.idleMs,
      onClosed: (threadId, reason) => this.#events.emit({ type: 'closed', threadId, reason }),
      warn: parts.warn,
    });
  }

  get capabilities(): StoreCapabilities {
    return this.#store.capabilities;
  }

  /** Tells of what happens to threads through this process; returns how to stop listening. */
  listen(listener: ThreadEventListener): () => void {
    return this.#events.listen(listener);
  }

  // ---- Loaded threads

  /** A new thread, loaded. Without a message, a name or a parent it leaves no trace until something is appended. */
  async startThread(params: StartThreadParams): Promise<NewThread> {
    const { parentThreadId } = params;
    const parent = parentThreadId === undefined ? undefined : await this.#parent(parentThreadId);
    return await this.#added(await this.#starter.start(params, parent, (id) => this.#named(id)), params.name);
  }

  /** The thread, loaded; the same one for everybody. Throws `thread_not_found`, `conflict`, `unsupported`. */
  async resumeThread(threadId: ThreadId): Promise<CodexThread> {
    return await this.#loaded.getOrLoad(threadId, async () => {
      const live = await LiveThread.resume(this.#store, threadId);
      const options = { isEphemeral: false, onNamed: this.#named(threadId) };
      return await live.guard(() => CodexThread.over(live, this.#store, options));
    });
  }

  /** Creates a thread that continues another one, and loads it. */
  async forkThread(sourceThreadId: ThreadId, options: ForkOptions = {}): Promise<NewThread> {
    const loaded = this.#loaded.get(sourceThreadId);
    if (loaded?.isEphemeral) throw isEphemeral(sourceThreadId, 'it cannot be forked');
    await loaded?.flush();
    const source = await this.#store.readThread(sourceThreadId);
    const made = await this.#starter.fork(source, options, (id) => this.#named(id));
    return await this.#added(made, options.name ?? source.name);
  }

  /** Appends to a thread, which is loaded first if need be. */
  async appendToThread(
    threadId: ThreadId,
    items: readonly ConversationItem[],
    options?: SubmitOptions,
  ): Promise<Submission> {
    return await this.#arrivals.run(threadId, async () => {
      for (;;) {
        const thread = await this.resumeThread(threadId);
        try {
          return await thread.submit(items, options);
        } catch (error) {
          // It was just closed, for instance by the idle timer: nothing was appended.
          if (!(error instanceof ThreadClosed)) throw error;
        }
      }
    });
  }

  /** Flushes and unlocks a thread; an open turn ends. `wasLoaded` is false, and nothing done, when it is not loaded. */
  async closeThread(threadId: ThreadId): Promise<Warned & { readonly wasLoaded: boolean }> {
    return await this.#arrivals.run(threadId, () => this.#loaded.close(threadId, 'asked'));
  }

  /** The thread, if it is loaded. */
  loadedThread(threadId: ThreadId): CodexThread | undefined {
    return this.#loaded.get(threadId);
  }

  /** The ids of all loaded threads, in order. For programs that embed the manager, as Codex's ThreadManager has it. */
  listLoaded(): ThreadId[] {
    return this.#loaded.ids();
  }

  /** Closes a loaded thread without writing what waits. For programs that embed the manager, as Codex's has it. */
  async removeThread(threadId: ThreadId): Promise<void> {
    await this.#loaded.remove(threadId);
  }

  /** Shuts all loaded threads down, each within the time. */
  async shutdownAll(perThreadMs: number): Promise<Shutdown> {
    return await this.#loaded.closeAll(perThreadMs);
  }

  // ---- All threads

  /** Throws `thread_not_found`. */
  async readThread(threadId: ThreadId): Promise<StoredThread> {
    return await this.#fromThreadOrStore(
      threadId,
      (thread) => thread.read(),
      (store) => store.readThread(threadId),
    );
  }

  /** Throws `invalid_request`, and `thread_not_found` for relatives of a thread that is in neither store nor graph. */
  async listThreads({ family, ...params }: ThreadQuery): Promise<ThreadPage> {
    const within = family && (await this.#family(family));
    const page = await this.#store.listThreads({ ...params, filter: { ...params.filter, within } });
    const unlisted = this.#loaded.unlisted();
    if (unlisted.length === 0) return page;
    const rest = unlisted.length - MOST_NAMED;
    const ids = `${unlisted.slice(0, MOST_NAMED).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
    const warning = `Loaded here and not listed, because they are not stored: ${ids}.`;
    return { ...page, warnings: [...page.warnings, warning] };
  }

  /** Throws `thread_not_found`, and `invalid_request` for a bad or stale cursor. */
  async listTurns(params: ListTurnsParams): Promise<TurnPage> {
    const { threadId } = params;
    return await this.#fromThreadOrStore(
      threadId,
      (thread) => thread.listTurns(params),
      (store) => store.listTurns(params),
    );
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    return await this.#store.findThreadsByName(name, limit);
  }

  /** All of the patch or nothing, whether the thread is loaded or not; errors as the store's. */
  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<UpdatedThread> {
    const { thread, warnings } = await this.#patch(threadId, patch);
    return { thread: await thread(), warnings };
  }

  async #patch(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    for (let loaded = this.#loaded.get(threadId); loaded; loaded = this.#loaded.get(threadId)) {
      try {
        return await loaded.updateMetadata(patch);
      } catch (error) {
        // Closed at this very moment: nothing was changed, and the store has it.
        if (!(error instanceof ThreadClosed)) throw error;
      }
    }
    const update = await this.#store.updateThreadMetadata(threadId, patch);
    if (patch.name !== undefined) this.#named(threadId)((await update.thread()).name);
    return update;
  }

  /**
   * Archives a thread and, after it, all that it spawned, deepest first. When the root cannot be archived the call
   * fails and nothing has moved; the result names a descendant that cannot be archived, and the others follow. Loaded ones
   * are shut down before anything moves.
   */
  async archiveThread(threadId: ThreadId, options: TreeMoveOptions): Promise<TreeMove> {
    const loaded = this.#loaded.get(threadId);
    if (loaded?.isEphemeral) throw isEphemeral(threadId, 'it cannot be archived');
    if (loaded?.isListed === false) {
      throw unsupported(
        `thread ${threadId} has nothing in it that could be archived`,
        'Append to it first, or close it with close_thread: then it is gone.',
      );
    }
    const deepestFirst = (await this.#descendants(threadId, options)).reverse();
    const order = [threadId, ...deepestFirst] as const;
    const closeErrors = options.dryRun ? new Map<ThreadId, unknown>() : await this.#closeMembers(order);
    const archive = async (id: ThreadId, warn: (warning: string) => void) => {
      if (closeErrors.has(id)) throw closeErrors.get(id);
      const isMoved = await this.#store.archiveThread(id, { dryRun: options.dryRun, warn });
      if (isMoved && !options.dryRun) this.#events.emit({ type: 'archived', threadId: id });
      return isMoved;
    };
    return await moveTree(order, archive, 'already archived');
  }

  /** Brings a thread and all that it spawned back, parents before their children. Fails as archiveThread does. */
  async unarchiveThread(threadId: ThreadId, options: TreeMoveOptions): Promise<TreeMove> {
    const unarchive = async (id: ThreadId) => {
      const isMoved = await this.#store.unarchiveThread(id, { dryRun: options.dryRun });
      if (isMoved && !options.dryRun) this.#events.emit({ type: 'unarchived', threadId: id });
      return isMoved;
    };
    return await moveTree([threadId, ...(await this.#descendants(threadId, options))], unarchive, 'not archived');
  }

  /** Shuts down what is loaded, then releases the store. */
  async close(): Promise<void> {
    await this.shutdownAll(SHUTDOWN_MS);
    await this.#store.close();
  }

  async #added({ thread, made, warnings }: NewThread, name: string | undefined): Promise<NewThread> {
    this.#loaded.add(thread);
    this.#events.emit({ type: 'created', threadId: thread.threadId });
    return { thread, made, warnings: [...warnings, ...(name === undefined ? [] : await nameOrWarn(thread, name))] };
  }

  #named(threadId: ThreadId): (name: string | undefined) => void {
    return (name) => this.#events.emit({ type: 'nameUpdated', threadId, name });
  }

  async #parent(threadId: ThreadId): Promise<StoredThread> {
    const loaded = this.#loaded.get(threadId);
    if (loaded?.isEphemeral) throw isEphemeral(threadId, 'it cannot spawn threads that stay');
    // The edge must not outlive a parent that leaves no trace.
    await loaded?.persist();
    return await this.#store.readThread(threadId);
  }

  async #descendants(threadId: ThreadId, { includeDescendants }: TreeMoveOptions): Promise<ThreadId[]> {
    const descendants = includeDescendants ? await this.#graph.listDescendants(threadId) : [];
    return descendants.map((descendant) => descendant.threadId);
  }

  /** Shuts the loaded ones down; those that cannot be stay, with the reason. Throws when the root is one of them. */
  async #closeMembers([root, ...rest]: readonly [ThreadId, ...ThreadId[]]): Promise<Map<ThreadId, unknown>> {
    await this.#loaded.close(root, 'archive');
    // Checks that the root can be moved before closing others. When none is loaded, the move itself checks.
    if (rest.some((id) => this.#loaded.get(id))) await this.#store.archiveThread(root, { dryRun: true });
    const closeErrors = new Map<ThreadId, unknown>();
    const slice = new TimeSlice();
    for (const id of rest) {
      await slice.yield();
      await this.#loaded.close(id, 'archive').catch((error: unknown) => closeErrors.set(id, error));
    }
    return closeErrors;
  }

  /** Reads an ephemeral thread from its own store, all others from the main store. */
  async #fromThreadOrStore<T>(
    threadId: ThreadId,
    fromThread: (thread: CodexThread) => Promise<T>,
    fromStore: (store: ThreadStore) => Promise<T>,
  ): Promise<T> {
    const loaded = this.#loaded.get(threadId);
    return loaded?.isEphemeral ? await fromThread(loaded) : await fromStore(this.#store);
  }

  async #family({ relation, threadId }: FamilyQuery): Promise<ThreadFamily> {
    const members =
      relation === 'children'
        ? await this.#graph.listChildren(threadId)
        : (await this.#graph.listDescendants(threadId)).map((descendant) => descendant.threadId);
    // No relatives is an answer only for a thread that is there.
    if (members.length === 0) await this.#store.readThread(threadId);
    return { relation, threadId, members };
  }
}

/** Sets the name. A failure is only a warning, because the thread exists already. */
async function nameOrWarn(thread: CodexThread, name: string): Promise<readonly string[]> {
  try {
    return (await thread.rename(name)).warnings;
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    return [`The name could not be set: ${error.message}. Set it with set_thread_name.`];
  }
}
