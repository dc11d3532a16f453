import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../../src/contract/error-of.js';
import type { ThreadId } from '../../../src/protocol/ids.js';
import { ALL, newestTurns, open } from '../../support/local-store.js';
import { addRow, newId, rolloutText, TestHome } from '../../support/test-home.js';

const AT = '2026-11-20T10:00:00.000Z';
const saying = (id: ThreadId, text: string) => rolloutText({ id, at: AT, turns: [[text, 'answer']] });

/** A home served from its files alone, from our own index, or with Codex's DB without rows. */
const WAYS = ['files', 'index', 'codex'] as const;
async function served(home: TestHome, way: (typeof WAYS)[number]) {
  if (way === 'codex') home.stateDb();
  return await open(home.root, way === 'index' ? { indexUse: 'create' } : { useStateDb: way === 'codex' });
}

async function listed(manager: Awaited<ReturnType<typeof served>>['manager']) {
  const { threads, warnings } = await manager.listThreads(ALL);
  return { previews: threads.map(({ thread }) => thread.preview).sort(), warnings: warnings.join(' ') };
}

describe.each(WAYS)('a rollout that is named after another thread (%s)', (way) => {
  it('is read under both ids, and takes writes under the id in its content alone', async () => {
    const home = new TestHome();
    const [named, held] = [newId(), newId()];
    const { file } = home.rollout({ id: named, raw: saying(held, 'inside') });
    const { manager } = await served(home, way);
    expect((await manager.readThread(held)).preview).toBe('inside');
    expect((await manager.readThread(named)).threadId).toBe(named);
    const before = readFileSync(file, 'utf8');
    const writes = [
      () => manager.updateThreadMetadata(named, { name: 'a name' }),
      () => manager.updateThreadMetadata(named, { gitInfo: { branch: 'b' } }),
      () => manager.archiveThread(named, { includeDescendants: false, dryRun: false }),
      () => manager.resumeThread(named),
    ];
    for (const write of writes) {
      const error = await errorOf(write());
      expect(error).toMatchObject({ code: 'unsupported', hint: expect.stringContaining(held) });
    }
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect(existsSync(path.join(home.root, 'session_index.jsonl'))).toBe(false);
    await manager.updateThreadMetadata(held, { name: 'its own name' });
    expect((await manager.readThread(held)).name).toBe('its own name');
  });

  it('hides no thread: of two that are named after one another both are listed and read', async () => {
    const home = new TestHome();
    const [one, two] = [newId(), newId()];
    home.rollout({ id: one, raw: saying(two, 'second') });
    home.rollout({ id: two, raw: saying(one, 'first') });
    const { manager } = await served(home, way);
    expect((await listed(manager)).previews).toEqual(['first', 'second']);
    expect((await manager.readThread(one)).preview).toBe('first');
    expect((await manager.readThread(two)).preview).toBe('second');
  });
});

describe.each(WAYS)('a copy of a rollout (%s)', (way) => {
  it.each([
    ['whose first line is damaged', (id: ThreadId) => `{"torn\n${saying(id, 'said')}`, ' (1).jsonl'],
    ['that is compressed', (id: ThreadId) => zstdCompressSync(saying(id, 'said')), ' (1).jsonl.zst'],
  ])('%s is read as the thread of its name', async (_, content, suffix) => {
    const home = new TestHome();
    const id = newId();
    const { file } = home.rollout({ id, raw: content(id) });
    renameSync(file, file.replace('.jsonl', suffix));
    const { manager } = await served(home, way);
    expect((await listed(manager)).previews).toEqual(['said']);
    expect((await manager.listTurns(newestTurns(id))).turns).toHaveLength(1);
  });

  it('beside another rollout of the same id is counted where it is left out', async () => {
    const home = new TestHome();
    const id = newId();
    const { file } = home.rollout({ id, raw: saying(id, 'earlier') });
    home.rollout({ id, at: '2026-11-21T10:00:00.000Z', raw: saying(id, 'later') });
    const { manager } = await served(home, way);
    const { previews, warnings } = await listed(manager);
    expect(previews).toEqual(['later']);
    expect(warnings).toContain(path.basename(file));
  });

  it('never hides a thread behind an empty file of its exact name', async () => {
    const home = new TestHome();
    const id = newId();
    home.rollout({ id, raw: saying(id, 'full') });
    home.rollout({ id, at: '2026-11-21T10:00:00.000Z', raw: '' });
    const { manager } = await served(home, way);
    expect((await listed(manager)).previews).toEqual(['full']);
    expect((await manager.readThread(id)).preview).toBe('full');
  });
});

