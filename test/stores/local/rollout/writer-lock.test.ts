import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../../../src/contract/error-of.js';
import { RolloutHome } from '../../../../src/stores/local/rollout/rollout-home.js';
import { acquireWriterLock, hasWriter } from '../../../../src/stores/local/rollout/writer-lock.js';
import { newId, TestHome } from '../../../support/test-home.js';

/** Holds a file with the flock(1) command, as another program would; returns how to let go. */
async function heldByAnother(file: string): Promise<() => Promise<void>> {
  mkdirSync(path.dirname(file), { recursive: true });
  const child = spawn('flock', ['--exclusive', file, 'sh', '-c', 'echo held; cat'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const release = async () => {
    child.stdin.end();
    await exited;
  };
  onTestFinished(release);
  return release;
}

describe('the writer lock', () => {
  const files = (home: TestHome, id: string) => path.join(home.root, 'thread-writer-locks', `${id}.lock`);

  it('is the same OS lock as that of other programs: theirs keeps us out', async () => {
    const home = new TestHome();
    const id = newId();
    const release = await heldByAnother(files(home, id));
    expect(await hasWriter(new RolloutHome(home.root), id)).toBe(true);
    expect(await errorOf(acquireWriterLock(new RolloutHome(home.root), id))).toMatchObject({ code: 'conflict' });
    await release();
    expect(await hasWriter(new RolloutHome(home.root), id)).toBe(false);
    await (await acquireWriterLock(new RolloutHome(home.root), id)).release();
  });

  it('is the same OS lock as that of other programs: ours keeps them out', async () => {
    const home = new TestHome();
    const id = newId();
    const lock = await acquireWriterLock(new RolloutHome(home.root), id);
    const tryIt = () =>
      new Promise((resolve) => spawn('flock', ['--nonblock', files(home, id), 'true']).once('exit', resolve));
    expect(await tryIt()).toBe(1);
    await lock.release();
    expect(existsSync(files(home, id))).toBe(false);
    expect(await tryIt()).toBe(0);
  });

  it('keeps a second writer in the same process out', async () => {
    const home = new TestHome();
    const id = newId();
    const lock = await acquireWriterLock(new RolloutHome(home.root), id);
    expect(await errorOf(acquireWriterLock(new RolloutHome(home.root), id))).toMatchObject({ code: 'conflict' });
    await lock.release();
  });

  it('is not held by a file that is only there', async () => {
    const home = new TestHome();
    const id = newId();
    mkdirSync(path.join(home.root, 'thread-writer-locks'));
    writeFileSync(files(home, id), '');
    expect(await hasWriter(new RolloutHome(home.root), id)).toBe(false);
    await (await acquireWriterLock(new RolloutHome(home.root), id)).release();
  });

  it('waits for the coordination lock, and gives up in the end', async () => {
    const home = new TestHome();
    const release = await heldByAnother(path.join(home.root, 'thread-writer-locks/.coordination.lock'));
    setTimeout(release, 200);
    await (await acquireWriterLock(new RolloutHome(home.root), newId())).release();
    await heldByAnother(path.join(home.root, 'thread-writer-locks/.coordination.lock'));
    expect(await errorOf(acquireWriterLock(new RolloutHome(home.root), newId()))).toMatchObject({ code: 'conflict' });
  });

  it('makes no directory for a look', async () => {
    const home = new TestHome();
    expect(await hasWriter(new RolloutHome(home.root), newId())).toBe(false);
    expect(existsSync(path.join(home.root, 'thread-writer-locks'))).toBe(false);
  });
});

describe('a home that was removed while a lock was held', () => {
  it('is not made again when the lock is let go, nor when another is wanted', async () => {
    const home = new TestHome();
    const rolloutHome = new RolloutHome(home.root);
    const lock = await acquireWriterLock(rolloutHome, newId());
    rmSync(home.root, { recursive: true });
    await lock.release();
    await expect(acquireWriterLock(rolloutHome, newId())).rejects.toThrow('ENOENT');
    expect(existsSync(home.root)).toBe(false);
  });
});
