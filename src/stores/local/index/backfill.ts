import { randomUUID } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ThreadkeeperError } from '../../../protocol/errors.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutLibrary } from '../rollout/rollout-library.js';
import type { StateDb } from '../state-db/state-db.js';
import { BackfillLease, backfillProgress, LEASE_MS } from './backfill-lease.js';
import { type IndexedRollout, RolloutIndexer } from './rollout-indexer.js';

const BATCH = 100;
const POLL_MS = 100;

/** What this process did of a backfill. */
export interface BackfillSummary {
  readonly indexed: number;
  /** Files that hold no thread or could not be read, relative to the home. */
  readonly unreadable: readonly string[];
}

export interface BackfillOptions {
  /** Called after each batch with how many threads are done, of how many. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

class LeaseLost extends Error {}

/**
 * Fills the index from the rollouts, once for each DB: in batches, each one transaction with how far it came, so
 * that a killed backfill continues where it was. One process works, under a lease; others wait for it, and one of them
 * takes over when it dies.
 */
export class Backfill {
  readonly #library: RolloutLibrary;
  readonly #db: StateDb;
  readonly #lease: BackfillLease;
  readonly #indexer: RolloutIndexer;
  readonly #options: BackfillOptions;
  readonly #unreadable: string[] = [];
  #indexed = 0;
  #isStopped = false;

  constructor(library: RolloutLibrary, db: StateDb, options: BackfillOptions = {}) {
    this.#library = library;
    this.#db = db;
    this.#lease = new BackfillLease(db, { host: os.hostname(), pid: process.pid, run: randomUUID() });
    this.#indexer = new RolloutIndexer(library);
    this.#options = options;
  }

  /** Works or waits until the DB is complete. Returns what this process did; undefined when it was stopped before. */
  async run(): Promise<BackfillSummary | undefined> {
    while (!this.#isStopped) {
      try {
        if ((await this.#db.read(() => backfillProgress(this.#db))).isComplete) return this.#summary();
        if (!this.#db.readOnly && (await this.#db.write(() => this.#lease.take()))) await this.#work();
        else await sleep(POLL_MS);
      } catch (error) {
        // Another process has the lease, or the DB for a moment: that is what waiting is for.
        const isTransient =
          error instanceof LeaseLost || (error instanceof ThreadkeeperError && error.code === 'conflict');
        if (!isTransient) throw error;
      }
    }
    return undefined;
  }

  /** Ends after the batch in hand. */
  stop(): void {
    this.#isStopped = true;
  }

  #summary(): BackfillSummary {
    return { indexed: this.#indexed, unreadable: this.#unreadable };
  }

  async #work(): Promise<void> {
    const renewal = setInterval(() => {
      // A renewal that fails shows in the next batch.
      this.#db.write(() => this.#lease.take()).catch(() => undefined);
    }, LEASE_MS / 4);
    renewal.unref();
    try {
      const { watermark } = await this.#db.read(() => backfillProgress(this.#db));
      await this.#library.catalog.refreshInSlices(0);
      const ids = [...this.#library.catalog.threadIds()].sort();
      const first = ids.findIndex((id) => id > watermark);
      for (let start = first === -1 ? ids.length : first; start < ids.length && !this.#isStopped; start += BATCH) {
        const batch = ids.slice(start, start + BATCH);
        const indexed = await this.#read(batch.flatMap((id) => this.#library.catalog.filesFor(id).slice(0, 1)));
        await this.#write(indexed, batch.at(-1) ?? watermark);
        this.#options.onProgress?.(Math.min(start + BATCH, ids.length), ids.length);
      }
      if (this.#isStopped) return;
      await this.#db.write(() => {
        this.#assertLease();
        this.#lease.complete();
      });
    } finally {
      clearInterval(renewal);
    }
  }

  async #read(files: readonly RolloutFile[]): Promise<IndexedRollout[]> {
    const indexed: IndexedRollout[] = [];
    for (const file of files) {
      const found = await this.#indexer.read(file);
      if (found) indexed.push(found);
      else this.#unreadable.push(path.relative(this.#library.home.root, file.path));
    }
    return indexed;
  }

  async #write(indexed: readonly IndexedRollout[], watermark: string): Promise<void> {
    await this.#db.write(() => {
      this.#assertLease();
      this.#indexer.write(this.#db, indexed);
      this.#lease.advance(watermark);
    });
    this.#indexed += indexed.length;
  }

  #assertLease(): void {
    if (!this.#lease.take()) throw new LeaseLost('another process has taken the backfill over');
  }
}
