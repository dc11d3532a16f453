import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OurServer, type ThreadList, type ThreadReading, type TreeResult } from '../support/mcp-client.js';
import { type CodexItem, type CodexThread, type CodexTurn, withAppServer } from './codex-answers.js';
import { AppServer, startMock, writeConfig } from './rig/with-codex.mjs';

let directory: string;
let home: string;
let cwd: string;
let mock: Awaited<ReturnType<typeof startMock>>;
/** A Codex that runs all the while. */
let running: AppServer;
let ours: OurServer;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-live-'));
  home = path.join(directory, 'codex-home');
  cwd = path.join(directory, 'work');
  mkdirSync(cwd);
  mock = await startMock();
  writeConfig(home, mock.port, { maxAgentDepth: 4 });
  running = new AppServer(home, { cwd });
  await running.init();
  ours = await new OurServer(home).start();
});

afterAll(async () => {
  await ours?.stop();
  await running?.stop();
  await mock?.stop();
  rmSync(directory, { recursive: true, force: true });
});

const user = (text: string) => ({ type: 'userMessage', text });
const agent = (text: string) => ({ type: 'agentMessage', text });
const shell = (status: string) => ({
  type: 'toolCall',
  tool: 'shell',
  arguments: { cmd: 'ls' },
  output: 'a\nb',
  status,
});

async function start(args: object): Promise<string> {
  const { thread } = await ours.call<ThreadReading>('start_thread', { cwd, ...args });
  return thread.threadId;
}

async function append(threadId: string, ...items: object[]): Promise<void> {
  await ours.call('append_to_thread', { threadId, items, endTurn: true });
}

const close = (threadId: string) => ours.call('close_thread', { threadId });

/** What was said in each turn, as we read it. */
async function ourTexts(threadId: string): Promise<string[][]> {
  return (await ours.turnsOf(threadId)).map(({ items }) =>
    items.flatMap((item) => String(item['text'] ?? item['tool'] ?? [])),
  );
}

/** What was said in each turn, as a Codex reads it. */
async function codexTexts(server: AppServer, threadId: string): Promise<string[][]> {
  const params = { threadId, itemsView: 'full', sortDirection: 'asc', limit: 100 };
  const { rows } = await server.listAll<CodexTurn>('thread/turns/list', params);
  return rows.map(({ items }) => items.map(textOf));
}

const textOf = (item: CodexItem & { tool?: string }) =>
  item.text ?? item.content?.map(({ text }) => text ?? '').join('') ?? item.tool ?? item.type;

/** Codex, freshly started, resumes a thread and runs a turn on it. */
async function codexGoesOn(threadId: string, answer: string): Promise<string[][]> {
  return await withAppServer(home, async (server) => {
    await server.send('thread/resume', { threadId });
    const turn = await server.runTurn(threadId, `[[answer:${answer}]] asked of Codex`);
    expect(turn.status).toBe('completed');
    return await codexTexts(server, threadId);
  });
}

async function codexThread(historyMode: 'legacy' | 'paginated', ...prompts: string[]): Promise<string> {
  return await withAppServer(home, async (server) => {
    const params = { cwd, model: 'gpt-5.4', historyMode };
    const { thread } = await server.send<{ thread: { id: string } }>('thread/start', params);
    for (const prompt of prompts) await server.runTurn(thread.id, prompt);
    return thread.id;
  });
}

function linesOf(id: string): { ordinal?: number }[] {
  const file = readdirSync(home, { recursive: true }).find((name) => String(name).endsWith(`${id}.jsonl`));
  const lines = readFileSync(path.join(home, String(file)), 'utf8')
    .trimEnd()
    .split('\n');
  return lines.map((line) => JSON.parse(line));
}

