import type { SqlRow, StateDb } from './state-db.js';

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

  /** The edges to the children of some threads. */
  below(parentThreadIds: readonly string[]): SpawnEdgeRow[] {
    const sql = `SELECT parent_thread_id, child_thread_id, status FROM thread_spawn_edges
      WHERE parent_thread_id IN (SELECT value FROM json_each(?))`;
    return this.#db.all(sql, JSON.stringify(parentThreadIds)).map(toEdge);
  }

  all(): SpawnEdgeRow[] {
    return this.#db.all('SELECT parent_thread_id, child_thread_id, status FROM thread_spawn_edges').map(toEdge);
  }

  /** Threads whose source says that they were spawned, and that have no edge. */
  spawnedWithoutEdge(): { id: string; source: string }[] {
    // A range and not a LIKE: it is answered from the index on `source`.
    const rows = this.#db.all(
      `SELECT id, source FROM threads WHERE source >= '{"subagent"' AND source < '{"subagenu'
       AND id NOT IN (SELECT child_thread_id FROM thread_spawn_edges)`,
    );
    return rows.map((row) => ({ id: String(row['id']), source: String(row['source']) }));
  }

  /** All threads that have a row. */
  threadIds(): string[] {
    return this.#db.all('SELECT id FROM threads').map((row) => String(row['id']));
  }

  /** Changes when a row or an edge comes or goes. */
  population(): string {
    const count = (table: string) => this.#db.get(`SELECT count(*) || '/' || max(rowid) AS n FROM ${table}`)?.['n'];
    return `${count('threads')} ${count('thread_spawn_edges')}`;
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

  /** The one parent of a child, or none. An existing edge keeps its status. */
  setParent(childThreadId: string, parentThreadId: string | undefined): void {
    this.#db.run(
      'DELETE FROM thread_spawn_edges WHERE child_thread_id = ? AND parent_thread_id IS NOT ?',
      childThreadId,
      parentThreadId ?? null,
    );
    if (parentThreadId === undefined) return;
    const sql =
      "INSERT OR IGNORE INTO thread_spawn_edges (parent_thread_id, child_thread_id, status) VALUES (?, ?, 'open')";
    this.#db.run(sql, parentThreadId, childThreadId);
  }

  setStatus(childThreadId: string, status: string): void {
    this.#db.run('UPDATE thread_spawn_edges SET status = ? WHERE child_thread_id = ?', status, childThreadId);
  }
}

function toEdge(row: SqlRow): SpawnEdgeRow {
  return {
    parentThreadId: String(row['parent_thread_id']),
    childThreadId: String(row['child_thread_id']),
    status: String(row['status']),
  };
}
