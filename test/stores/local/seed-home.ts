import type Database from 'better-sqlite3';
import { rolloutFromSeed, type Seed } from '../../../src/contract/seed.js';
import { addRow, type TestHome } from '../../support/test-home.js';

/** Puts seeds into a home as Codex would: the rollout, the name index, and the row where there is a DB. */
export function seedHome(home: TestHome, db: Database.Database | undefined, seeds: readonly Seed[]): void {
  for (const entry of seeds) {
    const { file } = home.rollout(rolloutFromSeed(entry));
    if (entry.name !== undefined) home.name(entry.id, entry.name);
    if (db) seedRow(db, entry, file);
  }
}

function seedRow(db: Database.Database, entry: Seed, file: string): void {
  const time = Date.parse(entry.at);
  const seconds = Math.floor(time / 1000);
  const source = rolloutFromSeed(entry).meta?.['source'];
  const firstMessage = entry.turns[0]?.[0] ?? '';
  const isLegacy = entry.mode === 'legacy';
  addRow(db, {
    id: entry.id,
    rollout_path: file,
    created_at: seconds,
    created_at_ms: time,
    updated_at: seconds,
    updated_at_ms: time,
    recency_at: seconds,
    recency_at_ms: time,
    source: typeof source === 'string' ? source : JSON.stringify(source),
    model_provider: entry.provider,
    cwd: entry.cwd,
    title: isLegacy ? (entry.name ?? firstMessage) : firstMessage,
    name: isLegacy ? null : (entry.name ?? null),
    preview: firstMessage,
    first_user_message: firstMessage,
    archived: entry.archived ? 1 : 0,
    archived_at: entry.archived ? seconds : null,
    git_branch: entry.branch ?? null,
    history_mode: entry.mode,
  });
}
