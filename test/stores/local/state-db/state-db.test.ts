import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../../../src/contract/error-of.js';
import type { StateDb } from '../../../../src/stores/local/state-db/state-db.js';
import { ThreadRows } from '../../../../src/stores/local/state-db/thread-rows.js';
import { onlySqliteHome, openStateDb } from '../../../support/state-db.js';
import { addRow, newId, TestHome } from '../../../support/test-home.js';

async function opened(home: TestHome, busyTimeoutMs = 300): Promise<StateDb> {
  const { stateDb, problem } = await openStateDb({
    homes: onlySqliteHome(home.root),
    readOnly: false,
    indexUse: 'never',
    busyTimeoutMs,
  });
  if (!stateDb) throw new Error(`no handle: ${problem}`);
  onTestFinished(() => stateDb.close());
  return stateDb;
}

const problemOf = async (home: TestHome) => {
  const { stateDb, problem } = await openStateDb({
    homes: onlySqliteHome(home.root),
    readOnly: false,
    indexUse: 'never',
    busyTimeoutMs: 200,
  });
  stateDb?.close();
  return { hasHandle: stateDb !== undefined, problem };
};

describe('openStateDb', () => {
  it('gives no handle and no problem where there is no DB', async () => {
    expect(await problemOf(new TestHome())).toEqual({ hasHandle: false, problem: undefined });
  });

  it('opens the generation that was written last', async () => {
    const home = new TestHome();
    home.stateDb('state_4.sqlite').exec('ALTER TABLE threads ADD COLUMN of_the_past TEXT');
    home.stateDb('state_5.sqlite');
    home.stateDb('state_12.sqlite').exec('ALTER TABLE threads ADD COLUMN from_the_future TEXT');
    writeFileSync(path.join(home.root, 'state_99.sqlite-wal'), '');
    expect(path.basename((await opened(home)).file)).toBe('state_12.sqlite');
  });

  it('works with columns that it does not know, and without those that it can do without', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    db.exec('ALTER TABLE threads ADD COLUMN from_the_future TEXT');
    db.exec('DROP INDEX idx_threads_recency_at_ms');
    const id = newId();
    addRow(db, { id, rollout_path: '/x', name: 'n' });
    const stateDb = await opened(home);
    expect(new ThreadRows(stateDb).get(id)).toMatchObject({ id, name: 'n' });
  });

  it('works with an old schema', async () => {
    const home = new TestHome();
    const db = new Database(path.join(home.root, 'state_3.sqlite'));
    db.exec(`CREATE TABLE threads (id TEXT PRIMARY KEY, rollout_path TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
      source TEXT NOT NULL, model_provider TEXT NOT NULL, cwd TEXT NOT NULL, title TEXT NOT NULL, archived INTEGER NOT NULL DEFAULT 0);
      CREATE TABLE thread_spawn_edges (parent_thread_id TEXT NOT NULL, child_thread_id TEXT NOT NULL PRIMARY KEY, status TEXT NOT NULL);
      INSERT INTO threads VALUES ('${newId()}', '/x', 1790000000, 1790000001, 'cli', 'p', '/c', 't', 0);`);
    db.close();
    const rows = new ThreadRows(await opened(home));
    for (const sortBy of ['createdAt', 'updatedAt', 'recencyAt'] as const) {
      const [row] = rows.page({ filter: {}, sortBy, order: 'desc', limit: 5 });
      expect(row).toMatchObject({ createdAt: 1_790_000_000_000, updatedAt: 1_790_000_001_000, historyMode: 'legacy' });
    }
    expect(
      rows.update(rows.page({ filter: {}, sortBy: 'updatedAt', order: 'asc', limit: 1 })[0]?.id ?? '', {
        name: 'x',
        title: 'y',
      }),
    ).toEqual({ title: 't' });
  });

  it.each([
    [
      'it is not SQLite',
      (home: TestHome) => writeFileSync(path.join(home.root, 'state_5.sqlite'), 'garbage '.repeat(1000)),
    ],
    ['it is empty', (home: TestHome) => writeFileSync(path.join(home.root, 'state_5.sqlite'), '')],
    [
      'its pages are damaged',
      (home: TestHome) => {
        const db = home.stateDb();
        for (let n = 0; n < 200; n += 1) addRow(db, { id: newId(), rollout_path: `/x${n}` });
        db.pragma('wal_checkpoint(TRUNCATE)');
        const bytes = readFileSync(path.join(home.root, 'state_5.sqlite'));
        bytes.fill(0xaa, 4096, bytes.length);
        writeFileSync(path.join(home.root, 'state_5.sqlite'), bytes);
      },
    ],
    [
      'its threads lack a column',
      (home: TestHome) => {
        const db = home.stateDb();
        db.exec('DROP TABLE threads; CREATE TABLE threads (id TEXT, rollout_path TEXT)');
      },
    ],
    ['it has no edges', (home: TestHome) => home.stateDb().exec('DROP TABLE thread_spawn_edges')],
    [
      'its backfill is not complete',
      (home: TestHome) => home.stateDb().exec("UPDATE backfill_state SET status = 'running'"),
    ],
  ])('gives no handle, and the reason, when %s', async (_, damage) => {
    const home = new TestHome();
    damage(home);
    const before = readFileSync(path.join(home.root, 'state_5.sqlite'));
    expect(await problemOf(home)).toEqual({ hasHandle: false, problem: expect.stringContaining('state_5.sqlite: ') });
    expect(readFileSync(path.join(home.root, 'state_5.sqlite'))).toEqual(before);
  });

  it('gives no handle when another program holds it for good', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN EXCLUSIVE');
    const { hasHandle, problem } = await problemOf(home);
    db.exec('ROLLBACK');
    expect(hasHandle).toBe(false);
    expect(problem).toContain('locked');
  });

  it('never changes the schema', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const schema = () => db.prepare('SELECT sql FROM sqlite_master ORDER BY name').all();
    const before = schema();
    const stateDb = await opened(home);
    const rows = new ThreadRows(stateDb);
    rows.page({ filter: { search: { needle: 'x', alsoIds: [] } }, sortBy: 'recencyAt', order: 'asc', limit: 1 });
    await stateDb.write(() =>
      rows.insertIfAbsent({
        id: newId(),
        rollout_path: '/x',
        created_at: 1,
        updated_at: 1,
        source: 'cli',
        model_provider: '',
        cwd: '',
        title: '',
        sandbox_policy: '',
        approval_mode: '',
      }),
    );
    expect(schema()).toEqual(before);
    expect(db.pragma('user_version', { simple: true })).toBe(0);
  });
});

