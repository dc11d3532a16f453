import type { PostgresDb, Query } from './postgres-db.js';

/** What stores need of a database. */
export interface Database {
  /** One line for a person, without credentials. */
  readonly description: string;
  /** Runs a statement that can be repeated. */
  readonly query: Query;
  /** Runs statements that can be repeated together: all of them or nothing. */
  transaction<T>(action: (query: Query) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** A database that is prepared when it is first used, and when that fails, at the next use again. */
export class ReadyDb implements Database {
  readonly #db: PostgresDb;
  readonly #prepare: (db: PostgresDb) => Promise<void>;
  #ready: Promise<void> | undefined;

  constructor(db: PostgresDb, prepare: (db: PostgresDb) => Promise<void>) {
    this.#db = db;
    this.#prepare = prepare;
  }

  get description(): string {
    return this.#db.description;
  }

  readonly query: Query = async (sql, values) => {
    await this.#isReady();
    return await this.#db.query(sql, values);
  };

  async transaction<T>(action: (query: Query) => Promise<T>): Promise<T> {
    await this.#isReady();
    return await this.#db.transaction(action);
  }

  async close(): Promise<void> {
    await this.#db.close();
  }

  async #isReady(): Promise<void> {
    this.#ready ??= this.#prepare(this.#db).catch((error: unknown) => {
      this.#ready = undefined;
      throw error;
    });
    await this.#ready;
  }
}
