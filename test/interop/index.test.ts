import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { ThreadView } from '../../src/mcp/results/thread-view.js';
import type { TurnView } from '../../src/mcp/results/turn-view.js';
import { OurServer } from '../support/mcp-client.js';
import { codexAnswers, withAppServer } from './codex-answers.js';

const ALL = {
  archived: 'include',
  sources: ['cli', 'vscode', 'exec', 'mcp', 'subagent', 'custom', 'internal', 'unknown'],
};

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-own-'));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What a home says through our server: every thread and all its turns. */
async function answers(
  home: string,
  flags: readonly string[],
): Promise<Map<string, { thread: ThreadView; turns: TurnView[] }>> {
  const server = await new OurServer(home, flags).start();
  const found = new Map<string, { thread: ThreadView; turns: TurnView[] }>();
  for (const thread of await server.listAll(ALL)) {
    found.set(thread.threadId, { thread, turns: await server.turnsOf(thread.threadId) });
  }
  expect(server.stderr).toBe('');
  await server.stop();
  return found;
}

/** Without the times, of which a DB that Codex makes anew knows less than the files, and what it loses by its own account. */
function lasting(all: Awaited<ReturnType<typeof answers>>) {
  return [...all.values()]
    .map(({ thread, turns }) => {
      const {
        updatedAt: _,
        recencyAt: __,
        archivedAt: ___,
        createdAt: ____,
        preview: _____,
        tokensUsed: ______,
        ...rest
      } = thread;
      return { ...rest, turns };
    })
    .sort((a, b) => (a.threadId < b.threadId ? -1 : 1));
}

it('a home goes through no DB, ours, and Codex’s, and nothing differs at any step', async () => {
  const home = path.join(directory, 'home');
  cpSync(inject('realHome'), home, { recursive: true, preserveTimestamps: true });
  for (const name of readdirSync(home)) if (/\.sqlite/.test(name)) rmSync(path.join(home, name));
  const none = await answers(home, ['--no-state-db']);
  expect(none.size).toBeGreaterThanOrEqual(30);
  expect(existsSync(path.join(home, 'threadkeeper.sqlite'))).toBe(false);

  const ours = await answers(home, []);
  expect(existsSync(path.join(home, 'threadkeeper.sqlite'))).toBe(true);
  expect(new Map([...ours].sort())).toEqual(new Map([...none].sort()));

  const writer = await new OurServer(home).start();
  const paginated = [...none.values()].find(
    ({ thread }) => thread.name === undefined && thread.source === 'exec' && !thread.archived,
  );
  const id = paginated?.thread.threadId ?? '';
  const patch = { threadId: id, name: 'Named without Codex', gitInfo: { branch: 'patched' }, memoryMode: 'disabled' };
  await writer.call('update_thread_metadata', patch);
  await writer.stop();
  const patched = await answers(home, []);
  expect(patched.get(id)?.thread).toMatchObject({
    name: 'Named without Codex',
    git: { branch: 'patched' },
    memoryMode: 'disabled',
  });

  await withAppServer(home, async (codex) => {
    await codex.listAll('thread/list', { limit: 100 });
  });
  expect(existsSync(path.join(home, 'state_5.sqlite'))).toBe(true);
  const adopted = await answers(home, []);
  // Codex takes the oldest file of a reverted thread when it makes its DB anew.
  const isReverted = (threadId: string) =>
    readdirSync(home, { recursive: true }).some((name) => String(name).includes(`${threadId}_`));
  const steady = (all: typeof adopted) => lasting(all).filter(({ threadId }) => !isReverted(threadId));
  expect(steady(adopted)).toEqual(steady(patched));
  const codex = await codexAnswers(home, []);
  for (const { thread } of patched.values()) {
    const seen = codex.get(thread.threadId)?.thread;
    if (seen && seen.preview.trim() !== thread.name) expect(seen.name).toBe(thread.name ?? null);
  }
});
