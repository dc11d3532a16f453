import path from 'node:path';
import type { Warn } from '../local-home.js';
import type { RolloutLibrary } from '../rollout/rollout-library.js';
import { openIndex, type StateDbConfig } from '../state-db/open-state-db.js';
import type { StateDb } from '../state-db/state-db.js';
import type { StateDbHandle } from '../state-db/state-db-handle.js';
import { Backfill, type BackfillOptions, type BackfillSummary } from './backfill.js';
import { backfillProgress } from './backfill-lease.js';

/**
 * Our own state DB while the program runs: it is handed out when it is filled, and when it is lost (damaged, removed,
 * replaced) made anew, files serving meanwhile.
 */
export class IndexDb {
  #backfill: Backfill | undefined;
  #filling: Promise<unknown> = Promise.resolve();
  /** The one that is being filled, and is not handed out yet. */
  #filled: StateDb | undefined;
  #isClosed = false;
  /** What the first backfill did, once it is done; undefined where there was nothing to fill, or it was stopped. */
  backfilled: Promise<BackfillSummary | undefined> = Promise.resolve(undefined);
  /** Why there is none, or not the one that would be wanted. */
  problem: string | undefined;

  constructor(
    private readonly library: RolloutLibrary,
    private readonly handle: StateDbHandle,
    private readonly config: StateDbConfig,
    private readonly onProgress: BackfillOptions['onProgress'],
    private readonly warn: Warn,
  ) {
    handle.onLost = (lost) => {
      if (lost.owner === 'threadkeeper' && config.indexUse === 'create')
        this.#filling = this.#remake(lost).catch((error: Error) => warn(error.message));
    };
  }

  /** Opens the index, as the configuration allows, and begins to fill it; undefined when there is none. */
  async open(): Promise<{ readonly isRemade: boolean } | undefined> {
    const { stateDb, problem, isRemade = false } = await openIndex(this.config);
    this.problem = problem;
    if (problem !== undefined) {
      this.warn(stateDb ? problem : `serving from the rollout files, without the state DB: ${problem}`);
    }
    if (!stateDb) return undefined;
    this.backfilled = this.#fill(stateDb);
    this.#filling = this.backfilled;
    return { isRemade };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#backfill?.stop();
    await this.#filling;
    this.#filled?.close();
  }

  /** Fills a DB and hands it out; one that cannot be filled is not handed out. Undefined when it was stopped before. */
  async #fill(stateDb: StateDb): Promise<BackfillSummary | undefined> {
    this.#filled = stateDb;
    try {
      if (stateDb.readOnly) {
        // A read-only DB cannot be filled: it is used only if it is already complete.
        const { isComplete } = await stateDb.read(() => backfillProgress(stateDb));
        if (isComplete) this.#handOut(stateDb);
        else this.problem = `${path.basename(stateDb.file)} is not filled yet`;
        return undefined;
      }
      this.#backfill = new Backfill(this.library, stateDb, { onProgress: this.onProgress });
      const summary = await this.#backfill.run();
      if (!summary) return undefined;
      this.#handOut(stateDb);
      const { unreadable } = summary;
      const [first] = unreadable;
      if (first !== undefined) {
        const more = unreadable.length > 1 ? ` and ${unreadable.length - 1} more` : '';
        this.warn(`not in the index, as they have no content, may not be read, or are copies: ${first}${more}`);
      }
      return summary;
    } catch (error) {
      const reason = error instanceof Error ? error.message : error;
      this.warn(`serving from the rollout files: the state DB cannot be filled (${reason})`);
      return undefined;
    }
  }

  /** Where Codex's DB has appeared meanwhile, the index is not needed. */
  #handOut(stateDb: StateDb): void {
    this.#filled = undefined;
    this.handle.serve(stateDb);
    if (this.handle.db !== stateDb) stateDb.close();
  }

  async #remake(lost: StateDb): Promise<void> {
    if (this.#isClosed) return;
    const { stateDb, problem } = await openIndex(this.config);
    if (problem !== undefined) this.warn(problem);
    if (!stateDb || this.#isClosed) {
      stateDb?.close();
      return;
    }
    await this.#fill(stateDb);
    if (this.handle.db === stateDb) this.warn(`the state DB is back (${lost.file})`);
  }
}
