import type { ThreadId } from '../src/protocol/ids.js';
import { PostgresAgentGraph } from '../src/stores/postgres/agent-graph.js';
import { PostgresDb } from '../src/stores/postgres/db/postgres-db.js';
import { prepare } from '../src/stores/postgres/db/schema.js';
import { PostgresThreadStore } from '../src/stores/postgres/postgres-thread-store.js';
import { ExplainingDb } from '../test/support/explaining-db.js';
import { FOLDERS, idOf, makeItems, makeThreads } from '../test/support/many-postgres-threads.js';
import type { ThreadList, ThreadReading } from '../test/support/mcp-client.js';
import { startPostgres } from '../test/support/postgres-server.js';
import { percentiles } from './measure.js';
import { OurProcess } from './our-client.js';

const ITEMS = 100_000;
const SCHEMA = 'threadkeeper';
const HOUR_MS = 3_600_000;

export interface PostgresRow {
  readonly name: string;
  readonly calls: number;
  readonly p50: number;
  readonly p95: number;
  readonly wrong: number;
  /** Tables that a statement of it goes through from end to end. */
  readonly scans: readonly string[];
}

export interface PostgresReport {
  readonly threads: number;
  readonly rows: readonly PostgresRow[];
}

/** Times the tools on a PostgreSQL with so many threads, made in the database, and looks at the plans. */
export async function benchPostgres(
  threads: number,
  calls: number,
  note: (what: string) => void,
): Promise<PostgresReport> {
  const database = await startPostgres(['-c', 'shared_buffers=256MB', '-c', 'max_wal_size=8GB']);
  try {
    const warn = note;
    const db = new PostgresDb({ url: database.url, schema: SCHEMA, warn, statementTimeoutMs: HOUR_MS });
    await prepare(db, { readOnly: false, warn });
    note(`making ${threads} threads and ${ITEMS} items`);
    await makeThreads((sql) => db.query(sql), threads);
    await makeItems((sql) => db.query(sql), ITEMS);
    for (const table of ['threads', 'items', 'edges']) await db.query(`VACUUM ANALYZE {${table}}`);
    const ours = new OurProcess(undefined, ['--store', database.url]);
    await ours.init();
    const rows: PostgresRow[] = [];
    for (const operation of operations(ours, db, threads)) {
      note(operation.name);
      rows.push({ ...(await timed(operation, calls)), scans: await scansOf(operation, db) });
    }
    await ours.stop();
    await db.close();
    return { threads, rows };
  } finally {
    await database.stop();
  }
}

interface Operation {
  readonly name: string;
  /** Throws when the answer is wrong. */
  call(index: number): Promise<void>;
  /** The same below the tool, so that its statements can be explained. */
  below(store: PostgresThreadStore, graph: PostgresAgentGraph): Promise<unknown>;
}

