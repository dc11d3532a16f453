import type { StateDb } from './state-db.js';

/**
 * The one handle as it comes and goes: absent, late (filled when a backfill is done, or when Codex's DB can be used), or
 * lost. Whoever reads or writes rows looks here each time and keeps another way for when there is none.
 */
export class StateDbSlot {
  #current: StateDb | undefined;

  constructor(current?: StateDb) {
    this.#current = current;
  }

  get current(): StateDb | undefined {
    return this.#current;
  }

  /** Codex's DB, once it is there, is not given up for ours. */
  fill(stateDb: StateDb): void {
    if (this.#current?.owner === 'codex' && stateDb.owner !== 'codex') return;
    this.#current = stateDb;
  }

  /** Called with a handle that was given up, once for each. */
  onLost: ((stateDb: StateDb) => void) | undefined;

  /** Gives the handle up for good; does nothing when another one has taken its place. */
  lose(stateDb: StateDb): void {
    if (this.#current !== stateDb) return;
    this.#current = undefined;
    this.onLost?.(stateDb);
  }

  /** Takes a DB of Codex's that has come, or come back. To be awaited before a write. */
  look: () => Promise<void> = async () => {};

  /**
   * Why Codex's DB cannot be written for now, although it is there and sound: a write into the files alone would be lost
   * on it. Undefined when it can be, or there is none.
   */
  blockedBecause: string | undefined;

  /** Why Codex's DB is not written at all, although it is there. Undefined when it is, or there is none. */
  passedOverBecause: string | undefined;
}
