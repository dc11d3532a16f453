import type { Migration } from './migration.js';

/**
 * Times are milliseconds since the epoch. `cwd_key` is the cwd in one spelling (`cwdKey`), `search_text` the searched
 * texts folded; both are compared by their bytes. What people can make long is indexed by its beginning.
 */
const STATEMENTS: readonly string[] = [
  `CREATE TABLE {threads} (
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
    )`,
  `CREATE INDEX threads_created_at ON {threads} (created_at, id) WHERE NOT is_archived`,
  `CREATE INDEX threads_archived_created_at ON {threads} (created_at, id) WHERE is_archived`,
  `CREATE INDEX threads_all_created_at ON {threads} (created_at, id)`,
  `CREATE INDEX threads_updated_at ON {threads} (updated_at, id) WHERE NOT is_archived`,
  `CREATE INDEX threads_archived_updated_at ON {threads} (updated_at, id) WHERE is_archived`,
  `CREATE INDEX threads_all_updated_at ON {threads} (updated_at, id)`,
  `CREATE INDEX threads_recency_at ON {threads} (recency_at, id) WHERE NOT is_archived`,
  `CREATE INDEX threads_archived_recency_at ON {threads} (recency_at, id) WHERE is_archived`,
  `CREATE INDEX threads_all_recency_at ON {threads} (recency_at, id)`,
  `CREATE INDEX threads_cwd ON {threads} (left(cwd_key, 400))`,
  `CREATE INDEX threads_branch ON {threads} (left(git_branch, 200))`,
  `CREATE INDEX threads_provider ON {threads} (left(model_provider, 200))`,
  `CREATE INDEX threads_name ON {threads} (left(name, 200))`,
  `CREATE INDEX threads_source_kind ON {threads} (source_kind, updated_at, id)`,
  `CREATE TABLE {items} (
      thread_id uuid NOT NULL REFERENCES {threads} (id) ON DELETE CASCADE,
      ordinal bigint NOT NULL,
      said_at text NOT NULL,
      type text NOT NULL,
      event text,
      bytes integer NOT NULL,
      payload jsonb NOT NULL,
      metadata jsonb,
      PRIMARY KEY (thread_id, ordinal)
    )`,
  `CREATE INDEX items_marks ON {items} (thread_id, ordinal, event) WHERE event IN ('task_started', 'turn_started', 'task_complete', 'turn_complete', 'turn_aborted',
  'user_message', 'thread_rolled_back')`,
  `CREATE INDEX items_rollbacks ON {items} (thread_id) WHERE event = 'thread_rolled_back'`,
  `CREATE TABLE {writers} (
      thread_id uuid PRIMARY KEY,
      token uuid NOT NULL,
      holder text NOT NULL,
      expires_at timestamptz NOT NULL
    )`,
  `CREATE INDEX writers_token ON {writers} (token)`,
  `CREATE TABLE {edges} (
      child_thread_id uuid PRIMARY KEY,
      parent_thread_id uuid NOT NULL,
      status text NOT NULL
    )`,
  `CREATE INDEX edges_parent ON {edges} (parent_thread_id, child_thread_id, status)`,
];

export const migration: Migration = {
  name: '0001-threads-items-edges',
  async run(query) {
    for (const statement of STATEMENTS) await query(statement);
  },
};
