import type { StateDb } from './state-db.js';

/**
 * The one handle as it comes and goes: absent, late (filled when a backfill is done), or lost. Whoever reads or writes
 * rows looks here each time and keeps another way for when there is none.
 */
export class StateDbSlot {
  #current: StateDb | undefined;

  constructor(current?: StateDb) {
    this.#current = current;
  }

  get current(): StateDb | undefined {
    return this.#current;
  }

  fill(stateDb: StateDb): void {
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
}
