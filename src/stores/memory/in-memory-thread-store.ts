import { conflict, noSuchTurn, threadNotFound } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import { keptItems, type RolloutItem } from '../../protocol/rollout-item.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import { decodeListCursor, encodeListCursor } from '../../store/list-cursor.js';
import { newThread } from '../../store/new-thread.js';
import { noRolloutPath, patchedThread } from '../../store/patched-thread.js';
import {
  comparePositions,
  countThreads,
  isShown,
  positionOf,
  threadMatcher,
  totalShown,
  validateListParams,
} from '../../store/thread-filter.js';
import { presentFields, type ThreadMetadataPatch } from '../../store/thread-patch.js';
import type {
  CreateThreadParams,
  ForkThreadParams,
  ListThreadsParams,
  ListTurnsParams,
  MetadataUpdate,
  MoveOptions,
  StoreCapabilities,
  StoredThread,
  ThreadPage,
  ThreadStore,
  TurnCursor,
  TurnPage,
} from '../../store/thread-store.js';
import { staleCursor } from '../../store/turn-pager.js';
import type { Turn } from '../../transcript/turn.js';
import { TurnBuilder } from '../../transcript/turn-builder.js';

interface Entry {
  thread: StoredThread;
  readonly history: RolloutLine[];
  isLive: boolean;
  /** False for a new thread that has neither item nor patch: it leaves no trace. */
  isDurable: boolean;
}

/** Threads that live as long as the process: for tests, and as the plainest reading of the contract. */
export class InMemoryThreadStore implements ThreadStore {
  readonly capabilities: StoreCapabilities = {
    description: 'in memory',
    isReadOnly: false,
    defaultHistoryMode: 'legacy',
    keepsRecency: true,
  };
  readonly #threads = new Map<ThreadId, Entry>();

  /** Puts a thread with its history in the store. */
  add(thread: StoredThread, history: readonly RolloutLine[] = []): void {
    this.#threads.set(thread.threadId, { thread, history: [...history], isLive: false, isDurable: true });
  }

  async readThread(threadId: ThreadId): Promise<StoredThread> {
    return this.#entry(threadId).thread;
  }

  async listThreads(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    const after = decodeListCursor(params);
    const compare = comparePositions(params.order);
    const position = (thread: StoredThread) => positionOf(thread, params.sortBy);
    const matching = this.#durable().filter(threadMatcher(params.filter));
    const rest = matching
      .filter((thread) => isShown(params.filter, { isArchived: thread.isArchived, source: thread.source.kind }))
      .filter((thread) => !after || compare(position(thread), after) > 0)
      .sort((a, b) => compare(position(a), position(b)));
    const counts = countThreads(matching);
    return {
      threads: rest
        .slice(0, params.limit)
        .map((thread) => ({ thread, cursor: encodeListCursor(params, position(thread)) })),
      hasMore: rest.length > params.limit,
      total: totalShown(params.filter, counts),
      counts,
      warnings: [],
    };
  }

