import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { strictJson } from '../../protocol/json.js';
import { createMcpServer, type McpServerOptions } from '../server.js';
import { BoundedLines } from './bounded-lines.js';
import { WellFormedStdio } from './well-formed-transport.js';

/** Calls that run when the program is told to end get this long to finish, milliseconds. */
const GRACE_MS = 600;
/** Calls that were asked before stdin closed get this long: their client may well read on. */
const LAST_CALLS_MS = 10_000;

/** Serves one client on stdin and stdout; returns when stdin closes, the output breaks, or SIGTERM or SIGINT comes. */
export async function serveStdio(options: McpServerOptions): Promise<void> {
  const { server, idle } = createMcpServer(options);
  const input = process.stdin.pipe(
    new BoundedLines(({ bytes, limit, id }) => {
      options.log(`a request of ${bytes} bytes was dropped`);
      const message = `the request is too long (${bytes} bytes, at most ${limit}): send less at once`;
      process.stdout.write(`${strictJson({ jsonrpc: '2.0', id, error: { code: -32600, message } })}\n`);
    }),
  );
  const end = new Promise<number>((resolve) => {
    input.once('end', () => resolve(LAST_CALLS_MS));
    for (const event of ['close', 'error']) process.stdin.once(event, () => input.end());
    process.stdout.once('error', () => resolve(0));
    process.once('SIGTERM', () => resolve(GRACE_MS));
    process.once('SIGINT', () => resolve(GRACE_MS));
    server.onclose = () => resolve(GRACE_MS);
  });
  await server.connect(new WellFormedStdio(input, process.stdout));
  const patience = await end;
  // What was read last may not have reached its handler yet.
  await setImmediate();
  const gone = new Promise((resolve) => process.stdout.once('error', resolve));
  await Promise.race([idle(), sleep(patience, undefined, { ref: false }), gone]);
  // Their answers go out before the transport closes.
  await setImmediate();
  await server.close();
}
