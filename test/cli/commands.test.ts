import { execFile } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { PROJECT } from '../support/mcp-client.js';
import { addEdge, addRow, event, newId, spawnedBy, TestHome } from '../support/test-home.js';

const MAIN = path.join(PROJECT, 'dist/main.js');

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function threadkeeper(home: TestHome, ...args: string[]): Promise<Ran> {
  try {
    const ran = await promisify(execFile)(process.execPath, [MAIN, ...args, '--home', home.root]);
    return { code: 0, ...ran };
  } catch (error) {
    const { code, stdout, stderr } = error as Ran;
    return { code, stdout, stderr };
  }
}

describe('threadkeeper list', () => {
  it('prints the newest threads, and makes nothing', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['find me', 'a']], at: '2026-11-20T10:00:00.000Z' });
    home.rollout({ turns: [['other\nline', 'a']], at: '2026-11-21T10:00:00.000Z' });
    home.rollout({ archived: true });
    const before = readdirSync(home.root, { recursive: true }).sort();
    const { stdout, code } = await threadkeeper(home, 'list');
    expect(code).toBe(0);
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/ other$/),
      expect.stringContaining(`${id}  `),
      'not shown: archived threads: 1 (--archived)',
    ]);
    expect((await threadkeeper(home, 'list', '--limit', '1')).stdout).toContain('… and 1 more');
    expect((await threadkeeper(home, 'list', '--archived')).stdout).toContain('[archived]');
    const { threads, total } = JSON.parse((await threadkeeper(home, 'list', '--search', 'FIND', '--json')).stdout);
    expect([total, threads[0].threadId, threads[0].title]).toEqual([1, id, 'find me']);
    expect(readdirSync(home.root, { recursive: true }).sort()).toEqual(before);
  });
});

describe('threadkeeper show', () => {
  it('prints a thread by id or by name, and says what else to do', async () => {
    const home = new TestHome();
    const { id } = home.rollout({
      mode: 'paginated',
      turns: [
        ['q1', 'a1'],
        ['q2', 'a2'],
      ],
    });
    home.name(id, 'My thread');
    const byId = await threadkeeper(home, 'show', id);
    expect(byId.stdout).toContain('My thread\n  id: ');
    expect(byId.stdout).toMatch(/\[userMessage\] q1\n\[agentMessage\] a1\n[\s\S]*\[userMessage\] q2/);
    expect((await threadkeeper(home, 'show', 'My thread')).stdout).toBe(byId.stdout);
    expect((await threadkeeper(home, 'show', id, '--turns', '1')).stdout).toContain('earlier turns: --turns');
    expect(JSON.parse((await threadkeeper(home, 'show', id, '--json')).stdout).turns).toHaveLength(2);
    expect(await threadkeeper(home, 'show', 'nobody')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not found'),
    });
    home.name(home.rollout().id, 'My thread');
    expect(await threadkeeper(home, 'show', 'My thread')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('2 threads have that name'),
    });
    expect(await threadkeeper(home, 'show')).toMatchObject({ code: 2 });
  });
});

