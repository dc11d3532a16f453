import { readdirSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { OurServer, type ThreadList, type ToolError } from '../support/mcp-client.js';
import { TestHome } from '../support/test-home.js';

const rolloutsIn = (home: TestHome) =>
  readdirSync(home.root, { recursive: true }).filter((name) => String(name).includes('rollout-')).length;

/** The result of a call, or its error. */
async function outcome(server: OurServer, tool: string, args: object): Promise<{ error?: ToolError; total?: number }> {
  const { isError, structuredContent } = await server.client.callTool({ name: tool, arguments: { ...args } });
  return isError ? (structuredContent as { error: ToolError }) : (structuredContent as ThreadList);
}

describe('a server that may open few files', () => {
  // Under each limit another step fails.
  const limits = Array.from({ length: 12 }, (_, index) => 22 + index);

  it.each([['--no-state-db'], []])('says of each call whether it was done (%s)', async (...flags) => {
    let refused = 0;
    for (const limit of limits) {
      const home = new TestHome();
      const { id } = home.rollout({ turns: [['q', 'a']] });
      const lowered = ['sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh'];
      const server = await new OurServer(home.root, flags, {}, lowered).start();
      onTestFinished(() => server.stop());
      let made = 1;
      for (const tool of ['start_thread', 'start_thread', 'start_thread', 'fork_thread', 'fork_thread']) {
        const args = tool === 'fork_thread' ? { threadId: id } : { cwd: home.root, message: 'm', name: 'n' };
        const { error } = await outcome(server, tool, args);
        refused += error ? 1 : 0;
        if (error) expect(error.code, error.message).toBe('resource_exhausted');
        if (!error || error.message.includes('the fork is made')) made += 1;
        expect(rolloutsIn(home), `${limit} ${tool}: ${JSON.stringify(error)}`).toBe(made);
      }
      const list = await outcome(server, 'list_threads', {});
      if (!list.error) expect(list.total).toBe(made);
      for (const [tool, args] of [
        ['list_threads', {}],
        ['read_thread', {}],
        ['set_thread_name', { name: 'x' }],
        ['archive_thread', {}],
      ] as const) {
        const { error } = await outcome(server, tool, tool === 'list_threads' ? args : { threadId: id, ...args });
        if (error) expect(error, `${limit} ${tool}`).toMatchObject({ code: 'resource_exhausted' });
      }
      await server.stop();
    }
    expect(refused).toBeGreaterThan(0);
  });
});
