import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../support/error-of.js';
import { open } from '../support/local-store.js';
import { addRow, TestHome } from '../support/test-home.js';

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 100 } as const;

/** A home on a file system of its own of so many KB. `fill` leaves no room, `free` makes it again. Needs root, as CI has. */
function smallHome(home: TestHome, kilobytes: number) {
  const folder = path.join(home.root, 'small');
  mkdirSync(folder);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', folder]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', folder]);
  });
  const filler = path.join(folder, 'filler');
  cpSync(path.join(home.root, 'sessions'), path.join(folder, 'sessions'), {
    recursive: true,
    preserveTimestamps: true,
  });
  return {
    folder,
    fill() {
      try {
        for (;;) writeFileSync(filler, Buffer.alloc(512, 'x'), { flag: 'a' });
      } catch {
        // Full, as wanted.
      }
    },
    free: () => rmSync(filler),
  };
}

describe('a disk that is full', () => {
  it('leaves the files to serve, makes a write an error, and loses nothing', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const { folder, fill, free } = smallHome(home, 256);
    fill();
    const { manager, warnings } = await open(folder, { ownStateDb: 'create', backfillWaitMs: 2000 });
    expect(warnings.join()).toMatch(/full|serving from the rollout files/);
    expect((await manager.listThreads(ALL)).total).toBe(1);
    fill();
    for (const patch of [{ name: 'x'.repeat(100) }, { gitInfo: { branch: 'b'.repeat(6000) } }]) {
      expect(['resource_exhausted', 'internal']).toContain(
        (await errorOf(manager.updateThreadMetadata(id, patch))).code,
      );
    }
    const { name, git } = await manager.readThread(id);
    expect([name, git.branch]).toEqual([undefined, undefined]);
    free();
    expect((await manager.updateThreadMetadata(id, { name: 'Room again' })).thread.name).toBe('Room again');
  });

  it('in the middle of a patch puts the row back', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const { folder, fill, free } = smallHome(home, 1024);
    const small = path.join(folder, path.relative(home.root, file));
    const codexs = home.stateDb();
    addRow(codexs, { id, rollout_path: small, title: 'q', first_user_message: 'q', preview: 'q' });
    const { manager } = await open(folder, { sqliteHome: home.root });
    await manager.updateThreadMetadata(id, { name: 'Before' });
    fill();
    const error = await errorOf(
      manager.updateThreadMetadata(id, { name: 'n'.repeat(200), gitInfo: { branch: 'b'.repeat(6000) } }),
    );
    expect(error.code).toBe('resource_exhausted');
    expect(codexs.prepare('SELECT title, git_branch FROM threads').get()).toEqual({
      title: 'Before',
      git_branch: null,
    });
    free();
    expect(await manager.readThread(id)).toMatchObject({ name: 'Before', git: { branch: undefined } });
    expect((await manager.updateThreadMetadata(id, { gitInfo: { branch: 'ok' } })).thread.git.branch).toBe('ok');
    expect(readFileSync(small, 'utf8').trimEnd().split('\n').at(-1)).toContain('"branch":"ok"');
  });
});
