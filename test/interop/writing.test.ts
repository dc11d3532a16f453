import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { OurServer, type ThreadReading, type TreeResult } from '../support/mcp-client.js';
import { type CodexThread, type CodexTurn, withAppServer } from './codex-answers.js';
import { AppServer, startMock, writeConfig } from './rig/with-codex.mjs';

/** What a Codex process answers about a thread. */
interface Seen {
  readonly name: string | null;
  readonly git: CodexThread['gitInfo'];
  readonly isArchived: boolean;
}

let directory: string;
let home: string;
let cwd: string;
let mock: Awaited<ReturnType<typeof startMock>>;
/** A Codex that runs all the while and has no thread loaded. */
let running: AppServer;
let ours: OurServer;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-writing-'));
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

for (const mode of ['legacy', 'paginated'] as const) {
  describe(`writes on a ${mode} thread of real Codex`, () => {
    let id: string;

    beforeAll(async () => {
      id = await coldThread(mode, ['[[answer:one]] first question', '[[shell:echo hi]] second question']);
      // The server opened the home before the DB was there: the next one has it.
      await ours.stop();
      ours = await new OurServer(home).start();
    });

    it('shows a name to a running and to a fresh Codex', async () => {
      const { thread } = await ours.call<ThreadReading>('set_thread_name', { threadId: id, name: '  Näme — 世界 🎉 ' });
      expect(thread.name).toBe('Näme — 世界 🎉');
      for (const seen of await seenByCodex(id)) expect(seen.name).toBe('Näme — 世界 🎉');
    });

    it('shows a cleared name', async () => {
      const { thread } = await ours.call<ThreadReading>('set_thread_name', { threadId: id, name: null });
      expect(thread.name).toBeUndefined();
      for (const seen of await seenByCodex(id)) expect(seen.name).toBeNull();
    });

    it('shows name and git of one patch, and parts that it cleared', async () => {
      const gitInfo = { sha: 'abc', branch: 'feature', originUrl: 'https://example.com/r.git' };
      await ours.call('update_thread_metadata', { threadId: id, name: 'Patched', gitInfo, memoryMode: 'disabled' });
      for (const seen of await seenByCodex(id))
        expect(seen).toEqual({ name: 'Patched', git: gitInfo, isArchived: false });
      await ours.call('update_thread_metadata', { threadId: id, gitInfo: { sha: null } });
      const { thread } = await ours.call<ThreadReading>('read_thread', { threadId: id, includeTurns: false });
      expect(thread.git).toEqual({ branch: 'feature', originUrl: 'https://example.com/r.git' });
      expect(thread.memoryMode).toBe('disabled');
      for (const seen of await seenByCodex(id)) expect(seen.git).toEqual({ ...gitInfo, sha: null });
      expect(rowOf(home, id)['memory_mode']).toBe('disabled');
    });

    it('appends lines without Codex’s instructions to the rollout, with ordinals where the file has them', () => {
      const lines = linesOf(id);
      const own = lines.slice(lines.findLastIndex((line) => line.type === 'event_msg') + 1);
      expect(own.map((line) => line.type)).toEqual(['session_meta', 'session_meta']);
      for (const line of own) {
        expect(line.payload).not.toHaveProperty('base_instructions');
        expect(JSON.stringify(line).length).toBeLessThan(1000);
      }
      const ordinals = lines.map((line) => line.ordinal);
      if (mode === 'legacy') expect(new Set(ordinals)).toEqual(new Set([undefined]));
      else expect(ordinals).toEqual(lines.map((_, index) => index));
    });

    it('keeps git and memory mode through the loss of Codex’s DB', async () => {
      const copy = copyWithoutDb();
      await withAppServer(copy, async (server) => {
        await server.listAll('thread/list', { limit: 100 });
        const { thread } = await server.send<{ thread: CodexThread }>('thread/read', { threadId: id });
        expect(thread.gitInfo).toEqual({ sha: null, branch: 'feature', originUrl: 'https://example.com/r.git' });
      });
      expect(rowOf(copy, id)['memory_mode']).toBe('disabled');
    });

    it('archives and unarchives where Codex sees it', async () => {
      expect(await ours.call<TreeResult>('archive_thread', { threadId: id })).toMatchObject({
        archived: [id],
        failed: [],
      });
      for (const seen of await seenByCodex(id)) expect(seen).toMatchObject({ name: 'Patched', isArchived: true });
      await ours.call('set_thread_name', { threadId: id, name: 'Named while archived' });
      await ours.call('unarchive_thread', { threadId: id });
      for (const seen of await seenByCodex(id)) {
        expect(seen).toMatchObject({ name: 'Named while archived', isArchived: false });
      }
    });

    it('lets Codex resume the thread and run a further turn, which we then read', async () => {
      await withAppServer(home, async (server) => {
        await server.send('thread/resume', { threadId: id });
        expect((await server.runTurn(id, '[[answer:three]] third question')).status).toBe('completed');
      });
      const turns = await ours.turnsOf(id);
      expect(turns).toHaveLength(3);
      expect(turns.at(-1)?.items.map((item) => item['text'])).toEqual(['[[answer:three]] third question', 'three']);
      const seen = await running.listAll<CodexTurn>('thread/turns/list', { threadId: id, sortDirection: 'asc' });
      expect(seen.rows.map((turn) => turn.id)).toEqual(turns.map((turn) => turn.turnId));
      const ordinals = linesOf(id).map((line) => line.ordinal);
      if (mode === 'paginated') expect(ordinals).toEqual(ordinals.map((_, index) => index));
    });

    it('is refused, whole, what Codex has open', async () => {
      await withAppServer(home, async (server) => {
        await server.send('thread/resume', { threadId: id });
        const before = linesOf(id).length;
        expect(await ours.failure('archive_thread', { threadId: id })).toMatchObject({ code: 'conflict' });
        expect((await seenBy(running, id)).isArchived).toBe(false);
        const patch = { threadId: id, name: 'Held', gitInfo: { branch: 'held' } };
        if (mode === 'legacy') {
          expect(await ours.failure('update_thread_metadata', patch)).toMatchObject({ code: 'conflict' });
          expect(await seenBy(running, id)).toMatchObject({ name: 'Named while archived', git: { branch: 'feature' } });
        } else {
          // As in Codex, a paginated thread that is open elsewhere takes a patch in its row; we say what that means.
          const { warnings } = await ours.call<ThreadReading>('update_thread_metadata', patch);
          expect(warnings?.join()).toContain('state DB only');
          expect(await seenBy(running, id)).toMatchObject({ name: 'Held', git: { branch: 'held' } });
        }
        expect(linesOf(id)).toHaveLength(before);
      });
    });
  });
}

