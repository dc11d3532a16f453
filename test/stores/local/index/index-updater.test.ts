import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Backfill } from '../../../../src/stores/local/index/backfill.js';
import { BackfillLease } from '../../../../src/stores/local/index/backfill-lease.js';
import { RolloutHome } from '../../../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../../../src/stores/local/rollout/rollout-library.js';
import { INDEX_FILE } from '../../../../src/stores/local/state-db/open-state-db.js';
import { open } from '../../../support/local-store.js';
import { OurServer, type ThreadList } from '../../../support/mcp-client.js';
import { onlySqliteHome, openStateDb } from '../../../support/state-db.js';
import { addEdge, addRow, event, newId, rolloutText, spawnedBy, TestHome } from '../../../support/test-home.js';

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 100 } as const;
const LOOK_MS = 600;

const openOwn = (home: TestHome) => open(home.root, { indexUse: 'create' });

const ownRows = (home: TestHome, sql = 'SELECT * FROM threads ORDER BY id') => {
  const db = new Database(path.join(home.root, INDEX_FILE), { readonly: true });
  const rows = db.prepare(sql).all() as Record<string, unknown>[];
  db.close();
  return rows;
};

describe('a home without Codex’s DB', () => {
  it('gets an index of our own, filled from all rollouts', async () => {
    const home = new TestHome();
    const root = home.rollout({ mode: 'paginated', turns: [['root', 'a']], meta: { git: { branch: 'main' } } });
    const child = home.rollout({ archived: true, meta: spawnedBy(root.id), turns: [['child', 'a']] });
    const packed = home.rollout({ compressed: true, turns: [['packed', 'a']] });
    home.name(root.id, 'Named');
    const { manager, stateDb } = await openOwn(home);
    expect(stateDb.status.kind).toBe('index');
    const rows = ownRows(home);
    expect(rows.map((row) => [row['id'], row['preview'], row['archived']])).toEqual(
      [
        [root.id, 'root', 0],
        [child.id, 'child', 1],
        [packed.id, 'packed', 0],
      ].sort(),
    );
    expect(ownRows(home, 'SELECT * FROM thread_spawn_edges')).toEqual([
      { parent_thread_id: root.id, child_thread_id: child.id, status: 'open' },
    ]);
    expect(await manager.readThread(root.id)).toMatchObject({ name: 'Named', git: { branch: 'main' } });
  });

  it('is served by one connection, to which everything is passed down', async () => {
    const home = new TestHome();
    for (let n = 0; n < 5; n += 1) home.rollout();
    const server = await new OurServer(home.root).start();
    await server.call('list_threads', {});
    const fds = readdirSync(`/proc/${server.pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${server.pid}/fd/${fd}`);
      } catch {
        return '';
      }
    });
    expect(fds.filter((target) => target.endsWith(INDEX_FILE))).toHaveLength(1);
    await server.stop();
  });

  it('is served by one connection to Codex’s DB, when that has come, and after what was given to it', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    home.name(id, 'Named');
    const connections = (pid: number) =>
      readdirSync(`/proc/${pid}/fd`).filter((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`).endsWith('state_5.sqlite');
        } catch {
          return false;
        }
      }).length;
    const early = await new OurServer(home.root).start();
    await early.call('list_threads', {});
    addRow(home.stateDb(), { id, rollout_path: file, history_mode: 'paginated' });
    await early.call('set_thread_name', { threadId: id, name: 'Renamed' });
    const late = await new OurServer(home.root).start();
    await late.call('list_threads', {});
    for (const server of [early, late]) {
      expect(connections(server.pid)).toBe(1);
      await server.stop();
    }
  });

  it('names rollouts that cannot be read, and goes on', async () => {
    const home = new TestHome();
    home.rollout({ raw: 'garbage\n' });
    home.rollout();
    const { warnings, stateDb } = await openOwn(home);
    expect(stateDb.db).toBeDefined();
    expect(warnings.join()).toMatch(/not in the index.*: sessions\//);
    expect(ownRows(home)).toHaveLength(1);
  });
});

describe('our index stays true', () => {
  it('to a rollout that appears, grows, moves or vanishes behind its back', async () => {
    const home = new TestHome();
    const grows = home.rollout({ turns: [['first', 'a']] });
    const vanishes = home.rollout();
    const moves = home.rollout();
    const { manager } = await openOwn(home);
    expect((await manager.listThreads(ALL)).total).toBe(3);
    const appears = home.rollout({ turns: [['new', 'a']] });
    rmSync(vanishes.file);
    mkdirSync(path.join(home.root, 'archived_sessions'));
    renameSync(moves.file, path.join(home.root, 'archived_sessions', path.basename(moves.file)));
    const line = event({ type: 'token_count', info: { total_token_usage: { total_tokens: 777 } } });
    appendFileSync(grows.file, `${JSON.stringify({ timestamp: new Date().toISOString(), ...line })}\n`);
    await sleep(LOOK_MS);
    const { threads, total, warnings } = await manager.listThreads(ALL);
    expect([total, warnings]).toEqual([3, []]);
    const byId = new Map(threads.map(({ thread }) => [thread.threadId, thread]));
    expect(byId.get(grows.id)?.tokensUsed).toBe(777);
    expect(byId.get(appears.id)?.preview).toBe('new');
    expect(byId.get(moves.id)?.isArchived).toBe(true);
    expect(threads[0]?.thread.threadId).toBe(grows.id);
    expect(ownRows(home).map((row) => row['id'])).toEqual([grows.id, moves.id, appears.id].sort());
  });

  it('to what grew while no server ran', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['first', 'a']] });
    await (await openOwn(home)).close();
    const line = event({ type: 'token_count', info: { total_token_usage: { total_tokens: 5 } } });
    appendFileSync(file, `${JSON.stringify({ timestamp: new Date().toISOString(), ...line })}\n`);
    const { manager } = await openOwn(home);
    expect((await manager.readThread(id)).tokensUsed).toBe(5);
    expect((await manager.listThreads(ALL)).threads[0]?.thread.tokensUsed).toBe(5);
  });

  it('to its own writes at once', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const { manager } = await openOwn(home);
    await manager.updateThreadMetadata(id, { name: 'N', gitInfo: { branch: 'b' }, memoryMode: 'disabled' });
    const [listed] = (await manager.listThreads({ ...ALL, filter: { archived: 'exclude', gitBranch: 'b' } })).threads;
    expect(listed?.thread).toMatchObject({ name: 'N', git: { branch: 'b' }, memoryMode: 'disabled' });
    await manager.archiveThread(id, { includeDescendants: true, dryRun: false });
    expect((await manager.listThreads({ ...ALL, filter: { archived: 'only' } })).total).toBe(1);
  });
});

describe('a backfill', () => {
  const db = async (home: TestHome) => {
    const { stateDb } = await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'create' });
    if (!stateDb) throw new Error('there is no state DB');
    onTestFinished(() => stateDb.close());
    return { stateDb, library: new RolloutLibrary(new RolloutHome(home.root)) };
  };

  it('waits for the one that works, and takes over from one that died', async () => {
    const home = new TestHome();
    for (let n = 0; n < 5; n += 1) home.rollout();
    const { stateDb, library } = await db(home);
    const dead = new BackfillLease(stateDb, { host: 'elsewhere', pid: 1, run: 'x' });
    await stateDb.write(() => dead.take());
    const backfill = new Backfill(library, stateDb);
    const running = backfill.run();
    await sleep(300);
    expect(ownRows(home)).toHaveLength(0);
    await stateDb.write(() => stateDb.run('UPDATE backfill_state SET lease_until_ms = 1'));
    expect(await running).toEqual({ indexed: 5, unreadable: [] });
  });

  it.each([
    [
      'a process of this machine that is no more',
      `'{"host":"${os.hostname()}","pid":999999999}'`,
      "strftime('%s') * 1000 + 5000",
    ],
    ['a far future', `'elsewhere'`, '9e18'],
    ['no time at all', `'elsewhere'`, `'soon'`],
  ])('does not wait for a lease of %s', async (_, owner, until) => {
    const { stateDb } = await db(new TestHome());
    await stateDb.write(() =>
      stateDb.run(`UPDATE backfill_state SET status = 'running', lease_owner = ${owner}, lease_until_ms = ${until}`),
    );
    // Taken at once: a run that waited for the lease to end would succeed as well.
    const next = new BackfillLease(stateDb, { host: os.hostname(), pid: process.pid, run: 'next' });
    expect(await stateDb.write(() => next.take())).toBe(true);
  });

  it('goes on where a stopped one was', async () => {
    const home = new TestHome();
    for (let n = 0; n < 350; n += 1) home.rollout();
    const { stateDb, library } = await db(home);
    const first: Backfill = new Backfill(library, stateDb, { onProgress: (done) => done >= 200 && first.stop() });
    expect(await first.run()).toBeUndefined();
    expect(ownRows(home)).toHaveLength(200);
    await stateDb.write(() => stateDb.run('UPDATE backfill_state SET lease_until_ms = 1'));
    expect(await new Backfill(library, stateDb).run()).toMatchObject({ indexed: 150 });
    expect(ownRows(home)).toHaveLength(350);
  });

  it('that takes too long is not waited for: files serve, then the handle comes', async () => {
    const home = new TestHome();
    home.rollout();
    const { stateDb: own } = await db(home);
    await own.write(() => new BackfillLease(own, { host: 'elsewhere', pid: 1, run: 'y' }).take());
    const { manager, stateDb, warnings, backfilled } = await open(home.root, {
      indexUse: 'create',
      backfillWaitMs: 200,
    });
    expect(stateDb.db).toBeUndefined();
    expect(warnings.join()).toContain('until the index is filled');
    expect((await manager.listThreads(ALL)).total).toBe(1);
    await own.write(() => own.run('UPDATE backfill_state SET lease_until_ms = 1'));
    await backfilled;
    expect(stateDb.status.kind).toBe('index');
    expect((await manager.listThreads(ALL)).total).toBe(1);
  });
});

describe('when Codex’s DB comes', () => {
  it('it is used, and gets names and closed edges that only we know, once', async () => {
    const home = new TestHome();
    const named = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    const child = home.rollout({ meta: spawnedBy(named.id) });
    const ours = await openOwn(home);
    await ours.manager.updateThreadMetadata(named.id, { name: 'Kept' });
    await ours.close();
    const own = new Database(path.join(home.root, INDEX_FILE));
    own.exec("UPDATE thread_spawn_edges SET status = 'closed'");
    own.close();
    const codexDb = home.stateDb();
    addRow(codexDb, { id: named.id, rollout_path: named.file, history_mode: 'paginated' });
    addRow(codexDb, { id: child.id, rollout_path: child.file, name: 'Codex named it', history_mode: 'paginated' });
    addEdge(codexDb, named.id, child.id);
    home.name(child.id, 'another');
    const { stateDb, manager } = await openOwn(home);
    expect(stateDb.status.kind).toBe('codex');
    expect((await manager.readThread(named.id)).name).toBe('Kept');
    expect(codexDb.prepare('SELECT name FROM threads ORDER BY id').pluck().all()).toEqual(['Kept', 'Codex named it']);
    expect(codexDb.prepare('SELECT status FROM thread_spawn_edges').pluck().all()).toEqual(['closed']);
    codexDb.exec("UPDATE thread_spawn_edges SET status = 'open'");
    await openOwn(home);
    expect(codexDb.prepare('SELECT status FROM thread_spawn_edges').pluck().all()).toEqual(['open']);
  });

  it('and goes again, ours is filled anew', async () => {
    const home = new TestHome();
    home.rollout();
    await (await openOwn(home)).close();
    const codexDb = home.stateDb();
    addEdge(codexDb, newId(), newId());
    await (await openOwn(home)).close();
    codexDb.close();
    for (const name of readdirSync(home.root)) if (name.startsWith('state_5')) rmSync(path.join(home.root, name));
    home.rollout();
    const { stateDb, manager } = await openOwn(home);
    expect(stateDb.status.kind).toBe('index');
    expect((await manager.listThreads(ALL)).total).toBe(2);
  });

  it('and is damaged, it is not touched, ours is not used, and files serve', async () => {
    const home = new TestHome();
    home.rollout();
    await (await openOwn(home)).close();
    writeFileSync(path.join(home.root, 'state_5.sqlite'), 'garbage '.repeat(1000));
    const { stateDb, manager, warnings } = await openOwn(home);
    expect(stateDb.db).toBeUndefined();
    expect(warnings.join()).toContain('state_5.sqlite');
    expect((await manager.listThreads(ALL)).total).toBe(1);
  });
});

describe('our index says what the files say', () => {
  /** The list of our index and the list of the files, which must be the same. */
  async function expectSame(home: TestHome, manager: Awaited<ReturnType<typeof open>>['manager']) {
    await sleep(LOOK_MS);
    const files = await open(home.root, { useStateDb: false });
    const [ours, theirs] = [await manager.listThreads(ALL), await files.manager.listThreads(ALL)];
    const shape = ({ threads }: typeof ours) =>
      threads
        .map(({ thread: { threadId, preview, git, isArchived, updatedAt, source, cwd, title } }) => ({
          threadId,
          preview,
          git,
          isArchived,
          updatedAt,
          source,
          cwd,
          title,
        }))
        .sort((a, b) => (a.threadId < b.threadId ? -1 : 1));
    expect(shape(ours)).toEqual(shape(theirs));
    expect([ours.total, ours.threads.length]).toEqual([theirs.total, theirs.threads.length]);
  }

  const gitLine = (id: string, branch: string) =>
    `${JSON.stringify({ timestamp: new Date().toISOString(), type: 'session_meta', payload: { id, cwd: '/home/dev/project', git: { branch } } })}\n`;

  it('when a file stops holding its thread, or holds another one', async () => {
    const home = new TestHome();
    const [empty, garbage, other, fine] = [
      home.rollout(),
      home.rollout(),
      home.rollout(),
      home.rollout({ turns: [['q', 'a']] }),
    ];
    const packed = home.rollout({ compressed: true });
    const { manager } = await openOwn(home);
    await expectSame(home, manager);
    writeFileSync(empty.file, '');
    writeFileSync(garbage.file, 'garbage\n');
    writeFileSync(packed.file, 'garbage');
    writeFileSync(other.file, readFileSync(fine.file, 'utf8').replaceAll(fine.id, newId()));
    await expectSame(home, manager);
  });

  it('when a directory is made again at the same path', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const { manager } = await openOwn(home);
    const directory = path.dirname(file);
    cpSync(directory, `${directory}.new`, { recursive: true, preserveTimestamps: true });
    renameSync(directory, path.join(home.root, 'aside'));
    renameSync(`${directory}.new`, directory);
    await expectSame(home, manager);
    appendFileSync(file, gitLine(id, 'after'));
    await expectSame(home, manager);
    expect((await manager.listThreads(ALL)).threads[0]?.thread.git.branch).toBe('after');
  });

  it('when a file is named after another thread', async () => {
    const home = new TestHome();
    home.rollout({ raw: rolloutText({ id: newId(), at: '2026-11-20T10:00:00.000Z', turns: [['inside', 'a']] }) });
    const { manager } = await openOwn(home);
    await expectSame(home, manager);
  });

  it('when the base of a fork vanishes', async () => {
    const home = new TestHome();
    const base = home.rollout({ mode: 'paginated', turns: [['base', 'a']] });
    const end = readFileSync(base.file).length;
    const history_base = { thread_id: base.id, end_ordinal_exclusive: 5, end_byte_offset: end };
    home.rollout({ mode: 'paginated', firstOrdinal: 5, meta: { history_base } });
    const { manager } = await openOwn(home);
    await expectSame(home, manager);
    rmSync(base.file);
    await expectSame(home, manager);
  });

  it('when a child gets another parent', async () => {
    const home = new TestHome();
    const [one, two] = [home.rollout(), home.rollout()];
    const child = home.rollout({ meta: spawnedBy(one.id) });
    const { manager } = await openOwn(home);
    writeFileSync(child.file, readFileSync(child.file, 'utf8').replaceAll(one.id, two.id));
    await expectSame(home, manager);
    const children = (parent: typeof one.id) =>
      manager.listThreads({ ...ALL, family: { relation: 'children', threadId: parent } }).then(({ total }) => total);
    expect([await children(one.id), await children(two.id)]).toEqual([0, 1]);
  });

  it('when it was held by another program while a file grew', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const { manager } = await openOwn(home);
    await manager.listThreads(ALL);
    const holder = new Database(path.join(home.root, INDEX_FILE));
    holder.exec('BEGIN IMMEDIATE');
    appendFileSync(file, gitLine(id, 'grown'));
    await sleep(LOOK_MS);
    await manager.listThreads(ALL);
    holder.exec('ROLLBACK');
    holder.close();
    await expectSame(home, manager);
    expect((await manager.listThreads(ALL)).threads[0]?.thread.git.branch).toBe('grown');
  });

  it('when it may only be read and the files have changed since', async () => {
    const home = new TestHome();
    const [grown, emptied] = [home.rollout(), home.rollout()];
    await (await openOwn(home)).close();
    appendFileSync(grown.file, gitLine(grown.id, 'later'));
    writeFileSync(emptied.file, '');
    const { manager, stateDb } = await open(home.root, { indexUse: 'existing', readOnly: true });
    expect(stateDb.db?.readOnly).toBe(true);
    await expectSame(home, manager);
  });

  it('when its tables are dropped while the server runs, and it is made anew', async () => {
    const home = new TestHome();
    home.rollout();
    const { manager, stateDb } = await openOwn(home);
    const before = stateDb.db;
    const db = new Database(path.join(home.root, INDEX_FILE));
    db.exec('DROP TABLE threads');
    db.close();
    await expectSame(home, manager);
    for (let look = 0; look < 30 && stateDb.db === undefined; look += 1) await sleep(100);
    expect(stateDb.db).not.toBe(before);
    await expectSame(home, manager);
  });
});

describe('our DB when it is lost while the server runs', () => {
  it.each([
    ['removed', (file: string) => rmSync(file)],
    [
      'replaced by garbage',
      (file: string) => {
        rmSync(file);
        writeFileSync(file, 'garbage '.repeat(1000));
      },
    ],
    ['damaged', (file: string) => writeFileSync(file, readFileSync(file).fill(0xaa))],
  ])('and %s is made anew, the files serving meanwhile', async (_, breakIt) => {
    const home = new TestHome();
    for (let n = 0; n < 20; n += 1) home.rollout({ turns: [[`q${n}`, 'a']] });
    const { manager, stateDb } = await openOwn(home);
    const before = stateDb.db;
    const db = new Database(path.join(home.root, INDEX_FILE));
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    breakIt(path.join(home.root, INDEX_FILE));
    for (let look = 0; look < 40 && (stateDb.db === undefined || stateDb.db === before); look += 1) {
      home.rollout();
      const { total } = await manager.listThreads(ALL);
      expect(total).toBeGreaterThanOrEqual(20);
      await sleep(100);
    }
    expect(stateDb.db).not.toBe(before);
    expect(stateDb.status.kind).toBe('index');
    await sleep(LOOK_MS);
    const files = readdirSync(path.join(home.root, 'sessions'), { recursive: true }).filter((name) =>
      String(name).endsWith('.jsonl'),
    );
    expect((await manager.listThreads(ALL)).total).toBe(files.length);
  });
});

describe('several servers at once on a home without a DB', () => {
  it.each([2, 4, 8])('%i of them: one fills, all answer right', async (count) => {
    const home = new TestHome();
    for (let n = 0; n < 400; n += 1) home.rollout({ turns: [[`question ${n}`, 'a']] });
    const servers = await Promise.all(Array.from({ length: count }, () => new OurServer(home.root).start()));
    const answers = await Promise.all(servers.map((server) => server.call<ThreadList>('list_threads', { limit: 5 })));
    for (const answer of answers) expect(answer).toMatchObject({ total: 400, threads: expect.any(Array) });
    const searches = await Promise.all(
      servers.map((server) => server.call<ThreadList>('list_threads', { search: 'question 399' })),
    );
    for (const { total } of searches) expect(total).toBe(1);
    for (const server of servers) {
      const said = server.stderr.split('\n').filter((line) => line !== '' && !line.includes('indexing rollouts'));
      expect(said).toEqual([]);
      await server.stop();
    }
    expect(ownRows(home)).toHaveLength(400);
  });
});

describe('our own DB held by another program', () => {
  it('leaves right answers, from the files where need be', async () => {
    const home = new TestHome();
    home.rollout();
    await (await open(home.root, { indexUse: 'create' })).close();
    const holder = new Database(path.join(home.root, 'threadkeeper.sqlite'));
    holder.exec('BEGIN IMMEDIATE');
    onTestFinished(() => {
      holder.close();
    });
    const { manager } = await open(home.root, { indexUse: 'create', backfillWaitMs: 500 });
    const later = home.rollout({ turns: [['later', 'a']] });
    const { total } = await manager.listThreads(ALL);
    expect(total).toBe(2);
    expect((await manager.updateThreadMetadata(later.id, { name: 'Held' })).thread.name).toBe('Held');
    holder.exec('ROLLBACK');
    expect(existsSync(path.join(home.root, 'session_index.jsonl'))).toBe(true);
  });
});
