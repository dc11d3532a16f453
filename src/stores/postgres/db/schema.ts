import { systemErrorCode, unsupported } from '../../../protocol/errors.js';
import { MIGRATIONS } from './migrations/index.js';
import type { PostgresDb, Query } from './postgres-db.js';

/** One for all schemas of a database: extensions are shared. */
const MIGRATION_LOCK = 0x74686b70;

export interface PrepareOptions {
  /** Changes nothing, and throws `unsupported` when there is no schema that can be read. */
  readonly readOnly: boolean;
  readonly warn: (message: string) => void;
}

/** Makes the schema fit for this version. Throws `unsupported` for one that a newer version made. */
export async function prepare(db: PostgresDb, { readOnly, warn }: PrepareOptions): Promise<void> {
  // Whoever may use the tables may well have no right to make any.
  const version = await readVersion(db.query, db.schema);
  if (readOnly && version < MIGRATIONS.length) {
    throw unsupported(
      version === 0
        ? 'there are no threads in that schema of the database yet'
        : 'the schema of the database is of an older threadkeeper',
      'Check --store and --schema. A server without --read-only, or threadkeeper import, makes it.',
    );
  }
  if (readOnly) return;
  if (version < MIGRATIONS.length) await migrate(db);
  const problem = await makeSearchIndex(db);
  if (problem !== undefined) warn(problem);
}

/** True when the schema holds no tables of threadkeeper, or does not exist. */
export async function isUntouched(db: PostgresDb): Promise<boolean> {
  return (await readVersion(db.query, db.schema)) === 0;
}

/** One server at a time. */
async function migrate(db: PostgresDb): Promise<void> {
  await db.transaction(async (query) => {
    await query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
    const [schema] = await query('SELECT to_regnamespace($1) IS NOT NULL AS made', [db.schema]);
    if (!schema?.['made']) await query(`CREATE SCHEMA ${db.schema}`);
    await query(
      'CREATE TABLE IF NOT EXISTS {migrations} (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
    );
    const version = await readVersion(query, db.schema);
    for (const [index, migration] of MIGRATIONS.entries()) {
      if (index < version) continue;
      await migration.run(query);
      await query('INSERT INTO {migrations} (version) VALUES ($1)', [index + 1]);
    }
  });
}

/**
 * Makes the index that searching needs. Without the right to the extension `pg_trgm` searches work and are slow; returns
 * why, then.
 */
async function makeSearchIndex(db: PostgresDb): Promise<string | undefined> {
  const isMade = async (query: Query) =>
    (await query('SELECT FROM pg_class WHERE oid = to_regclass($1)', [`${db.schema}.threads_search`])).length > 0;
  try {
    if (await isMade(db.query)) return undefined;
    await db.transaction(async (query) => {
      await query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      if (await isMade(query)) return;
      await query('CREATE EXTENSION IF NOT EXISTS pg_trgm');
      const [where] = await query(`SELECT quote_ident(nspname) AS place FROM pg_extension
        JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'`);
      await query(`CREATE INDEX threads_search ON {threads} USING gin (search_text ${where?.['place']}.gin_trgm_ops)`);
    });
    return undefined;
  } catch (error) {
    return `searches are slow: the extension pg_trgm cannot be used (${systemErrorCode(Object(error).cause) ?? error})`;
  }
}

async function readVersion(query: Query, schema: string): Promise<number> {
  const [table] = await query('SELECT to_regclass($1) IS NOT NULL AS made', [`${schema}.migrations`]);
  if (!table?.['made']) return 0;
  const [row] = await query('SELECT coalesce(max(version), 0) AS version FROM {migrations}');
  const version = Number(row?.['version'] ?? 0);
  if (version <= MIGRATIONS.length) return version;
  throw unsupported(
    `the database was made by a newer threadkeeper (schema ${version})`,
    'Use that version, or another --schema.',
  );
}
