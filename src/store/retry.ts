import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryOptions {
  /** Whether an error may pass when the action is tried again. */
  readonly isTransient: (error: unknown) => boolean;
  /** After this the last error is thrown, milliseconds. */
  readonly forMs: number;
  /** The first pause between two attempts; each further one is twice as long, milliseconds. */
  readonly firstPauseMs: number;
  readonly longestPauseMs: number;
  /** The action is called at most so many times. Absent: as the time allows. */
  readonly attempts?: number;
}

/** The result of the action, tried again while it fails with an error that may pass. Throws the last error. */
export async function retry<T>(action: () => T | Promise<T>, options: RetryOptions): Promise<T> {
  const deadline = Date.now() + options.forMs;
  let attempts = options.attempts ?? Number.POSITIVE_INFINITY;
  for (let pause = options.firstPauseMs; ; pause = Math.min(2 * pause, options.longestPauseMs)) {
    try {
      return await action();
    } catch (error) {
      attempts -= 1;
      if (attempts <= 0 || !options.isTransient(error) || Date.now() >= deadline) throw error;
      await sleep(pause);
    }
  }
}