describe('a tree that real Codex spawned', () => {
  let root: string;
  let members: string[];

  beforeAll(async () => {
    root = await coldThread('paginated', ['[[tree:2,2]] a tree of agents']);
    const found = await ours.listAll({ ancestorThreadId: root });
    members = found.map(({ threadId }) => threadId);
    expect(members).toHaveLength(6);
  });

  it('tells in a dry run what it would archive, and archives nothing', async () => {
    const { archived, dryRun } = await ours.call<TreeResult>('archive_thread', { threadId: root, dryRun: true });
    expect(dryRun).toBe(true);
    expect([...(archived ?? [])].sort()).toEqual([root, ...members].sort());
    expect(await archivedByCodex(root, members)).toEqual([]);
  });

  it('leaves out a member that Codex has open, and takes the others', async () => {
    const held = members[0] ?? '';
    await withAppServer(home, async (server) => {
      await server.send('thread/resume', { threadId: held });
      const result = await ours.call<TreeResult>('archive_thread', { threadId: root });
      expect(result.failed).toEqual([{ threadId: held, error: expect.objectContaining({ code: 'conflict' }) }]);
      expect(result.archived).toHaveLength(6);
    });
    const again = await ours.call<TreeResult>('archive_thread', { threadId: root });
    expect(again.archived).toEqual([held]);
    expect(again.skipped).toHaveLength(6);
  });

  it('is archived for a running and a fresh Codex, and comes back as a whole', async () => {
    expect((await archivedByCodex(root, members)).sort()).toEqual([root, ...members].sort());
    const { unarchived } = await ours.call<TreeResult>('unarchive_thread', { threadId: root });
    expect(unarchived?.[0]).toBe(root);
    expect(unarchived).toHaveLength(7);
    expect(await archivedByCodex(root, members)).toEqual([]);
  });

  it('is unarchived by us when Codex archived it', async () => {
    await running.send('thread/archive', { threadId: root });
    const { unarchived } = await ours.call<TreeResult>('unarchive_thread', { threadId: root });
    expect(unarchived).toHaveLength(7);
    expect(await archivedByCodex(root, members)).toEqual([]);
  });
});

