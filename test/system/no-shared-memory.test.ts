import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { open } from '../support/local-store.js';
import { TestHome } from '../support/test-home.js';

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 100 } as const;

/** The home through a FUSE mount without shared memory, as a network file system has none. Needs bindfs, and root. */
function remote(home: TestHome): string {
  const directory = path.join(new TestHome().root, 'mount');
  mkdirSync(directory);
  execFileSync('bindfs', ['-o', 'direct_io', home.root, directory]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', directory]);
  });
  return directory;
}

it('a file system on which SQLite cannot work is served from its files, with a message that says what to do', async () => {
  const home = new TestHome();
  const { id } = home.rollout({ turns: [['q', 'a']] });
  const { manager, stateDb, warnings } = await open(remote(home), { indexUse: 'create' });
  expect(stateDb.db).toBeUndefined();
  expect(warnings.join()).toContain('--sqlite-home');
  expect(readdirSync(home.root)).toEqual(['sessions']);
  await manager.updateThreadMetadata(id, { name: 'Remote', gitInfo: { branch: 'b' } });
  await manager.archiveThread(id, { includeDescendants: true, dryRun: false });
  expect((await manager.listThreads(ALL)).threads[0]?.thread).toMatchObject({
    name: 'Remote',
    git: { branch: 'b' },
    isArchived: true,
  });
});

it('with the DB in a local directory it is indexed all the same', async () => {
  const home = new TestHome();
  home.rollout();
  const local = new TestHome();
  const { stateDb, manager } = await open(remote(home), { indexUse: 'create', sqliteHome: local.root });
  expect(stateDb.status.kind).toBe('index');
  expect((await manager.listThreads(ALL)).total).toBe(1);
});
