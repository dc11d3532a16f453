import { copyFileSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type SqliteHomes, StateDbFinder } from '../../../../src/stores/local/state-db/state-db-search.js';
import { addRow, makeStateDb, newId, TestHome } from '../../../support/test-home.js';

const usual = (home: TestHome): SqliteHomes => ({
  main: home.root,
  isConfigured: false,
  others: [path.join(home.root, 'sqlite')],
});

const find = (home: TestHome, homes = usual(home)) => {
  const { file, others, ambiguity } = new StateDbFinder(homes).find();
  const named = (name: string) => path.relative(home.root, name);
  return { file: file && named(file), others: others.map((other) => named(other.file)), ambiguity };
};

function nested(home: TestHome): Database.Database {
  mkdirSync(path.join(home.root, 'sqlite'));
  const db = makeStateDb(path.join(home.root, 'sqlite'));
  onTestFinished(() => {
    db.close();
  });
  return db;
}

/** The times of a closed DB, so that no log of it counts. */
function writtenAt(home: TestHome, file: string, seconds: number): void {
  const time = 1_795_000_000 + seconds;
  utimesSync(path.join(home.root, file), time, time);
}

describe('the search for the state DB of a home', () => {
  it('finds none where there is none, without a ambiguity', () => {
    expect(find(new TestHome())).toEqual({ file: undefined, others: [], ambiguity: undefined });
  });

  it('finds the one of the desktop app, in sqlite/ of the home', () => {
    const home = new TestHome();
    nested(home);
    expect(find(home)).toEqual({ file: 'sqlite/state_5.sqlite', others: [], ambiguity: undefined });
  });

  it.each([
    ['sqlite/state_5.sqlite', 'state_5.sqlite', 10, 20],
    ['state_5.sqlite', 'sqlite/state_5.sqlite', 20, 10],
  ])('takes of two the one written last (%s) and names the other', (last, other, root, desktop) => {
    const home = new TestHome();
    home.stateDb().close();
    nested(home).close();
    writtenAt(home, 'state_5.sqlite', root);
    writtenAt(home, 'sqlite/state_5.sqlite', desktop);
    expect(find(home)).toEqual({ file: last, others: [other], ambiguity: undefined });
  });

  it('counts what stands in a write-ahead log', () => {
    const home = new TestHome();
    nested(home).close();
    const db = home.stateDb();
    db.pragma('wal_checkpoint(TRUNCATE)');
    writtenAt(home, 'state_5.sqlite', 10);
    writtenAt(home, 'sqlite/state_5.sqlite', 20);
    expect(find(home).file).toBe('sqlite/state_5.sqlite');
    addRow(db, { id: newId(), rollout_path: '/x' });
    expect(find(home).file).toBe('state_5.sqlite');
  });

  it.each([
    ['is empty', (file: string) => writeFileSync(file, '')],
    ['has no tables', (file: string) => void new Database(file).pragma('journal_mode = WAL')],
    ['is of another program', (file: string) => void new Database(file).exec('CREATE TABLE threads (name TEXT)')],
    ['is no SQLite file', (file: string) => writeFileSync(file, 'something else '.repeat(1000))],
    ['is a copy', (file: string) => copyFileSync(path.join(path.dirname(file), 'state_5.sqlite'), file)],
  ])('passes over a higher generation that %s', (_, make) => {
    const home = new TestHome();
    home.stateDb().close();
    make(path.join(home.root, 'state_6.sqlite'));
    writtenAt(home, 'state_5.sqlite', 0);
    expect(find(home)).toEqual({ file: 'state_5.sqlite', others: ['state_6.sqlite'], ambiguity: undefined });
  });

  it('takes a higher generation with a schema of its own while it is written, and not once it is stale', () => {
    const home = new TestHome();
    home.stateDb().close();
    const newer = home.stateDb('state_6.sqlite');
    newer.exec('ALTER TABLE threads ADD COLUMN from_the_future TEXT');
    newer.close();
    writtenAt(home, 'state_5.sqlite', 10);
    writtenAt(home, 'state_6.sqlite', 20);
    expect(find(home).file).toBe('state_6.sqlite');
    writtenAt(home, 'state_6.sqlite', 0);
    expect(find(home).file).toBe('state_5.sqlite');
  });

  it('does not go on where it cannot know: a SQLite home that is not there, or whose name is not known', () => {
    const home = new TestHome();
    const gone = path.join(home.root, 'unmounted');
    expect(find(home, { main: gone, isConfigured: true, others: [home.root] }).ambiguity).toContain('does not exist');
    const doubtful = { ...usual(home), ambiguity: 'config.toml cannot be read' };
    expect(find(home, doubtful).ambiguity).toBe('config.toml cannot be read');
    home.stateDb();
    expect(find(home, doubtful)).toEqual({ file: 'state_5.sqlite', others: [], ambiguity: undefined });
  });

  it.each([
    ['state_4.sqlite', 'state_5.sqlite'],
    ['state_6.sqlite', 'state_5.sqlite'],
    ['state_6.sqlite', 'state_4.sqlite'],
  ])('takes no copy, whichever was written last (%s of %s)', (copy, original) => {
    const home = new TestHome();
    home.stateDb(original).close();
    copyFileSync(path.join(home.root, original), path.join(home.root, copy));
    writtenAt(home, original, 10);
    writtenAt(home, copy, 20);
    expect(find(home)).toEqual({ file: original, others: [copy], ambiguity: undefined });
  });

  it('takes no DB of another program, also where it is alone', () => {
    const home = new TestHome();
    new Database(path.join(home.root, 'state_5.sqlite')).exec('CREATE TABLE threads (name TEXT)').close();
    expect(find(home)).toEqual({ file: undefined, others: ['state_5.sqlite'], ambiguity: undefined });
  });

  it('does not go on where a link leads to a DB that is not there, as on a disk that is not mounted', () => {
    const home = new TestHome();
    symlinkSync(path.join(home.root, 'unmounted', 'state_5.sqlite'), path.join(home.root, 'state_5.sqlite'));
    expect(find(home)).toMatchObject({
      file: undefined,
      ambiguity: expect.stringContaining('is a link whose target does not exist'),
    });
  });

  it('passes over a directory that is named like a DB, and names it', () => {
    const home = new TestHome();
    mkdirSync(path.join(home.root, 'state_5.sqlite'));
    expect(find(home)).toEqual({ file: undefined, others: ['state_5.sqlite'], ambiguity: undefined });
  });

  it('looks again at what a lock hid', () => {
    const home = new TestHome();
    const file = path.join(home.root, 'state_5.sqlite');
    home.stateDb().close();
    copyFileSync(file, path.join(home.root, 'state_6.sqlite'));
    const written = () => {
      writtenAt(home, 'state_5.sqlite', 10);
      writtenAt(home, 'state_6.sqlite', 20);
    };
    written();
    const holder = new Database(file);
    holder.pragma('locking_mode = EXCLUSIVE');
    holder.exec('BEGIN EXCLUSIVE');
    const finder = new StateDbFinder(usual(home));
    written();
    expect(finder.find().others).toMatchObject([{ why: expect.stringContaining('was written later') }]);
    holder.exec('ROLLBACK');
    holder.close();
    written();
    expect(finder.find()).toMatchObject({ file, others: [{ why: 'it is a copy of state_5.sqlite' }] });
  });
});
