import { setImmediate } from 'node:timers/promises';

/** Lets other work go on during a long synchronous scan: `if (breather.isDue(bytes)) await breather.breathe()`. */
export class Breather {
  #since = 0;

  constructor(private readonly every = 4 * 1024 * 1024) {}

  /** Counts a piece of work by its bytes; true when it is time for a pause. */
  isDue(bytes: number): boolean {
    this.#since += bytes + 1;
    return this.#since >= this.every;
  }

  async breathe(): Promise<void> {
    this.#since = 0;
    await setImmediate();
  }
}