describe('a thread that we record', () => {
  let id: string;

  it('is listed by Codex with its name, preview, directory and source, while we still have it open', async () => {
    id = await start({ name: 'Recorded here', message: 'What is in this directory?' });
    await append(id, shell('completed'), shell('failed'), agent('Two files.'));
    const { rows } = await running.listAll<CodexThread>('thread/list', { sourceKinds: ['appServer'], limit: 50 });
    expect(rows.find((thread) => thread.id === id)).toMatchObject({
      name: 'Recorded here',
      preview: 'What is in this directory?',
      cwd,
      source: 'appServer',
      modelProvider: 'mock',
      historyMode: 'legacy',
    });
  });

  it('is read by Codex with all its turns and items', async () => {
    await append(id, user('And now?'), agent('Nothing new.'));
    const expected = [
      ['What is in this directory?', 'shell', 'shell', 'Two files.'],
      ['And now?', 'Nothing new.'],
    ];
    expect(await ourTexts(id)).toEqual(expected);
    for (const server of [running, undefined]) {
      const texts = server ? await codexTexts(server, id) : await withAppServer(home, (fresh) => codexTexts(fresh, id));
      expect(texts).toEqual(expected);
    }
    const { rows } = await running.listAll<CodexTurn>('thread/turns/list', {
      threadId: id,
      itemsView: 'full',
      sortDirection: 'asc',
    });
    const turns = await ours.turnsOf(id);
    expect(rows.map((turn) => [turn.id, turn.status])).toEqual(turns.map((turn) => [turn.turnId, turn.status]));
    expect(rows[0]?.items.slice(1, 3)).toMatchObject([
      { type: 'mcpToolCall', tool: 'shell', status: 'completed', result: { content: [{ text: 'a\nb' }] } },
      { type: 'mcpToolCall', tool: 'shell', status: 'failed', error: { message: 'a\nb' } },
    ]);
  });

  it('is a conflict for Codex while we have it open, and for us while Codex has', async () => {
    const refused = await running.try('thread/resume', { threadId: id });
    expect(refused.error?.message).toContain('already has an active writer');
    await close(id);
    await withAppServer(home, async (server) => {
      await server.send('thread/resume', { threadId: id });
      const call = { threadId: id, items: [user('not now')] };
      expect(await ours.failure('append_to_thread', call)).toMatchObject({ code: 'conflict' });
    });
  });

  it('goes on in Codex, then here, then in Codex again', async () => {
    const before = await ourTexts(id);
    const codexDb = ['[[answer:from Codex]] asked of Codex', 'from Codex'];
    expect(await codexGoesOn(id, 'from Codex')).toEqual([...before, codexDb]);
    await append(id, user('Back here'), agent('Yes'));
    await close(id);
    const again = ['[[answer:once more]] asked of Codex', 'once more'];
    const all = [...before, codexDb, ['Back here', 'Yes'], again];
    expect(await codexGoesOn(id, 'once more')).toEqual(all);
    expect(await ourTexts(id)).toEqual(all);
  });

  it('keeps git and name through the loss of Codex’s DB', async () => {
    await ours.call('update_thread_metadata', { threadId: id, gitInfo: { branch: 'kept' } });
    const { thread } = await running.send<{ thread: CodexThread }>('thread/read', { threadId: id });
    expect(thread).toMatchObject({ name: 'Recorded here', gitInfo: { branch: 'kept' } });
  });
});

describe.each(['legacy', 'paginated'] as const)('a %s thread of Codex', (mode) => {
  it('goes on here, then in Codex, then here, and reads the same in both', async () => {
    const id = await codexThread(mode, '[[answer:one]] begun in Codex');
    const begun = ['[[answer:one]] begun in Codex', 'one'];
    await append(id, user('Here'), shell('completed'), agent('Done'));
    await append(id, user('Here again'), agent('Done again'));
    await close(id);
    const here = [
      ['Here', 'shell', 'Done'],
      ['Here again', 'Done again'],
    ];
    const codexDb = ['[[answer:two]] asked of Codex', 'two'];
    expect(await codexGoesOn(id, 'two')).toEqual([begun, ...here, codexDb]);
    await append(id, user('Last'), agent('Bye'));
    await close(id);
    const all = [begun, ...here, codexDb, ['Last', 'Bye']];
    expect(await ourTexts(id)).toEqual(all);
    const more = ['[[answer:three]] asked of Codex', 'three'];
    expect(await codexGoesOn(id, 'three')).toEqual([...all, more]);
    if (mode === 'paginated') expect(linesOf(id).map(({ ordinal }) => ordinal)).toEqual(linesOf(id).map((_, n) => n));
  });

  it('is forked by us, whole and at a turn, and both read and continue the forks alike', async () => {
    const id = await codexThread(mode, '[[answer:one]] first', '[[answer:two]] second', '[[answer:three]] third');
    const turns = [
      ['[[answer:one]] first', 'one'],
      ['[[answer:two]] second', 'two'],
      ['[[answer:three]] third', 'three'],
    ];
    const [, second] = await ours.turnsOf(id);
    const whole = await ours.call<ThreadReading>('fork_thread', { threadId: id, name: 'Whole' });
    const early = await ours.call<ThreadReading>('fork_thread', { threadId: id, lastTurnId: second?.turnId });
    const ofFork = await ours.call<ThreadReading>('fork_thread', { threadId: early.thread.threadId });
    for (const [fork, inherited] of [
      [whole, turns],
      [early, turns.slice(0, 2)],
      [ofFork, turns.slice(0, 2)],
    ] as const) {
      const { threadId } = fork.thread;
      expect(await ourTexts(threadId)).toEqual(inherited);
      await append(threadId, user('In the fork'), agent('Yes'));
      await close(threadId);
      const codexDb = ['[[answer:fork]] asked of Codex', 'fork'];
      const all = [...inherited, ['In the fork', 'Yes'], codexDb];
      expect(await codexGoesOn(threadId, 'fork')).toEqual(all);
      expect(await ourTexts(threadId)).toEqual(all);
      const { thread } = await running.send<{ thread: CodexThread }>('thread/read', { threadId });
      expect(thread).toMatchObject({ preview: '[[answer:one]] first', historyMode: mode });
      expect(thread.forkedFromId).toBe(threadId === ofFork.thread.threadId ? early.thread.threadId : id);
    }
    expect(await ourTexts(id)).toEqual(turns);
    expect(await codexGoesOn(id, 'source')).toHaveLength(4);
  });

  it('is forked by us in the middle of a turn that Codex runs, which is cut off in the fork', async () => {
    const id = await codexThread(mode, '[[answer:one]] first');
    const forkId = await withAppServer(home, async (server) => {
      await server.send('thread/resume', { threadId: id });
      const input = [{ type: 'text', text: '[[slow:2500]] slow', text_elements: [] }];
      const { turn } = await server.send<{ turn: { id: string } }>('turn/start', { threadId: id, input });
      const writerSql = () => linesOf(id).some((line) => JSON.stringify(line).includes('[[slow:2500]] slow'));
      for (let look = 0; look < 100 && !writerSql(); look += 1) await new Promise((resolve) => setTimeout(resolve, 20));
      const { thread } = await ours.call<ThreadReading>('fork_thread', { threadId: id });
      await server.waitForNotification((note) => note.method === 'turn/completed' && note.params.turn?.id === turn.id);
      return thread.threadId;
    });
    const last = (await ours.turnsOf(forkId)).at(-1);
    expect([last?.status, last?.items[0]?.['text']]).toEqual(['interrupted', '[[slow:2500]] slow']);
    await close(forkId);
    await withAppServer(home, async (server) => {
      await server.send('thread/resume', { threadId: forkId });
      const { rows } = await server.listAll<CodexTurn>('thread/turns/list', { threadId: forkId, sortDirection: 'asc' });
      expect(rows.map(({ status }) => status)).toEqual(['completed', 'interrupted']);
    });
    expect((await codexGoesOn(forkId, 'on')).at(-1)).toEqual(['[[answer:on]] asked of Codex', 'on']);
  });
});

