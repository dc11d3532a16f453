import { invalidRequest, readOnly, threadNotFound } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import { storedSessionSource } from '../../protocol/session-source.js';
import { type GitPatch, presentFields, type ThreadMetadataPatch } from '../../protocol/thread-patch.js';
import type { Turn } from '../../transcript/turn.js';
import { TurnBuilder } from '../../transcript/turn-builder.js';
import { decodeListCursor, encodeListCursor } from '../list-cursor.js';
import {
  comparePositions,
  countThreads,
  isShown,
  positionOf,
  threadMatcher,
  totalShown,
  validateListParams,
} from '../thread-filter.js';
import type {
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
} from '../thread-store.js';

interface Entry {
  thread: StoredThread;
  readonly history: readonly RolloutLine[];
}

/** Threads that live as long as the process: for tests, and as the plainest reading of the contract. */
export class InMemoryThreadStore implements ThreadStore {
  readonly capabilities: StoreCapabilities;
  readonly #threads = new Map<ThreadId, Entry>();

  constructor({ readOnly: isReadOnly = false }: { readOnly?: boolean } = {}) {
    this.capabilities = { description: 'in memory', isReadOnly };
  }

  /** Puts a thread with its history in the store. */
  add(thread: StoredThread, history: readonly RolloutLine[] = []): void {
    this.#threads.set(thread.threadId, { thread, history });
  }

  async readThread(threadId: ThreadId): Promise<StoredThread> {
    return this.#entry(threadId).thread;
  }

  async listThreads(params: ListThreadsParams): Promise<ThreadPage> {
    validateListParams(params);
    const after = decodeListCursor(params);
    const compare = comparePositions(params.order);
    const position = (thread: StoredThread) => positionOf(thread, params.sortBy);
    const matching = [...this.#threads.values()].map(({ thread }) => thread).filter(threadMatcher(params.filter));
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
    if (cursor && known === -1) {
      throw invalidRequest(
        'the cursor points at a turn that is no longer there',
        'Leave the cursor out to start again.',
      );
    }
    const first = cursor?.item === undefined ? known + 1 : known;
    return { turns: turns.slice(first, first + limit), hasMore: turns.length > first + limit, warnings: [] };
  }

  async findThreadsByName(name: string, limit: number): Promise<ThreadId[]> {
    const wanted = name.trim();
    const named = [...this.#threads.values()].filter(({ thread }) => thread.name === wanted);
    return named.slice(0, limit).map(({ thread }) => thread.threadId);
  }

  async updateThreadMetadata(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    const entry = this.#entry(threadId);
    const fields = presentFields(patch);
    if (Object.keys(fields).length > 0) {
      this.#assertWritable();
      entry.thread = patched(entry.thread, fields);
    }
    return { thread: entry.thread, warnings: [] };
  }

  async archiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return this.#setArchived(threadId, true, options);
  }

  async unarchiveThread(threadId: ThreadId, options?: MoveOptions): Promise<boolean> {
    return this.#setArchived(threadId, false, options);
  }

  async close(): Promise<void> {
    this.#threads.clear();
  }

  #setArchived(threadId: ThreadId, isArchived: boolean, options?: MoveOptions): boolean {
    const entry = this.#entry(threadId);
    if (entry.thread.isArchived === isArchived) return false;
    this.#assertWritable();
    if (options?.dryRun) return true;
    const now = Date.now();
    const times = isArchived ? { archivedAt: now } : { archivedAt: undefined, updatedAt: now };
    entry.thread = { ...entry.thread, isArchived, ...times };
    return true;
  }

  #turns({ thread, history }: Entry, cursor: TurnCursor | undefined): Turn[] {
    const window = cursor?.itemId === undefined ? undefined : { itemId: cursor.itemId, from: cursor.from ?? 0 };
    const builder = new TurnBuilder({
      mode: thread.historyMode,
      startsAtBeginning: true,
      implicitTurnId: ({ offset }) => `rollout-${offset}`,
      window,
    });
    for (const [offset, line] of history.entries()) builder.add(line, { rolloutId: thread.threadId, offset });
    return builder.finish(false);
  }

  #entry(threadId: ThreadId): Entry {
    const entry = this.#threads.get(threadId);
    if (!entry) throw threadNotFound(threadId);
    return entry;
  }

  #assertWritable(): void {
    if (this.capabilities.isReadOnly) throw readOnly('this server is read-only', 'Start it without --read-only.');
  }
}

/** The thread with the fields of a patch put in. */
function patched(thread: StoredThread, fields: ThreadMetadataPatch): StoredThread {
  const {
    name,
    gitInfo,
    source,
    threadSource,
    agentNickname,
    agentRole,
    agentPath,
    advanceRecencyAt,
    rolloutPath: _,
    ...rest
  } = fields;
  const cleared = { name, threadSource, agentNickname, agentRole, agentPath };
  const clearable = Object.entries(cleared).filter(([, value]) => value !== undefined);
  return {
    ...thread,
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    ...Object.fromEntries(clearable.map(([key, value]) => [key, value ?? undefined])),
    git: { ...thread.git, ...cleanGit(gitInfo) },
    source: source === undefined ? thread.source : storedSessionSource(source),
    recencyAt: Math.max(thread.recencyAt, advanceRecencyAt ?? 0),
  };
}

function cleanGit(patch: GitPatch | undefined): Record<string, string | undefined> {
  const parts = Object.entries(patch ?? {}).filter(([, value]) => value !== undefined);
  return Object.fromEntries(parts.map(([key, value]) => [key, value ?? undefined]));
}
