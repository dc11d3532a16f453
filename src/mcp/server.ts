import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import {
  CallToolRequestSchema,
  type CallToolResult,
  ErrorCode,
  ListToolsRequestSchema,
  McpError,
} from '@modelcontextprotocol/sdk/types.js';
import { cutText } from '../protocol/cut-text.js';
import { readOnly } from '../protocol/errors.js';
import type { ThreadManager } from '../threads/thread-manager.js';
import type { Tool } from './define-tool.js';
import { instructions } from './instructions.js';
import { asThreadkeeperError, failure, success } from './results/result.js';
import { ALL_TOOLS } from './tools/index.js';

export interface McpServerOptions {
  /** May come later than the first client: a call waits for it, listing the tools does not. */
  readonly manager: ThreadManager | Promise<ThreadManager>;
  /** Offers only the tools that change nothing. */
  readonly readOnly: boolean;
  readonly version: string;
  /** Called with the details of an unexpected failure. */
  readonly log: (message: string) => void;
}

export interface McpServer {
  /** Connect it to a transport. */
  readonly server: Server;
  /** Resolves when no tool call is running. */
  idle(): Promise<void>;
}

/** The MCP server over a manager. It keeps nothing per connection. */
export function createMcpServer({ manager, readOnly: isReadOnly, version, log }: McpServerOptions): McpServer {
  const offered = ALL_TOOLS.filter((tool) => !isReadOnly || tool.kind === 'read');
  const running = new Set<Promise<CallToolResult>>();
  const server = new Server(
    { name: 'threadkeeper', title: 'threadkeeper', version },
    { capabilities: { tools: {} }, instructions: instructions({ readOnly: isReadOnly }) },
  );
  server.setRequestHandler(ListToolsRequestSchema, () => ({
    tools: offered.map(({ definition }) => ({ ...definition })),
  }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    const tool = ALL_TOOLS.find(({ definition }) => definition.name === params.name);
    if (!tool) {
      const names = offered.map(({ definition }) => definition.name).join(', ');
      throw new McpError(ErrorCode.InvalidParams, `unknown tool ${cutText(params.name, 100)}; there are ${names}`);
    }
    const call = callTool(tool, params.arguments);
    running.add(call);
    return await call.finally(() => running.delete(call));
  });
  return {
    server,
    async idle() {
      while (running.size > 0) await Promise.all(running);
    },
  };

  /** The one place where errors become results. */
  async function callTool(tool: Tool, args: unknown): Promise<CallToolResult> {
    try {
      if (!offered.includes(tool)) {
        throw readOnly('this server is read-only', 'Start it without --read-only to change threads.');
      }
      return success(await tool.call(args, { manager: await manager }));
    } catch (error) {
      const known = asThreadkeeperError(error);
      if (known.code === 'internal') log(`${tool.definition.name}: ${describe(known)}`);
      return failure(known);
    }
  }
}

function describe(error: Error): string {
  const cause = error.cause instanceof Error ? `\n${error.cause.stack ?? error.cause.message}` : '';
  return `${error.message}${cause}`;
}
