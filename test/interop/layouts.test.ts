import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { OurServer, type ThreadList, type ThreadReading, type TreeResult } from '../support/mcp-client.js';
import type { CodexThread, CodexTurn } from './codex-answers.js';
import { AppServer, startMock, writeConfig } from './rig/with-codex.mjs';

/** A home as people have them. */
interface Layout {
  /** Made before Codex runs for the first time; what both programs are told. */
  readonly prepare?: (home: string, directory: string) => Readonly<Record<string, string>>;
  /** What becomes of the home when Codex has written its threads. */
  readonly change?: (home: string, ids: readonly string[]) => void;
  /** The names of the rollouts keep them from being moved, and Codex from showing turns of paginated ones. */
  readonly hasOddNames?: true;
}

const configure = (home: string, line: string) => {
  const file = path.join(home, 'config.toml');
  writeFileSync(file, `${line}\n${readFileSync(file, 'utf8')}`);
};

const linked = (home: string, directory: string, name: string) => {
  const elsewhere = existsSync('/dev/shm') ? mkdtempSync('/dev/shm/threadkeeper-') : path.join(directory, 'elsewhere');
  mkdirSync(elsewhere, { recursive: true });
  symlinkSync(elsewhere, path.join(home, name));
  onTestFinished(() => rmSync(elsewhere, { recursive: true, force: true }));
  return {};
};

/** Renames the rollouts, and tells Codex's rows. */
const rename = (home: string, ids: readonly string[], name: (old: string, id: string) => string) => {
  const db = new Database(path.join(home, 'state_5.sqlite'));
  for (const id of ids) {
    const row = db.prepare('SELECT rollout_path AS file FROM threads WHERE id = ?').get(id) as { file: string };
    const next = path.join(path.dirname(row.file), name(path.basename(row.file), id));
    renameSync(row.file, next);
    db.prepare('UPDATE threads SET rollout_path = ? WHERE id = ?').run(next, id);
  }
  db.close();
};

const rolloutsOf = (home: string, ids: readonly string[]) =>
  readdirSync(path.join(home, 'sessions'), { recursive: true })
    .map(String)
    .filter((name) => ids.some((id) => name.endsWith(`${id}.jsonl`)))
    .map((name) => path.join(home, 'sessions', name));

const LAYOUTS: Readonly<Record<string, Layout>> = {
  'the DB in sqlite/ of the home': {
    prepare: (home) => {
      mkdirSync(path.join(home, 'sqlite'));
      return { CODEX_SQLITE_HOME: path.join(home, 'sqlite') };
    },
  },
  'the DB below ~ by config.toml': {
    prepare: (home, directory) => {
      mkdirSync(path.join(directory, 'databases'));
      configure(home, 'sqlite_home = "~/databases"');
      return { HOME: directory };
    },
  },
  'the DB elsewhere by config.toml': {
    prepare: (home, directory) => {
      mkdirSync(path.join(directory, 'databases'));
      configure(home, `sqlite_home = ${JSON.stringify(path.join(directory, 'databases'))}`);
      return {};
    },
  },
  'a stale DB of a higher number': {
    change: (home) => {
      new Database(path.join(home, 'state_6.sqlite')).exec('CREATE TABLE notes (text TEXT)').close();
      writeFileSync(path.join(home, 'state_7.sqlite'), '');
    },
  },
  'sessions linked to another disk': { prepare: (home, directory) => linked(home, directory, 'sessions') },
  'archived_sessions linked to another disk': {
    prepare: (home, directory) => linked(home, directory, 'archived_sessions'),
  },
  'rollouts with the names of copies': {
    change: (home, ids) => rename(home, ids, (old) => old.replace('.jsonl', ' (1).jsonl')),
    hasOddNames: true,
  },
  'rollouts with names of their own': {
    change: (home, ids) => rename(home, ids, (_, id) => `mine-${id.slice(-4)}.jsonl`),
    hasOddNames: true,
  },
  'blank lines before the first line of rollouts': {
    change: (home, ids) => {
      for (const file of rolloutsOf(home, ids)) writeFileSync(file, `\n\n${readFileSync(file, 'utf8')}`);
    },
  },
};

let directory: string;
let mock: Awaited<ReturnType<typeof startMock>>;

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-layouts-'));
  mock = await startMock();
});