describe('threadkeeper doctor', () => {
  it('finds nothing in a sound home, and says whose it is', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    addRow(home.stateDb(), { id, rollout_path: file, name: 'N', history_mode: 'paginated', first_user_message: 'q' });
    home.name(id, 'N');
    writeFileSync(path.join(home.root, 'installation_id'), '01a20000-0000-7000-8000-aaaaaaaaaaaa');
    const { code, stdout } = await threadkeeper(home, 'doctor');
    expect(stdout).toContain('Everything agrees.');
    expect(stdout).toContain('installation: 01a20000-0000-7000-8000-aaaaaaaaaaaa');
    expect(code).toBe(0);
    expect((await threadkeeper(home, 'doctor', '--installation-id', 'given')).stdout).toContain('installation: given');
  });

  it('tells what disagrees and what to do, with exit code 1', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const gone = home.rollout();
    addRow(db, { id: gone.id, rollout_path: gone.file });
    rmSync(gone.file);
    const moved = home.rollout({ archived: true });
    addRow(db, { id: moved.id, rollout_path: path.join(home.root, 'sessions', path.basename(moved.file)) });
    const lost = home.rollout({ mode: 'paginated' });
    addRow(db, { id: lost.id, rollout_path: lost.file, history_mode: 'paginated' });
    home.name(lost.id, 'Lost by Codex');
    const outside = new TestHome();
    addRow(db, { id: newId(), rollout_path: outside.rollout().file });
    const unindexed = home.rollout();
    home.rollout({ raw: 'garbage\n' });
    addEdge(db, moved.id, newId());
    const { code, stdout } = await threadkeeper(home, 'doctor', '--json');
    expect(code).toBe(1);
    const { findings, rollouts, rows } = JSON.parse(stdout);
    expect([rollouts, rows]).toEqual([4, 4]);
    const kinds = findings.map(({ kind, threadId }: { kind: string; threadId: string }) => `${kind} ${threadId}`);
    for (const wanted of [
      `row without file ${gone.id}`,
      `row elsewhere ${moved.id}`,
      `name ${lost.id}`,
      `no row ${unindexed.id}`,
    ]) {
      expect(kinds).toContain(wanted);
    }
    const all = new Set(findings.map(({ kind }: { kind: string }) => kind));
    for (const kind of ['row outside', 'no content', 'orphan edge']) expect(all).toContain(kind);
    for (const { remedy } of findings) expect(remedy).not.toBe('');
    expect(new Set(kinds).size).toBe(kinds.length);
    expect((await threadkeeper(home, 'doctor')).stdout).toMatch(/\d+ things disagree\./);
  });
});

describe('what threadkeeper doctor finds', () => {
  const findingsOf = async (home: TestHome) => {
    const { code, stdout } = await threadkeeper(home, 'doctor', '--json');
    const { findings } = JSON.parse(stdout) as { findings: { kind: string; threadId: string; problem: string }[] };
    expect(code).toBe(findings.length > 0 ? 1 : 0);
    return findings.map(({ kind, threadId, problem }) => ({ kind, threadId, problem }));
  };
  const indexed = (home: TestHome, db: ReturnType<TestHome['stateDb']>, meta: Record<string, unknown> = {}) => {
    const rollout = home.rollout({ meta, turns: [['q', 'a']] });
    const source = typeof meta['source'] === 'object' ? JSON.stringify(meta['source']) : 'cli';
    addRow(db, { id: rollout.id, rollout_path: rollout.file, source, title: 'q', first_user_message: 'q' });
    return rollout;
  };

  it('is edges that the rollouts contradict, that are missing, lead to nothing, or go in a ring', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const [root, other] = [indexed(home, db), indexed(home, db)];
    const missing = indexed(home, db, spawnedBy(root.id));
    const wrong = indexed(home, db, spawnedBy(root.id));
    addEdge(db, other.id, wrong.id);
    const lost = newId();
    const orphaned = indexed(home, db, spawnedBy(lost));
    addEdge(db, lost, orphaned.id);
    const [one, two] = [indexed(home, db), indexed(home, db)];
    addEdge(db, one.id, two.id);
    addEdge(db, two.id, one.id);
    expect(await findingsOf(home)).toEqual([
      { kind: 'edge differs', threadId: wrong.id, problem: expect.stringContaining(root.id) },
      { kind: 'edge to nothing', threadId: orphaned.id, problem: expect.stringContaining(lost) },
      { kind: 'no edge', threadId: missing.id, problem: expect.stringContaining(root.id) },
      { kind: 'edges in a ring', threadId: one.id, problem: expect.stringContaining(two.id) },
    ]);
  });

  it('is rows that point at another thread’s rollout, or say otherwise than theirs', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const theirs = indexed(home, db);
    const mine = indexed(home, db);
    rmSync(mine.file);
    db.prepare('UPDATE threads SET rollout_path = ? WHERE id = ?').run(theirs.file, mine.id);
    const other = indexed(home, db);
    db.prepare("UPDATE threads SET cwd = '/x', source = 'exec', git_sha = 'abc' WHERE id = ?").run(other.id);
    const moved = indexed(home, db);
    const settings = event({ type: 'thread_settings_applied', thread_settings: { cwd: '/moved' } });
    writeFileSync(moved.file, `${JSON.stringify({ timestamp: 'x', ...settings })}\n`, { flag: 'a' });
    db.prepare("UPDATE threads SET cwd = '/moved' WHERE id = ?").run(moved.id);
    expect(await findingsOf(home)).toEqual([
      { kind: 'row of another', threadId: mine.id, problem: expect.stringContaining(theirs.id) },
      { kind: 'row differs', threadId: other.id, problem: expect.stringContaining('source, cwd, git') },
    ]);
  });

  it('is names that index and row have differently, and a name of nothing', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const cleared = indexed(home, db);
    db.prepare("UPDATE threads SET title = 'kept' WHERE id = ?").run(cleared.id);
    home.name(cleared.id, '');
    const gone = newId();
    home.name(gone, 'Gone');
    const kinds = (await findingsOf(home)).map(({ kind, threadId }) => [kind, threadId]);
    expect(kinds).toEqual([
      ['name', cleared.id],
      ['name of no thread', gone],
    ]);
  });

  it('is a rollout that is there twice', async () => {
    const home = new TestHome();
    const { file, id } = indexed(home, home.stateDb());
    mkdirSync(path.join(home.root, 'archived_sessions'));
    linkSync(file, path.join(home.root, 'archived_sessions', path.basename(file)));
    expect(await findingsOf(home)).toMatchObject([{ kind: 'there twice', threadId: id }]);
  });

  it('is our own index that is behind, half-filled or damaged', async () => {
    const home = new TestHome();
    const { file, id } = home.rollout({ turns: [['q', 'a']] });
    await threadkeeper(home, 'backfill');
    expect(await findingsOf(home)).toEqual([]);
    writeFileSync(file, '\n', { flag: 'a' });
    expect(await findingsOf(home)).toMatchObject([{ kind: 'row behind', threadId: id }]);
    const ours = new Database(path.join(home.root, 'threadkeeper.sqlite'));
    ours.exec("UPDATE backfill_state SET status = 'running'");
    ours.close();
    const half = await threadkeeper(home, 'doctor');
    expect(half.code).toBe(1);
    expect(half.stdout).toContain('threadkeeper.sqlite is not filled yet. threadkeeper backfill makes its index anew.');
    expect(half.stdout).not.toContain('Everything agrees');
    writeFileSync(path.join(home.root, 'threadkeeper.sqlite'), 'garbage'.repeat(1000));
    const damaged = await threadkeeper(home, 'doctor');
    expect([damaged.code, damaged.stdout]).toEqual([
      1,
      expect.stringContaining('threadkeeper.sqlite: file is not a database.'),
    ]);
  });
});

