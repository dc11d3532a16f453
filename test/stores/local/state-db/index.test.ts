import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { INDEX_SCHEMA_VERSION } from '../../../../src/stores/local/state-db/index-schema.js';
import { INDEX_FILE, type StateDbConfig } from '../../../../src/stores/local/state-db/open-state-db.js';
import { ThreadRows } from '../../../../src/stores/local/state-db/thread-rows.js';
import { onlySqliteHome, openStateDb } from '../../../support/state-db.js';
import { TestHome } from '../../../support/test-home.js';

async function opening(home: TestHome, config: Partial<StateDbConfig> = {}) {
  const found = await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'create', ...config });
  onTestFinished(() => found.stateDb?.close());
  return found;
}

const raw = (home: TestHome) => {
  const db = new Database(path.join(home.root, INDEX_FILE));
  onTestFinished(() => {
    db.close();
  });
  return db;
};

describe('our own state DB', () => {
  it('is made where Codex has none, with its migrations', async () => {
    const home = new TestHome();
    const { stateDb, problem } = await opening(home);
    expect([stateDb?.owner, problem]).toEqual(['threadkeeper', undefined]);
    expect(raw(home).pragma('user_version', { simple: true })).toBe(INDEX_SCHEMA_VERSION);
    expect(raw(home).pragma('journal_mode', { simple: true })).toBe('wal');
  });

  it('of an older version is migrated, and keeps its rows', async () => {
    const home = new TestHome();
    (await opening(home)).stateDb?.close();
    const old = raw(home);
    old.exec(`INSERT INTO threads (id, rollout_path, created_at, created_at_ms, updated_at, updated_at_ms, recency_at,
      recency_at_ms, source, model_provider, cwd, title, sandbox_policy, approval_mode)
      VALUES ('kept', '', 0, 0, 0, 0, 0, 0, 'cli', 'm', '', '', '', '')`);
    const added = old.prepare(
      "SELECT name FROM sqlite_master WHERE name GLOB 'threads_[bp]*' OR name GLOB 'threads_cwd_*'",
    );
    for (const { name } of added.all() as { name: string }[]) old.exec(`DROP INDEX ${name}`);
    old.pragma('user_version = 1');
    old.close();
    const { stateDb, problem } = await opening(home);
    expect([stateDb?.get('SELECT id FROM threads')?.['id'], problem]).toEqual(['kept', undefined]);
    expect(raw(home).pragma('user_version', { simple: true })).toBe(INDEX_SCHEMA_VERSION);
    expect(raw(home).prepare("SELECT count(*) FROM sqlite_master WHERE name GLOB 'threads_[bp]*'").pluck().get()).toBe(
      6,
    );
  });

  it('is not made where Codex has one, where it may not be, or where there is no home', async () => {
    const withCodexs = new TestHome();
    withCodexs.stateDb();
    expect((await opening(withCodexs)).stateDb?.owner).toBe('codex');
    for (const config of [{ indexUse: 'existing' }, { indexUse: 'never' }, { readOnly: true }] as const) {
      const home = new TestHome();
      expect(await opening(home, config)).toEqual({ stateDb: undefined, problem: undefined });
      expect(readdirSync(home.root)).toEqual(['sessions']);
    }
    const home = new TestHome();
    const nowhere = path.join(home.root, 'nowhere');
    expect((await opening(home, { homes: onlySqliteHome(nowhere) })).stateDb).toBeUndefined();
    expect(readdirSync(withCodexs.root)).not.toContain(INDEX_FILE);
  });

  it('has Codex’s columns under Codex’s names', async () => {
    const home = new TestHome();
    const { stateDb } = await opening(home);
    const codexDb = new TestHome().stateDb();
    const names = (db: Database.Database) =>
      (db.pragma('table_info(threads)') as { name: string }[]).map(({ name }) => name);
    const ours = names(raw(home)).filter((name) => !name.startsWith('rollout_') || name === 'rollout_path');
    for (const name of ours) expect(names(codexDb)).toContain(name);
    expect(stateDb?.columns('thread_spawn_edges')).toEqual(new Set(['parent_thread_id', 'child_thread_id', 'status']));
  });

  it('of a newer version is used read-only, with a warning', async () => {
    const home = new TestHome();
    (await opening(home)).stateDb?.close();
    raw(home).pragma('user_version = 99');
    const { stateDb, problem } = await opening(home);
    expect(problem).toContain('newer threadkeeper');
    expect(stateDb?.readOnly).toBe(true);
    expect(raw(home).pragma('user_version', { simple: true })).toBe(99);
  });

  it.each([
    ['garbage', (file: string) => writeFileSync(file, 'garbage '.repeat(1000))],
    [
      'damaged pages',
      (file: string) => {
        const bytes = readFileSync(file);
        writeFileSync(file, bytes.fill(0xaa, 4096));
      },
    ],
  ])('that is damaged (%s) is moved aside and made anew', async (_, damage) => {
    const home = new TestHome();
    const { stateDb } = await opening(home);
    stateDb?.close();
    const db = raw(home);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    damage(path.join(home.root, INDEX_FILE));
    const again = await opening(home);
    expect(again.stateDb?.owner).toBe('threadkeeper');
    expect(readdirSync(home.root).some((name) => name.startsWith(`${INDEX_FILE}.damaged-`))).toBe(true);
  });

  it.each(['PRAGMA user_version = -5', 'PRAGMA user_version = 0', 'DROP TABLE threads', 'DROP TABLE backfill_state'])(
    'that someone changed (%s) is made anew',
    async (change) => {
      const home = new TestHome();
      (await opening(home)).stateDb?.close();
      const db = raw(home);
      db.exec(change);
      db.close();
      const { stateDb, isRemade } = await opening(home);
      expect([stateDb?.owner, isRemade]).toEqual(['threadkeeper', true]);
    },
  );

  it('is not made in a directory that cannot be written, and that is told', async () => {
    const home = new TestHome();
    chmodSync(home.root, 0o555);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    const { stateDb, problem } = await opening(home);
    if (isRoot) process.seteuid?.(0);
    chmodSync(home.root, 0o755);
    expect(stateDb).toBeUndefined();
    expect(problem).toContain(INDEX_FILE);
  });

  it('answers every sort and filter of a list from an index', async () => {
    const home = new TestHome();
    const { stateDb } = await opening(home);
    if (!stateDb) throw new Error('there is no state DB');
    const insert = raw(
      home,
    ).prepare(`INSERT INTO threads (id, rollout_path, created_at, created_at_ms, updated_at, updated_at_ms,
      recency_at, recency_at_ms, source, model_provider, cwd, title, sandbox_policy, approval_mode, archived)
      VALUES (?, '', 0, ?, 0, ?, 0, ?, 'cli', 'm', ?, '', '', '', ?)`);
    for (let n = 0; n < 2000; n += 1) insert.run(`id-${n}`, n, n, n, `/dir${n % 50}`, n % 10 === 0 ? 1 : 0);
    const plans: string[] = [];
    const all = stateDb.all.bind(stateDb);
    stateDb.all = (sql, ...values) => {
      plans.push(
        all(`EXPLAIN QUERY PLAN ${sql}`, ...values)
          .map((row) => String(row['detail']))
          .join('; '),
      );
      return all(sql, ...values);
    };
    const rows = new ThreadRows(stateDb);
    const filters = [
      { isArchived: false },
      { isArchived: true },
      { isArchived: false, cwds: ['/dir1', '/dir2'] },
      { isArchived: false, ids: ['id-1', 'id-2'] },
      { isArchived: false, sources: ['cli'] },
    ] as const;
    for (const filter of filters) {
      for (const sortBy of ['createdAt', 'updatedAt', 'recencyAt'] as const) {
        rows.page({ filter, sortBy, order: 'desc', limit: 20 });
        rows.page({ filter, sortBy, order: 'asc', limit: 20, after: { time: 100, id: 'id-100' } });
      }
    }
    rows.counts({});
    for (const plan of plans) expect(plan).not.toMatch(/SCAN threads(?! USING)/);
    // One directory, branch or provider is found and sorted by an index alone, and so is everything in order.
    plans.length = 0;
    for (const filter of [{ cwds: ['/dir1'] }, { gitBranch: 'b' }, { modelProviders: ['m'] }, {}]) {
      for (const sortBy of ['createdAt', 'updatedAt', 'recencyAt'] as const) {
        for (const order of ['desc', 'asc'] as const) {
          rows.page({
            filter: { ...filter, isArchived: false },
            sortBy,
            order,
            limit: 20,
            after: { time: 9, id: 'id-9' },
          });
        }
      }
    }
    for (const plan of plans.filter((each) => /threads/.test(each))) {
      expect(plan).toMatch(/(SEARCH|SCAN) threads USING INDEX/);
      expect(plan).not.toContain('TEMP B-TREE');
    }
  });
});
