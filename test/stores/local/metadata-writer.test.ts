import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { errorOf } from '../../../src/contract/error-of.js';
import { RolloutRecorder } from '../../../src/stores/local/rollout/rollout-recorder.js';
import { openStore } from '../../support/local-store.js';
import { addRow, newId, TestHome } from '../../support/test-home.js';

const rowOf = (db: ReturnType<TestHome['stateDb']>, id: string) =>
  db.prepare('SELECT rollout_path, history_mode, title, git_branch FROM threads WHERE id = ?').get(id);

function homeOf(mode: 'legacy' | 'paginated') {
  const home = new TestHome();
  const db = home.stateDb();
  const { id, file } = home.rollout({ mode, turns: [['q', 'a']] });
  addRow(db, { id, rollout_path: file, history_mode: mode, first_user_message: 'q', title: 'q' });
  return { home, db, id, file };
}

describe('a patch of where a thread lies', () => {
  it('is written into the row, and so is how it keeps its history', async () => {
    const { home, db, id, file } = homeOf('legacy');
    const other = path.join(path.dirname(file), `rollout-2026-11-20T11-00-00-${id}.jsonl`);
    copyFileSync(file, other);
    const store = await openStore(home.root);
    await store.updateThreadMetadata(id, { rolloutPath: other, historyMode: 'paginated' });
    expect(rowOf(db, id)).toMatchObject({ rollout_path: other, history_mode: 'paginated' });
    await store.updateThreadMetadata(id, { rolloutPath: file });
    expect(rowOf(db, id)).toMatchObject({ rollout_path: file, history_mode: 'paginated' });
  });

  it('may not lead out of the home', async () => {
    const { home, db, id, file } = homeOf('legacy');
    const store = await openStore(home.root);
    const outside = new TestHome().rollout({ id: newId() }).file;
    for (const rolloutPath of [outside, path.join(home.root, '..', 'x.jsonl'), '/etc/passwd', 'relative.jsonl']) {
      expect(await errorOf(store.updateThreadMetadata(id, { rolloutPath, title: 'x' }))).toMatchObject({
        code: 'invalid_request',
        message: 'rolloutPath lies outside the home',
      });
    }
    expect(rowOf(db, id)).toMatchObject({ rollout_path: file, title: 'q' });
  });

  it('may not make a paginated thread legacy', async () => {
    const { home, db, id } = homeOf('paginated');
    const store = await openStore(home.root);
    expect(await errorOf(store.updateThreadMetadata(id, { historyMode: 'legacy', title: 'x' }))).toMatchObject({
      code: 'invalid_request',
    });
    expect(rowOf(db, id)).toMatchObject({ history_mode: 'paginated', title: 'q' });
  });
});

describe('a patch of which a part cannot be written', () => {
  it.each(['legacy', 'paginated'] as const)('is taken back as a whole in a %s thread', async (mode) => {
    const { home, db, id, file } = homeOf(mode);
    home.name(id, 'Before');
    const store = await openStore(home.root);
    const before = { row: rowOf(db, id), rollout: readFileSync(file, 'utf8'), name: (await store.readThread(id)).name };
    const write = RolloutRecorder.prototype.write;
    const spy = vi.spyOn(RolloutRecorder.prototype, 'write').mockImplementation(function (this: RolloutRecorder) {
      if (this.pending > 0) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
      write.call(this);
    });
    onTestFinished(() => spy.mockRestore());
    const error = await errorOf(store.updateThreadMetadata(id, { name: 'After', gitInfo: { branch: 'after' } }));
    expect(error.code).toBe('resource_exhausted');
    expect(rowOf(db, id)).toEqual(before.row);
    expect(readFileSync(file, 'utf8')).toBe(before.rollout);
    expect((await store.readThread(id)).name).toBe(before.name);
    spy.mockRestore();
    await store.updateThreadMetadata(id, { name: 'After', gitInfo: { branch: 'after' } });
    expect(await store.readThread(id)).toMatchObject({ name: 'After', git: { branch: 'after' } });
  });
});