afterAll(async () => {
  await mock?.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe.each(Object.entries(LAYOUTS))('a home with %s', (_, { prepare, change, hasOddNames = false }) => {
  it('has each of our writes in a running and in a fresh Codex', async () => {
    const own = mkdtempSync(path.join(directory, 'case-'));
    const home = path.join(own, 'home');
    mkdirSync(home);
    writeConfig(home, mock.port);
    const env = prepare?.(home, own) ?? {};
    const codex = async <T>(action: (server: AppServer) => Promise<T>): Promise<T> => {
      const server = new AppServer(home, { env });
      await server.init();
      return await action(server).finally(() => server.stop());
    };
    const ids = await codex(async (server) => {
      const made: string[] = [];
      for (const historyMode of hasOddNames ? ['legacy'] : ['legacy', 'paginated']) {
        const { thread } = await server.send<{ thread: { id: string } }>('thread/start', {
          cwd: own,
          model: 'gpt-5.4',
          historyMode,
        });
        await server.runTurn(thread.id, `[[answer:a]] first of ${historyMode}`);
        made.push(thread.id);
      }
      return made;
    });
    change?.(home, ids);
    // CODEX_SQLITE_HOME is set for the desktop app alone: we are not told.
    const { CODEX_SQLITE_HOME: _told, ...ourEnv } = env;
    const ours = await new OurServer(home, [], ourEnv).start();
    const running = new AppServer(home, { env });
    await running.init();
    try {
      for (const id of ids) {
        const seen = async (check: (thread: CodexThread, turns: readonly CodexTurn[]) => void) => {
          const look = async (server: AppServer) => {
            const { thread } = await server.send<{ thread: CodexThread }>('thread/read', { threadId: id });
            const { rows } = await server.listAll<CodexTurn>('thread/turns/list', {
              threadId: id,
              itemsView: 'full',
              sortDirection: 'asc',
            });
            check(thread, rows);
          };
          await look(running);
          await codex(look);
        };
        const { turns } = await ours.call<ThreadReading>('read_thread', { threadId: id });
        expect(turns).toHaveLength(1);
        await seen((_thread, codexTurns) => expect(codexTurns).toHaveLength(1));
        await ours.call('set_thread_name', { threadId: id, name: 'Named here' });
        await seen((thread) => expect(thread.name).toBe('Named here'));
        await ours.call('update_thread_metadata', { threadId: id, gitInfo: { branch: 'here' } });
        await seen((thread) => expect(thread.gitInfo?.branch).toBe('here'));
        if (!hasOddNames) {
          expect(await ours.call<TreeResult>('archive_thread', { threadId: id })).toMatchObject({ archived: [id] });
          await seen((thread) => expect(thread.path).toContain('archived_sessions'));
          expect(await ours.call<TreeResult>('unarchive_thread', { threadId: id })).toMatchObject({ unarchived: [id] });
          await seen((thread) => expect(thread.path).not.toContain('archived_sessions'));
        } else {
          expect(await ours.failure('archive_thread', { threadId: id })).toMatchObject({ code: 'unsupported' });
          await seen((thread) => expect(thread.path).not.toContain('archived_sessions'));
        }
        const items = [
          { type: 'userMessage', text: 'asked here' },
          { type: 'agentMessage', text: 'answered here' },
        ];
        await ours.call('append_to_thread', { threadId: id, items, endTurn: true });
        await ours.call('close_thread', { threadId: id });
        // A paginated thread shows what others wrote when Codex has resumed it.
        await codex(async (server) => {
          await server.send('thread/resume', { threadId: id });
          await server.runTurn(id, '[[answer:b]] asked in Codex');
        });
        const after = await ours.turnsOf(id);
        expect(after.map((turn) => turn.items[0]?.['text'])).toHaveLength(3);
        await seen((thread, codexTurns) => {
          expect(thread.name).toBe('Named here');
          expect(codexTurns.map((turn) => turn.id)).toEqual(after.map((turn) => turn.turnId));
        });
      }
      const started = await ours.call<ThreadReading>('start_thread', { cwd: own, message: 'from here', name: 'New' });
      await ours.call('close_thread', { threadId: started.thread.threadId });
      const fresh = await codex((server) =>
        server.send<{ thread: CodexThread }>('thread/read', { threadId: started.thread.threadId }),
      );
      expect(fresh.thread).toMatchObject({ name: 'New', preview: 'from here' });
    } finally {
      await running.stop();
      await ours.stop();
    }
  }, 90_000);
});

describe('no home at all', () => {
  it('becomes one with the first thread, which a fresh Codex lists and continues', async () => {
    const home = path.join(mkdtempSync(path.join(directory, 'case-')), 'home');
    const ours = await new OurServer(home).start();
    expect((await ours.call<ThreadList>('list_threads', {})).warnings?.join()).toContain(home);
    expect(existsSync(home)).toBe(false);
    const params = { cwd: directory, message: 'from here', name: 'First', modelProvider: 'mock' };
    const { thread } = await ours.call<ThreadReading>('start_thread', params);
    await ours.call('close_thread', { threadId: thread.threadId });
    writeConfig(home, mock.port);
    const codex = new AppServer(home);
    await codex.init();
    const { threadId } = thread;
    const seen = await codex.send<{ thread: CodexThread }>('thread/read', { threadId });
    expect(seen.thread).toMatchObject({ name: 'First', preview: 'from here' });
    await codex.send('thread/resume', { threadId });
    await codex.runTurn(threadId, '[[answer:b]] goes on');
    await codex.stop();
    expect(await ours.turnsOf(threadId)).toHaveLength(2);
    await ours.stop();
  }, 60_000);
});
