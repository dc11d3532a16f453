import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { RolloutCatalog } from '../../../../src/stores/local/rollout/rollout-catalog.js';
import { RolloutHome } from '../../../../src/stores/local/rollout/rollout-home.js';
import { archivedPath, moveRollouts } from '../../../../src/stores/local/rollout/rollout-move.js';
import { newId, TestHome } from '../../../support/test-home.js';

/** Memory is a file system of its own on every Linux. */
const OTHER = '/dev/shm';
const PLACES = existsSync(OTHER) ? (['beside it', 'on another file system'] as const) : (['beside it'] as const);

/** A thread of two files, and where its archive is. */
function thread(place: (typeof PLACES)[number]) {
  const home = new TestHome();
  const archived = path.join(home.root, 'archived_sessions');
  if (place === 'beside it') mkdirSync(archived);
  else {
    const elsewhere = mkdtempSync(path.join(OTHER, 'threadkeeper-'));
    onTestFinished(() => rmSync(elsewhere, { recursive: true }));
    symlinkSync(elsewhere, archived);
  }
  const first = home.rollout({ turns: [['first', 'x']] });
  const second = home.rollout({ id: first.id, rolloutId: newId(), at: '2026-11-21T10:00:00.000Z' });
  const rolloutHome = new RolloutHome(home.root);
  const catalog = new RolloutCatalog(rolloutHome);
  catalog.refresh();
  const files = catalog.filesFor(first.id);
  expect(files).toHaveLength(2);
  const old = [first.file, second.file];
  const move = () => moveRollouts(rolloutHome, files, (file) => archivedPath(rolloutHome, file));
  return { old, targets: old.map((file) => path.join(archived, path.basename(file))), move };
}

const there = (files: readonly string[]) => files.map((file) => existsSync(file));

describe.each(PLACES)('a move of a thread with two files to an archive that lies %s', (place) => {
  it('has both files in both directories until it is finished, then in the new one', async () => {
    const { old, targets, move } = thread(place);
    const moving = await move();
    expect([...there(old), ...there(targets)]).toEqual([true, true, true, true]);
    moving.finish();
    expect([...there(old), ...there(targets)]).toEqual([false, false, true, true]);
    expect(targets).toContain(moving.currentPath);
  });

  it('leaves nothing in the new directory when it is taken back', async () => {
    const { old, targets, move } = thread(place);
    const before = old.map((file) => readFileSync(file, 'utf8'));
    (await move()).undo();
    expect([...there(old), ...there(targets)]).toEqual([true, true, false, false]);
    expect(old.map((file) => readFileSync(file, 'utf8'))).toEqual(before);
  });

  it('never takes the only file away, when the old one is gone before it is taken back', async () => {
    const { old, targets, move } = thread(place);
    const moving = await move();
    for (const file of old) unlinkSync(file);
    moving.undo();
    for (const [index, file] of old.entries()) expect([file, targets[index] ?? ''].filter(existsSync)).toHaveLength(1);
  });

  it('does nothing more when it is taken back after it was finished', async () => {
    const { old, targets, move } = thread(place);
    const moving = await move();
    moving.finish();
    moving.undo();
    expect([...there(old), ...there(targets)]).toEqual([false, false, true, true]);
  });

  it('is taken back by itself where a target is in the way', async () => {
    const { old, targets, move } = thread(place);
    writeFileSync(targets[1] ?? '', 'another thread');
    await expect(move()).rejects.toMatchObject({ code: 'conflict' });
    expect([...there(old), ...there(targets)]).toEqual([true, true, false, true]);
    expect(readFileSync(targets[1] ?? '', 'utf8')).toBe('another thread');
  });
});
