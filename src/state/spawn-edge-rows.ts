import type { StateDb } from './state-db.js';

/** A row of `thread_spawn_edges`. */
export interface SpawnEdgeRow {
  readonly parentThreadId: string;
  readonly childThreadId: string;
  readonly status: string;
}

/** Queries and setters on `thread_spawn_edges`. Each runs inside the caller's `read` or `write`. */
export class SpawnEdgeRows {
  readonly #db: StateDb;

  constructor(db: StateDb) {
    this.#db = db;
  }

  all(): SpawnEdgeRow[] {
    return this.#db.all('SELECT parent_thread_id, child_thread_id, status FROM thread_spawn_edges').map((row) => ({
      parentThreadId: String(row['parent_thread_id']),
      childThreadId: String(row['child_thread_id']),
      status: String(row['status']),
    }));
  }

  /** Threads whose source says that they were spawned. */
  spawnedThreads(): { id: string; source: string }[] {
    const rows = this.#db.all(`SELECT id, source FROM threads WHERE source LIKE '{"subagent":{"thread_spawn"%'`);
    return rows.map((row) => ({ id: String(row['id']), source: String(row['source']) }));
  }

  /** All threads that have a row. */
  threadIds(): string[] {
    return this.#db.all('SELECT id FROM threads').map((row) => String(row['id']));
  }

  /** Sets the one parent of a child. */
  upsert(edge: SpawnEdgeRow): void {
    this.#db.run(
      `INSERT INTO thread_spawn_edges (parent_thread_id, child_thread_id, status) VALUES (?, ?, ?)
       ON CONFLICT (child_thread_id) DO UPDATE SET parent_thread_id = excluded.parent_thread_id, status = excluded.status`,
      edge.parentThreadId,
      edge.childThreadId,
      edge.status,
    );
  }

  setStatus(childThreadId: string, status: string): void {
    this.#db.run('UPDATE thread_spawn_edges SET status = ? WHERE child_thread_id = ?', status, childThreadId);
  }
}
