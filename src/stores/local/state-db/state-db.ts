import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { conflict, ThreadkeeperError } from '../../../protocol/errors.js';
import { retry } from '../../../store/retry.js';

/** A value that SQLite keeps. */
export type SqlValue = string | number | null;
export type SqlRow = Record<string, SqlValue>;

/** Whose file it is. Codex's DB is never migrated; threadkeeper's is the index, which it keeps up to date. */
export type StateDbOwner = 'codex' | 'threadkeeper';

export interface StateDbOptions {
  readonly owner: StateDbOwner;
  readonly readOnly: boolean;
  /** How long a write waits for another program's lock, milliseconds. */
  readonly busyTimeoutMs?: number | undefined;
}

/** Thrown to the store when the DB turned out to be unusable: from then on it works from files. */
export class StateDbLost extends Error {
  override readonly name = 'StateDbLost';
}

const DEFAULT_BUSY_TIMEOUT_MS = 5000;
/** One look waits this long inside SQLite; between looks the event loop is free. */
const SPIN_MS = 25;
const BUSY = /^SQLITE_(BUSY|LOCKED)/;
/** After one action has waited the whole busy timeout in vain, each later action waits at most this long. */
const SHORT_WAIT_MS = 250;
/** How long that shorter wait applies, unless an action succeeds earlier. */
const LOCKED_MS = 2000;
/** Result codes of a file that is no use any more. */
const DAMAGED = /^SQLITE_(CORRUPT|NOTADB|IOERR|CANTOPEN|SCHEMA)/;

/** One open state DB. Its statements are short. Throws what SQLite throws when the file cannot be opened. */
export class StateDb {
  readonly readOnly: boolean;
  readonly owner: StateDbOwner;
  readonly #db: Database.Database;
  readonly #busyTimeoutMs: number;
  readonly #statements = new Map<string, Database.Statement>();
  readonly #inode: number;
  #columns = new Map<string, ReadonlySet<string>>();
  /** Until when waits are short, and which kind of action timed out: a read can succeed while writes do not. */
  #locked: { until: number; by: 'read' | 'write' } = { until: 0, by: 'read' };
  #schemaVersion: unknown;
  #isSchemaKnown = false;
  /** Reads and writes under way: they end before the file is closed. */
  #running = 0;
  #isClosing = false;

  constructor(
    readonly file: string,
    options: StateDbOptions,
  ) {
    this.owner = options.owner;
    this.readOnly = options.readOnly || !isWritable(file);
    this.#busyTimeoutMs = options.busyTimeoutMs ?? DEFAULT_BUSY_TIMEOUT_MS;
    this.#inode = statSync(file).ino;
    this.#db = new Database(file, { fileMustExist: true, readonly: this.readOnly, timeout: SPIN_MS });
    // Per connection, as Codex has it: a commit survives the death of a process, which is what is promised.
    this.#db.pragma('synchronous = NORMAL');
  }

  /** Runs a read. Waits for a lock up to the busy timeout; throws StateDbLost when the file is damaged. */
  async read<T>(query: () => T): Promise<T> {
    return await this.#retry('read', query);
  }

  /**
   * Runs `change` in one immediate transaction: all of it or nothing. `change` must not wait for anything.
   * Throws `conflict` when another program holds the write lock for longer than the busy timeout.
   */
  async write<T>(change: () => T): Promise<T> {
    const transaction = this.#db.transaction(change);
    return await this.#retry('write', () => transaction.immediate());
  }

  all(sql: string, ...values: SqlValue[]): SqlRow[] {
    return this.#statement(sql).all(...values) as SqlRow[];
  }

  get(sql: string, ...values: SqlValue[]): SqlRow | undefined {
    return this.#statement(sql).get(...values) as SqlRow | undefined;
  }

  /** Runs a statement that changes rows; returns how many it changed. */
  run(sql: string, ...values: SqlValue[]): number {
    return this.#statement(sql).run(...values).changes;
  }

  /** Changes whenever the rows may have: by another connection, or by this one. */
  version(): string {
    return `${this.#db.pragma('data_version', { simple: true })}/${this.get('SELECT total_changes() AS n')?.['n']}`;
  }

  /** The columns of a table, asked again after each change of the schema. Empty when there is no such table. */
  columns(table: 'threads' | 'thread_spawn_edges' | 'backfill_state'): ReadonlySet<string> {
    if (!this.#isSchemaKnown) this.#lookAtSchema();
    let columns = this.#columns.get(table);
    if (!columns) {
      const info = this.#db.pragma(`table_info(${table})`) as { name: string }[];
      columns = new Set(info.map(({ name }) => name));
      this.#columns.set(table, columns);
    }
    return columns;
  }

  /** Once for each read or write: the schema does not change within one. */
  #lookAtSchema(): void {
    const version = this.#db.pragma('schema_version', { simple: true });
    if (version !== this.#schemaVersion) {
      this.#schemaVersion = version;
      this.#columns = new Map();
      this.#statements.clear();
    }
    this.#isSchemaKnown = true;
  }

