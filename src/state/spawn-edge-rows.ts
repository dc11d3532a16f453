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

  children(parentThreadId: string): SpawnEdgeRow[] {
    return this.#rows('WHERE parent_thread_id = ? ORDER BY child_thread_id', parentThreadId);
  }

  parentOf(childThreadId: string): string | undefined {
    return this.#rows('WHERE child_thread_id = ?', childThreadId)[0]?.parentThreadId;
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

  #rows(condition: string, ...values: string[]): SpawnEdgeRow[] {
    const sql = `SELECT parent_thread_id, child_thread_id, status FROM thread_spawn_edges ${condition}`;
    return this.#db.all(sql, ...values).map((row) => ({
      parentThreadId: String(row['parent_thread_id']),
      childThreadId: String(row['child_thread_id']),
      status: String(row['status']),
    }));
  }
}
