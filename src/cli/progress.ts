const WIDTH = 30;
const EVERY_MS = 2000;
const BAR_EVERY_MS = 100;

/** Shows on stderr how far `what` is: a bar in a terminal, in a log a line every two seconds. */
export function progressOn(stream: NodeJS.WriteStream, what: string): (done: number, total: number) => void {
  const every = stream.isTTY ? BAR_EVERY_MS : EVERY_MS;
  let last = stream.isTTY ? 0 : Date.now();
  return (done, total) => {
    const isLast = done >= total;
    const isDue = Date.now() - last >= every;
    if (stream.isTTY ? !isDue && !isLast : !isDue) return;
    last = Date.now();
    if (!stream.isTTY) {
      stream.write(`threadkeeper: ${what}, ${done} of ${total}\n`);
      return;
    }
    const filled = total === 0 ? WIDTH : Math.round((WIDTH * done) / total);
    const bar = `${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}`;
    stream.write(`\r[${bar}] ${done} of ${total} threads${isLast ? '\n' : ''}`);
  };
}
