import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OurServer, type ThreadReading, type TreeResult } from '../support/mcp-client.js';
import { type CodexTurn, withAppServer } from './codex-answers.js';
import { startMock, writeConfig } from './rig/with-codex.mjs';

let directory: string;
let home: string;
let mock: Awaited<ReturnType<typeof startMock>>;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-forks-'));
  home = path.join(directory, 'home');
  mock = await startMock();
  writeConfig(home, mock.port);
});

afterAll(async () => {
  await mock?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const say = (text: string) => ({
  items: [
    { type: 'userMessage', text },
    { type: 'agentMessage', text: `answer to ${text}` },
  ],
  endTurn: true,
});

/** What the user asked in each turn, as Codex shows it once it has resumed the thread. */
async function shownByCodex(threadId: string): Promise<unknown[]> {
  return await withAppServer(home, async (codex) => {
    await codex.send('thread/resume', { threadId });
    const params = { threadId, itemsView: 'full', sortDirection: 'asc' };
    const { rows } = await codex.listAll<CodexTurn>('thread/turns/list', params);
    return rows.map(({ items }) => items[0]?.content?.[0]?.text);
  });
}

describe('a fork of a paginated thread that we appended to', () => {
  it.each(['active', 'archived', 'continued'])(
    'shows all turns in Codex (its base is %s)',
    async (base) => {
      const threadId = await withAppServer(home, async (codex) => {
        const params = { cwd: directory, model: 'gpt-5.4', historyMode: 'paginated' };
        const { thread } = await codex.send<{ thread: { id: string } }>('thread/start', params);
        await codex.runTurn(thread.id, '[[answer:a]] of Codex');
        return thread.id;
      });
      const ours = await new OurServer(home).start();
      await ours.call('append_to_thread', { threadId, ...say('of ours') });
      await ours.call('close_thread', { threadId });
      const fork = (await ours.call<ThreadReading>('fork_thread', { threadId })).thread.threadId;
      if (base === 'continued') {
        await ours.call('append_to_thread', { threadId: fork, ...say('in the fork') });
        await ours.call('append_to_thread', { threadId, ...say('later in the base') });
        await ours.call('close_thread', { threadId });
      }
      await ours.call('close_thread', { threadId: fork });
      if (base === 'archived') {
        const { archived, warnings } = await ours.call<TreeResult & { warnings?: string[] }>('archive_thread', {
          threadId,
        });
        expect(archived).toEqual([threadId]);
        // Codex cannot show our turn of an archived thread: it says so, with the way out.
        expect(warnings?.join()).toContain('unarchive');
      }
      const wanted = ['[[answer:a]] of Codex', 'of ours', ...(base === 'continued' ? ['in the fork'] : [])];
      expect(await shownByCodex(fork)).toEqual(wanted);
      expect((await ours.turnsOf(fork)).map(({ items }) => items[0]?.['text'])).toEqual(wanted);
      await withAppServer(home, async (codex) => {
        await codex.send('thread/resume', { threadId: fork });
        await codex.runTurn(fork, '[[answer:b]] goes on');
      });
      expect(await shownByCodex(fork)).toEqual([...wanted, '[[answer:b]] goes on']);
      await ours.stop();
    },
    60_000,
  );
});
