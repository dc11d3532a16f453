import { setImmediate } from 'node:timers/promises';

/** Long work stops so often to let other calls be answered, milliseconds. */
const SLICE_MS = 20;

/** Lets other work go on during a long loop: `await slice.yield()` in each round pauses when the time has come. */
export class TimeSlice {
  #since = Date.now();

  async yield(): Promise<void> {
    if (Date.now() - this.#since < SLICE_MS) return;
    await setImmediate();
    this.#since = Date.now();
  }
}
