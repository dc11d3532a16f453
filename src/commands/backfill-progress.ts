const WIDTH = 30;
const EVERY_MS = 2000;

/** Shows how far a backfill is on stderr: a bar in a terminal, in a log a line every two seconds. */
export function progressOn(stream: NodeJS.WriteStream): (done: number, total: number) => void {
  let last = Date.now();
  return (done, total) => {
    const isLast = done >= total;
    if (stream.isTTY) {
      const filled = total === 0 ? WIDTH : Math.round((WIDTH * done) / total);
      stream.write(
        `\r[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${done} of ${total} threads${isLast ? '\n' : ''}`,
      );
      return;
    }
    if (Date.now() - last < EVERY_MS) return;
    stream.write(`threadkeeper: indexing rollouts, ${done} of ${total}\n`);
    last = Date.now();
  };
}
