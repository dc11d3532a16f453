import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { RolloutCatalog } from '../../src/rollout/rollout-catalog.js';
import { RolloutHome } from '../../src/rollout/rollout-home.js';
import { newId, TestHome } from '../support/test-home.js';

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
    expect(catalog.filesOf(archived.id)[0]).toMatchObject({ isArchived: true });
    expect(catalog.filesOf(compressed.id)[0]).toMatchObject({ isCompressed: true });
  });

  it('sees files that appear, move and vanish, also within one tick of the clock', () => {
    const home = new TestHome();
    const first = home.rollout();
    const catalog = catalogOf(home);
    const second = home.rollout();
    catalog.refresh();
    expect(catalog.threadCount).toBe(2);
    mkdirSync(path.join(home.root, 'archived_sessions'));
    renameSync(first.file, path.join(home.root, 'archived_sessions', path.basename(first.file)));
    catalog.refresh();
    expect(catalog.filesOf(first.id)).toMatchObject([{ isArchived: true }]);
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
    expect(catalog.filesOf(id)).toHaveLength(1);
  });

  it('puts the current file of a reverted thread first: the latest', () => {
    const home = new TestHome();
    const id = newId();
    const rolloutId = newId();
    home.rollout({ id, at: '2026-11-20T10:00:00.000Z' });
    home.rollout({ id, rolloutId, at: '2026-11-20T11:00:00.000Z' });
    const catalog = catalogOf(home);
    expect(catalog.filesOf(id).map((file) => file.rolloutId)).toEqual([rolloutId, id]);
    expect(catalog.byRolloutId(rolloutId)?.threadId).toBe(id);
  });

  it('prefers plain over compressed, and active over archived', () => {
    const home = new TestHome();
    const id = newId();
    home.rollout({ id, compressed: true });
    home.rollout({ id });
    home.rollout({ id, archived: true });
    expect(catalogOf(home).filesOf(id)).toMatchObject([{ isCompressed: false, isArchived: false }]);
  });

  it('does not follow links out of the home or into folders, and says so each time', () => {
    const home = new TestHome();
    const outside = new TestHome();
    const { file, id } = outside.rollout();
    symlinkSync(file, path.join(home.root, 'sessions', path.basename(file)));
    symlinkSync(outside.root, path.join(home.root, 'sessions/linked'));
    const catalog = catalogOf(home);
    expect(catalog.filesOf(id)).toEqual([]);
    catalog.refresh();
    expect([...catalog.passedOver].sort()).toEqual([`sessions/${path.basename(file)}`, 'sessions/linked'].sort());
  });

  it('follows a link to a file inside the home', () => {
    const home = new TestHome();
    const { file, id } = home.rollout();
    const elsewhere = path.join(home.root, path.basename(file));
    renameSync(file, elsewhere);
    symlinkSync(elsewhere, file);
    expect(catalogOf(home).filesOf(id)).toHaveLength(1);
  });

  it('refuses a home that does not exist, and one whose sessions are a link that leaves it', () => {
    const missing = new RolloutCatalog(new RolloutHome(path.join(os.tmpdir(), `no-home-${process.pid}`)));
    expect(() => missing.refresh()).toThrow(/does not exist/);
    const home = new TestHome();
    const outside = new TestHome();
    rmSync(path.join(home.root, 'sessions'), { recursive: true });
    symlinkSync(path.join(outside.root, 'sessions'), path.join(home.root, 'sessions'));
    expect(() => catalogOf(home)).toThrow(/leaves the home/);
  });

  it('passes over files that only look like rollouts', () => {
    const home = new TestHome();
    writeFileSync(path.join(home.root, 'sessions/rollout-x.jsonl'), '');
    writeFileSync(path.join(home.root, 'sessions/notes.txt'), '');
    expect(catalogOf(home).threadCount).toBe(0);
  });
});