function operations(ours: OurProcess, db: PostgresDb, threads: number): Operation[] {
  const list = { archived: 'exclude', sources: ['cli'] } as const;
  const newest = (column: string) =>
    db.query(
      `SELECT id FROM {threads} WHERE NOT is_archived AND source_kind <> 'subagent' ORDER BY ${column} DESC, id DESC LIMIT 25`,
    );
  const bySort = (['updatedAt', 'createdAt', 'recencyAt'] as const).map((sortBy): Operation => {
    let expected: string | undefined;
    return {
      name: `list 25 by ${sortBy}`,
      async call() {
        expected ??= (await newest(sortBy.replace('At', '_at'))).map(({ id }) => id).join();
        const { threads: found, total } = await ours.call<ThreadList>('list_threads', { limit: 25, sortBy });
        check(found.map(({ threadId }) => threadId).join() === expected && total === threads * 0.8);
      },
      below: (store) => store.listThreads({ filter: list, sortBy, order: 'desc', limit: 25 }),
    };
  });
  // Not one of those whose threads are all sub-agents.
  const directory = (index: number) => (index * 40 + 1) % FOLDERS;
  return [
    ...bySort,
    {
      name: 'list 25 by directory',
      async call(index) {
        const cwd = `/code/project-${directory(index)}`;
        const { threads: found } = await ours.call<ThreadList>('list_threads', { limit: 25, cwd, archived: 'include' });
        check(found.length === 25 && found.every((thread) => thread.cwd === cwd));
      },
      below: (store) =>
        store.listThreads({
          filter: { archived: 'include', cwds: [`/code/project-${directory(1)}`] },
          sortBy: 'updatedAt',
          order: 'desc',
          limit: 25,
        }),
    },
    {
      name: 'list by parent',
      async call(index) {
        const parentThreadId = idOf(10 * index + 1);
        const { threads: found } = await ours.call<ThreadList>('list_threads', { limit: 25, parentThreadId });
        check(found.map(({ threadId }) => threadId).join() === idOf(10 * index + 2));
      },
      async below(store, graph) {
        const threadId = idOf(1) as ThreadId;
        const members = await graph.listChildren(threadId);
        const within = { relation: 'children', threadId, members } as const;
        await store.listThreads({
          filter: { archived: 'exclude', within },
          sortBy: 'updatedAt',
          order: 'desc',
          limit: 25,
        });
      },
    },
    {
      name: 'list 25 by search',
      async call(index) {
        const search = `Message ${1001 + index * 10} about`;
        const { threads: found } = await ours.call<ThreadList>('list_threads', { limit: 25, search });
        check(found.map(({ threadId }) => threadId).join() === idOf(1001 + index * 10));
      },
      below: (store) =>
        store.listThreads({
          filter: { archived: 'exclude', search: 'Message 1001 about' },
          sortBy: 'updatedAt',
          order: 'desc',
          limit: 25,
        }),
    },
    {
      name: `last 10 turns of ${ITEMS} items`,
      async call() {
        const { turns } = await ours.call<ThreadReading>('read_thread', { threadId: idOf(1), turnLimit: 10 });
        check(turns?.length === 10 && turns[0]?.items[0]?.['text'] === `question ${ITEMS / 10 - 1}`);
      },
      below: (store) => store.listTurns({ threadId: idOf(1) as ThreadId, order: 'newestFirst', limit: 10 }),
    },
  ];
}

async function timed({ name, call }: Operation, calls: number): Promise<Omit<PostgresRow, 'scans'>> {
  const times: number[] = [];
  let wrong = 0;
  await call(0).catch(() => undefined);
  for (let index = 0; index < calls; index += 1) {
    const started = performance.now();
    await call(index).catch(() => {
      wrong += 1;
    });
    times.push(performance.now() - started);
  }
  return { name, calls, ...percentiles(times), wrong };
}

async function scansOf({ below }: Operation, db: PostgresDb): Promise<string[]> {
  const explaining = new ExplainingDb(db);
  const store = new PostgresThreadStore({ db: explaining, isReadOnly: true, leaseMs: 30_000 });
  await below(store, new PostgresAgentGraph(explaining));
  // A handful of rows that are summed up.
  return explaining.scans.map(({ table }) => table).filter((table) => table !== 'count_changes');
}

/** The report as Markdown. */
export function postgresReport({ threads, rows }: PostgresReport): string {
  const lines = rows.map(
    ({ name, calls, p50, p95, wrong, scans }) =>
      `| ${[name, calls, `${p50.toFixed(2)} / ${p95.toFixed(2)}`, wrong, scans.join(', ') || 'none'].join(' | ')} |`,
  );
  return `### PostgreSQL, ${threads} threads

| operation | calls | p50 / p95 ms | wrong | tables scanned |
| --- | --- | --- | --- | --- |
${lines.join('\n')}
`;
}

function check(isRight: boolean): void {
  if (!isRight) throw new Error('the answer is wrong');
}
