import type { ThreadId } from '../../protocol/ids.js';
import type { ThreadRow } from '../../state/thread-rows.js';
import type { LocalHome } from './local-home.js';
import type { ThreadMover } from './thread-mover.js';
import type { ThreadResolver } from './thread-resolver.js';

/**
 * Puts right what a program left that was killed in the middle of a move: rows whose files were moved without them, and
 * files that are in both folders. It works in the background: no call waits for it, as others may hold DB or locks.
 */
export class HomeRepair {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #mover: ThreadMover;
  #working: Promise<void> | undefined;

  constructor(local: LocalHome, resolver: ThreadResolver, mover: ThreadMover) {
    this.#local = local;
    this.#resolver = resolver;
    this.#mover = mover;
  }

  /** Begins, unless it is at work already. */
  start(strayRows: readonly ThreadRow[], doubledThreads: readonly ThreadId[]): void {
    if (strayRows.length + doubledThreads.length === 0) return;
    this.#working ??= this.#work(strayRows, doubledThreads).finally(() => {
      this.#working = undefined;
    });
  }

  async #work(strayRows: readonly ThreadRow[], doubledThreads: readonly ThreadId[]): Promise<void> {
    for (const threadId of doubledThreads) await this.#mover.settle(threadId);
    if (this.#local.indexesFiles || this.#local.rows?.db.readOnly !== false) return;
    await this.#resolver.repairRows(strayRows);
  }
}
