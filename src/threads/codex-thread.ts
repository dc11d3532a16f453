import { ThreadkeeperError, unsupported } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { RolloutItem } from '../protocol/rollout-item.js';
import { KeyedQueue } from '../store/keyed-queue.js';
import type { ThreadMetadataPatch } from '../store/thread-patch.js';
import type { ListTurnsParams, MetadataUpdate, StoredThread, ThreadStore, TurnPage } from '../store/thread-store.js';
import { type ConversationItem, type OpenTurn, TurnWriter } from '../transcript/turn-writer.js';
import type { LiveThread, Warned } from './live-thread.js';
import { newId } from './new-id.js';

export interface CodexThreadOptions {
  /** Kept in memory alone, and gone when it is closed. */
  readonly isEphemeral: boolean;
  /** Items that go before the first turn of a new thread. */
  readonly opening?: readonly RolloutItem[] | undefined;
  /** Is told of each new name; undefined: the name was cleared. */
  readonly onNamed: (name: string | undefined) => void;
}

export interface SubmitOptions {
  /** Ends the turn after the items. */
  readonly endTurn?: boolean | undefined;
}

/** What became of submitted items. */
export interface Submission extends Warned {
  /** The turn that the last of them belongs to; undefined when there were none and no turn was open. */
  readonly turnId: string | undefined;
  readonly appended: number;
}

/**
 * A loaded thread, as whoever works with it holds it: submit items, read, rename, shut down. Calls that come at once
 * are taken one after another.
 */
export class CodexThread {
  readonly #live: LiveThread;
  readonly #store: ThreadStore;
  readonly #options: CodexThreadOptions;
  readonly #writer: TurnWriter;
  readonly #queue = new KeyedQueue<ThreadId>();
  #opening: readonly RolloutItem[];
  #running = 0;
  #lastUsedAt = Date.now();
  #isClosed = false;

  private constructor(
    live: LiveThread,
    store: ThreadStore,
    openTurn: OpenTurn | undefined,
    options: CodexThreadOptions,
  ) {
    this.#live = live;
    this.#store = store;
    this.#options = options;
    this.#opening = options.opening ?? [];
    const { threadId, historyMode: mode } = live;
    this.#writer = new TurnWriter({ threadId, mode, newId, openTurn });
  }

  /** Wraps a live thread, and continues a turn that its history leaves open. */
  static async over(live: LiveThread, store: ThreadStore, options: CodexThreadOptions): Promise<CodexThread> {
    return new CodexThread(live, store, await findOpenTurn(live, store), options);
  }

  get threadId(): ThreadId {
    return this.#live.threadId;
  }

  /** Kept in memory alone, and gone when it is closed. */
  get isEphemeral(): boolean {
    return this.#options.isEphemeral;
  }

  /** False when no list shows it, because the store does not keep it or not yet. */
  get isListed(): boolean {
    return !this.isEphemeral && this.#live.isDurable;
  }

  /** Milliseconds since it was last written to; 0 while it is. */
  get idleMs(): number {
    return this.#running > 0 ? 0 : Date.now() - this.#lastUsedAt;
  }

  /** True once it was shut down or discarded. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** True when another writer has taken the thread over. */
  get isLost(): boolean {
    return this.#live.isLost;
  }

  async read(): Promise<StoredThread> {
    return await this.#live.read();
  }

  async listTurns(params: Omit<ListTurnsParams, 'threadId'>): Promise<TurnPage> {
    return await this.#store.listTurns({ ...params, threadId: this.threadId });
  }

  /**
   * Appends items of the conversation. A user message begins a turn and ends the one before; other items go into the
   * open turn, or begin one. Throws as the store does; then the items wait and are not to be sent again.
   */
  async submit(items: readonly ConversationItem[], { endTurn = false }: SubmitOptions = {}): Promise<Submission> {
    return await this.#run(async () => {
      this.#assertOpen();
      await this.#live.clearBacklog();
      const now = Date.now();
      const lines = [...this.#takeOpening(), ...this.#writer.items(items, now)];
      const turnId = this.#writer.openTurn?.turnId;
      if (endTurn) lines.push(...this.#writer.end(now));
      const { warnings } = await this.#live.append(lines);
      return { turnId, appended: items.length, warnings };
    });
  }

