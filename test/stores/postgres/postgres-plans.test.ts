import { expect, it } from 'vitest';
import type { ThreadId } from '../../../src/protocol/ids.js';
import type { ListThreadsParams } from '../../../src/store/thread-store.js';
import { PostgresAgentGraph } from '../../../src/stores/postgres/agent-graph.js';
import { PostgresThreadStore } from '../../../src/stores/postgres/postgres-thread-store.js';
import { ExplainingDb } from '../../support/explaining-db.js';
import { FOLDERS, idOf, makeItems, makeThreads } from '../../support/many-postgres-threads.js';
import { openDb } from '../../support/postgres-store.js';

const COUNT = 50_000;

it('lists and reads without going through a table from end to end', { timeout: 120_000 }, async () => {
  const db = openDb({ statementTimeoutMs: 60_000 });
  await makeThreads((sql) => db.query(sql), COUNT);
  await makeItems((sql) => db.query(sql), 20_000);
  for (const table of ['threads', 'items', 'edges']) await db.query(`VACUUM ANALYZE {${table}}`);
  const explaining = new ExplainingDb(db);
  const store = new PostgresThreadStore({ db: explaining, isReadOnly: false, leaseMs: 30_000 });
  const graph = new PostgresAgentGraph(explaining);
  const list = async (filter: object, rest: Partial<ListThreadsParams> = {}) =>
    await store.listThreads({
      filter: { archived: 'exclude', ...filter },
      sortBy: 'updatedAt',
      order: 'desc',
      limit: 25,
      ...rest,
    });

  for (const sortBy of ['updatedAt', 'createdAt', 'recencyAt'] as const) {
    for (const archived of ['exclude', 'only', 'include'] as const) {
      const first = await list({ archived }, { sortBy });
      expect(first.threads).toHaveLength(25);
      const next = await list({ archived }, { sortBy, cursor: first.threads.at(-1)?.cursor });
      expect(next.threads[0]?.thread.threadId).not.toBe(first.threads.at(-1)?.thread.threadId);
    }
  }
  expect((await list({ archived: 'include', cwds: ['/code/project-7'] })).total).toBe(COUNT / FOLDERS);
  expect((await list({ search: 'topic 996' })).threads).toHaveLength(25);
  expect((await list({ gitBranch: 'branch-3' })).threads).toHaveLength(25);
  const members = await graph.listChildren(idOf(1) as ThreadId);
  expect(members).toEqual([idOf(2)]);
  const children = await list({ within: { relation: 'children', threadId: idOf(1) as ThreadId, members } });
  expect(children.total).toBe(1);
  await graph.listDescendants(idOf(1) as ThreadId);
  expect(await store.findThreadsByName('Name 50', 5)).toEqual([idOf(50)]);
  const { turns } = await store.listTurns({ threadId: idOf(1) as ThreadId, order: 'newestFirst', limit: 10 });
  expect(turns.map(({ items }) => items[0]?.body?.text)).toEqual(
    Array.from({ length: 10 }, (_, index) => `question ${1999 - index}`),
  );
  await store.listTurns({ threadId: idOf(1) as ThreadId, order: 'oldestFirst', limit: 10 });
  // What changed of the counts is a handful of rows: those are summed up.
  expect(explaining.scans.filter(({ table }) => table !== 'count_changes')).toEqual([]);
  // It would have been seen.
  await explaining.query('SELECT count(*) FROM {threads} WHERE title IS NOT NULL');
  expect(explaining.scans.at(-1)?.table).toBe('threads');
});
