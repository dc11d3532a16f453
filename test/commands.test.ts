import { execFile } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { PROJECT } from './support/mcp-client.js';
import { addEdge, addRow, newId, TestHome } from './support/test-home.js';

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
    addRow(home.stateDb(), { id, rollout_path: file, name: 'N', history_mode: 'paginated' });
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
    for (const kind of ['row outside', 'no thread', 'orphan edge']) expect(all).toContain(kind);
    for (const { remedy } of findings) expect(remedy).not.toBe('');
    expect((await threadkeeper(home, 'doctor')).stdout).toMatch(/\d+ things disagree\./);
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
    expect(stderr).toContain('could not be indexed');
    expect(JSON.parse((await threadkeeper(home, 'backfill', '--json')).stdout)).toMatchObject({ indexed: 0 });
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
