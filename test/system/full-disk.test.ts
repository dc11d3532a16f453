import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import { ThreadkeeperError } from '../../src/protocol/errors.js';
import { open } from '../support/local-store.js';
import { addRow, TestHome } from '../support/test-home.js';

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 100 } as const;

/** A home on a file system of its own of so many KB. `fill` leaves no room, `free` makes it again. Needs root, as CI has. */
function smallHome(home: TestHome, kilobytes: number) {
  const directory = path.join(home.root, 'small');
  mkdirSync(directory);
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kilobytes}k`, 'tmpfs', directory]);
  onTestFinished(() => {
    execFileSync('umount', ['--lazy', directory]);
  });
  const filler = path.join(directory, 'filler');
  cpSync(path.join(home.root, 'sessions'), path.join(directory, 'sessions'), {
    recursive: true,
    preserveTimestamps: true,
  });
  return {
    directory,
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
    const { directory, fill, free } = smallHome(home, 256);
    fill();
    const { manager, warnings } = await open(directory, { indexUse: 'create', backfillWaitMs: 2000 });
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
    const { directory, fill, free } = smallHome(home, 1024);
    const small = path.join(directory, path.relative(home.root, file));
    const codexDb = home.stateDb();
    addRow(codexDb, { id, rollout_path: small, title: 'q', first_user_message: 'q', preview: 'q' });
    const { manager } = await open(directory, { sqliteHome: home.root });
    await manager.updateThreadMetadata(id, { name: 'Before' });
    fill();
    const error = await errorOf(
      manager.updateThreadMetadata(id, { name: 'n'.repeat(200), gitInfo: { branch: 'b'.repeat(6000) } }),
    );
    expect(error.code).toBe('resource_exhausted');
    expect(codexDb.prepare('SELECT title, git_branch FROM threads').get()).toEqual({
      title: 'Before',
      git_branch: null,
    });
    free();
    expect(await manager.readThread(id)).toMatchObject({ name: 'Before', git: { branch: undefined } });
    expect((await manager.updateThreadMetadata(id, { gitInfo: { branch: 'ok' } })).thread.git.branch).toBe('ok');
    expect(readFileSync(small, 'utf8').trimEnd().split('\n').at(-1)).toContain('"branch":"ok"');
  });
});

describe('a live thread on a disk that fills up', () => {
  it.each(['legacy', 'paginated'] as const)(
    'ends the %s line that it was in the middle of, and has every item once and in order',
    async (mode) => {
      const home = new TestHome();
      const { id, file } = home.rollout({ mode, turns: [['q', 'a']] });
      const { directory, fill, free } = smallHome(home, 512);
      const small = path.join(directory, path.relative(home.root, file));
      const codexDb = home.stateDb();
      addRow(codexDb, {
        id,
        rollout_path: small,
        history_mode: mode,
        title: 'q',
        first_user_message: 'q',
        preview: 'q',
      });
      const { manager } = await open(directory, { sqliteHome: home.root });
      const thread = await manager.resumeThread(id);
      // Pages of 4 KiB: lines of 3,000 bytes end in the middle of one, and so does the disk in the middle of a line.
      const say = (n: number) => thread.submit([{ type: 'agentMessage', text: `<${n}>${'x'.repeat(1500)}` }]);
      await say(0);
      fill();
      let failure: ThreadkeeperError | undefined;
      let next = 1;
      for (; !failure && next < 50; next += 1) failure = await say(next).then(() => undefined, asKnown);
      expect(failure).toMatchObject({
        code: 'resource_exhausted',
        hint: expect.stringContaining('do not send them again'),
      });
      expect(readFileSync(small, 'utf8')).not.toMatch(/\n$/);
      expect(await say(99).then(() => undefined, asKnown)).toMatchObject({ code: 'resource_exhausted' });
      // What is there is read, torn line and all.
      expect((await manager.listTurns({ threadId: id, order: 'newestFirst', limit: 5 })).turns.length).toBeGreaterThan(
        0,
      );
      free();
      await say(next);
      await manager.closeThread(id);
      const lines = readFileSync(small, 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line));
      const said = lines.filter(({ payload }) =>
        /agent_message|AgentMessage/.test(`${payload.type} ${payload.item?.type}`),
      );
      const numbers = said.map((line) => Number(/<(\d+)>/.exec(JSON.stringify(line))?.[1] ?? Number.NaN));
      expect(numbers.filter((n) => !Number.isNaN(n))).toEqual(Array.from({ length: next + 1 }, (_, n) => n));
      if (mode === 'paginated') expect(lines.map(({ ordinal }) => ordinal)).toEqual(lines.map((_, index) => index));
    },
  );

  it('that is new keeps its beginning until there is room, or leaves nothing', async () => {
    const home = new TestHome();
    const { directory, fill, free } = smallHome(home, 256);
    const { manager } = await open(directory, { useStateDb: false });
    const { thread: kept } = await manager.startThread({ cwd: '/code' });
    const { thread: dropped } = await manager.startThread({ cwd: '/code' });
    fill();
    expect(await errorOf(kept.submit([{ type: 'userMessage', text: 'kept' }]))).toMatchObject({
      code: 'resource_exhausted',
    });
    expect(await errorOf(dropped.submit([{ type: 'userMessage', text: 'dropped' }]))).toMatchObject({
      code: 'resource_exhausted',
    });
    await manager.removeThread(dropped.threadId);
    free();
    await kept.flush();
    expect((await manager.listThreads(ALL)).threads.map(({ thread }) => thread.preview)).toEqual(['kept']);
  });
});

function asKnown(error: unknown): ThreadkeeperError {
  if (error instanceof ThreadkeeperError) return error;
  throw error;
}
