import { systemErrorCode, unsupported } from '../../../protocol/errors.js';
import { folderKey } from '../../../protocol/folder-key.js';
import type { PostgresDb, Query } from './postgres-db.js';

/** One for all schemas of a database: extensions are shared. */
const MIGRATION_LOCK = 0x74686b70;

/** The items that tell turns apart. A query must say it with the same words for the index to serve it. */
export const IS_MARK = `event IN ('task_started', 'turn_started', 'task_complete', 'turn_complete', 'turn_aborted',
  'user_message', 'thread_rolled_back')`;

/** What can be long is indexed, and so must be asked for, by its beginning: an index takes no long values. */
export const STARTS = {
  cwd: 'left(cwd_key, 400)',
  branch: 'left(git_branch, 200)',
  provider: 'left(model_provider, 200)',
  name: 'left(name, 200)',
} as const;

type Migration = (query: Query) => Promise<void>;

/**
 * Forward only: a change is a further entry. Times are milliseconds since the epoch. `cwd_key` is the folder in one
 * spelling, `search_text` the searched texts folded; both are compared by their bytes. What people can make long is
 * indexed by its beginning.
 */
const MIGRATIONS: readonly Migration[] = [
  async (query) => {
    await query(`CREATE TABLE {threads} (
      id uuid PRIMARY KEY,
      session_id uuid,
      parent_thread_id uuid,
      forked_from_id uuid,
      name text,
      preview text NOT NULL,
      title text,
      first_user_message text,
      cwd text,
      cwd_key text COLLATE "C",
      source text NOT NULL,
      source_kind text NOT NULL,
      thread_source text,
      originator text,
      cli_version text,
      model_provider text,
      model text,
      reasoning_effort text,
      approval_mode text,
      permission_profile text,
      git_sha text,
      git_branch text,
      git_origin_url text,
      agent_nickname text,
      agent_role text,
      agent_path text,
      agent_depth integer,
      created_at bigint NOT NULL,
      updated_at bigint NOT NULL,
      recency_at bigint NOT NULL,
      is_archived boolean NOT NULL,
      archived_at bigint,
      tokens_used bigint,
      memory_mode text,
      history_mode text NOT NULL,
      search_text text COLLATE "C" NOT NULL,
      import_mark text
    )`);
    for (const column of ['created_at', 'updated_at', 'recency_at']) {
      await query(`CREATE INDEX threads_${column} ON {threads} (${column}, id) WHERE NOT is_archived`);
      await query(`CREATE INDEX threads_archived_${column} ON {threads} (${column}, id) WHERE is_archived`);
      await query(`CREATE INDEX threads_all_${column} ON {threads} (${column}, id)`);
    }
    for (const [name, start] of Object.entries(STARTS))
      await query(`CREATE INDEX threads_${name} ON {threads} (${start})`);
    await query('CREATE INDEX threads_source_kind ON {threads} (source_kind, updated_at, id)');
    await query(`CREATE TABLE {items} (
      thread_id uuid NOT NULL REFERENCES {threads} (id) ON DELETE CASCADE,
      ordinal bigint NOT NULL,
      said_at text NOT NULL,
      type text NOT NULL,
      event text,
      bytes integer NOT NULL,
      payload jsonb NOT NULL,
      metadata jsonb,
      PRIMARY KEY (thread_id, ordinal)
    )`);
    await query(`CREATE INDEX items_marks ON {items} (thread_id, ordinal, event) WHERE ${IS_MARK}`);
    await query(`CREATE INDEX items_rollbacks ON {items} (thread_id) WHERE event = 'thread_rolled_back'`);
    await query(`CREATE TABLE {writers} (
      thread_id uuid PRIMARY KEY,
      token uuid NOT NULL,
      holder text NOT NULL,
      expires_at timestamptz NOT NULL
    )`);
    await query('CREATE INDEX writers_token ON {writers} (token)');
    await query(`CREATE TABLE {edges} (
      child_thread_id uuid PRIMARY KEY,
      parent_thread_id uuid NOT NULL,
      status text NOT NULL
    )`);
    await query('CREATE INDEX edges_parent ON {edges} (parent_thread_id, child_thread_id, status)');
  },
  // How many threads there are, by archived state and source, is told on every list: it is kept as changes that are
  // summed up, so that no two writers wait for one row, and counting does not cost a scan.
  async (query) => {
    await query(
      `CREATE TABLE {count_changes} (is_archived boolean NOT NULL, source_kind text NOT NULL, change bigint NOT NULL)`,
    );
    const count = (name: string, statements: string) =>
      query(
        `CREATE FUNCTION {${name}}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${statements} RETURN NULL; END $$`,
      );
    const add = (sign: string, from: string) => `INSERT INTO {count_changes} (is_archived, source_kind, change)
      SELECT is_archived, source_kind, ${sign}count(*) FROM ${from} GROUP BY 1, 2;`;
    await count('threads_made', add('', 'made'));
    await count('threads_gone', add('-', 'gone'));
    await count(
      'thread_moved',
      `INSERT INTO {count_changes} (is_archived, source_kind, change)
      VALUES (OLD.is_archived, OLD.source_kind, -1), (NEW.is_archived, NEW.source_kind, 1);`,
    );
    await query(`CREATE TRIGGER made AFTER INSERT ON {threads} REFERENCING NEW TABLE AS made
      FOR EACH STATEMENT EXECUTE FUNCTION {threads_made}()`);
    await query(`CREATE TRIGGER gone AFTER DELETE ON {threads} REFERENCING OLD TABLE AS gone
      FOR EACH STATEMENT EXECUTE FUNCTION {threads_gone}()`);
    await query(`CREATE TRIGGER moved AFTER UPDATE OF is_archived, source_kind ON {threads} FOR EACH ROW
      WHEN ((OLD.is_archived, OLD.source_kind) IS DISTINCT FROM (NEW.is_archived, NEW.source_kind))
      EXECUTE FUNCTION {thread_moved}()`);
  },
  // Folders of Windows, and accents, are compared in another spelling than before.
  async (query) => {
    for (let after = '00000000-0000-0000-0000-000000000000'; ; ) {
      const rows = await query(
        `SELECT id::text AS id, cwd, cwd_key FROM {threads}
          WHERE id > $1::uuid AND (cwd !~ '^/[ -~]*$' OR starts_with(cwd, '/mnt/')) ORDER BY id LIMIT 1000`,
        [after],
      );
      const last = rows.at(-1);
      if (!last) return;
      after = String(last['id']);
      const keys = rows.map((row) => ({
        id: String(row['id']),
        key: folderKey(String(row['cwd'])),
        was: row['cwd_key'],
      }));
      const stale = keys.filter(({ key, was }) => key !== was);
      await query(
        `UPDATE {threads} AS thread SET cwd_key = new.key FROM unnest($1::uuid[], $2::text[]) AS new (id, key)
          WHERE thread.id = new.id`,
        [stale.map(({ id }) => id), stale.map(({ key }) => key)],
      );
    }
  },
];

export interface PrepareOptions {
  /** Changes nothing, and throws `unsupported` when there is no schema that can be read. */
  readonly readOnly: boolean;
  readonly warn: (message: string) => void;
}

/** Makes the schema fit for this version. Throws `unsupported` for one that a newer version made. */
export async function prepare(db: PostgresDb, { readOnly, warn }: PrepareOptions): Promise<void> {
  // Whoever may use the tables may well have no right to make any.
  const version = await versionOf(db.query, db.schema);
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

/** True when the schema has nothing of ours, or is not there. */
export async function isUntouched(db: PostgresDb): Promise<boolean> {
  return (await versionOf(db.query, db.schema)) === 0;
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
    const version = await versionOf(query, db.schema);
    for (const [index, migration] of MIGRATIONS.entries()) {
      if (index < version) continue;
      await migration(query);
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

async function versionOf(query: Query, schema: string): Promise<number> {
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
