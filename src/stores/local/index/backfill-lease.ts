import { systemErrorCode } from '../../../protocol/errors.js';
import { asNumber, asObject, parseJson } from '../../../protocol/json.js';
import type { StateDb } from '../state-db/state-db.js';

/** How far the backfill of the index is. */
export interface BackfillProgress {
  readonly isComplete: boolean;
  /** Thread ids up to this one are done. */
  readonly watermark: string;
}

/** Who holds a lease. */
export interface LeaseOwner {
  readonly host: string;
  readonly pid: number;
  /** Tells one run of a process from another. */
  readonly run: string;
}

/** A lease that is not renewed for this long is anybody's, milliseconds. */
export const LEASE_MS = 10_000;

/** How far the DB is; call it inside `read`. */
export function backfillProgress(db: StateDb): BackfillProgress {
  const row = db.get('SELECT status, last_watermark FROM backfill_state WHERE id = 1');
  return { isComplete: row?.['status'] === 'complete', watermark: String(row?.['last_watermark'] ?? '') };
}

/**
 * One process fills our DB, others wait: who, how far, and until when is a row of the DB itself. A process that dies
 * leaves a lease that runs out; on the same machine it is seen at once. Each method runs inside the caller's `write`.
 */
export class BackfillLease {
  readonly #db: StateDb;
  readonly #host: string;
  readonly #owner: string;

  constructor(db: StateDb, owner: LeaseOwner) {
    this.#db = db;
    this.#host = owner.host;
    this.#owner = JSON.stringify(owner);
  }

  /** Takes or renews the lease; false while another process has it, or when the work is done. */
  take(now = Date.now()): boolean {
    this.#db.run("INSERT OR IGNORE INTO backfill_state (id, status, updated_at) VALUES (1, 'pending', 0)");
    const row = this.#db.get('SELECT status, lease_owner, lease_until_ms FROM backfill_state WHERE id = 1');
    if (row?.['status'] === 'complete') return false;
    const until = row?.['lease_until_ms'];
    // A lease that ends more than LEASE_MS from now is invalid.
    const isRunning = typeof until === 'number' && until >= now && until <= now + LEASE_MS;
    const holder = row?.['lease_owner'];
    const isAnothers = typeof holder === 'string' && holder !== this.#owner && !this.#isDead(holder);
    if (isRunning && isAnothers) return false;
    const sql = "UPDATE backfill_state SET lease_owner = ?, lease_until_ms = ?, status = 'running' WHERE id = 1";
    this.#db.run(sql, this.#owner, now + LEASE_MS);
    return true;
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

  /** True for a process of this machine that is no more. */
  #isDead(holder: string): boolean {
    const owner = asObject(parseJson(holder));
    const pid = asNumber(owner?.['pid']);
    if (owner?.['host'] !== this.#host || pid === undefined) return false;
    try {
      process.kill(pid, 0);
      return false;
    } catch (error) {
      return systemErrorCode(error) === 'ESRCH';
    }
  }
}
