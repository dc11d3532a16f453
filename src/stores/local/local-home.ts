import path from 'node:path';
import { conflict, ThreadkeeperError } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import type { NameIndex } from './rollout/name-index.js';
import type { RolloutCatalog } from './rollout/rollout-catalog.js';
import type { RolloutHome } from './rollout/rollout-home.js';
import type { RolloutLibrary } from './rollout/rollout-library.js';
import type { SummaryCache } from './rollout/summary-cache.js';
import { ProjectionDb } from './state-db/projection-db.js';
import type { StateDb } from './state-db/state-db.js';
import { StateDbLost } from './state-db/state-db.js';
import type { StateDbHandle } from './state-db/state-db-handle.js';
import type { StateDbStatus } from './state-db/state-db-status.js';
import { ThreadRows } from './state-db/thread-rows.js';

/** Says something to the person who runs the server; never to the client. */
export type Warn = (message: string) => void;

/** The state DB with its rows, while it can be used. */
export interface Rows {
  readonly db: StateDb;
  readonly threads: ThreadRows;
}

/** How long a DB that could not be read is left alone, milliseconds. */
const SKIP_READS_MS = 10_000;

/** What the parts of the local store share: the files of one home, and the state DB if there is one. */
export class LocalHome {
  readonly home: RolloutHome;
  readonly catalog: RolloutCatalog;
  readonly names: NameIndex;
  readonly summaries: SummaryCache;
  #rows: Rows | undefined;
  #projection: { readonly of: StateDb; readonly db: ProjectionDb } | undefined;
  #skipReadsUntil = 0;

  constructor(
    library: RolloutLibrary,
    readonly stateDb: StateDbHandle,
    readonly warn: Warn,
  ) {
    this.home = library.home;
    this.catalog = library.catalog;
    this.names = library.names;
    this.summaries = library.summaries;
  }

  /** The rows, or undefined where there is no state DB or it was lost. */
  get rows(): Rows | undefined {
    const { db } = this.stateDb;
    if (this.#rows?.db !== db) this.#rows = db && { db, threads: new ThreadRows(db) };
    return this.#rows;
  }

  /** Which state DB serves now, and why. */
  get status(): StateDbStatus {
    return this.stateDb.status;
  }

  /** How many bytes of a paginated rollout Codex shows as turns; 0 where it has not read the rollout, or has no DB. */
  bytesShownByCodex(rolloutId: string): number {
    const { status } = this;
    if (status.kind !== 'codex') return 0;
    if (this.#projection?.of !== status.db) {
      this.#projection?.db.close();
      this.#projection = { of: status.db, db: new ProjectionDb(path.dirname(status.db.file)) };
    }
    return this.#projection.db.bytesShown(rolloutId) ?? 0;
  }

  close(): void {
    this.#projection?.db.close();
    this.#projection = undefined;
  }

  /**
   * Before a write: takes over a state DB that has appeared. Throws `conflict` while Codex's exists and cannot be written, as
   * Codex would not learn of the change.
   */
  async readyToWrite(): Promise<void> {
    await this.stateDb.takeCodexDb();
    const { status } = this;
    if (status.kind !== 'waiting') return;
    this.home.assertWritable();
    throw conflict(
      `Codex’s state DB cannot be written now (${status.reason})`,
      'Nothing was changed: Codex would not see it. Try again in a moment. If it stays so, start Codex once, which creates or repairs its DB; threadkeeper doctor shows the cause.',
    );
  }

  /**
   * Reads from the rows; undefined without a state DB, or when it turns out to be damaged: then files serve from here on.
   * After a read finds it locked, no read is tried for SKIP_READS_MS, and files serve meanwhile.
   */
  async readRows<T>(query: (rows: ThreadRows) => T): Promise<T | undefined> {
    const { rows } = this;
    if (!rows || Date.now() < this.#skipReadsUntil) return undefined;
    try {
      return await rows.db.read(() => query(rows.threads));
    } catch (error) {
      if (error instanceof StateDbLost) {
        this.#lose(rows.db, error);
      } else if (error instanceof ThreadkeeperError && error.code === 'conflict') {
        this.#skipReadsUntil = Date.now() + SKIP_READS_MS;
        this.warn(`the state DB cannot be read for now (${error.message}); serving from the rollout files`);
      } else {
        throw error;
      }
      return undefined;
    }
  }

  /** Changes rows in one transaction; undefined without a state DB. A damaged one is an error here: nothing was written. */
  async writeRows<T>(change: (rows: ThreadRows) => T): Promise<T | undefined> {
    const { rows } = this;
    if (!rows) return undefined;
    try {
      return await rows.db.write(() => change(rows.threads));
    } catch (error) {
      if (error instanceof StateDbLost) this.#lose(rows.db, error);
      throw error;
    }
  }

  /**
   * As writeRows, for the row of a change that the files hold. A row of Codex's must be written. A row of the index that
   * cannot be written now is updated before a later list.
   */
  async keepRow<T>(threadId: ThreadId, change: (rows: ThreadRows) => T): Promise<T | undefined> {
    if (this.status.kind !== 'index') return await this.writeRows(change);
    try {
      return await this.writeRows(change);
    } catch (error) {
      if (!(error instanceof ThreadkeeperError) && !(error instanceof StateDbLost)) throw error;
      this.warn(`thread ${threadId}: its row is out of date for now (${error.message})`);
      return undefined;
    }
  }

  #lose(db: StateDb, error: StateDbLost): void {
    if (this.stateDb.db === db) {
      this.warn(`the state DB cannot be used any more (${error.message}); serving from the rollout files`);
    }
    this.stateDb.lose(db, error.message);
  }
}
