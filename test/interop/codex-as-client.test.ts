import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ThreadList, ThreadReading } from '../support/mcp-client.js';
import { PROJECT } from '../support/mcp-client.js';
import { event, TestHome } from '../support/test-home.js';
import { AppServer, startMock, writeConfig } from './rig/with-codex.mjs';

/** Half of an emoji: what Codex's parser refuses, so that a call with it waits for its timeout. */
const HALF = '\ud83d';
const EMOJI = '😀';

describe('real Codex as the client of this server', () => {
  it('gets every answer of a home full of half surrogate pairs and of emoji across each limit', async () => {
    const data = new TestHome();
    const threads = [0, 1, 2, 3].map((shift) => {
      const long = `${'a'.repeat(shift)}${EMOJI.repeat(12_000)}`;
      return data.rollout({
        lines: [
          event({ type: 'user_message', message: `${HALF} asked ${long}` }),
          event({
            type: 'exec_command_end',
            call_id: 'c',
            command: [`echo ${long}`],
            cwd: `/home/${HALF}`,
            aggregated_output: `${long}${HALF}`,
            exit_code: 0,
          }),
          event({ type: 'agent_message', message: `answered ${HALF}` }),
        ],
      });
    });
    for (const [index, { id }] of threads.entries()) {
      const line = { id, thread_name: `Rocket ${index} ${HALF}`, updated_at: new Date().toISOString() };
      appendFileSync(path.join(data.root, 'session_index.jsonl'), `${JSON.stringify(line)}\n`);
    }
    const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-client-'));
    const home = path.join(directory, 'home');
    mkdirSync(home);
    const mock = await startMock();
    onTestFinished(async () => {
      await mock.stop();
      rmSync(directory, { recursive: true });
    });
    writeConfig(home, mock.port);
    const args = [path.join(PROJECT, 'dist/main.js'), '--home', data.root];
    const server = `command = ${JSON.stringify(process.execPath)}\nargs = ${JSON.stringify(args)}\ntool_timeout_sec = 10\n`;
    appendFileSync(path.join(home, 'config.toml'), `\n[mcp_servers.threadkeeper]\n${server}`);
    const codex = new AppServer(home);
    onTestFinished(() => codex.stop().then(() => undefined));
    await codex.init();
    const { thread } = await codex.send<{ thread: { id: string } }>('thread/start', {
      cwd: directory,
      model: 'gpt-5.4',
    });
    const call = async <T>(tool: string, given: object): Promise<T> => {
      const asked = { threadId: thread.id, server: 'threadkeeper', tool, arguments: given };
      const { structuredContent } = await codex.send<{ structuredContent: T }>('mcpServer/tool/call', asked);
      return structuredContent;
    };
    expect((await call<ThreadList>('list_threads', {})).total).toBe(4);
    for (const { id } of threads) {
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page: ThreadReading = await call('read_thread', {
          threadId: id,
          includeOutputs: true,
          maxOutputCharsPerItem: 9_999,
          ...(cursor ? { cursor } : {}),
        });
        expect(JSON.stringify(page)).not.toMatch(/\\ud[89a-f]/i);
        cursor = page.nextCursor;
        pages += 1;
      } while (cursor);
      expect(pages).toBeGreaterThan(1);
    }
    const refused = await call<{ error: { code: string } }>('read_thread', { threadId: `no ${EMOJI.repeat(2000)}` });
    expect(refused.error.code).toBe('invalid_request');
  }, 120_000);
});
