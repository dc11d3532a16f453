import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ALL_TOOLS } from '../../src/mcp/tools/index.js';
import { PROJECT } from '../support/mcp-client.js';
import { TestHome } from '../support/test-home.js';

const INSPECTOR = path.join(PROJECT, 'node_modules/.bin/mcp-inspector');

/** The MCP Inspector as a stranger would run it. Rejects when it exits with anything but 0. */
async function inspect(home: TestHome, ...args: string[]) {
  const server = [process.execPath, path.join(PROJECT, 'dist/main.js'), '--home', home.root];
  const { stdout } = await promisify(execFile)(INSPECTOR, ['--cli', ...server, '--format', 'json', ...args], {
    cwd: PROJECT,
  });
  return JSON.parse(stdout).result;
}

describe('the MCP Inspector', () => {
  it('lists the tools, and its strict look at their schemas finds nothing', async () => {
    const { tools } = await inspect(new TestHome(), '--method', 'tools/list', '--strict');
    expect(tools).toHaveLength(ALL_TOOLS.length);
  });

  // It starts a program for each call.
  it('calls the tools', { timeout: 120_000 }, async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['hello', 'hi']] });
    const call = (tool: string, args: object) =>
      inspect(home, '--method', 'tools/call', '--tool-name', tool, '--tool-args-json', JSON.stringify(args));
    expect((await call('set_thread_name', { threadId: id, name: 'Inspected' })).structuredContent.thread.name).toBe(
      'Inspected',
    );
    const patched = await call('update_thread_metadata', { threadId: id, gitInfo: { branch: 'b' } });
    expect(patched.structuredContent.thread.git).toEqual({ branch: 'b' });
    expect((await call('unarchive_thread', { threadId: id })).structuredContent.skipped).toHaveLength(1);
    const [list, reading, archived] = await Promise.all([
      call('list_threads', { search: 'inspected' }),
      call('read_thread', { threadId: id }),
      call('archive_thread', { threadId: id, dryRun: true }),
    ]);
    expect(list.structuredContent.threads[0].threadId).toBe(id);
    expect(reading.structuredContent.turns).toHaveLength(1);
    expect(archived.structuredContent.archived).toEqual([id]);
    const started = await call('start_thread', { cwd: home.root, message: 'recorded' });
    const { threadId } = started.structuredContent.thread;
    // Each call is a server of its own: what one started another goes on with.
    await call('append_to_thread', { threadId, items: [{ type: 'agentMessage', text: 'answer' }], endTurn: true });
    const recorded = await call('read_thread', { threadId });
    expect(recorded.structuredContent.turns).toMatchObject([
      { status: 'completed', items: [{ text: 'recorded' }, { text: 'answer' }] },
    ]);
  });
});
