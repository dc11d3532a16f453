import type { ThreadId } from '../../protocol/ids.js';
import type { AgentGraphStore, Descendant, SpawnEdge, SpawnEdgeStatus } from '../../store/agent-graph-store.js';
import type { Database } from './db/ready-db.js';

/** Edges of a team's threads, one row for each child. */
export class PostgresAgentGraph implements AgentGraphStore {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async upsertSpawnEdge({ parentThreadId, childThreadId, status }: SpawnEdge): Promise<void> {
    await this.#db.query(
      `INSERT INTO {edges} (child_thread_id, parent_thread_id, status) VALUES ($1, $2, $3)
      ON CONFLICT (child_thread_id) DO UPDATE SET parent_thread_id = excluded.parent_thread_id, status = excluded.status`,
      [childThreadId, parentThreadId, status],
    );
  }

  async setSpawnEdgeStatus(childThreadId: ThreadId, status: SpawnEdgeStatus): Promise<void> {
    await this.#db.query('UPDATE {edges} SET status = $2 WHERE child_thread_id = $1', [childThreadId, status]);
  }

  async listChildren(parentThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<ThreadId[]> {
    const rows = await this.#db.query(
      `SELECT child_thread_id AS id FROM {edges} WHERE parent_thread_id = $1 AND child_thread_id <> $1
      AND ($2::text IS NULL OR status = $2) ORDER BY child_thread_id`,
      [parentThreadId, status ?? null],
    );
    return rows.map(({ id }) => id as ThreadId);
  }

  /** As a child has one parent, a walk can only come back to where it began. */
  async listDescendants(rootThreadId: ThreadId, status?: SpawnEdgeStatus): Promise<Descendant[]> {
    const rows = await this.#db.query(
      `WITH RECURSIVE below AS (
        SELECT child_thread_id, parent_thread_id, 1 AS depth FROM {edges}
        WHERE parent_thread_id = $1 AND child_thread_id <> $1 AND ($2::text IS NULL OR status = $2)
        UNION ALL
        SELECT edge.child_thread_id, edge.parent_thread_id, below.depth + 1
        FROM below JOIN {edges} AS edge ON edge.parent_thread_id = below.child_thread_id
        WHERE edge.child_thread_id <> $1 AND edge.child_thread_id <> edge.parent_thread_id
        AND ($2::text IS NULL OR edge.status = $2)
      ) SELECT child_thread_id AS id, parent_thread_id AS parent, depth FROM below ORDER BY depth, id`,
      [rootThreadId, status ?? null],
    );
    return rows.map(({ id, parent, depth }) => ({
      threadId: id as ThreadId,
      parentThreadId: parent as ThreadId,
      depth: Number(depth),
    }));
  }
}
