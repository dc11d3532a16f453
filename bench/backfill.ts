import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { AppServer, sleep } from '../test/interop/rig/with-codex.mjs';

const MAIN = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../dist/main.js');

export interface Filling {
  readonly seconds: number;
  readonly peakMB: number;
  readonly rows: number;
}

/** Lets Codex index a home that has no DB: from its start until its DB says that it is complete. */
export async function codexBackfill(home: string, count: number): Promise<Filling> {
  const file = path.join(home, 'state_5.sqlite');
  const started = performance.now();
  const server = new AppServer(home);
  await server.init();
  for (let look = 0; look < 30_000 && rowsWhenComplete(file) < count; look += 1) await sleep(10);
  const seconds = (performance.now() - started) / 1000;
  const peakMB = server.memory()?.peakMB ?? 0;
  await server.stop();
  const rows = rowsWhenComplete(file);
  if (rows < count) throw new Error('Codex did not finish its index in 5 minutes');
  return { seconds, peakMB, rows };
}

/** The same with our own DB, in a directory of its own: `threadkeeper backfill`, from start to exit. */
export async function ourBackfill(home: string): Promise<Filling> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-backfill-'));
  const started = performance.now();
  const child = spawn(process.execPath, [MAIN, 'backfill', '--home', home, '--sqlite-home', directory], {
    stdio: 'ignore',
  });
  let peakMB = 0;
  const timer = setInterval(() => {
    peakMB = Math.max(peakMB, peakOf(child.pid));
  }, 10);
  await new Promise((resolve) => child.once('exit', resolve));
  clearInterval(timer);
  const seconds = (performance.now() - started) / 1000;
  const rows = rowsWhenComplete(path.join(directory, 'threadkeeper.sqlite'));
  rmSync(directory, { recursive: true, force: true });
  return { seconds, peakMB, rows };
}

function peakOf(pid: number | undefined): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

function rowsWhenComplete(file: string): number {
  try {
    const db = new Database(file, { readonly: true });
    const isComplete = db.prepare('SELECT status FROM backfill_state').pluck().get() === 'complete';
    const rows = Number(db.prepare('SELECT count(*) FROM threads').pluck().get());
    db.close();
    return isComplete ? rows : 0;
  } catch {
    return 0;
  }
}
