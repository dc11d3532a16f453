import { readOnlyGraph } from '../store/read-only-graph.js';
import { serialized } from '../store/serialized.js';
import type { ThreadImporter } from '../store/thread-importer.js';
import { PostgresAgentGraph } from '../stores/postgres/agent-graph.js';
import { PostgresDb } from '../stores/postgres/db/postgres-db.js';
import { ReadyDb } from '../stores/postgres/db/ready-db.js';
import { isUntouched, prepare } from '../stores/postgres/db/schema.js';
import { PostgresImporter } from '../stores/postgres/importer.js';
import { PostgresThreadStore } from '../stores/postgres/postgres-thread-store.js';
import type { PostgresStoreOptions } from './store-options.js';
import { createManager, type Threadkeeper } from './threadkeeper.js';

/** The parts over a PostgreSQL, with what only that has. */
export interface PostgresThreadkeeper extends Threadkeeper {
  readonly importer: ThreadImporter;
  /** True when the schema holds no tables of threadkeeper, or does not exist. */
  isUntouched(): Promise<boolean>;
}

export interface OpenPostgresOptions extends PostgresStoreOptions {
  /** Loaded threads that nobody writes to are closed after this, milliseconds; 0, the default: never. */
  readonly idleMs?: number | undefined;
}

/** Puts the parts over a PostgreSQL together; nothing is asked of it before it is used. Throws `invalid_request`. */
export function openPostgres(
  { url, schema, leaseMs, readOnly, idleMs }: OpenPostgresOptions,
  warn: (message: string) => void,
): PostgresThreadkeeper {
  const raw = new PostgresDb({ url, schema, warn });
  const db = new ReadyDb(raw, (unprepared) => prepare(unprepared, { readOnly, warn }));
  const store = serialized(new PostgresThreadStore({ db, isReadOnly: readOnly, leaseMs }));
  const graph = new PostgresAgentGraph(db);
  const manager = createManager({ store, graph, modelProvider: undefined, idleMs, warn });
  return {
    manager,
    store,
    graph: readOnly ? readOnlyGraph(graph) : graph,
    importer: new PostgresImporter(db, graph),
    isUntouched: () => isUntouched(raw),
    // A write here is whole or was never there.
    repair: () => Promise.resolve(),
    close: () => manager.close(),
  };
}
