import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject, onTestFinished } from 'vitest';
import { PostgresDb, type PostgresOptions } from '../../src/stores/postgres/db/postgres-db.js';
import { ReadyDb } from '../../src/stores/postgres/db/ready-db.js';
import { prepare } from '../../src/stores/postgres/db/schema.js';
import {
  PostgresThreadStore,
  type PostgresThreadStoreOptions,
} from '../../src/stores/postgres/postgres-thread-store.js';

/** The name of a schema that is gone after the test. */
export function newSchema(): string {
  const schema = `test_${randomBytes(6).toString('hex')}`;
  onTestFinished(async () => {
    await sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
  });
  return schema;
}

/** Runs a statement beside what is tested. */
export async function sql(
  text: string,
  values: unknown[] = [],
  url: string = inject('postgresUrl'),
): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows;
  } finally {
    await client.end();
  }
}

export interface TestDb extends Partial<PostgresOptions> {
  readonly readOnly?: boolean;
}

/** A database of a schema of its own, closed after the test. */
export function openDb({ readOnly = false, ...options }: TestDb = {}): ReadyDb {
  const warn = (message: string) => {
    throw new Error(`nothing should be warned of: ${message}`);
  };
  const db = new PostgresDb({ url: inject('postgresUrl'), schema: options.schema ?? newSchema(), warn, ...options });
  const ready = new ReadyDb(db, (raw) => prepare(raw, { readOnly, warn }));
  onTestFinished(() => ready.close());
  return ready;
}

/** A store on a schema of its own, or that of `db`. */
export function openPostgresStore(options: TestDb & Partial<PostgresThreadStoreOptions> = {}): PostgresThreadStore {
  const { leaseMs = 30_000, readOnly = false, db = openDb({ ...options, readOnly }) } = options;
  const store = new PostgresThreadStore({ db, isReadOnly: readOnly, leaseMs });
  onTestFinished(() => store.close());
  return store;
}
