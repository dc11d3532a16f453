/** Runs a statement with `{table}` for the tables of the schema. */
type Run = (sql: string) => Promise<unknown>;

/** Ids that can be told from a number. */
export const idOf = (n: number): string => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

const ID = (n: string) => `('00000000-0000-7000-8000-' || lpad((${n})::text, 12, '0'))::uuid`;

/** Threads 1 to `count` share so many directories; every tenth is archived, and every tenth a child of the one before it. */
export const FOLDERS = 5000;

/** Makes threads in the database itself: thread `n` was created at `n` s, updated and used at other times. */
export async function makeThreads(run: Run, count: number): Promise<void> {
  await run(`INSERT INTO {threads} (id, name, preview, first_user_message, cwd, cwd_key, source, source_kind, model_provider,
      git_branch, parent_thread_id, created_at, updated_at, recency_at, is_archived, history_mode, search_text)
    SELECT ${ID('n')}, CASE WHEN n % 50 = 0 THEN 'Name ' || n END, 'Message ' || n || ' about topic ' || n % 997,
      'Message ' || n, directory, directory, source_kind, source_kind, 'openai', 'branch-' || n % 300,
      CASE WHEN is_child THEN ${ID('n - 1')} END,
      n * 1000::bigint, (n * 7919::bigint % ${count} + ${count}) * 1000, (n * 104729::bigint % ${count} + ${count}) * 1000,
      n % 10 = 5, 'legacy', 'message ' || n || ' about topic ' || n % 997
    FROM (SELECT n, n % 10 = 2 AS is_child, CASE WHEN n % 10 = 2 THEN 'subagent' ELSE 'cli' END AS source_kind,
      '/code/project-' || n % ${FOLDERS} AS directory FROM generate_series(1, ${count}) AS n) AS numbered`);
  await run(`INSERT INTO {edges} (child_thread_id, parent_thread_id, status)
    SELECT id, parent_thread_id, 'open' FROM {threads} WHERE parent_thread_id IS NOT NULL`);
}

const ITEMS_OF_TURN = 10;

/** Gives thread 1 `count` items, ten a turn: `question <turn>`, eight that are long to read and say nothing, the end. */
export async function makeItems(run: Run, count: number): Promise<void> {
  const turn = `(n / ${ITEMS_OF_TURN})`;
  await run(`INSERT INTO {items} (thread_id, ordinal, said_at, type, event, bytes, payload)
    SELECT ${ID('1')}, n, '2026-01-01T00:00:00.000Z', 'event_msg', payload->>'type', length(payload::text), payload
    FROM (SELECT n, CASE n % ${ITEMS_OF_TURN}
      WHEN 0 THEN jsonb_build_object('type', 'task_started', 'turn_id', 'turn-' || ${turn})
      WHEN 1 THEN jsonb_build_object('type', 'user_message', 'message', 'question ' || ${turn})
      WHEN 9 THEN jsonb_build_object('type', 'task_complete', 'turn_id', 'turn-' || ${turn})
      ELSE jsonb_build_object('type', 'agent_message', 'message', repeat('answer ', 40)) END AS payload
      FROM generate_series(0, ${count - 1}) AS n) AS made`);
}
