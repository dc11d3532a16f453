import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { OurServer, type ThreadReading } from '../support/mcp-client.js';
import { codexAnswers, withAppServer } from './codex-answers.js';
import { startMock, writeConfig } from './rig/with-codex.mjs';

const KILLS = 60;

let directory: string;
let home: string;
let mock: Awaited<ReturnType<typeof startMock>>;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-kill-'));
  home = path.join(directory, 'codex-home');
  mock = await startMock();
  writeConfig(home, mock.port, { maxAgentDepth: 4 });
});

afterAll(async () => {
  await mock?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('kill -9 of the server at any moment of archive, rename or patch', () => {
  it(`leaves every thread readable by both programs, and keeps what was acknowledged (${KILLS} times)`, async () => {
    const { roots, all } = await makeThreads();
    const before = new Map((await codexAnswers(home, all)).entries());
    expect(before.size).toBe(all.length);
    /** What each thread may be called: none at first, then the name acknowledged last, or one that a kill came upon. */
    const names: Names = new Map(roots.map((id) => [id, new Set([undefined])]));
    for (let round = 0; round < KILLS; round += 1) {
      const server = await new OurServer(home).start();
      const writing = writeUntilDead(server, roots, round, names);
      await sleep(Math.random() * 25);
      process.kill(server.pid, 'SIGKILL');
      await writing;
      await server.stop();
      if (round % 20 === 19) await expectAllReadable(all, before, names);
    }
    await expectAllReadable(all, before, names);
    for (const id of roots) await expectMovableAndResumable(id);
  }, 300_000);
});

type Names = Map<string, Set<string | undefined>>;

/** A legacy thread, a paginated one, and a tree of seven. */
async function makeThreads(): Promise<{ roots: string[]; all: string[] }> {
  const roots = await withAppServer(home, async (server) => {
    const ids: string[] = [];
    for (const [historyMode, prompt] of [
      ['legacy', '[[answer:l]] legacy'],
      ['paginated', '[[answer:p]] paginated'],
      ['paginated', '[[tree:2,2]] a tree'],
    ] as const) {
      const { thread } = await server.send<{ thread: { id: string } }>('thread/start', {
        cwd: directory,
        model: 'gpt-5.4',
        historyMode,
      });
      await server.runTurn(thread.id, prompt);
      ids.push(thread.id);
    }
    return ids;
  });
  const server = await new OurServer(home).start();
  const below = await server.listAll({ ancestorThreadId: roots[2] });
  await server.stop();
  expect(below).toHaveLength(6);
  return { roots, all: [...roots, ...below.map(({ threadId }) => threadId)] };
}

/** Writes one thing after another until the process is gone. */
async function writeUntilDead(server: OurServer, roots: readonly string[], round: number, names: Names): Promise<void> {
  for (let step = 0; ; step += 1) {
    const threadId = roots[(round + step) % roots.length] ?? '';
    const name = `name ${round}.${step}`;
    const kind = (round + step) % 4;
    try {
      if (kind === 0) await server.call('archive_thread', { threadId });
      else if (kind === 1) await server.call('unarchive_thread', { threadId });
      else {
        names.get(threadId)?.add(name);
        const patch =
          kind === 2
            ? { threadId, name }
            : { threadId, name, gitInfo: { branch: name }, memoryMode: step % 2 ? 'enabled' : 'disabled' };
        await server.call('update_thread_metadata', patch);
        names.set(threadId, new Set([name]));
      }
    } catch (error) {
      // A conflict with the stale lock of the process killed before would be a bug; a closed connection is the kill.
      if (String(error).includes('"code"')) throw error;
      return;
    }
  }
}

async function expectAllReadable(
  all: readonly string[],
  before: Awaited<ReturnType<typeof codexAnswers>>,
  names: Names,
): Promise<void> {
  const server = await new OurServer(home).start();
  const codex = await codexAnswers(home, all);
  for (const id of all) {
    const turns = before.get(id)?.turns.map((turn) => turn.id);
    expect(codex.get(id)?.turns.map((turn) => turn.id)).toEqual(turns);
    expect((await server.turnsOf(id)).map((turn) => turn.turnId)).toEqual(turns);
    const { thread } = await server.call<ThreadReading>('read_thread', { threadId: id, includeTurns: false });
    expect(thread.archived === true).toBe(codex.get(id)?.isArchived);
    const possible = names.get(id);
    if (possible) {
      expect([...possible]).toContain(thread.name);
      expect([...possible]).toContain(codex.get(id)?.thread.name ?? undefined);
    }
  }
  // A thread whose move was killed is in both directories, readable by both; our next start ends the move.
  for (const id of all) await vi.waitFor(() => expect(filesFor(id)).toHaveLength(1));
  await server.stop();
}

async function expectMovableAndResumable(id: string): Promise<void> {
  const server = await new OurServer(home).start();
  await server.call('unarchive_thread', { threadId: id });
  await server.stop();
  await withAppServer(home, async (codex) => {
    await codex.send('thread/resume', { threadId: id });
    expect((await codex.runTurn(id, '[[answer:still]] are you there')).status).toBe('completed');
  });
}

function filesFor(id: string): string[] {
  return readdirSync(home, { recursive: true })
    .map(String)
    .filter((name) => name.includes(id) && name.endsWith('.jsonl'));
}
