import type { SourceKind } from '../../protocol/session-source.js';
import type { ThreadCount } from '../../store/thread-store.js';
import type { Query } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';

/** More changes than this are summed up in the table. */
const MANY = 2000;
const COMPACTION_LOCK = 0x746b6363;

/** How many threads there are, kept by the triggers of the table as changes. */
export class CountChanges {
  readonly #db: Database;
  readonly #mayCompact: boolean;
  #isCompacting = false;

  constructor(db: Database, { mayCompact }: { mayCompact: boolean }) {
    this.#db = db;
    this.#mayCompact = mayCompact;
  }

  async sums(): Promise<ThreadCount[]> {
    const rows = await this.#db.query(
      'SELECT is_archived, source_kind, sum(change) AS count, count(*) AS changes FROM {count_changes} GROUP BY 1, 2',
    );
    const changes = rows.reduce((sum, row) => sum + Number(row['changes']), 0);
    if (changes > MANY) this.#compact();
    return rows.map((row) => ({
      isArchived: row['is_archived'] === true,
      source: row['source_kind'] as SourceKind,
      count: Number(row['count']),
    }));
  }

  /** Not waited for; when it fails the next list tries again. */
  #compact(): void {
    if (this.#isCompacting || !this.#mayCompact) return;
    this.#isCompacting = true;
    this.#db
      .transaction(sumUp)
      .catch(() => undefined)
      .finally(() => {
        this.#isCompacting = false;
      });
  }
}

async function sumUp(query: Query): Promise<void> {
  const [lock] = await query('SELECT pg_try_advisory_xact_lock($1) AS taken', [COMPACTION_LOCK]);
  if (!lock?.['taken']) return;
  await query(`WITH taken AS (DELETE FROM {count_changes} RETURNING is_archived, source_kind, change)
    INSERT INTO {count_changes} (is_archived, source_kind, change)
    SELECT is_archived, source_kind, sum(change) FROM taken GROUP BY 1, 2`);
}