describe('threadkeeper backfill', () => {
  it('fills our own DB and says what it did', async () => {
    const home = new TestHome();
    const gone = home.rollout();
    for (let n = 0; n < 2; n += 1) home.rollout();
    home.rollout({ raw: 'garbage\n' });
    const { code, stdout, stderr } = await threadkeeper(home, 'backfill');
    expect([code, stdout]).toEqual([0, expect.stringContaining('3 threads indexed, 1 rollouts unreadable')]);
    expect(stderr).toContain('not in the index');
    expect(stderr).toMatch(/: sessions\/.*\.jsonl\n/);
    const again = JSON.parse((await threadkeeper(home, 'backfill', '--json')).stdout);
    expect(again).toMatchObject({ indexed: 0, warnings: [expect.stringContaining('1 rollout file without content')] });
    rmSync(gone.file);
    expect((await threadkeeper(home, 'doctor', '--json')).stdout).toContain('backfill brings its index in line');
    await threadkeeper(home, 'backfill');
    expect((await threadkeeper(home, 'doctor', '--json')).stdout).not.toContain('row without file');
    expect(await threadkeeper(home, 'backfill', '--no-state-db')).toMatchObject({ code: 2 });
    const withCodexs = new TestHome();
    withCodexs.stateDb();
    expect((await threadkeeper(withCodexs, 'backfill')).stdout).toContain('nothing to fill');
  });

  it('shows a bar in a terminal', async () => {
    const home = new TestHome();
    for (let n = 0; n < 3; n += 1) home.rollout();
    const command = `${process.execPath} ${MAIN} backfill --home ${home.root}`;
    const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null']);
    expect(stdout).toMatch(/\[#{30}\] 3 of 3 threads/);
  });
});