describe('a reverted thread, which has two files, and a fork, which builds on another thread', () => {
  it('moves with all its files, keeps a patch, and goes on in Codex', async () => {
    const id = await coldThread('paginated', ['[[answer:a]] keep me', '[[answer:b]] revert me']);
    const forkId = await withAppServer(home, async (server) => {
      await server.send('thread/resume', { threadId: id });
      const { thread } = await server.send<{ thread: { id: string } }>('thread/fork', { threadId: id });
      await server.runTurn(thread.id, '[[answer:f]] in the fork');
      const { rows } = await server.listAll<CodexTurn>('thread/turns/list', { threadId: id });
      await server.send('thread/revert', { threadId: id, beforeTurnId: rows[0]?.id });
      return thread.id;
    });
    expect(filesFor('sessions', id)).toHaveLength(2);
    await ours.call('update_thread_metadata', { threadId: id, gitInfo: { branch: 'after-revert' } });
    await ours.call('update_thread_metadata', { threadId: forkId, gitInfo: { branch: 'fork' }, name: 'The fork' });
    await ours.call('archive_thread', { threadId: id });
    expect(filesFor('sessions', id)).toHaveLength(0);
    expect(filesFor('archived_sessions', id)).toHaveLength(2);
    expect((await ours.turnsOf(forkId)).map(({ items }) => items[0]?.['text'])).toEqual([
      '[[answer:a]] keep me',
      '[[answer:b]] revert me',
      '[[answer:f]] in the fork',
    ]);
    await ours.call('unarchive_thread', { threadId: id });
    for (const [threadId, texts] of [
      [id, ['[[answer:a]] keep me', '[[answer:n]] next']],
      [forkId, ['[[answer:a]] keep me', '[[answer:b]] revert me', '[[answer:f]] in the fork', '[[answer:n]] next']],
    ] as const) {
      await withAppServer(home, async (server) => {
        await server.send('thread/resume', { threadId });
        expect((await server.runTurn(threadId, '[[answer:n]] next')).status).toBe('completed');
      });
      expect((await ours.turnsOf(threadId)).map(({ items }) => items[0]?.['text'])).toEqual(texts);
    }
    expect(await seenBy(running, forkId)).toMatchObject({ name: 'The fork', git: { branch: 'fork' } });
  });
});

describe('a rename while another program holds the DB', () => {
  let id: string;
  let lock: Database.Database;

  beforeEach(async () => {
    id = await coldThread('legacy', ['[[answer:x]] locked']);
    lock = new Database(path.join(home, 'state_5.sqlite'));
    lock.exec('BEGIN IMMEDIATE');
  });

  afterEach(() => {
    lock.exec('ROLLBACK');
    lock.close();
  });

  it('is an error that leaves nothing anywhere', async () => {
    const before = readFileSync(path.join(home, 'session_index.jsonl'), 'utf8');
    expect(await ours.failure('set_thread_name', { threadId: id, name: 'Lost?' })).toMatchObject({ code: 'conflict' });
    expect(readFileSync(path.join(home, 'session_index.jsonl'), 'utf8')).toBe(before);
    const { thread } = await ours.call<ThreadReading>('read_thread', { threadId: id, includeTurns: false });
    expect(thread.name).toBeUndefined();
  });
});

