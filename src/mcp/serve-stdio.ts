import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { StdioServerTransport } from '@modelcontextprotocol/sdk/server/stdio.js';
import { createMcpServer, type McpServerOptions } from './mcp-server.js';

/** Calls that run when the client leaves get this long to finish, milliseconds. */
const GRACE_MS = 700;

/** Serves one client on stdin and stdout; returns when stdin closes, the output breaks, or SIGTERM or SIGINT comes. */
export async function serveStdio(options: McpServerOptions): Promise<void> {
  const { server, idle } = createMcpServer(options);
  const end = new Promise<void>((resolve) => {
    for (const event of ['end', 'close', 'error']) process.stdin.once(event, () => resolve());
    process.stdout.once('error', () => resolve());
    process.once('SIGTERM', () => resolve());
    process.once('SIGINT', () => resolve());
  });
  await server.connect(new StdioServerTransport());
  await end;
  // What was read last may not have reached its handler yet.
  await setImmediate();
  await Promise.race([idle(), sleep(GRACE_MS)]);
  await server.close();
}
