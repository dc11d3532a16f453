import type { ThreadId } from '../protocol/ids.js';

/** Why a thread was closed: on demand, for want of use, to be archived, as the program ends, or taken over by another. */
export type CloseReason = 'asked' | 'idle' | 'archive' | 'shutdown' | 'lost';

/** What happened to a thread through this process. Changes that other programs make are not told. */
export type ThreadEvent =
  | { readonly type: 'created' | 'archived' | 'unarchived'; readonly threadId: ThreadId }
  | { readonly type: 'nameUpdated'; readonly threadId: ThreadId; readonly name: string | undefined }
  | { readonly type: 'closed'; readonly threadId: ThreadId; readonly reason: CloseReason };

export type ThreadEventListener = (event: ThreadEvent) => void;

/** Tells listeners of events, in order. One that throws does not keep others from hearing. */
export class ThreadEvents {
  readonly #listeners = new Set<ThreadEventListener>();
  readonly #warn: (message: string) => void;

  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }

  /** Returns how to stop listening. */
  listen(listener: ThreadEventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(event: ThreadEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.#warn(`thread ${event.threadId}: a listener failed (${error instanceof Error ? error.message : error})`);
      }
    }
  }
}
