import { mkdirSync, readFileSync, renameSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RolloutCatalog } from '../../../../src/stores/local/rollout/rollout-catalog.js';
import { RolloutHome } from '../../../../src/stores/local/rollout/rollout-home.js';
import { newId, TestHome } from '../../../support/test-home.js';

function catalogOf(home: TestHome): RolloutCatalog {
  const catalog = new RolloutCatalog(new RolloutHome(home.root));
  catalog.refresh();
  return catalog;
}

describe('RolloutCatalog', () => {
  it('finds rollouts at any depth and on both sides, plain and compressed', () => {
    const home = new TestHome();
    const dated = home.rollout();
    const archived = home.rollout({ archived: true });
    const compressed = home.rollout({ compressed: true });
    const odd = home.rollout();
    mkdirSync(path.join(home.root, 'sessions/by-hand'));
    renameSync(odd.file, path.join(home.root, 'sessions/by-hand', path.basename(odd.file)));
    const catalog = catalogOf(home);
    expect([...catalog.threadIds()].sort()).toEqual([dated.id, archived.id, compressed.id, odd.id].sort());
    expect(catalog.filesFor(archived.id)[0]).toMatchObject({ isArchived: true });
    expect(catalog.filesFor(compressed.id)[0]).toMatchObject({ isCompressed: true });
  });

  it('sees files that appear, move and vanish, also within one tick of the clock', () => {
    const home = new TestHome();
    const first = home.rollout();
    const catalog = catalogOf(home);
    const second = home.rollout();
    catalog.refresh();
    expect([...catalog.threadIds()].length).toBe(2);
    mkdirSync(path.join(home.root, 'archived_sessions'));
    renameSync(first.file, path.join(home.root, 'archived_sessions', path.basename(first.file)));
    catalog.refresh();
    expect(catalog.filesFor(first.id)).toMatchObject([{ isArchived: true }]);
    rmSync(second.file);
    catalog.refresh();
    expect([...catalog.threadIds()]).toEqual([first.id]);
  });

  it('keeps its generation while nothing changes, and its population while files only move', () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const catalog = catalogOf(home);
    const { generation, population } = catalog;
    catalog.refresh();
    expect(catalog.generation).toBe(generation);
    mkdirSync(path.join(home.root, 'archived_sessions'));
    renameSync(file, path.join(home.root, 'archived_sessions', path.basename(file)));
    catalog.refresh();
    expect(catalog.generation).toBeGreaterThan(generation);
    expect(catalog.population).toBe(population);
    expect(catalog.filesFor(id)).toHaveLength(1);
  });

  it('puts the current file of a reverted thread first: the latest', () => {
    const home = new TestHome();
    const id = newId();
    const rolloutId = newId();
    home.rollout({ id, at: '2026-11-20T10:00:00.000Z' });
    home.rollout({ id, rolloutId, at: '2026-11-20T11:00:00.000Z' });
    const catalog = catalogOf(home);
    expect(catalog.filesFor(id).map((file) => file.rolloutId)).toEqual([rolloutId, id]);
    expect(catalog.byRolloutId(rolloutId)?.threadId).toBe(id);
  });

  it('prefers plain over compressed, and active over archived', () => {
    const home = new TestHome();
    const id = newId();
    home.rollout({ id, compressed: true });
    home.rollout({ id });
    home.rollout({ id, archived: true });
    expect(catalogOf(home).filesFor(id)).toMatchObject([{ isCompressed: false, isArchived: false }]);
  });

  it('does not follow links out of the home or into directories, and says so each time', () => {
    const home = new TestHome();
    const outside = new TestHome();
    const { file, id } = outside.rollout();
    symlinkSync(file, path.join(home.root, 'sessions', path.basename(file)));
    symlinkSync(outside.root, path.join(home.root, 'sessions/linked'));
    const catalog = catalogOf(home);
    expect(catalog.filesFor(id)).toEqual([]);
    catalog.refresh();
    const told = catalog.skipped.map((entry) => `${entry.path} (${entry.why})`);
    expect(told.sort()).toEqual([`sessions/${path.basename(file)} (a link)`, 'sessions/linked (a link)'].sort());
  });

  it('follows a link to a file inside the home', () => {
    const home = new TestHome();
    const { file, id } = home.rollout();
    const elsewhere = path.join(home.root, path.basename(file));
    renameSync(file, elsewhere);
    symlinkSync(elsewhere, file);
    expect(catalogOf(home).filesFor(id)).toHaveLength(1);
  });

  it('finds nothing in a home that does not exist, which says so', () => {
    const home = new RolloutHome(path.join(os.tmpdir(), `no-home-${process.pid}`));
    const missing = new RolloutCatalog(home);
    missing.refresh();
    expect([...missing.threadIds()].length).toBe(0);
    expect(home.absence).toContain('does not exist yet');
  });

  it.each(['sessions', 'archived_sessions'])(
    'finds what lies behind %s that is a link to another disk',
    (directory) => {
      const home = new TestHome();
      const disk = new TestHome();
      const { id, file } = disk.rollout({ archived: directory === 'archived_sessions' });
      rmSync(path.join(home.root, directory), { recursive: true, force: true });
      symlinkSync(path.join(disk.root, directory), path.join(home.root, directory));
      const catalog = catalogOf(home);
      expect(catalog.filesFor(id)).toMatchObject([{ path: path.join(home.root, path.relative(disk.root, file)) }]);
      expect(catalog.skipped).toEqual([]);
      expect(new RolloutHome(home.root).localPath(file)).toBe(catalog.filesFor(id)[0]?.path);
    },
  );

  it('tells of a link to a directory that is not there', () => {
    const home = new TestHome();
    rmSync(path.join(home.root, 'sessions'), { recursive: true });
    symlinkSync(path.join(home.root, 'unmounted'), path.join(home.root, 'sessions'));
    expect(catalogOf(home).skipped).toEqual([{ path: 'sessions', why: 'a link whose target does not exist' }]);
  });

  it('passes over files that only look like rollouts', () => {
    const home = new TestHome();
    writeFileSync(path.join(home.root, 'sessions/rollout-x.jsonl'), '');
    writeFileSync(path.join(home.root, 'sessions/backup.jsonl'), '');
    writeFileSync(path.join(home.root, 'sessions/notes.txt'), '');
    const catalog = catalogOf(home);
    expect([...catalog.threadIds()].length).toBe(0);
    expect(catalog.copies).toEqual(['sessions/rollout-x.jsonl']);
    expect(catalog.otherNames).toEqual(['sessions/backup.jsonl']);
  });
});