describe('writes on a home whose DB is gone', () => {
  it('are seen by the Codex that builds it again', async () => {
    const id = await coldThread('legacy', ['[[answer:y]] without a DB']);
    const copy = copyWithoutDb();
    const server = await new OurServer(copy).start();
    await server.call('update_thread_metadata', {
      threadId: id,
      name: 'No DB',
      gitInfo: { branch: 'kept' },
      memoryMode: 'disabled',
    });
    expect((await server.call<ThreadReading>('read_thread', { threadId: id })).thread).toMatchObject({
      name: 'No DB',
      git: { branch: 'kept' },
      memoryMode: 'disabled',
    });
    await server.stop();
    expect(existsSync(path.join(copy, 'state_5.sqlite'))).toBe(false);
    await withAppServer(copy, async (codex) => {
      await codex.listAll('thread/list', { limit: 100 });
      expect(await seenBy(codex, id)).toMatchObject({ name: 'No DB', git: { branch: 'kept' } });
      await codex.send('thread/resume', { threadId: id });
      expect((await codex.runTurn(id, '[[answer:more]] go on')).status).toBe('completed');
    });
  });
});

/** A thread that no process has open any more. */
async function coldThread(historyMode: 'legacy' | 'paginated', prompts: readonly string[]): Promise<string> {
  return await withAppServer(home, async (server) => {
    const params = { cwd, model: 'gpt-5.4', historyMode };
    const { thread } = await server.send<{ thread: { id: string } }>('thread/start', params);
    for (const prompt of prompts) await server.runTurn(thread.id, prompt);
    return thread.id;
  });
}

async function seenByCodex(id: string): Promise<Seen[]> {
  return [await seenBy(running, id), await withAppServer(home, (fresh) => seenBy(fresh, id))];
}

async function seenBy(server: AppServer, id: string): Promise<Seen> {
  const { thread } = await server.send<{ thread: CodexThread }>('thread/read', { threadId: id });
  return { name: thread.name, git: thread.gitInfo, isArchived: thread.path.includes('/archived_sessions/') };
}

/** Which threads of a tree are archived, in the eyes of both Codex processes; they must agree. */
async function archivedByCodex(root: string, members: readonly string[]): Promise<string[]> {
  const look = async (server: AppServer) => {
    const ids: string[] = [];
    for (const id of [root, ...members]) if ((await seenBy(server, id)).isArchived) ids.push(id);
    return ids;
  };
  const byRunning = await look(running);
  expect(await withAppServer(home, look)).toEqual(byRunning);
  return byRunning;
}

function copyWithoutDb(): string {
  const copy = mkdtempSync(path.join(directory, 'copy-'));
  cpSync(home, copy, { recursive: true, preserveTimestamps: true });
  for (const file of readdirSync(copy)) if (/\.sqlite/.test(file)) rmSync(path.join(copy, file));
  return copy;
}

function rowOf(where: string, id: string): Record<string, unknown> {
  const db = new Database(path.join(where, 'state_5.sqlite'), { readonly: true });
  const row = db.prepare('SELECT * FROM threads WHERE id = ?').get(id);
  db.close();
  return Object(row);
}

function filesFor(root: string, id: string): string[] {
  const names = readdirSync(path.join(home, root), { recursive: true }).map(String);
  return names.filter((name) => name.includes(id) && name.endsWith('.jsonl'));
}

function linesOf(id: string): { type: string; ordinal?: number; payload: object }[] {
  const file = readdirSync(home, { recursive: true }).find((name) => String(name).endsWith(`${id}.jsonl`));
  const lines = readFileSync(path.join(home, String(file)), 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
}
