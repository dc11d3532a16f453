import type { StateDb } from './state-db.js';
import { type StateDbStatus, servingDb, statusOver } from './state-db-status.js';

/**
 * The optional state DB of a process, as it comes and goes: absent, late (handed out when a backfill is done, or when
 * Codex's DB can be used), or lost. Whoever reads or writes rows asks for the status each time.
 */
export class StateDbHandle {
  #status: StateDbStatus;

  constructor(db?: StateDb) {
    this.#status = db ? statusOver(db) : { kind: 'files' };
  }

  get status(): StateDbStatus {
    return this.#status;
  }

  /** The open DB, whoever owns it. */
  get db(): StateDb | undefined {
    return servingDb(this.#status);
  }

  /** Serves a DB. The index does not replace Codex's DB, nor one that is waited for. */
  serve(db: StateDb): void {
    const { kind } = this.#status;
    if (db.owner === 'threadkeeper' && (kind === 'codex' || kind === 'waiting')) return;
    this.#replace(statusOver(db));
  }

  /** From here on files are read; `reason` says why nothing may be written. */
  wait(reason: string): void {
    this.#replace({ kind: 'waiting', reason });
  }

  /** From here on the files alone serve, unless the index serves already. */
  withoutCodex(reason?: string): void {
    if (this.#status.kind !== 'index') this.#replace({ kind: 'files', reason });
  }

  /** Called with a DB that was given up because it cannot be used any more, once for each. */
  onLost: ((db: StateDb) => void) | undefined;

  /**
   * Gives up a DB that cannot be used any more; does nothing when another one has taken its place. While Codex's may be
   * rebuilt or come back, writes wait for it.
   */
  lose(db: StateDb, reason: string): void {
    if (this.db !== db) return;
    if (db.owner === 'codex') this.wait(reason);
    else this.#replace({ kind: 'files', reason });
    this.onLost?.(db);
  }

  /** Takes a DB of Codex's that has come, or come back. To be awaited before a write. */
  takeCodexDb: () => Promise<void> = async () => {};

  /** Closes what serves; for the end of the program. */
  close(): void {
    this.db?.close();
  }

  /** The DB that served before is closed when nothing runs on it any more. */
  #replace(status: StateDbStatus): void {
    const before = this.db;
    this.#status = status;
    if (before && before !== servingDb(status)) before.close();
  }
}