describe('a write', () => {
  it('waits for another program, then fails with conflict and leaves nothing', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const id = newId();
    addRow(db, { id, rollout_path: '/x', title: 'before' });
    const stateDb = await opened(home);
    const rows = new ThreadRows(stateDb);
    db.exec('BEGIN IMMEDIATE');
    expect(await errorOf(stateDb.write(() => rows.update(id, { title: 'lost' })))).toMatchObject({ code: 'conflict' });
    setTimeout(() => db.exec('COMMIT'), 100);
    await stateDb.write(() => rows.update(id, { title: 'kept' }));
    expect(rows.get(id)?.title).toBe('kept');
  });

  it('is all or nothing', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const id = newId();
    addRow(db, { id, rollout_path: '/x', title: 'before' });
    const stateDb = await opened(home);
    const rows = new ThreadRows(stateDb);
    const change = () => {
      rows.update(id, { title: 'half' });
      throw new Error('stop');
    };
    await expect(stateDb.write(change)).rejects.toThrow('stop');
    expect(rows.get(id)?.title).toBe('before');
  });

  it('is read_only where the file may not be written', async () => {
    const home = new TestHome();
    const id = newId();
    addRow(home.stateDb(), { id, rollout_path: '/x', title: 'before' });
    const stateDb = (await openStateDb({ homes: onlySqliteHome(home.root), readOnly: true, indexUse: 'never' }))
      .stateDb;
    onTestFinished(() => stateDb?.close());
    expect(stateDb?.readOnly).toBe(true);
    const rows = stateDb && new ThreadRows(stateDb);
    const write = stateDb?.write(() => rows?.update(id, { title: 'x' }));
    expect(await errorOf(Promise.resolve(write))).toMatchObject({ code: 'read_only' });
  });
});

describe('queries of a large home', () => {
  it('walk an index in the order of the list, and do not scan the table', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const insert = db.transaction(() => {
      for (let n = 0; n < 3000; n += 1) {
        addRow(db, {
          id: newId(),
          rollout_path: `/r/${n}`,
          updated_at: 1_790_000_000 + n,
          archived: n % 10 === 0 ? 1 : 0,
          source: n % 3 ? 'cli' : 'exec',
        });
      }
    });
    insert();
    db.exec('ANALYZE');
    const stateDb = await opened(home);
    const statements: string[] = [];
    const all = stateDb.all.bind(stateDb);
    stateDb.all = (sql, ...values) => {
      const plan = all(`EXPLAIN QUERY PLAN ${sql}`, ...values);
      statements.push(plan.map((row) => String(row['detail'])).join('; '));
      return all(sql, ...values);
    };
    const rows = new ThreadRows(stateDb);
    for (const sortBy of ['createdAt', 'updatedAt', 'recencyAt'] as const) {
      const filter = { isArchived: false, sources: ['cli', 'vscode'] } as const;
      const after = { time: 1_790_001_000_000, id: newId() };
      const before = statements.length;
      rows.page({ filter, sortBy, order: 'desc', limit: 26 });
      rows.page({ filter, sortBy, order: 'desc', limit: 26, after });
      for (const plan of statements.slice(before)) {
        expect(plan).toMatch(/USING INDEX idx_threads_(created|updated|recency)_at_ms/);
        expect(plan).not.toContain('TEMP B-TREE');
      }
    }
    const before = statements.length;
    const counts = rows.counts({});
    expect(counts.reduce((sum, { count }) => sum + count, 0)).toBe(3000);
    expect(counts.filter(({ isArchived }) => isArchived).reduce((sum, { count }) => sum + count, 0)).toBe(300);
    for (const plan of statements.slice(before)) expect(plan).toMatch(/USING (COVERING )?INDEX/);
  });
});

describe('a DB that another program holds', () => {
  it('is waited for once: what comes right after is refused soon, until a change gets through', async () => {
    const home = new TestHome();
    const other = home.stateDb();
    const stateDb = await opened(home, 400);
    const write = () => stateDb.write(() => stateDb.run("UPDATE threads SET title = 'x'"));
    other.exec('BEGIN IMMEDIATE');
    expect((await errorOf(write())).message).toContain('waited 400 ms');
    // Reading goes on, and does not mean that writing does.
    await stateDb.read(() => stateDb.get('SELECT 1'));
    expect((await errorOf(write())).message).toContain('waited 250 ms');
    other.exec('COMMIT');
    await write();
    other.exec('BEGIN IMMEDIATE');
    expect((await errorOf(write())).message).toContain('waited 400 ms');
  });
});
