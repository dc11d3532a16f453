import { setImmediate } from 'node:timers/promises';

/** Long work stops so often to let other calls be answered, milliseconds. */
const SLICE_MS = 20;

/**
 * Lets other calls be answered during a long loop: `await slice.yield()` in each round. A loop whose rounds are very
 * short asks `isOver` first, because an await costs more than such a round.
 */
export class TimeSlice {
  #since = Date.now();

  get isOver(): boolean {
    return Date.now() - this.#since >= SLICE_MS;
  }

  async yield(): Promise<void> {
    if (!this.isOver) return;
    await setImmediate();
    this.#since = Date.now();
  }
}
