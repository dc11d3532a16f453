import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../../src/contract/error-of.js';
import { open } from '../../support/local-store.js';
import { addRow, TestHome } from '../../support/test-home.js';

/** Memory is a file system of its own on every Linux. */
const OTHER = '/dev/shm';
const hasOther = existsSync(OTHER);
const MODES = ['Codex’s DB', 'our own', 'none'] as const;
const WHOLE = { includeDescendants: true, dryRun: false };

/** A home whose archive is on another file system, with one thread of some size. */
function homeOf(mode: (typeof MODES)[number], archived = false) {
  const home = new TestHome();
  const elsewhere = mkdtempSync(path.join(OTHER, 'threadkeeper-'));
  onTestFinished(() => rmSync(elsewhere, { recursive: true }));
  expect(statSync(elsewhere).dev).not.toBe(statSync(home.root).dev);
  const away = path.join(home.root, 'archived_sessions');
  rmSync(away, { recursive: true, force: true });
  symlinkSync(elsewhere, away);
  const { id, file } = home.rollout({ archived, turns: [['q', 'a'.repeat(3_000_000)]] });
  if (mode === 'Codex’s DB') addRow(home.stateDb(), { id, rollout_path: file, archived: Number(archived) });
  const served = async () => {
    const parts = await open(home.root, { indexUse: mode === 'our own' ? 'create' : 'never' });
    await parts.backfilled;
    return parts;
  };
  const active = path.join(home.root, 'sessions/2026/11/20', path.basename(file));
  return { home, id, file, served, active, archive: path.join(away, path.basename(file)) };
}

const names = (home: TestHome) =>
  ['sessions', 'archived_sessions'].flatMap((directory) =>
    readdirSync(path.join(home.root, directory), { recursive: true }).filter((name) => /rollout/.test(String(name))),
  );

describe.runIf(hasOther)('a home on two file systems', () => {
  it.each(MODES)('archives and brings back, bytes and times kept (%s)', async (mode) => {
    const { home, id, served, active, archive } = homeOf(mode);
    const before = { bytes: readFileSync(active), stat: statSync(active) };
    const { manager } = await served();
    expect(await manager.archiveThread(id, WHOLE)).toMatchObject({ moved: [id], failed: [] });
    expect(names(home)).toHaveLength(1);
    expect(readFileSync(archive).equals(before.bytes)).toBe(true);
    const { mtimeMs, mode: permissions } = statSync(archive);
    expect(Math.abs(mtimeMs - before.stat.mtimeMs)).toBeLessThan(1);
    expect(permissions).toBe(before.stat.mode);
    expect((await manager.readThread(id)).isArchived).toBe(true);
    expect(await manager.unarchiveThread(id, WHOLE)).toMatchObject({ moved: [id], failed: [] });
    expect(names(home)).toHaveLength(1);
    expect(readFileSync(active).equals(before.bytes)).toBe(true);
    expect((await manager.readThread(id)).isArchived).toBe(false);
  });

  it.each(MODES)('has one thread after a move that was killed, and a start ends it (%s)', async (mode) => {
    for (const archived of [false, true]) {
      const { home, id, file, served, active, archive } = homeOf(mode, archived);
      const target = archived ? active : archive;
      mkdirSync(path.dirname(target), { recursive: true });
      copyFileSync(file, target);
      const { manager, repair } = await served();
      const list = () =>
        manager.listThreads({ filter: { archived: 'include' }, sortBy: 'createdAt', order: 'desc', limit: 10 });
      expect((await list()).total).toBe(1);
      const { isArchived } = await manager.readThread(id);
      await repair();
      expect(names(home)).toHaveLength(1);
      expect((await list()).total).toBe(1);
      expect((await manager.readThread(id)).isArchived).toBe(isArchived);
    }
  });

  it('moves over what a killed move left, also when the thread went on meanwhile', async () => {
    const { home, id, served, active, archive } = homeOf('none');
    copyFileSync(active, archive);
    appendFileSync(active, '{"timestamp":"2026-11-20T10:00:00.000Z","type":"compacted","payload":{"message":"x"}}\n');
    const bytes = readFileSync(active);
    const { manager } = await served();
    await manager.archiveThread(id, WHOLE);
    expect(names(home)).toHaveLength(1);
    expect(readFileSync(archive).equals(bytes)).toBe(true);
  });

  it('does not move over a file that says something else', async () => {
    const { id, served, active, archive } = homeOf('none');
    copyFileSync(active, archive);
    appendFileSync(archive, 'x\n');
    const { manager, repair } = await served();
    await repair();
    expect(await errorOf(manager.archiveThread(id, WHOLE))).toMatchObject({ code: 'conflict' });
    expect([existsSync(active), existsSync(archive)]).toEqual([true, true]);
  });
});