  /** Ends the open turn, if there is one, as cut off. */
  async interrupt(reason: string): Promise<Warned> {
    return await this.#run(async () => await this.#live.append(this.#writer.interrupt(reason)));
  }

  /** Sets or clears the name. */
  async rename(name: string | null): Promise<MetadataUpdate> {
    return await this.updateMetadata({ name });
  }

  /** Throws `unsupported` for an ephemeral thread. */
  async updateMetadata(patch: ThreadMetadataPatch): Promise<MetadataUpdate> {
    if (this.isEphemeral) throw isEphemeral(this.threadId, 'metadata cannot be changed');
    const update = await this.#run(async () => {
      this.#assertOpen();
      await this.#open();
      return await this.#live.updateMetadata(patch);
    });
    if (patch.name !== undefined) this.#options.onNamed((await update.thread()).name);
    return update;
  }

  /** Makes it durable even before the first item. */
  async persist(): Promise<Warned> {
    return await this.#run(async () => {
      if (this.#isClosed) return { warnings: [] };
      await this.#open();
      return await this.#live.persist();
    });
  }

  async flush(): Promise<Warned> {
    return await this.#run(async () => (this.#isClosed ? { warnings: [] } : await this.#live.flush()));
  }

  /** Writes what waits, and lets the thread go. With `endTurn`, the open turn ends before. */
  async shutdown({ endTurn = false }: SubmitOptions = {}): Promise<Warned> {
    return await this.#run(async () => {
      if (this.#isClosed) return { warnings: [] };
      const end = endTurn ? this.#writer.end(Date.now()) : [];
      const { warnings } = end.length > 0 ? await this.#live.append(end) : { warnings: [] };
      const last = await this.#live.shutdown();
      this.#isClosed = true;
      return { warnings: [...new Set([...warnings, ...last.warnings])] };
    });
  }

  /** Lets the thread go without writing what waits. */
  async discard(): Promise<void> {
    this.#isClosed = true;
    await this.#live.discard();
  }

  #assertOpen(): void {
    if (this.#isClosed)
      throw new ThreadClosed('conflict', `thread ${this.threadId} was closed meanwhile`, 'Call again.');
  }

  async #open(): Promise<void> {
    if (this.#opening.length > 0) await this.#live.append(this.#takeOpening());
  }

  #takeOpening(): readonly RolloutItem[] {
    const opening = this.#opening;
    this.#opening = [];
    return opening;
  }

  async #run<T>(action: () => Promise<T>): Promise<T> {
    this.#running += 1;
    try {
      return await this.#queue.run(this.threadId, action);
    } finally {
      this.#running -= 1;
      this.#lastUsedAt = Date.now();
    }
  }
}

/** The thread was closed before the call changed anything: the call can be repeated. */
export class ThreadClosed extends ThreadkeeperError {}

/** The error for an operation that an ephemeral thread does not support. */
export const isEphemeral = (threadId: ThreadId, what: string) =>
  unsupported(
    `thread ${threadId} is ephemeral: ${what}`,
    'It lives in memory and is gone when it is closed. Start a thread without ephemeral to keep it.',
  );

/** The turn that a live thread's history ends in, when it was never ended. */
async function findOpenTurn({ threadId }: LiveThread, store: ThreadStore): Promise<OpenTurn | undefined> {
  const { turns } = await store.listTurns({ threadId, order: 'newestFirst', limit: 1 });
  const last = turns[0];
  if (last?.status !== 'inProgress') return undefined;
  const answer = last.items.findLast(({ type }) => type === 'agentMessage')?.body?.text;
  return { turnId: last.turnId, startedAt: last.startedAt ?? Date.now(), lastAgentMessage: answer };
}
