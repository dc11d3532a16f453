import type { RolloutLibrary } from '../rollout/rollout-library.js';
import type { StateDb } from '../state-db/state-db.js';

/** What was given to Codex's DB. */
export interface Adoption {
  readonly names: number;
  readonly closedEdges: number;
}

/**
 * Gives Codex's DB what it does not know: names of paginated threads, which Codex loses with its DB though the name
 * index has them, and edges that only the index knows to be closed. Only where Codex has nothing; git and memory mode
 * need no giving, as they are in the rollouts. `own` is our DB, if there was one; it is marked and left alone then.
 */
export async function copyToCodexDb(
  codexDb: StateDb,
  library: RolloutLibrary,
  own: StateDb | undefined,
): Promise<Adoption> {
  if (codexDb.readOnly) return { names: 0, closedEdges: 0 };
  const closed = own ? await own.read(() => closedChildren(own)) : [];
  const names = [...library.names.entries()].filter(([, name]) => name !== '');
  const missing = await codexDb.read(() => names.filter(([id]) => hasNoName(codexDb, id)));
  if (missing.length === 0 && closed.length === 0) return { names: 0, closedEdges: 0 };
  const given = await codexDb.write(() => ({
    names: sum(missing, ([id, name]) => codexDb.run(SET_NAME, name, id)),
    closedEdges: sum(closed, (id) => codexDb.run(CLOSE_EDGE, id)),
  }));
  if (own && !own.readOnly)
    await own.write(() => own.run("UPDATE backfill_state SET status = 'adopted', last_watermark = NULL WHERE id = 1"));
  return given;
}

const LACKS_NAME = "FROM threads WHERE id = ? AND name IS NULL AND history_mode = 'paginated'";
const SET_NAME = "UPDATE threads SET name = ? WHERE id = ? AND name IS NULL AND history_mode = 'paginated'";
const CLOSE_EDGE = "UPDATE thread_spawn_edges SET status = 'closed' WHERE child_thread_id = ? AND status = 'open'";

function hasNoName(codexDb: StateDb, id: string): boolean {
  const columns = codexDb.columns('threads');
  return (
    columns.has('name') &&
    columns.has('history_mode') &&
    codexDb.get(`SELECT 1 AS found ${LACKS_NAME}`, id) !== undefined
  );
}

/** Nothing, once our DB has been adopted. */
function closedChildren(own: StateDb): string[] {
  if (own.get('SELECT status FROM backfill_state WHERE id = 1')?.['status'] === 'adopted') return [];
  const rows = own.all("SELECT child_thread_id FROM thread_spawn_edges WHERE status = 'closed'");
  return rows.map((row) => String(row['child_thread_id']));
}

function sum<T>(values: readonly T[], count: (value: T) => number): number {
  return values.reduce((total, value) => total + count(value), 0);
}
