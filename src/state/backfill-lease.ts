import type { StateDb } from './state-db.js';

/** How far a backfill of our own DB is. */
export interface BackfillProgress {
  readonly isComplete: boolean;
  /** Thread ids up to this one are done. */
  readonly watermark: string;
}

/** A lease that is not renewed for this long is anybody's, milliseconds. */
export const LEASE_MS = 10_000;

/**
 * One process fills our DB, others wait: who, how far, and until when is a row of the DB itself. A process that dies
 * leaves a lease that runs out. Each method runs inside the caller's `read` or `write`.
 */
export class BackfillLease {
  readonly #db: StateDb;
  readonly #owner: string;

  constructor(db: StateDb, owner: string) {
    this.#db = db;
    this.#owner = owner;
  }

  progress(): BackfillProgress {
    const row = this.#db.get('SELECT status, last_watermark FROM backfill_state WHERE id = 1');
    return { isComplete: row?.['status'] === 'complete', watermark: String(row?.['last_watermark'] ?? '') };
  }

  /** Takes or renews the lease; false while another process has it, or when the work is done. */
  take(now = Date.now()): boolean {
    const sql = `UPDATE backfill_state SET lease_owner = ?, lease_until_ms = ?, status = 'running'
      WHERE id = 1 AND status <> 'complete' AND (lease_owner = ? OR lease_owner IS NULL OR lease_until_ms < ?)`;
    return this.#db.run(sql, this.#owner, now + LEASE_MS, this.#owner, now) > 0;
  }

  /** Everything up to this id is done. Call it in the transaction that wrote the rows, with the lease in hand. */
  advance(watermark: string): void {
    const seconds = Math.floor(Date.now() / 1000);
    this.#db.run('UPDATE backfill_state SET last_watermark = ?, updated_at = ? WHERE id = 1', watermark, seconds);
  }

  complete(): void {
    const seconds = Math.floor(Date.now() / 1000);
    const sql = `UPDATE backfill_state SET status = 'complete', last_success_at = ?, updated_at = ?, lease_owner = NULL
      WHERE id = 1`;
    this.#db.run(sql, seconds, seconds);
  }
}
