import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { conflict } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { Query } from './db/postgres-db.js';
import type { Database } from './db/ready-db.js';

/** The right to write one thread. */
export interface Lease {
  readonly threadId: ThreadId;
  readonly token: string;
}

/** SQL that returns a row while the lease is valid, and blocks a takeover until the transaction ends. */
export const validLeaseSql = (threadId: string, token: string): string =>
  `SELECT FROM {writers} WHERE thread_id = ${threadId} AND token = ${token} AND expires_at > clock_timestamp() FOR SHARE`;

/** True where somebody writes the thread of this parameter. */
export const writerSql = (threadId: string): string =>
  `SELECT FROM {writers} WHERE thread_id = ${threadId} AND expires_at > clock_timestamp()`;

/** Leases that expired more than this many days ago are deleted. */
const STALE_DAYS = 1;

/**
 * One writer for each thread, across servers: a lease that runs out unless its holder renews it. All times are the
 * database's, so local clocks do not matter. A write under a lease checks it in the same statement: a holder
 * whose lease has expired writes nothing.
 */
export class WriterLeases {
  readonly #db: Database;
  readonly #leaseMs: number;
  readonly #held = new Set<string>();
  readonly #holder = `${os.hostname()}, process ${process.pid}`;
  #timer: NodeJS.Timeout | undefined;

  constructor(db: Database, leaseMs: number) {
    this.#db = db;
    this.#leaseMs = leaseMs;
  }

  newLease(threadId: ThreadId): Lease {
    return { threadId, token: randomUUID() };
  }

  /** Takes the lease as part of a transaction, which can be repeated. Throws `conflict` while somebody has it. */
  async acquire(query: Query, { threadId, token }: Lease): Promise<void> {
    const taken = await query(
      `INSERT INTO {writers} (thread_id, token, holder, expires_at) VALUES ($1, $2, $3, ${this.#end('$4')})
      ON CONFLICT (thread_id) DO UPDATE SET token = excluded.token, holder = excluded.holder, expires_at = excluded.expires_at
      WHERE {writers}.expires_at <= clock_timestamp() OR {writers}.token = excluded.token RETURNING token`,
      [threadId, token, this.#holder, this.#leaseMs],
    );
    if (taken.length === 0) throw await this.#heldByAnother(query, threadId);
  }

  /** Throws `conflict` when somebody other than the holder of `mine` writes the thread. */
  async assertFree(query: Query, threadId: ThreadId, mine?: Lease): Promise<void> {
    const held = await query(`${writerSql('$1')} AND token IS DISTINCT FROM $2::uuid`, [threadId, mine?.token ?? null]);
    if (held.length > 0) throw await this.#heldByAnother(query, threadId);
  }

  /** Renews the lease from now on, until it is released. */
  keep({ token }: Lease): void {
    this.#held.add(token);
    this.#timer ??= setInterval(() => this.#renew(), Math.max(50, this.#leaseMs / 3)).unref();
  }

  async release({ token }: Lease): Promise<void> {
    this.forget({ token });
    await this.#db.query('DELETE FROM {writers} WHERE token = $1', [token]);
  }

  /** Stops renewing a lease. */
  forget({ token }: Pick<Lease, 'token'>): void {
    this.#held.delete(token);
    if (this.#held.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Not awaited. After a failure the next timer renews the lease, or the next write finds it expired. */
  #renew(): void {
    this.#db
      .query(
        `UPDATE {writers} SET expires_at = ${this.#end('$2')} WHERE token = ANY($1::uuid[]) AND expires_at > clock_timestamp()`,
        [[...this.#held], this.#leaseMs],
      )
      .then(() =>
        this.#db.query(`DELETE FROM {writers} WHERE expires_at < clock_timestamp() - interval '${STALE_DAYS} day'`),
      )
      .catch(() => undefined);
  }

  #end(ms: string): string {
    return `clock_timestamp() + ${ms} * interval '1 millisecond'`;
  }

  async #heldByAnother(query: Query, threadId: ThreadId): Promise<Error> {
    const [row] = await query(
      'SELECT holder, ceil(extract(epoch FROM expires_at - clock_timestamp())) AS seconds FROM {writers} WHERE thread_id = $1',
      [threadId],
    );
    const seconds = Math.max(1, Number(row?.['seconds'] ?? 1));
    return conflict(
      `thread ${threadId} is open for writing in another server (${row?.['holder'] ?? 'just gone'})`,
      `Close it there with close_thread. If that server is gone, call again in ${seconds} s: its lease ends then.`,
    );
  }
}