describe('copies of rollouts', () => {
  /** Puts a copy of a rollout beside it, under a name that a copy or a sync program gives. */
  const copy = (file: string, suffix: string, content = readFileSync(file, 'utf8')) => {
    const copied = file.replace(/\.jsonl$/, `${suffix}.jsonl`);
    writeFileSync(copied, content);
    return copied;
  };
  const NAMES = [' (1)', '.sync-conflict-20261001-101010-ABCDEFG', ' (conflicted copy 2026-10-01)', '-copy', '_'];

  it.each(NAMES)('are read where the original is gone (%s)', (suffix) => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    renameSync(file, copy(file, suffix));
    const catalog = catalogOf(home);
    expect(catalog.filesFor(id)).toMatchObject([{ isExact: false, threadId: id }]);
    expect(catalog.copies).toEqual([]);
  });

  it.each(NAMES)('are left out beside the original, and counted (%s)', (suffix) => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const copied = copy(file, suffix, `${readFileSync(file, 'utf8')}${readFileSync(file, 'utf8')}`);
    const catalog = catalogOf(home);
    expect(catalog.filesFor(id)).toMatchObject([{ path: file }]);
    expect(catalog.copies).toEqual([path.relative(home.root, copied)]);
  });

  it('win over an original without content, and never without content of their own', () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const copied = copy(file, ' (1)');
    copy(file, ' (2)', '');
    writeFileSync(file, '');
    const catalog = catalogOf(home);
    expect(catalog.filesFor(id)).toMatchObject([{ path: copied }]);
    expect(catalog.copies).toEqual([expect.stringContaining(' (2).jsonl')]);
  });

  it('are of the thread that their content says, whatever their name', () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    for (const name of ['rollout-x.jsonl', `rollout-2026-10-01-${newId()}.jsonl`, `rollout-${newId()}.jsonl`]) {
      const copied = path.join(home.root, 'sessions', name);
      renameSync(file, copied);
      expect(catalogOf(home).filesFor(id)).toMatchObject([{ path: copied }]);
      renameSync(copied, file);
    }
  });

  it('are found when they get their content after their name', () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const text = readFileSync(file, 'utf8');
    const copied = copy(file, ' (1)', '');
    rmSync(file);
    const catalog = catalogOf(home);
    expect(catalog.filesFor(id)).toEqual([]);
    writeFileSync(copied, text);
    catalog.refresh();
    expect(catalog.filesFor(id)).toMatchObject([{ path: copied }]);
  });
});

describe('which file of a reverted thread is current', () => {
  it.each(['0b', 'ff'])('is the one that no other builds on, also within one second (rollout id …%s)', (end) => {
    const home = new TestHome();
    const id = newId();
    const old = home.rollout({ id, mode: 'paginated', turns: [['q', 'a']] });
    const size = statSync(old.file).size;
    const rolloutId = `01a1ffff-0000-7000-8000-0000000000${end}`;
    const base = { thread_id: id, end_ordinal_exclusive: 1, end_byte_offset: Math.min(300, size) };
    const reverted = home.rollout({ id, mode: 'paginated', rolloutId, meta: { history_base: base }, firstOrdinal: 1 });
    utimesSync(old.file, 1_800_000_000, 1_800_000_000);
    expect(catalogOf(home).filesFor(id)[0]?.path).toBe(reverted.file);
  });
});
