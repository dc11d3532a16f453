import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { expect, onTestFinished } from 'vitest';
import type { OpenLocalOptions } from '../../src/app/open-local.js';
import { createMcpServer } from '../../src/mcp/server.js';
import { ALL_TOOLS } from '../../src/mcp/tools/index.js';
import type { ThreadManager } from '../../src/threads/thread-manager.js';
import { open } from './local-store.js';
import type { ToolError } from './mcp-client.js';
import type { TestHome } from './test-home.js';

/** A real client on a real server over a home, in one process. */
export async function connect(home: TestHome, options: Partial<OpenLocalOptions> = {}) {
  const { manager } = await open(home.root, options);
  return await connectTo(manager, options.readOnly);
}

export type Connection = Awaited<ReturnType<typeof connectTo>>;

/** A real client on a real server, in one process. */
export async function connectTo(manager: ThreadManager, readOnly = false) {
  const { server } = createMcpServer({ manager, readOnly, version: '1.2.3', log: () => {} });
  const client = new Client({ name: 'test', version: '1' });
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  await Promise.all([server.connect(ours), client.connect(theirs)]);
  onTestFinished(() => client.close());
  // From here on the client checks each result against the tool's output schema.
  await client.listTools();
  const raw = async (name: string, args: object) => {
    const result = await client.callTool({ name, arguments: { ...args } });
    const [{ text } = { text: '' }] = result.content as { text: string }[];
    expect(text).toBe(JSON.stringify(result.structuredContent));
    expect(text.length).toBeLessThanOrEqual(30_000);
    return { isError: result.isError === true, value: result.structuredContent };
  };
  return {
    client,
    manager,
    call: async <T>(name: string, args: object): Promise<T> => {
      const { isError, value } = await raw(name, args);
      expect(isError, JSON.stringify(value)).toBe(false);
      ALL_TOOLS.find(({ definition }) => definition.name === name)
        ?.result.strict()
        .parse(value);
      return value as T;
    },
    failure: async (name: string, args: object): Promise<ToolError> => {
      const { isError, value } = await raw(name, args);
      expect(isError).toBe(true);
      return (value as { error: ToolError }).error;
    },
  };
}
