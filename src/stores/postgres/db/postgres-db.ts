import pg from 'pg';
import { cutText } from '../../../protocol/cut-text.js';
import { invalidRequest } from '../../../protocol/errors.js';
import { BoundedMap } from '../../../store/bounded-map.js';
import { retry } from '../../../store/retry.js';
import { connectionConfig } from './connection-url.js';
import { fromJsonb } from './jsonb.js';
import { databaseFailure, isTransactionConflict, isUnreachable } from './postgres-errors.js';

export type SqlValue = string | number | boolean | null | readonly string[] | readonly number[];
export type SqlRow = Record<string, unknown>;

/** Runs one statement; `{name}` in it stands for the table of that name in the schema. */
export type Query = (sql: string, values?: readonly SqlValue[]) => Promise<SqlRow[]>;

export interface PostgresOptions {
  /** `postgres://…`; its TLS options are honoured. */
  readonly url: string;
  /** Where the tables are, so that one database can hold several stores. */
  readonly schema: string;
  readonly warn: (message: string) => void;
  readonly poolSize?: number | undefined;
  /** How long the database may work at one statement, milliseconds. */
  readonly statementTimeoutMs?: number | undefined;
}

const POOL_SIZE = 8;
const CONNECT_MS = 5000;
const STATEMENT_MS = 15_000;
const LOCK_MS = 5000;
/** Beyond the statement timeout: the database itself does not answer any more. */
const NO_ANSWER_MS = 5000;
/** No retry after this time, because a caller waits. */
const RETRY_MS = 3000;
const ATTEMPTS = 4;
const INT8 = 20;
const JSONB = 3802;

/**
 * A bounded pool of connections to one schema. All steps time out: connecting, waiting for a lock, a statement, and a
 * server that does not answer. A statement is retried when the database is unreachable, so each must be one that can
 * be repeated. Throws ThreadkeeperError alone.
 */
export class PostgresDb {
  readonly #pool: pg.Pool;
  readonly #schema: string;
  readonly #texts = new BoundedMap<string, string>(500);
  /** Host, port, database and schema: what may be shown. */
  readonly description: string;

  constructor({ url, schema, warn, poolSize = POOL_SIZE, statementTimeoutMs = STATEMENT_MS }: PostgresOptions) {
    if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema) || /^(pg_|information_schema$)/.test(schema)) {
      throw invalidRequest(
        `"${cutText(schema, 100)}" cannot be the name of the schema`,
        'Use at most 63 lower-case letters, digits and _, and no name of the database itself (pg_…).',
      );
    }
    this.#schema = schema;
    const types = new pg.TypeOverrides();
    types.setTypeParser(INT8, Number);
    types.setTypeParser(JSONB, fromJsonb);
    this.#pool = new pg.Pool({
      application_name: 'threadkeeper',
      ...connectionConfig(url),
      types,
      max: poolSize,
      connectionTimeoutMillis: CONNECT_MS,
      idleTimeoutMillis: 30_000,
      statement_timeout: statementTimeoutMs,
      lock_timeout: LOCK_MS,
      idle_in_transaction_session_timeout: 2 * statementTimeoutMs,
      query_timeout: statementTimeoutMs + NO_ANSWER_MS,
      keepAlive: true,
      allowExitOnIdle: true,
    });
    this.#pool.on('error', (error) =>
      warn(`a connection to the database was lost (${databaseFailure(error).message})`),
    );
    const { host, port, database } = new pg.Client(this.#pool.options);
    this.description = `PostgreSQL ${host}:${port}/${database}, schema ${schema}`;
  }

  /** Runs a statement that can be repeated. */
  readonly query: Query = async (sql, values = []) => {
    return await this.#repeating(async () => (await this.#pool.query(this.#text(sql), [...values])).rows);
  };

  /** Runs statements that can be repeated together: all of them or nothing. */
  async transaction<T>(action: (query: Query) => Promise<T>): Promise<T> {
    return await this.#repeating(async () => {
      const client = await this.#pool.connect();
      let failure: Error | undefined;
      try {
        await client.query('BEGIN');
        const result = await action(
          async (sql, values = []) => (await client.query(this.#text(sql), [...values])).rows,
        );
        await client.query('COMMIT');
        return result;
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
        // A connection that cannot even roll back is closed below.
        if (!isUnreachable(error))
          await client.query('ROLLBACK').then(
            () => (failure = undefined),
            () => undefined,
          );
        throw error;
      } finally {
        client.release(failure);
      }
    });
  }

  get schema(): string {
    return `"${this.#schema}"`;
  }

  async close(): Promise<void> {
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #repeating<T>(action: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + RETRY_MS;
    try {
      return await retry(action, {
        // A transaction may run for long before it conflicts with another.
        isTransient: (error) => isTransactionConflict(error) || (isUnreachable(error) && Date.now() < deadline),
        forMs: Number.POSITIVE_INFINITY,
        firstPauseMs: 150,
        longestPauseMs: 600,
        attempts: ATTEMPTS,
      });
    } catch (error) {
      throw databaseFailure(error);
    }
  }

  #text(sql: string): string {
    let text = this.#texts.get(sql);
    if (text === undefined) {
      text = sql.replace(/\{(\w+)\}/g, (_, table: string) => `${this.schema}."${table}"`);
      this.#texts.set(sql, text);
    }
    return text;
  }
}
