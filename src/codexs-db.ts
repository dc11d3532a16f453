import type { RolloutLibrary } from './rollout/rollout-library.js';
import { findStateDb, openCodexsStateDb, openOwnStateDb, type StateDbConfig } from './state/open-state-db.js';
import type { StateDb } from './state/state-db.js';
import type { StateDbSlot } from './state/state-db-slot.js';
import { adopt } from './thread-store/local/adoption.js';
import type { Warn } from './thread-store/local/local-home.js';

/** One that cannot be used is tried again after this at the earliest. */
const RETRY_MS = 2000;

/**
 * Codex's state DB while the program runs. It can be there at the start, appear later (Codex was started), be held or
 * half-filled for a while, or be replaced by Codex: whenever it can be used it is, and gets what it lacks and we know.
 */
export class CodexsDb {
  readonly #library: RolloutLibrary;
  readonly #slot: StateDbSlot;
  readonly #config: StateDbConfig;
  readonly #warn: Warn;
  readonly #opened: StateDb[] = [];
  #looking: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failedAt = 0;
  /** Why it is not used, though it is there. */
  problem: string | undefined;

  constructor(library: RolloutLibrary, slot: StateDbSlot, config: StateDbConfig, warn: Warn) {
    this.#library = library;
    this.#slot = slot;
    this.#config = config;
    this.#warn = warn;
  }

  /** True when there is such a file, of use or not. */
  get isThere(): boolean {
    return findStateDb(this.#config.sqliteHome) !== undefined;
  }

  /** Takes it when it is there, can be used and is not taken yet. Those that come at once wait for the same look. */
  async look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  /** Looks now, before each write from here on, and from time to time for those who only read. */
  async start(): Promise<void> {
    this.#slot.look = () => this.look();
    await this.look();
    if (this.#config.own !== 'create') return;
    this.#timer = setInterval(() => void this.look(), RETRY_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const stateDb of this.#opened) stateDb.close();
  }

  async #look(): Promise<void> {
    const { current } = this.#slot;
    if (current?.owner === 'codex') {
      if (current.isInPlace) return;
      this.#slot.lose(current);
    }
    const file = findStateDb(this.#config.sqliteHome);
    if (file === undefined) this.#refuse(undefined, false);
    else if (Date.now() - this.#failedAt >= RETRY_MS) await this.#open(file);
  }

  async #open(file: string): Promise<void> {
    const { stateDb, problem, isPassing = false } = await openCodexsStateDb(file, this.#config);
    if (!stateDb) {
      this.#failedAt = Date.now();
      if (problem !== undefined && problem !== this.problem) {
        this.#warn(`serving from the rollout files, without the state DB: ${problem}`);
      }
      this.#refuse(problem, isPassing);
      return;
    }
    this.#opened.push(stateDb);
    await this.#give(stateDb);
    this.#refuse(undefined, false);
    this.#slot.fill(stateDb);
  }

  #refuse(problem: string | undefined, isPassing: boolean): void {
    this.problem = problem;
    this.#slot.blockedBecause = isPassing ? problem : undefined;
    this.#slot.passedOverBecause = isPassing ? undefined : problem;
  }

  /** What it lacks and we know goes there, and ours is not used any more. */
  async #give(codexs: StateDb): Promise<void> {
    if (this.#config.own !== 'create' || codexs.readOnly) return;
    const own = await openOwnStateDb({ ...this.#config, own: 'existing' });
    try {
      await adopt(codexs, this.#library, own.stateDb);
    } catch (error) {
      this.#warn(
        `names could not be given back to Codex's state DB (${error instanceof Error ? error.message : error})`,
      );
    } finally {
      own.stateDb?.close();
    }
  }
}