describe('trees of spawned threads', () => {
  it('spawned by us are archived by Codex, but for a member that we have open', async () => {
    const root = await start({ message: 'root' });
    const children = [];
    for (const nickname of ['Ada', 'Bob']) {
      children.push(
        await start({ parentThreadId: root, agentRole: 'worker', agentNickname: nickname, message: nickname }),
      );
    }
    const [held, other] = children as [string, string];
    const grandchild = await start({ parentThreadId: other, message: 'deep' });
    for (const id of [root, other, grandchild]) await close(id);
    const { rows } = await running.listAll<CodexThread>('thread/list', { ancestorThreadId: root });
    expect(rows.map((thread) => thread.id).sort()).toEqual([held, other, grandchild].sort());
    expect(rows.find(({ id }) => id === held)).toMatchObject({
      agentNickname: 'Ada',
      agentRole: 'worker',
      parentThreadId: root,
    });
    const refused = await running.try('thread/archive', { threadId: root });
    expect(refused.error?.message).toContain('already has an active writer');
    expect(await archivedOf([root, held, other, grandchild])).toEqual([]);
    await append(held, agent('still here'));
    await close(held);
    await running.send('thread/archive', { threadId: root });
    expect(await archivedOf([root, held, other, grandchild])).toEqual([root, held, other, grandchild]);
    const { unarchived } = await ours.call<TreeResult>('unarchive_thread', { threadId: root });
    expect(unarchived).toHaveLength(4);
    await append(held, user('after it all'), agent('yes'));
    await close(held);
  });

  it('spawned by Codex are archived by us, but for a member that Codex has open', async () => {
    const root = await codexThread('paginated', '[[tree:2,2]] a tree of agents');
    const { threads } = await ours.call<ThreadList>('list_threads', { ancestorThreadId: root, limit: 100 });
    const members = threads.map(({ threadId }) => threadId);
    expect(members).toHaveLength(6);
    const held = threads.find(({ parentThreadId }) => parentThreadId === root)?.threadId ?? '';
    await withAppServer(home, async (server) => {
      await server.send('thread/resume', { threadId: held });
      const { archived, failed } = await ours.call<TreeResult>('archive_thread', { threadId: root });
      expect(failed).toMatchObject([{ threadId: held, error: { code: 'conflict' } }]);
      expect(archived).toHaveLength(6);
      expect((await server.runTurn(held, '[[answer:alive]] still there')).status).toBe('completed');
    });
    expect((await ours.call<TreeResult>('archive_thread', { threadId: root })).archived).toEqual([held]);
    expect((await archivedOf([root, ...members])).sort()).toEqual([root, ...members].sort());
  });
});

async function archivedOf(ids: readonly string[]): Promise<string[]> {
  const archived: string[] = [];
  for (const id of ids) {
    const { thread } = await running.send<{ thread: CodexThread }>('thread/read', { threadId: id });
    if (thread.path.includes('/archived_sessions/')) archived.push(id);
  }
  return archived;
}
