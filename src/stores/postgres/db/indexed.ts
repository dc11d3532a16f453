/**
 * PostgreSQL uses an index only for a query that repeats the expression of the index word for word. The migrations hold
 * their own copies of these: an index is changed by a further migration.
 */

/** The items that mark where turns begin and end. */
export const IS_MARK = `event IN ('task_started', 'turn_started', 'task_complete', 'turn_complete', 'turn_aborted',
  'user_message', 'thread_rolled_back')`;

/** An index takes no long values, so columns that can be long are indexed by their beginning. */
export const STARTS = {
  cwd: 'left(cwd_key, 400)',
  branch: 'left(git_branch, 200)',
  provider: 'left(model_provider, 200)',
  name: 'left(name, 200)',
} as const;