describe('a fork under the name of a copy', () => {
  it('is the fork, though its file begins with the session_meta of its source', async () => {
    const home = new TestHome();
    const [source, fork] = [newId(), newId()];
    home.rollout({ id: source, raw: saying(source, 'source') });
    const text = rolloutText({ id: fork, at: AT, meta: { forked_from_id: source }, lines: [] });
    const { file } = home.rollout({ id: fork, raw: `${text}${saying(source, 'both')}` });
    renameSync(file, file.replace('.jsonl', ' (1).jsonl'));
    const { manager } = await open(home.root, { useStateDb: false });
    expect((await manager.readThread(fork)).forkedFromId).toBe(source);
    expect((await manager.readThread(source)).preview).toBe('source');
    expect((await listed(manager)).previews).toHaveLength(2);
  });
});

describe('a row that names a rollout under the name of a copy', () => {
  it('counts, where that is another rollout of the thread than the one with the plain name', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id } = home.rollout({ turns: [['before', 'x']] });
    const reverted = home.rollout({ id, rolloutId: newId(), at: '2026-11-21T10:00:00.000Z', turns: [['after', 'x']] });
    const copied = reverted.file.replace('.jsonl', ' (1).jsonl');
    renameSync(reverted.file, copied);
    addRow(db, { id, rollout_path: copied, first_user_message: 'after', preview: 'after' });
    const { manager } = await open(home.root);
    const { turns } = await manager.listTurns(newestTurns(id));
    expect(turns.map(({ items }) => items[0]?.body?.text)).toEqual(['after']);
    expect(db.prepare('SELECT rollout_path FROM threads').pluck().get()).toBe(copied);
  });
});

describe('links in the place of our own files', () => {
  it('are not followed: neither the name index nor our state DB', async () => {
    const home = new TestHome();
    const outside = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-outside-'));
    onTestFinished(() => rmSync(outside, { recursive: true, force: true }));
    const { id } = home.rollout({ turns: [['said', 'x']] });
    for (const name of ['session_index.jsonl', 'threadkeeper.sqlite']) {
      writeFileSync(path.join(outside, name), '');
      symlinkSync(path.join(outside, name), path.join(home.root, name));
    }
    const { manager } = await open(home.root, { indexUse: 'create' });
    expect((await listed(manager)).previews).toEqual(['said']);
    expect(await errorOf(manager.updateThreadMetadata(id, { name: 'a name' }))).toMatchObject({ code: 'unsupported' });
    for (const name of readdirSync(outside)) expect(readFileSync(path.join(outside, name), 'utf8')).toBe('');
    expect(readdirSync(outside).sort()).toEqual(['session_index.jsonl', 'threadkeeper.sqlite']);
  });
});

describe('a home that is not there', () => {
  it('and whose place a file takes is an error that names it', async () => {
    const home = new TestHome();
    const place = path.join(home.root, 'a-file');
    writeFileSync(place, 'x');
    const { manager } = await open(place);
    const { previews, warnings } = await listed(manager);
    expect(previews).toEqual([]);
    expect(warnings).toContain(place);
    const error = await errorOf(manager.startThread({ cwd: '/x', message: 'hello' }));
    expect(`${error.message} ${error.hint}`).toContain(place);
    expect(readFileSync(place, 'utf8')).toBe('x');
  });

  it('and whose parent is not there either is not made', async () => {
    const home = new TestHome();
    const place = path.join(home.root, 'no', 'such');
    const { manager } = await open(place);
    expect((await listed(manager)).warnings).toContain(place);
    const error = await errorOf(manager.startThread({ cwd: '/x', message: 'hello' }));
    expect(`${error.message} ${error.hint}`).toContain(path.dirname(place));
    expect(existsSync(path.dirname(place))).toBe(false);
  });
});
