import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OurServer, type ThreadReading } from '../support/mcp-client.js';
import { type CodexTurn, withAppServer } from './codex-answers.js';
import { startMock, writeConfig } from './rig/with-codex.mjs';

const KILLS = 200;

let directory: string;
let home: string;
/** Calls that were acknowledged. */
let answered = 0;
let mock: Awaited<ReturnType<typeof startMock>>;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-live-kill-'));
  home = path.join(directory, 'codex-home');
  mock = await startMock();
  writeConfig(home, mock.port);
});

afterAll(async () => {
  await mock?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** What must be in a thread: acknowledged texts in order; between two of them perhaps one that a kill came upon. */
interface Told {
  readonly acknowledged: string[];
  readonly doubtful: Set<string>;
}

describe('kill -9 of the server while four threads are appended to', () => {
  it(`leaves every acknowledged item there once, in order, for both programs (${KILLS} times)`, async () => {
    const ids = [...(await threadsOfCodex()), ...(await threadsOfOurs())];
    const told = new Map<string, Told>(ids.map((id) => [id, { acknowledged: [], doubtful: new Set() }]));
    for (let round = 0; round < KILLS; round += 1) {
      const server = await new OurServer(home).start();
      const before = answered;
      const writers = ids.map((id) => appendUntilDead(server, id, round, told));
      // After so many answers: a slow machine has a slow clock.
      const enough = before + Math.floor(Math.random() * 12);
      while (answered < enough) await sleep(1);
      await sleep(Math.random() * 5);
      process.kill(server.pid, 'SIGKILL');
      await Promise.all(writers);
      await server.stop();
    }
    const server = await new OurServer(home).start();
    for (const id of ids) {
      const texts = (await server.turnsOf(id)).flatMap(({ items }) =>
        items.flatMap((item) => String(item['text'] ?? [])),
      );
      expectTold(texts, told.get(id));
    }
    await server.stop();
    expect([...told.values()].reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)).toBeGreaterThan(KILLS);
    await withAppServer(home, async (codex) => {
      for (const id of ids) {
        await codex.send('thread/resume', { threadId: id });
        const { rows } = await codex.listAll<CodexTurn>('thread/turns/list', {
          threadId: id,
          itemsView: 'full',
          sortDirection: 'asc',
          limit: 100,
        });
        const texts = rows.flatMap(({ items }) => items.map((item) => item.text ?? item.content?.[0]?.text ?? ''));
        expectTold(texts, told.get(id));
        expect((await codex.runTurn(id, '[[answer:still here]] are you there')).status).toBe('completed');
      }
    });
  }, 400_000);
});

async function threadsOfCodex(): Promise<string[]> {
  return await withAppServer(home, async (codex) => {
    const ids: string[] = [];
    for (const historyMode of ['legacy', 'paginated']) {
      const params = { cwd: directory, model: 'gpt-5.4', historyMode };
      const { thread } = await codex.send<{ thread: { id: string } }>('thread/start', params);
      await codex.runTurn(thread.id, '[[answer:a]] begun by Codex');
      ids.push(thread.id);
    }
    return ids;
  });
}

async function threadsOfOurs(): Promise<string[]> {
  const server = await new OurServer(home).start();
  const ids: string[] = [];
  for (const message of ['one', 'two']) {
    const { thread } = await server.call<ThreadReading>('start_thread', {
      cwd: directory,
      message: `begun by us: ${message}`,
    });
    ids.push(thread.threadId);
  }
  await server.stop();
  return ids;
}

/** A turn after another until the process is gone. */
async function appendUntilDead(
  server: OurServer,
  threadId: string,
  round: number,
  told: Map<string, Told>,
): Promise<void> {
  const { acknowledged, doubtful } = told.get(threadId) ?? { acknowledged: [], doubtful: new Set() };
  for (let step = 0; ; step += 1) {
    const texts = [`question ${round}.${step}`, `answer ${round}.${step}`];
    for (const text of texts) doubtful.add(text);
    const items = texts.map((text, index) => ({ type: index === 0 ? 'userMessage' : 'agentMessage', text }));
    try {
      await server.call('append_to_thread', { threadId, items, endTurn: step % 3 !== 0 });
    } catch (error) {
      // A conflict with a lock of the process killed before would be a bug; a closed connection is the kill.
      if (String(error).includes('"code"')) throw error;
      return;
    }
    answered += 1;
    for (const text of texts) doubtful.delete(text);
    acknowledged.push(...texts);
  }
}

function expectTold(texts: readonly string[], told: Told | undefined): void {
  const ours = texts.filter((text) => /^(question|answer) \d+\.\d+$/.test(text));
  expect(new Set(ours).size).toBe(ours.length);
  expect(ours.filter((text) => !told?.doubtful.has(text))).toEqual(told?.acknowledged);
}
