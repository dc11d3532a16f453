import { mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { zstdCompressSync } from 'node:zlib';
import Database from 'better-sqlite3';
import { onTestFinished } from 'vitest';
import { newId, type RolloutSpec, rolloutText } from '../../src/contract/seed-rollout.js';
import type { ThreadId } from '../../src/protocol/ids.js';

export * from '../../src/contract/seed-rollout.js';

const SCHEMA = readFileSync(new URL('codex-state-schema.sql', import.meta.url), 'utf8');

/** A Codex home in a temp directory, removed when the test is over. */
export class TestHome {
  readonly root: string;

  constructor() {
    this.root = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-test-'));
    mkdirSync(path.join(this.root, 'sessions'));
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
  }

  /** Writes a rollout as Codex lays it out; returns its id and path. */
  rollout(spec: RolloutSpec = {}): { id: ThreadId; file: string } {
    const { id = newId(), at = '2026-11-20T10:00:00.000Z', rolloutId, archived, compressed } = spec;
    const stamp = at.slice(0, 19).replaceAll(':', '-');
    const suffix = `${rolloutId ? `_${rolloutId}` : ''}.jsonl${compressed ? '.zst' : ''}`;
    const directory = archived ? 'archived_sessions' : path.join('sessions', ...at.slice(0, 10).split('-'));
    const file = path.join(this.root, directory, `rollout-${stamp}-${id}${suffix}`);
    const text = spec.raw ?? rolloutText({ ...spec, id, at });
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, compressed ? zstdCompressSync(text) : text);
    utimesSync(file, Date.parse(at) / 1000, Date.parse(at) / 1000);
    return { id, file };
  }

  /** Writes a rollout whose lines were changed before. */
  damagedRollout(spec: RolloutSpec, damage: (lines: string[]) => void): { id: ThreadId; file: string } {
    const { id = newId(), at = '2026-11-20T10:00:00.000Z' } = spec;
    const lines = rolloutText({ ...spec, id, at })
      .trim()
      .split('\n');
    damage(lines);
    return this.rollout({ id, at, raw: `${lines.join('\n')}\n` });
  }

  /** Appends a line to the name index. */
  name(id: string, name: string): void {
    const line = JSON.stringify({ id, thread_name: name, updated_at: new Date().toISOString() });
    writeFileSync(path.join(this.root, 'session_index.jsonl'), `${line}\n`, { flag: 'a' });
  }

  /** Makes Codex's state DB, its backfill complete. */
  stateDb(file = 'state_5.sqlite'): Database.Database {
    const db = makeStateDb(this.root, file);
    onTestFinished(() => {
      db.close();
    });
    return db;
  }

  read(file: string): string {
    return readFileSync(path.resolve(this.root, file), 'utf8');
  }
}

/** Codex's state DB in a home, its backfill complete. */
export function makeStateDb(home: string, file = 'state_5.sqlite'): Database.Database {
  const db = new Database(path.join(home, file));
  db.pragma('journal_mode = WAL');
  db.exec(SCHEMA);
  db.exec("INSERT INTO backfill_state (id, status, updated_at) VALUES (1, 'complete', 0)");
  return db;
}

/** Adds a row as Codex does for a rollout. */
export function addRow(db: Database.Database, row: Record<string, string | number | null>): void {
  const seconds = 1_795_000_000;
  const values: Record<string, string | number | null> = {
    created_at: seconds,
    updated_at: seconds,
    source: 'cli',
    model_provider: 'mock',
    cwd: '/home/dev/project',
    title: '',
    sandbox_policy: '{}',
    approval_mode: 'never',
    ...row,
  };
  const columns = Object.keys(values);
  const marks = columns.map(() => '?').join(', ');
  db.prepare(`INSERT INTO threads (${columns.join(', ')}) VALUES (${marks})`).run(...Object.values(values));
}

export function addEdge(db: Database.Database, parent: string, child: string, status = 'open'): void {
  db.prepare('INSERT INTO thread_spawn_edges VALUES (?, ?, ?)').run(parent, child, status);
}
