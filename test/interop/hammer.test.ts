import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OurServer, type ThreadReading, type ToolError } from '../support/mcp-client.js';
import { codexAnswers, withAppServer } from './codex-answers.js';
import { AppServer, startMock, writeConfig } from './rig/with-codex.mjs';
import { ALL_SOURCES } from './same-answers.js';

const SECONDS = 40;
const SERVERS = 3;
const THREADS = 6;

let directory: string;
let home: string;
let mock: Awaited<ReturnType<typeof startMock>>;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-hammer-'));
  home = path.join(directory, 'codex-home');
  mock = await startMock();
  writeConfig(home, mock.port);
});

afterAll(async () => {
  await mock?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** What must be true of a thread at the end. */
interface Promised {
  /** Texts that were acknowledged: each is there once. */
  readonly acknowledged: Set<string>;
  /** Texts whose answer a kill cut off: each is there once or not at all. */
  readonly possible: Set<string>;
}

const pick = <T>(values: readonly T[]): T => values[Math.floor(Math.random() * values.length)] as T;

describe('three servers and real Codex on one home, killed at random', () => {
  it(`lose, double and garble nothing (${SECONDS} s)`, async () => {
    const threads = new Map<string, Promised>();
    const add = (id: string) => threads.set(id, { acknowledged: new Set(), possible: new Set() });
    await withAppServer(home, async (codex) => {
      for (let n = 0; n < THREADS; n += 1) {
        const historyMode = n % 2 ? 'legacy' : 'paginated';
        const params = { cwd: directory, model: 'gpt-5.4', historyMode };
        const { thread } = await codex.send<{ thread: { id: string } }>('thread/start', params);
        await codex.runTurn(thread.id, `[[answer:a]] first of ${n}`);
        add(thread.id);
      }
    });
    const end = Date.now() + SECONDS * 1000;
    const unexpected: string[] = [];
    let counter = 0;
    let kills = 0;

    /** One server: calls in four lanes, a kill now and then, a new process after it. */
    const ours = async (): Promise<void> => {
      while (Date.now() < end) {
        const server = await new OurServer(home).start();
        const dies = Date.now() + 1500 + Math.random() * 3000;
        const lane = async () => {
          while (Date.now() < Math.min(dies, end)) if (!(await call(server))) return;
        };
        const lanes = [lane(), lane(), lane(), lane()];
        const isKilled = Math.random() < 0.7;
        if (isKilled) {
          await sleep(Math.max(0, Math.min(dies, end) - Date.now() - Math.random() * 100));
          process.kill(server.pid, 'SIGKILL');
          kills += 1;
        }
        await Promise.all(lanes);
        await server.stop();
      }
    };

    /** False when the server is gone. */
    const call = async (server: OurServer): Promise<boolean> => {
      const threadId = pick([...threads.keys()]);
      const promised = threads.get(threadId);
      counter += 1;
      const text = `text ${counter}.`;
      const name = `name ${counter}`;
      const say = {
        items: [
          { type: 'userMessage', text },
          { type: 'agentMessage', text: 'ok' },
        ],
        endTurn: true,
      };
      const [tool, args] = pick<readonly [string, object]>([
        ['append_to_thread', say],
        ['append_to_thread', say],
        ['close_thread', {}],
        ['close_thread', {}],
        ['close_thread', {}],
        ['set_thread_name', { name }],
        ['update_thread_metadata', { name, gitInfo: { branch: name } }],
        ['update_thread_metadata', { memoryMode: pick(['enabled', 'disabled']) }],
        ['archive_thread', {}],
        ['unarchive_thread', {}],
        ['unarchive_thread', {}],
        ['read_thread', { turnLimit: 3 }],
        ...(threads.size < 25 && Math.random() < 0.3
          ? ([
              ['fork_thread', {}],
              ['start_thread', {}],
            ] as const)
          : []),
      ]);
      if (tool === 'append_to_thread') promised?.possible.add(text);
      const given = tool === 'start_thread' ? { cwd: directory, message: text } : { threadId, ...args };
      const { isError, structuredContent } = await server.client
        .callTool({ name: tool, arguments: { ...given } })
        .catch(() => ({ isError: undefined, structuredContent: {} }));
      if (isError === undefined) return false;
      if (isError) {
        const { code, message } = (structuredContent as { error: ToolError }).error;
        if (code !== 'conflict') unexpected.push(`${tool}: ${code} ${message}`);
        return true;
      }
      if (tool === 'append_to_thread') promised?.acknowledged.add(text);
      if (tool === 'start_thread' || tool === 'fork_thread') {
        const id = (structuredContent as ThreadReading).thread.threadId;
        add(id);
        // Its first message, or what it has of its source, is not told apart: only what comes later is counted.
        if (tool === 'start_thread') threads.get(id)?.acknowledged.add(text);
      }
      return true;
    };

    /** Codex: turns in processes that come and go, moves and names in one that stays. */
    const turns = async (): Promise<void> => {
      while (Date.now() < end) {
        const threadId = pick([...threads.keys()]);
        counter += 1;
        const text = `codex ${counter}.`;
        await withAppServer(home, async (codex) => {
          const { ok } = await codex.try('thread/resume', { threadId });
          if (!ok) return;
          threads.get(threadId)?.possible.add(text);
          const { status } = await codex.runTurn(threadId, `[[answer:x]] ${text}`);
          if (status === 'completed') threads.get(threadId)?.acknowledged.add(text);
        });
      }
    };
    const moves = async (): Promise<void> => {
      const codex = new AppServer(home);
      await codex.init();
      while (Date.now() < end) {
        const threadId = pick([...threads.keys()]);
        counter += 1;
        await codex.try(
          ...pick<[string, object]>([
            ['thread/archive', { threadId }],
            ['thread/unarchive', { threadId }],
            ['thread/unarchive', { threadId }],
            ['thread/name/set', { threadId, name: `codex name ${counter}` }],
            ['thread/list', { limit: 20 }],
          ]),
        );
        await sleep(20);
      }
      await codex.stop();
    };
    await Promise.all([...Array.from({ length: SERVERS }, ours), turns(), moves()]);
    expect(kills).toBeGreaterThan(5);
    expect(unexpected).toEqual([]);

    // Quiet now: what was promised is there, and both programs say the same.
    const server = await new OurServer(home).start();
    const ids = [...threads.keys()];
    for (const threadId of ids) await server.call('unarchive_thread', { threadId });
    const listed = await server.listAll({ sources: ALL_SOURCES, archived: 'include' });
    expect(listed.map(({ threadId }) => threadId)).toEqual(expect.arrayContaining(ids));
    await withAppServer(home, async (codex) => {
      // Codex shows turns that others wrote once it has resumed the thread.
      for (const threadId of ids) await codex.send('thread/resume', { threadId });
    });
    const codex = await codexAnswers(home, ids);
    for (const [threadId, { acknowledged, possible }] of threads) {
      const answer = codex.get(threadId);
      const mine = await server.turnsOf(threadId);
      expect(mine.map(({ turnId }) => turnId)).toEqual(answer?.turns.map(({ id }) => id));
      const said = mine.flatMap(({ items }) => items.map((item) => String(item['text'] ?? '')));
      const times = (text: string) => said.filter((line) => line.endsWith(text)).length;
      for (const text of acknowledged) expect(times(text), `${text} in ${threadId}`).toBe(1);
      for (const text of possible) expect(times(text), `${text} in ${threadId}`).toBeLessThan(2);
      const { thread } = await server.call<ThreadReading>('read_thread', { threadId, includeTurns: false });
      expect({ name: thread.name ?? null, isArchived: thread.archived === true }).toEqual({
        name: answer?.thread.name,
        isArchived: answer?.isArchived,
      });
    }
    await server.stop();
  }, 240_000);
});
