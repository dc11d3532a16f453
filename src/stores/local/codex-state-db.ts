import { copyToCodexDb } from './index/copy-to-codex.js';
import type { Warn } from './local-home.js';
import type { RolloutLibrary } from './rollout/rollout-library.js';
import { openCodexStateDb, openIndex, type StateDbConfig } from './state-db/open-state-db.js';
import type { StateDb } from './state-db/state-db.js';
import type { StateDbHandle } from './state-db/state-db-handle.js';
import { type SkippedStateDb, StateDbFinder, type StateDbSearch } from './state-db/state-db-search.js';

/** An unusable DB is retried after this at the earliest, milliseconds. Also the poll interval. */
const RETRY_MS = 2000;

/**
 * Codex's state DB while the program runs. It can exist at the start, appear later (Codex was started), be locked or
 * half-filled for a while, or be replaced by Codex: it is used whenever it can be, and first gets names it lacks.
 */
export class CodexStateDb {
  readonly #library: RolloutLibrary;
  readonly #handle: StateDbHandle;
  readonly #config: StateDbConfig;
  readonly #warn: Warn;
  readonly #finder: StateDbFinder;
  #taking: Promise<void> | undefined;
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;
  #failed: { file: string | undefined; at: number } = { file: undefined, at: 0 };
  #warnedAbout = new Set<string>();
  #others: readonly SkippedStateDb[] = [];

  constructor(library: RolloutLibrary, handle: StateDbHandle, config: StateDbConfig, warn: Warn) {
    this.#library = library;
    this.#handle = handle;
    this.#config = config;
    this.#warn = warn;
    this.#finder = new StateDbFinder(config.homes);
  }

  /** Other files that look like a state DB of Codex's and do not serve, as of the last search. */
  get others(): readonly SkippedStateDb[] {
    return this.#others;
  }

  /** Finds the file and opens nothing: for a server that runs without the DB. Returns its path. */
  find(): string | undefined {
    return this.#find().file;
  }

  /**
   * Opens and serves Codex's DB if it exists and is usable. Throws `resource_exhausted` when no more files can be
   * opened; the status then stays as it was. Concurrent calls share one check.
   */
  async takeCodexDb(): Promise<void> {
    this.#taking ??= this.#takeCodexDb().finally(() => {
      this.#taking = undefined;
    });
    await this.#taking;
  }

  /** Checks for Codex's DB now, before each write from now on, and every RETRY_MS if the index may be created. */
  async start(): Promise<void> {
    this.#handle.takeCodexDb = () => this.takeCodexDb();
    await this.takeCodexDb().catch((error: Error) => this.#handle.wait(error.message));
    if (this.#config.indexUse !== 'create') return;
    this.#timer = setInterval(() => void this.takeCodexDb().catch(() => undefined), RETRY_MS);
    this.#timer.unref();
  }

  /** Stops the polling, and waits for a check that is running. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#taking?.catch(() => undefined);
  }

  async #takeCodexDb(): Promise<void> {
    if (this.#isClosed) return;
    const { status } = this.#handle;
    const { file, ambiguity } = this.#find();
    if (status.kind === 'codex' && status.db.file === file && status.db.isInPlace && ambiguity === undefined) return;
    if (status.kind === 'codex' && !status.db.isInPlace) this.#handle.lose(status.db, 'it was removed or replaced');
    if (ambiguity !== undefined) {
      this.#warnOnce(`serving from the rollout files, and changing no thread: ${ambiguity}`);
      this.#handle.wait(ambiguity);
    } else if (file === undefined) this.#handle.withoutCodex();
    else if (file !== this.#failed.file || Date.now() - this.#failed.at >= RETRY_MS) await this.#open(file);
  }

  #find(): StateDbSearch {
    const found = this.#finder.find();
    this.#others = found.others;
    for (const { file, why } of found.others)
      this.#warnOnce(`state DB: ${found.file ?? 'none of Codex'}; not used: ${file} (${why})`);
    return found;
  }

  async #open(file: string): Promise<void> {
    const { stateDb, problem = 'it cannot be used' } = await openCodexStateDb(file, this.#config);
    if (!stateDb) {
      this.#failed = { file, at: Date.now() };
      this.#warnOnce(`serving from the rollout files, and changing no thread, without the state DB: ${problem}`);
      this.#handle.wait(problem);
      return;
    }
    this.#failed = { file: undefined, at: 0 };
    if (!this.#isClosed) await this.#copyToCodex(stateDb);
    if (this.#isClosed) stateDb.close();
    else this.#handle.serve(stateDb);
  }

  /** Prints each message once. */
  #warnOnce(message: string): void {
    if (this.#warnedAbout.has(message)) return;
    this.#warnedAbout.add(message);
    this.#warn(message);
  }

  /** Writes into Codex's DB what it lacks (names, closed edges) and threadkeeper knows. */
  async #copyToCodex(codexDb: StateDb): Promise<void> {
    if (this.#config.indexUse !== 'create' || codexDb.readOnly) return;
    const { status } = this.#handle;
    const isOpen = status.kind === 'index';
    const indexDb = isOpen ? status.db : (await openIndex({ ...this.#config, indexUse: 'existing' })).stateDb;
    try {
      await copyToCodexDb(codexDb, this.#library, indexDb);
    } catch (error) {
      this.#warn(`names could not be written to Codex's state DB (${error instanceof Error ? error.message : error})`);
    } finally {
      if (!isOpen) indexDb?.close();
    }
  }
}
