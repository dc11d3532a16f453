import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { BoundedLines } from './bounded-lines.js';
import { createMcpServer, type McpServerOptions } from './mcp-server.js';

/** Calls that run when the client leaves get this long to finish, milliseconds. */
const GRACE_MS = 600;

/** Serves one client on stdin and stdout; returns when stdin closes, the output breaks, or SIGTERM or SIGINT comes. */
export async function serveStdio(options: McpServerOptions): Promise<void> {
  const { server, idle } = createMcpServer(options);
  const input = process.stdin.pipe(
    new BoundedLines(({ bytes, limit, id }) => {
      options.log(`a request of ${bytes} bytes was dropped`);
      const message = `the request is too long (${bytes} bytes, at most ${limit}): send less at once`;
      process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32600, message } })}\n`);
    }),
  );
  const end = new Promise<void>((resolve) => {
    input.once('end', () => resolve());
    for (const event of ['close', 'error']) process.stdin.once(event, () => input.end());
    process.stdout.once('error', () => resolve());
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
    server.onclose = () => resolve();
  });
  await server.connect(new StdioServerTransport(input, process.stdout));
  await end;
  // What was read last may not have reached its handler yet.
  await setImmediate();
  await Promise.race([idle(), sleep(GRACE_MS)]);
  // Their answers go out before the transport closes.
  await setImmediate();
  await server.close();
}