  /** Makes a JavaScript function callable from the SQL of this connection. */
  defineFunction(name: string, implementation: (...values: SqlValue[]) => SqlValue): void {
    this.#db.function(name, { deterministic: true, varargs: true }, implementation);
  }

  /** Why the DB cannot serve, or undefined when it can. */
  unusableBecause(): string | undefined {
    const threads = this.columns('threads');
    if (threads.size === 0) return 'it has no threads table';
    const missing = ['id', 'rollout_path', 'source', 'cwd', 'archived', 'updated_at', 'created_at', 'title'].filter(
      (column) => !threads.has(column),
    );
    if (missing.length > 0) return `its threads table lacks ${missing.join(', ')}`;
    const edges = this.columns('thread_spawn_edges');
    if (!edges.has('parent_thread_id') || !edges.has('child_thread_id')) return 'it has no spawn edges';
    if (this.isBeingFilled()) return "Codex's backfill of it is not complete";
    this.get('SELECT id, rollout_path FROM threads LIMIT 1');
    return undefined;
  }

  /** True for a DB of Codex's that does not have all threads yet. */
  isBeingFilled(): boolean {
    if (this.owner !== 'codex' || !this.columns('backfill_state').has('status')) return false;
    const status = this.get('SELECT status FROM backfill_state WHERE id = 1')?.['status'];
    return status !== undefined && status !== 'complete';
  }

  /** False when the file was removed, or another one was put in its place. */
  get isInPlace(): boolean {
    return statSync(this.file, { throwIfNoEntry: false })?.ino === this.#inode;
  }

  /** Closes the file as soon as nothing runs on it; a later read or write throws StateDbLost. */
  close(): void {
    this.#isClosing = true;
    if (this.#running === 0) this.#db.close();
  }

  #statement(sql: string): Database.Statement {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  async #retry<T>(kind: 'read' | 'write', action: () => T): Promise<T> {
    if (this.#isClosing) throw new StateDbLost('another state DB has taken its place');
    this.#running += 1;
    try {
      return await this.#tryUntilFree(kind, action);
    } finally {
      this.#running -= 1;
      if (this.#isClosing && this.#running === 0) this.#db.close();
    }
  }

  async #tryUntilFree<T>(kind: 'read' | 'write', action: () => T): Promise<T> {
    const waitMs = Date.now() < this.#locked.until ? Math.min(SHORT_WAIT_MS, this.#busyTimeoutMs) : this.#busyTimeoutMs;
    try {
      const attempt = () => this.#attempt(action);
      const pauses = { firstPauseMs: 5, longestPauseMs: 100 };
      const result = await retry(attempt, { isTransient: isBusy, forMs: waitMs, ...pauses });
      if (kind === 'write' || this.#locked.by === 'read') this.#locked.until = 0;
      return result;
    } catch (error) {
      if (!isBusy(error)) throw error;
      this.#locked = { until: Date.now() + LOCKED_MS, by: kind };
      throw conflict(
        `the state DB is locked by another program (waited ${waitMs} ms)`,
        'Nothing was changed. Try again in a moment; if it stays so, find the program that holds it open.',
        error,
      );
    }
  }

  #attempt<T>(action: () => T): T {
    // Codex moves a damaged DB aside and makes another; what went into the old one would be lost.
    if (!this.isInPlace) throw new StateDbLost('the file was removed or replaced');
    this.#isSchemaKnown = false;
    try {
      return action();
    } catch (error) {
      throw knownFailure(error);
    }
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && BUSY.test(error.code);
}

/** The error of SQLite as one that a caller can act on, where it is known; else as it is. */
function knownFailure(error: unknown): unknown {
  const code = error instanceof Database.SqliteError ? error.code : '';
  const isGone = code === 'SQLITE_ERROR' && /no such (table|column)/.test(sqliteMessage(error));
  if (DAMAGED.test(code) || isGone) return new StateDbLost(sqliteMessage(error), { cause: error });
  if (code.startsWith('SQLITE_FULL')) {
    const hint = 'Nothing was changed. Free some space.';
    return new ThreadkeeperError('resource_exhausted', 'the disk is full', hint, { cause: error });
  }
  if (code.startsWith('SQLITE_READONLY')) {
    const hint = 'Nothing was changed. Check its permissions.';
    return new ThreadkeeperError('read_only', 'the state DB is not writable', hint, { cause: error });
  }
  return error;
}

function isWritable(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    accessSync(path.dirname(file), constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

export function sqliteMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