  async listTurns({ threadId, order, limit, cursor }: ListTurnsParams): Promise<TurnPage> {
    const turns = this.#turns(this.#entry(threadId), cursor);
    if (order === 'newestFirst') turns.reverse();
    const known = cursor ? turns.findIndex(({ anchor }) => anchor.offset === cursor.offset) : -1;
    if (cursor && known === -1) throw staleCursor();
    const first = cursor?.item === undefined ? known + 1 : known;
    return { turns: turns.slice(first, first + limit), hasMore: turns.length > first + limit, warnings: [] };
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    const wanted = name.trim();
    const named = this.#durable().filter(({ name: own }) => own === wanted);
    return named.slice(0, limit).map(({ threadId }) => threadId);
  }

  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    const entry = this.#entry(threadId);
    const { rolloutPath, ...fields } = presentFields(patch);
    if (rolloutPath !== undefined) throw noRolloutPath();
    entry.thread = patchedThread(entry.thread, fields);
    entry.isDurable = true;
    const { thread } = entry;
    return { thread: async () => thread, warnings: [] };
  }

  async archiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return this.#setArchived(threadId, true, options);
  }

  async unarchiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return this.#setArchived(threadId, false, options);
  }

  async *loadHistory(threadId: ThreadId): AsyncGenerator<RolloutLine> {
    yield* this.#entry(threadId).history;
  }

  async historyVersion(threadId: ThreadId): Promise<string> {
    return String(this.#entry(threadId).history.length);
  }

  async createThread(params: CreateThreadParams): Promise<void> {
    this.#open(newThread(params), [], false);
  }

  async resumeThread(threadId: ThreadId): Promise<StoredThread> {
    const entry = this.#entry(threadId);
    if (entry.isLive) throw conflict(`thread ${threadId} is loaded already`, 'Use it as it is.');
    if (entry.thread.isArchived) {
      throw conflict(`thread ${threadId} is archived`, 'Bring it back with unarchive_thread, then call again.');
    }
    entry.isLive = true;
    return entry.thread;
  }

  async forkThread({ sourceThreadId, lastTurnId, thread }: ForkThreadParams): Promise<void> {
    const source = this.#entry(sourceThreadId);
    if (!source.isDurable) {
      throw conflict(`thread ${sourceThreadId} has no history yet`, 'Append to it first; there is nothing to fork.');
    }
    const end = lastTurnId === undefined ? undefined : offsetAfterTurn(this.#turns(source, undefined), lastTurnId);
    const { historyMode, preview, title, firstUserMessage } = source.thread;
    const fork = { ...newThread({ ...thread, historyMode }), preview, title, firstUserMessage };
    this.#open({ ...fork, forkedFromId: sourceThreadId }, source.history.slice(0, end), true);
  }

  async appendItems(threadId: ThreadId, items: readonly RolloutItem[]): Promise<void> {
    const mode = this.#threads.get(threadId)?.thread.historyMode ?? 'legacy';
    const kept = keptItems(items, mode);
    if (kept.length === 0) return;
    const entry = this.#live(threadId);
    const timestamp = new Date().toISOString();
    for (const item of kept) {
      const ordinal = mode === 'paginated' ? (entry.history.at(-1)?.ordinal ?? -1) + 1 : undefined;
      entry.history.push({ ...item, timestamp, ordinal });
    }
    entry.isDurable = true;
  }

  async persistThread(threadId: ThreadId): Promise<void> {
    this.#live(threadId).isDurable = true;
  }

  async flushThread(threadId: ThreadId): Promise<void> {
    this.#live(threadId);
  }

  async shutdownThread(threadId: ThreadId): Promise<void> {
    this.#live(threadId);
    await this.discardThread(threadId);
  }

  async discardThread(threadId: ThreadId): Promise<void> {
    const entry = this.#threads.get(threadId);
    if (!entry) return;
    entry.isLive = false;
    if (!entry.isDurable) this.#threads.delete(threadId);
  }

  async close(): Promise<void> {
    this.#threads.clear();
  }

  #open(thread: StoredThread, history: RolloutLine[], isDurable: boolean): void {
    const { threadId } = thread;
    if (this.#threads.has(threadId)) throw conflict(`thread ${threadId} exists`, 'Take another id.');
    this.#threads.set(threadId, { thread, history, isLive: true, isDurable });
  }

  #durable(): StoredThread[] {
    return [...this.#threads.values()].filter(({ isDurable }) => isDurable).map(({ thread }) => thread);
  }

  #live(threadId: ThreadId): Entry {
    const entry = this.#threads.get(threadId);
    if (!entry?.isLive) throw threadNotFound(threadId, 'It is not loaded for writing here: resume it first.');
    return entry;
  }

  #setArchived(threadId: ThreadId, isArchived: boolean, options?: MoveOptions): boolean {
    const entry = this.#entry(threadId);
    if (entry.isLive && !options?.dryRun) {
      if (!isArchived) return false;
      throw conflict(`thread ${threadId} is loaded here`, 'Close it first; nothing was moved.');
    }
    if (entry.thread.isArchived === isArchived) return false;
    if (options?.dryRun) return true;
    const now = Date.now();
    const times = isArchived ? { archivedAt: now } : { archivedAt: undefined, updatedAt: now };
    entry.thread = { ...entry.thread, isArchived, ...times };
    return true;
  }

  #turns({ thread, history, isLive }: Entry, cursor: TurnCursor | undefined): Turn[] {
    const window = cursor?.itemId === undefined ? undefined : { itemId: cursor.itemId, from: cursor.from ?? 0 };
    const builder = new TurnBuilder({
      mode: thread.historyMode,
      beginsEarlier: () => false,
      window,
    });
    for (const [offset, line] of history.entries()) builder.add(line, { rolloutId: thread.threadId, offset });
    return builder.finish(isLive).map((turn) => ({ ...turn, turnId: turn.turnId ?? `rollout-${turn.anchor.offset}` }));
  }

  #entry(threadId: ThreadId): Entry {
    const entry = this.#threads.get(threadId);
    if (!entry) throw threadNotFound(threadId);
    return entry;
  }
}

/** Where the turn after this one begins; undefined when it is the last. */
function offsetAfterTurn(turns: readonly Turn[], turnId: string): number | undefined {
  const index = turns.findIndex((turn) => turn.turnId === turnId);
  if (index === -1) throw noSuchTurn(turnId);
  return turns[index + 1]?.anchor.offset;
}
