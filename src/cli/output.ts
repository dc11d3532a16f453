import { setTimeout as sleep } from 'node:timers/promises';

/** A reader that takes nothing for so long does not get the rest, milliseconds. */
const WAIT_MS = 10_000;
const LOOK_MS = 20;

/**
 * Resolves when everything that was written to a stream has been taken: a program that ends earlier cuts what it wrote to
 * a pipe. Gives up when the reader is gone, or takes nothing for ten seconds.
 */
export async function drained(stream: NodeJS.WriteStream): Promise<void> {
  let left = stream.writableLength;
  let since = Date.now();
  while (stream.writableLength > 0 && !stream.destroyed && !stream.errored) {
    if (stream.writableLength < left) {
      left = stream.writableLength;
      since = Date.now();
    } else if (Date.now() - since > WAIT_MS) return;
    await Promise.race([new Promise((resolve) => stream.write('', resolve)), sleep(LOOK_MS)]);
  }
}

/** Ends the program quietly when the reader of its output has gone, as in `threadkeeper list | head`. */
export function endQuietlyWithoutReader(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}
