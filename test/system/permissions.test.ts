import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { OurServer, type ThreadList, type ThreadReading } from '../support/mcp-client.js';
import { runProgram } from '../support/program.js';
import { addRow, TestHome } from '../support/test-home.js';

/** Whose files the server meets: as of a Codex that ran with sudo, for a server that does not. */
const SOMEBODY = 65_534;
/** Without the powers of root permissions hold for root, too. */
const POWERLESS = ['setpriv', '--bounding-set=-dac_override,-dac_read_search,-fowner'];

const below = (directory: string) => [
  directory,
  ...readdirSync(directory, { recursive: true }).map((name) => path.join(directory, String(name))),
];

/** A home with two threads on two days and Codex's DB; `restrict` gives a file to somebody else. */
function restrictedHome() {
  const home = new TestHome();
  const db = home.stateDb();
  const threadOf = (day: string) => {
    const { id, file } = home.rollout({ at: `${day}T10:00:00.000Z`, turns: [[`question of ${day}`, 'a']] });
    addRow(db, { id, rollout_path: file, first_user_message: `question of ${day}`, title: `question of ${day}` });
    return { id, file };
  };
  const [one, two] = [threadOf('2026-11-01'), threadOf('2026-11-02')] as const;
  db.close();
  const restrict = (name: string, mode: number) => {
    chownSync(name, SOMEBODY, SOMEBODY);
    chmodSync(name, mode);
  };
  const serve = async () => {
    const server = await new OurServer(home.root, [], { HOME: home.root }, POWERLESS).start();
    onTestFinished(() => server.stop());
    return server;
  };
  return { home, one, two, serve, restrict, stateDb: path.join(home.root, 'state_5.sqlite') };
}

const WRITES = (threadId: string) =>
  [
    ['set_thread_name', { threadId, name: 'x' }],
    ['update_thread_metadata', { threadId, gitInfo: { branch: 'x' } }],
    ['archive_thread', { threadId }],
  ] as const;

describe('a server that may not', () => {
  it('read one rollout says which, and why, and shows the rest', async () => {
    const { one, two, serve, restrict } = restrictedHome();
    restrict(one.file, 0o600);
    const server = await serve();
    expect((await server.call<ThreadList>('list_threads', {})).total).toBe(2);
    for (const [tool, args] of [['read_thread', { threadId: one.id }], ...WRITES(one.id)] as const) {
      const error = await server.failure(tool, args);
      expect(error).toMatchObject({ code: 'unsupported', message: `${one.file} may not be read (EACCES)` });
    }
    expect((await server.call<ThreadReading>('read_thread', { threadId: two.id })).turns).toHaveLength(1);
    // Nothing that a person has to look into: no stack for each file.
    expect(server.stderr).toBe('');
  });

  it('read a directory counts it, and does not call its threads lost', async () => {
    const { home, one, two, serve, restrict } = restrictedHome();
    restrict(path.dirname(one.file), 0o700);
    const server = await serve();
    const { total, warnings } = await server.call<ThreadList>('list_threads', {});
    expect(total).toBe(1);
    const name = path.relative(home.root, path.dirname(one.file));
    expect(warnings?.join()).toContain(`${name} (may not be read (EACCES))`);
    expect(await server.failure('read_thread', { threadId: one.id })).toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining(name),
    });
    expect((await server.call<ThreadReading>('read_thread', { threadId: two.id })).turns).toHaveLength(1);
    const { stdout } = await runProgram(['doctor', '--home', home.root, '--json'], {}, POWERLESS);
    expect(JSON.parse(stdout).findings.map(({ kind }: { kind: string }) => kind)).toEqual(['not read']);
  });

  it('open Codex’s DB reads the files and changes nothing', async () => {
    const { one, serve, restrict, stateDb } = restrictedHome();
    restrict(stateDb, 0o600);
    const server = await serve();
    const { total, warnings } = await server.call<ThreadList>('list_threads', {});
    expect(total).toBe(2);
    expect(warnings?.join()).toContain('no thread can be named, changed or archived');
    for (const [tool, args] of WRITES(one.id)) {
      expect(await server.failure(tool, args)).toMatchObject({
        code: 'conflict',
        message: expect.stringContaining(stateDb),
      });
    }
    expect(statSync(one.file).isFile()).toBe(true);
    const { stdout, code } = await runProgram(['doctor', '--home', path.dirname(stateDb)], {}, POWERLESS);
    expect(code).toBe(1);
    expect(stdout).not.toContain('Everything agrees');
  });

  it('write the home reads it, and each write is read_only', async () => {
    const { home, one, serve, restrict, stateDb } = restrictedHome();
    for (const name of below(home.root)) restrict(name, statSync(name).isDirectory() ? 0o755 : 0o644);
    restrict(stateDb, 0o600);
    const server = await serve();
    expect((await server.call<ThreadList>('list_threads', {})).total).toBe(2);
    for (const [tool, args] of WRITES(one.id)) {
      expect(await server.failure(tool, args)).toMatchObject({ code: 'read_only' });
    }
  });

  it('write one rollout names the thread all the same, and refuses what belongs into the rollout', async () => {
    const { home, one, serve, restrict } = restrictedHome();
    restrict(one.file, 0o644);
    writeFileSync(path.join(home.root, 'unrelated'), '');
    const server = await serve();
    await server.call('set_thread_name', { threadId: one.id, name: 'Named' });
    expect(
      await server.failure('update_thread_metadata', { threadId: one.id, gitInfo: { branch: 'x' } }),
    ).toMatchObject({
      code: 'read_only',
    });
    expect((await server.call<ThreadReading>('read_thread', { threadId: one.id })).thread).toMatchObject({
      name: 'Named',
    });
  });

  it('set the times of a rollout archives it and brings it back all the same', async () => {
    const { one, serve, restrict } = restrictedHome();
    restrict(one.file, 0o644);
    const server = await serve();
    const archived = await server.call('archive_thread', { threadId: one.id });
    expect(archived).toMatchObject({ failed: [] });
    expect(existsSync(one.file)).toBe(false);
    await server.call('unarchive_thread', { threadId: one.id });
    expect(existsSync(one.file)).toBe(true);
    expect((await server.call<ThreadReading>('read_thread', { threadId: one.id })).thread.archived).not.toBe(true);
  });
});

describe('a move from one file system to another', () => {
  it('keeps the owner, the group and the mode of the rollout', async () => {
    const home = new TestHome();
    const elsewhere = mkdtempSync('/dev/shm/threadkeeper-');
    onTestFinished(() => rmSync(elsewhere, { recursive: true }));
    expect(statSync(elsewhere).dev).not.toBe(statSync(home.root).dev);
    symlinkSync(elsewhere, path.join(home.root, 'archived_sessions'));
    const { id, file } = home.rollout({ turns: [['question', 'answer']] });
    chownSync(file, SOMEBODY, SOMEBODY);
    chmodSync(file, 0o640);
    const server = await new OurServer(home.root).start();
    onTestFinished(() => server.stop());
    await server.call('archive_thread', { threadId: id });
    const { uid, gid, mode } = statSync(path.join(elsewhere, path.basename(file)));
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: SOMEBODY, gid: SOMEBODY, mode: 0o640 });
  });
});
