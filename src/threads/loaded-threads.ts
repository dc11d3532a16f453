import { setTimeout as sleep } from 'node:timers/promises';
import type { ThreadId } from '../protocol/ids.js';
import type { CodexThread } from './codex-thread.js';
import type { CloseReason } from './thread-events.js';

/** What became of each loaded thread when all were shut down; ids in order. */
export interface Shutdown {
  readonly completed: readonly ThreadId[];
  /** Could not write what waited. */
  readonly failed: readonly ThreadId[];
  readonly timedOut: readonly ThreadId[];
}

export interface LoadedThreadsOptions {
  /** Threads that nobody wrote to for this long are closed, milliseconds; 0: never. */
  readonly idleMs: number;
  readonly onClosed: (threadId: ThreadId, reason: CloseReason) => void;
  readonly warn: (message: string) => void;
}

/** The threads that are loaded in this process, each once. */
export class LoadedThreads {
  readonly #threads = new Map<ThreadId, CodexThread>();
  /** Threads that are being loaded: whoever else wants one gets the same. */
  readonly #loading = new Map<ThreadId, Promise<CodexThread>>();
  readonly #options: LoadedThreadsOptions;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LoadedThreadsOptions) {
    this.#options = options;
  }

  get(threadId: ThreadId): CodexThread | undefined {
    const thread = this.#threads.get(threadId);
    if (thread?.isLost) this.#forget(thread, 'lost');
    return thread?.isLost || thread?.isClosed ? undefined : thread;
  }

  ids(): ThreadId[] {
    return [...this.#threads.keys()].filter((threadId) => this.get(threadId)).sort();
  }

  /** Those of which no store keeps anything. */
  unlisted(): ThreadId[] {
    return this.ids().filter((threadId) => this.#threads.get(threadId)?.isListed === false);
  }

  /** The thread if it is loaded or being loaded, else as `load` makes it. */
  async getOrLoad(threadId: ThreadId, load: () => Promise<CodexThread>): Promise<CodexThread> {
    const loaded = this.get(threadId);
    if (loaded) return loaded;
    const loading = this.#loading.get(threadId) ?? this.#load(threadId, load);
    return await loading;
  }

  add(thread: CodexThread): void {
    this.#threads.set(thread.threadId, thread);
    this.#watchIdle();
  }

  /** Shuts a thread down; false when it is not loaded. When what waits cannot be written it stays loaded. */
  async close(threadId: ThreadId, reason: CloseReason): Promise<{ wasLoaded: boolean; warnings: readonly string[] }> {
    // One that is just being loaded is loaded first.
    await this.#loading.get(threadId)?.catch(() => undefined);
    const thread = this.get(threadId);
    if (!thread) return { wasLoaded: false, warnings: [] };
    const { warnings } = await thread.shutdown({ endTurn: reason === 'asked' });
    this.#forget(thread, reason);
    return { wasLoaded: true, warnings };
  }

  /** Lets a thread go without writing what waits. */
  async remove(threadId: ThreadId): Promise<void> {
    const thread = this.get(threadId);
    if (!thread) return;
    const discarded = thread.discard();
    this.#forget(thread, 'asked');
    await discarded;
  }

  /** Shuts all threads down in parallel. A late one is closed without writing its pending items. */
  async closeAll(perThreadMs: number): Promise<Shutdown> {
    clearInterval(this.#timer);
    await Promise.allSettled(this.#loading.values());
    const outcomes = await Promise.all(
      [...this.#threads.values()].map((thread) => this.#closeInTime(thread, perThreadMs)),
    );
    const having = (outcome: string) => outcomes.filter(([, was]) => was === outcome).map(([threadId]) => threadId);
    const sorted = (outcome: string) => having(outcome).sort();
    return { completed: sorted('completed'), failed: sorted('failed'), timedOut: sorted('timedOut') };
  }

  async #closeInTime(thread: CodexThread, ms: number): Promise<readonly [ThreadId, string]> {
    const { threadId } = thread;
    const closing = this.close(threadId, 'shutdown').then(
      () => 'completed',
      () => 'failed',
    );
    const late = sleep(ms, 'timedOut', { ref: false });
    const outcome = await Promise.race([closing, late]);
    if (outcome !== 'completed') {
      this.#options.warn(`thread ${threadId}: what waited to be written is lost (${outcome})`);
      const discarded = thread.discard().catch(() => undefined);
      this.#forget(thread, 'shutdown');
      // A late one is discarded when its shutdown returns, which may be never.
      await Promise.race([discarded, late]);
    }
    return [threadId, outcome];
  }

  #load(threadId: ThreadId, load: () => Promise<CodexThread>): Promise<CodexThread> {
    const loading = load()
      .then((thread) => {
        this.add(thread);
        return thread;
      })
      .finally(() => this.#loading.delete(threadId));
    this.#loading.set(threadId, loading);
    return loading;
  }

  #forget(thread: CodexThread, reason: CloseReason): void {
    if (this.#threads.get(thread.threadId) !== thread) return;
    this.#threads.delete(thread.threadId);
    this.#options.onClosed(thread.threadId, reason);
  }

  #watchIdle(): void {
    const { idleMs } = this.#options;
    if (idleMs <= 0 || this.#timer) return;
    this.#timer = setInterval(() => this.#closeIdle(), Math.min(30_000, Math.ceil(idleMs / 4)));
    this.#timer.unref();
  }

  #closeIdle(): void {
    for (const thread of this.#threads.values()) {
      if (thread.idleMs < this.#options.idleMs || thread.isEphemeral) continue;
      this.close(thread.threadId, 'idle').catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : error;
        this.#options.warn(`thread ${thread.threadId} stays open: it cannot be written (${reason})`);
      });
    }
  }
}
