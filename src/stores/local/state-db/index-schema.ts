import Database from 'better-sqlite3';

/** A step from one schema of the index to the next. It is literal and frozen: a released one is never edited. */
interface Migration {
  /** For a person who reads this; `user_version` counts how many have run. */
  readonly name: string;
  readonly sql: string;
}

/**
 * The index, for homes where Codex has no state DB. It has the tables and columns of Codex's, so that one set of
 * statements serves both, and what only the index needs (`rollout_size`, `rollout_mtime_ms`, the lease). A change of the
 * schema is a further entry.
 */
const MIGRATIONS: readonly Migration[] = [
  {
    name: '0001-threads',
    sql: `CREATE TABLE threads (
    id TEXT PRIMARY KEY,
    rollout_path TEXT NOT NULL,
    rollout_size INTEGER NOT NULL DEFAULT -1,
    rollout_mtime_ms REAL NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    recency_at INTEGER NOT NULL,
    recency_at_ms INTEGER NOT NULL,
    source TEXT NOT NULL,
    thread_source TEXT,
    originator TEXT,
    model_provider TEXT NOT NULL,
    model TEXT,
    reasoning_effort TEXT,
    cwd TEXT NOT NULL,
    title TEXT NOT NULL,
    name TEXT,
    preview TEXT NOT NULL DEFAULT '',
    first_user_message TEXT NOT NULL DEFAULT '',
    sandbox_policy TEXT NOT NULL,
    approval_mode TEXT NOT NULL,
    tokens_used INTEGER NOT NULL DEFAULT 0,
    archived INTEGER NOT NULL DEFAULT 0,
    archived_at INTEGER,
    git_sha TEXT,
    git_branch TEXT,
    git_origin_url TEXT,
    cli_version TEXT NOT NULL DEFAULT '',
    agent_nickname TEXT,
    agent_role TEXT,
    agent_path TEXT,
    memory_mode TEXT NOT NULL DEFAULT 'enabled',
    history_mode TEXT NOT NULL DEFAULT 'legacy'
  );
  CREATE INDEX threads_created ON threads(created_at_ms DESC, id DESC);
  CREATE INDEX threads_updated ON threads(updated_at_ms DESC, id DESC);
  CREATE INDEX threads_recency ON threads(recency_at_ms DESC, id DESC);
  CREATE INDEX threads_archived_created ON threads(created_at_ms DESC, id DESC) WHERE archived = 1;
  CREATE INDEX threads_archived_updated ON threads(updated_at_ms DESC, id DESC) WHERE archived = 1;
  CREATE INDEX threads_archived_recency ON threads(recency_at_ms DESC, id DESC) WHERE archived = 1;
  CREATE INDEX threads_cwd ON threads(cwd, updated_at_ms DESC, id DESC);
  CREATE INDEX threads_source ON threads(source);
  CREATE TABLE thread_spawn_edges (
    parent_thread_id TEXT NOT NULL,
    child_thread_id TEXT NOT NULL PRIMARY KEY,
    status TEXT NOT NULL
  );
  CREATE INDEX thread_spawn_edges_parent ON thread_spawn_edges(parent_thread_id, status);
  CREATE TABLE backfill_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    status TEXT NOT NULL,
    last_watermark TEXT,
    last_success_at INTEGER,
    updated_at INTEGER NOT NULL,
    lease_owner TEXT,
    lease_until_ms INTEGER NOT NULL DEFAULT 0
  );
  INSERT INTO backfill_state (id, status, updated_at) VALUES (1, 'pending', 0);`,
  },
  // One directory, branch or provider in any order: found and sorted by the index alone.
  {
    name: '0002-sorted-filters',
    sql: `CREATE INDEX threads_cwd_created ON threads(cwd, created_at_ms DESC, id DESC);
  CREATE INDEX threads_cwd_recency ON threads(cwd, recency_at_ms DESC, id DESC);
  CREATE INDEX threads_branch_created ON threads(git_branch, created_at_ms DESC, id DESC);
  CREATE INDEX threads_branch_updated ON threads(git_branch, updated_at_ms DESC, id DESC);
  CREATE INDEX threads_branch_recency ON threads(git_branch, recency_at_ms DESC, id DESC);
  CREATE INDEX threads_provider_created ON threads(model_provider, created_at_ms DESC, id DESC);
  CREATE INDEX threads_provider_updated ON threads(model_provider, updated_at_ms DESC, id DESC);
  CREATE INDEX threads_provider_recency ON threads(model_provider, recency_at_ms DESC, id DESC);`,
  },
  // Reviews and guardians name a parent, and are no spawned agents.
  {
    name: '0003-spawned-agents-alone',
    sql: `DELETE FROM thread_spawn_edges WHERE child_thread_id IN
    (SELECT id FROM threads WHERE source NOT LIKE '{"subagent":{"thread_spawn"%');`,
  },
];

/** `user_version` when all migrations have run. */
export const INDEX_SCHEMA_VERSION = MIGRATIONS.length;

/** Brings an index to the present schema, each step in a transaction. Returns its version: higher means newer than us. */
export function migrateIndex(db: Database.Database): number {
  const version = () => Number(db.pragma('user_version', { simple: true }));
  const step = db.transaction((from: number) => {
    // Another process may have come first.
    if (version() !== from) return;
    db.exec(MIGRATIONS[from]?.sql ?? '');
    db.pragma(`user_version = ${from + 1}`);
  });
  if (version() < 0) throw new Database.SqliteError('a negative schema version', 'SQLITE_CORRUPT');
  // The version is read once for each step: another process can migrate at the same time.
  for (let from = version(); from < INDEX_SCHEMA_VERSION; from = version()) step.immediate(from);
  // What a program could have done to the tables since: one that is missing shows here.
  db.prepare('SELECT id, rollout_size FROM threads LIMIT 1').get();
  db.prepare('SELECT child_thread_id FROM thread_spawn_edges LIMIT 1').get();
  db.prepare('SELECT lease_owner FROM backfill_state LIMIT 1').get();
  return version();
}
