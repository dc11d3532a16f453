import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { INDEX_FILE } from '../../src/stores/local/state-db/open-state-db.js';
import { PROJECT } from '../support/mcp-client.js';
import { spawnedBy, TestHome } from '../support/test-home.js';

const MAIN = path.join(PROJECT, 'dist/main.js');
const KILLS = 50;

const backfill = (home: TestHome) =>
  spawn(process.execPath, [MAIN, 'backfill', '--home', home.root], { stdio: 'ignore' });

function contents(home: TestHome): unknown {
  const db = new Database(path.join(home.root, INDEX_FILE));
  const rows = db.prepare('SELECT * FROM threads ORDER BY id').all();
  const edges = db.prepare('SELECT * FROM thread_spawn_edges ORDER BY child_thread_id').all();
  db.close();
  return { rows, edges };
}

it(`a backfill that is killed at ${KILLS} random moments ends with the rows of one that was not`, async () => {
  const home = new TestHome();
  const root = home.rollout({ turns: [['root', 'a']] });
  for (let n = 0; n < 1500; n += 1) {
    const meta = n % 10 === 0 ? spawnedBy(root.id) : {};
    home.rollout({
      mode: n % 2 ? 'legacy' : 'paginated',
      archived: n % 7 === 0,
      meta,
      turns: [[`question ${n}`, 'x'.repeat(5000)]],
    });
  }
  await new Promise((resolve) => backfill(home).once('exit', resolve));
  const wanted = contents(home);
  const remove = () => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(path.join(home.root, INDEX_FILE + suffix), { force: true });
  };
  remove();
  let finished = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const child = backfill(home);
    const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
    await sleep(120 + Math.random() * 250);
    child.kill('SIGKILL');
    if ((await exited) === 0) {
      finished += 1;
      expect(contents(home)).toEqual(wanted);
      remove();
      continue;
    }
    // The next one need not wait for the dead one's lease to run out.
    try {
      const db = new Database(path.join(home.root, INDEX_FILE), { fileMustExist: true });
      db.exec('UPDATE backfill_state SET lease_until_ms = 1');
      db.close();
    } catch {
      // Killed before there was a DB.
    }
  }
  await new Promise((resolve) => backfill(home).once('exit', resolve));
  expect(contents(home)).toEqual(wanted);
  expect(finished).toBeLessThan(KILLS);
}, 120_000);
