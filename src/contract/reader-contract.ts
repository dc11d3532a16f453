import { describe, expect, it } from 'vitest';
import type { ThreadId } from '../protocol/ids.js';
import type { ListThreadsParams, ThreadFilter, ThreadReader, TurnCursor } from '../store/thread-store.js';
import { errorOf } from './error-of.js';
import { type Seed, seed } from './seed.js';
import { newId } from './seed-rollout.js';

/** Makes a reader of these threads and nothing else. */
export type ReaderFactory = (seeds: readonly Seed[]) => Promise<ThreadReader>;

const list = (
  params: Partial<Omit<ListThreadsParams, 'filter'>> & { filter?: Partial<ThreadFilter> } = {},
): ListThreadsParams => ({
  sortBy: 'createdAt',
  order: 'desc',
  limit: 100,
  ...params,
  filter: { archived: 'exclude', ...params.filter },
});

export async function idsOf(store: ThreadReader, params: Parameters<typeof list>[0] = {}): Promise<ThreadId[]> {
  return (await store.listThreads(list(params))).threads.map(({ thread }) => thread.threadId);
}

/** What everything that threads can be read from promises. */
export function threadReaderContract(name: string, make: ReaderFactory): void {
  describe(`${name} as a ThreadReader`, () => {
    describe('readThread', () => {
      it.each(['legacy', 'paginated'] as const)('gives the metadata of a %s thread', async (mode) => {
        const thread = seed({ mode, branch: 'main', name: 'A name', at: '2026-11-20T10:00:05.250Z' });
        const store = await make([thread]);
        expect(await store.readThread(thread.id)).toMatchObject({
          threadId: thread.id,
          name: 'A name',
          preview: 'first question',
          firstUserMessage: 'first question',
          cwd: '/home/dev/project',
          source: { kind: 'cli' },
          modelProvider: 'mock',
          git: { branch: 'main' },
          createdAt: Date.parse('2026-11-20T10:00:05.250Z'),
          isArchived: false,
          historyMode: mode,
        });
      });

      it('says where a spawned thread comes from', async () => {
        const parent = seed();
        const child = seed({ parent: parent.id });
        const store = await make([parent, child]);
        expect(await store.readThread(child.id)).toMatchObject({
          source: { kind: 'subagent' },
          parentThreadId: parent.id,
          agentNickname: 'Euclid',
          agentRole: 'worker',
          agentDepth: 1,
        });
      });

      it('reads archived threads too', async () => {
        const thread = seed({ archived: true });
        expect(await (await make([thread])).readThread(thread.id)).toMatchObject({ isArchived: true });
      });

      it('fails with thread_not_found for an unknown id', async () => {
        const id = newId();
        const error = await errorOf((await make([seed()])).readThread(id));
        expect(error).toMatchObject({ code: 'thread_not_found', message: expect.stringContaining(id) });
      });
    });

    describe('listThreads', () => {
      it('gives every thread once over pages of any size, even where times are equal', async () => {
        const seeds = Array.from({ length: 7 }, (_, index) =>
          seed({ at: index < 4 ? '2026-11-20T10:00:00.000Z' : '2026-11-21T10:00:00.000Z' }),
        );
        const store = await make(seeds);
        for (const sortBy of ['createdAt', 'updatedAt', 'recencyAt'] as const) {
          for (const order of ['desc', 'asc'] as const) {
            const whole = await idsOf(store, { sortBy, order });
            expect([...whole].sort()).toEqual(seeds.map(({ id }) => id).sort());
            const paged: ThreadId[] = [];
            let cursor: string | undefined;
            for (let page = 0; page < 10; page += 1) {
              const { threads, hasMore, total } = await store.listThreads(list({ sortBy, order, limit: 2, cursor }));
              expect(total).toBe(7);
              paged.push(...threads.map(({ thread }) => thread.threadId));
              cursor = threads.at(-1)?.cursor;
              if (!hasMore) break;
            }
            expect(paged).toEqual(whole);
          }
        }
      });

      it('sorts newest first or oldest first', async () => {
        const seeds = ['2026-11-20', '2026-11-22', '2026-11-21'].map((day) => seed({ at: `${day}T10:00:00.000Z` }));
        const [first, third, second] = seeds.map(({ id }) => id);
        const store = await make(seeds);
        expect(await idsOf(store)).toEqual([third, second, first]);
        expect(await idsOf(store, { order: 'asc' })).toEqual([first, second, third]);
      });

      it('tells archived threads from active ones, and counts both', async () => {
        const active = seed();
        const archived = seed({ archived: true });
        const store = await make([active, archived]);
        expect(await idsOf(store)).toEqual([active.id]);
        expect(await idsOf(store, { filter: { archived: 'only' } })).toEqual([archived.id]);
        expect(await idsOf(store, { filter: { archived: 'include' } })).toHaveLength(2);
        const { counts, total } = await store.listThreads(list());
        expect(total).toBe(1);
        expect(counts.filter(({ count }) => count > 0)).toEqual(
          expect.arrayContaining([
            { isArchived: false, source: 'cli', count: 1 },
            { isArchived: true, source: 'cli', count: 1 },
          ]),
        );
      });

      it('filters by source, provider, branch', async () => {
        const plain = seed();
        const exec = seed({ source: 'exec', provider: 'other', branch: 'feature' });
        const child = seed({ parent: plain.id });
        const store = await make([plain, exec, child]);
        expect(await idsOf(store, { filter: { sources: ['exec'] } })).toEqual([exec.id]);
        expect(await idsOf(store, { filter: { sources: ['subagent'] } })).toEqual([child.id]);
        expect(await idsOf(store, { filter: { modelProviders: ['other', 'third'] } })).toEqual([exec.id]);
        expect(await idsOf(store, { filter: { gitBranch: 'feature' } })).toEqual([exec.id]);
        expect(await idsOf(store, { filter: { gitBranch: 'feat' } })).toEqual([]);
      });

      it('filters by directory: that one and all below it, however it is written', async () => {
        const top = seed({ cwd: '/nowhere/app' });
        const below = seed({ cwd: '/nowhere/app/packages/core' });
        const sibling = seed({ cwd: '/nowhere/app-two' });
        const windows = seed({ cwd: 'C:\\Users\\dev\\app' });
        const store = await make([top, below, sibling, windows]);
        const both = [top.id, below.id].sort();
        for (const cwd of ['/nowhere/app', '/nowhere/app/', '/nowhere//app/./', '/nowhere/x/../app']) {
          expect((await idsOf(store, { filter: { cwds: [cwd] } })).sort()).toEqual(both);
        }
        expect(await idsOf(store, { filter: { cwds: ['c:/users/DEV'] } })).toEqual([windows.id]);
        expect(await idsOf(store, { filter: { cwds: ['/nowhere/app-two', '/elsewhere'] } })).toEqual([sibling.id]);
      });

      it('filters by directory without regard to case and to accents where their file systems do', async () => {
        const directories = [
          'C:\\Users\\Dev\\App',
          '\\\\Server\\Share\\App',
          '\\\\?\\UNC\\Other\\Share\\App',
          '/mnt/d/Work/App',
          '/nowhere/caf\u00e9/app',
          '/nowhere/Case/App',
        ];
        const seeds = directories.map((cwd) => seed({ cwd }));
        const store = await make(seeds);
        const found = async (cwd: string) => {
          const ids = await idsOf(store, { filter: { cwds: [cwd] } });
          return ids.map((id) => seeds.findIndex((thread) => thread.id === id));
        };
        expect(await found('\\\\?\\c:\\users\\dev')).toEqual([0]);
        expect(await found('\\\\server\\SHARE')).toEqual([1]);
        expect(await found('\\\\?\\UNC\\server\\share\\app')).toEqual([1]);
        expect(await found('\\\\OTHER\\share')).toEqual([2]);
        expect(await found('/mnt/D/work')).toEqual([3]);
        expect(await found('/nowhere/cafe\u0301')).toEqual([4]);
        expect(await found('/nowhere/case')).toEqual([]);
        expect(await found('/server/share')).toEqual([]);
      });

      it('searches name, preview and first message without regard to case, in any script', async () => {
        const german = seed({ turns: [['Die STRASSE ist gesperrt', 'x']] });
        const russian = seed({ name: 'Привет Мир' });
        const percent = seed({ turns: [['100%_sure', 'x']] });
        const store = await make([german, russian, percent]);
        const search = (text: string) => idsOf(store, { filter: { search: text } });
        expect(await search('strasse IST')).toEqual([german.id]);
        expect(await search('ПРИВЕТ')).toEqual([russian.id]);
        expect(await search('%_')).toEqual([percent.id]);
        expect(await search('nothing of the kind')).toEqual([]);
      });

      it('keeps to the members of a family', async () => {
        const seeds = [seed(), seed(), seed()];
        const members = seeds.slice(1).map(({ id }) => id);
        const store = await make(seeds);
        const within = { relation: 'children', threadId: seeds[0]?.id ?? newId(), members } as const;
        expect((await idsOf(store, { filter: { within } })).sort()).toEqual([...members].sort());
        expect(await idsOf(store, { filter: { within: { ...within, members: [] } } })).toEqual([]);
      });

      it('refuses a cursor that is not its own, and one of another list', async () => {
        const store = await make([seed(), seed(), seed()]);
        for (const cursor of ['x', '', 'W10', Buffer.from('[1,2]').toString('base64url')]) {
          expect(await errorOf(store.listThreads(list({ cursor })))).toMatchObject({ code: 'invalid_request' });
        }
        const { threads } = await store.listThreads(list({ limit: 1 }));
        const cursor = threads[0]?.cursor;
        expect(await errorOf(store.listThreads(list({ cursor, sortBy: 'updatedAt' })))).toMatchObject({
          code: 'invalid_request',
        });
        expect(await errorOf(store.listThreads(list({ cursor, filter: { search: 'x' } })))).toMatchObject({
          code: 'invalid_request',
        });
      });

      it('refuses filters that can match nothing', async () => {
        const store = await make([seed()]);
        for (const filter of [{ sources: [] }, { modelProviders: [] }, { cwds: [] }]) {
          expect(await errorOf(store.listThreads(list({ filter })))).toMatchObject({ code: 'invalid_request' });
        }
        expect(await errorOf(store.listThreads(list({ limit: 0 })))).toMatchObject({ code: 'invalid_request' });
      });
    });

    describe('listTurns', () => {
      const talk = Array.from({ length: 7 }, (_, index) => [`question ${index + 1}`, `answer ${index + 1}`] as const);

      it.each(['legacy', 'paginated'] as const)('gives the turns of a %s thread in both orders', async (mode) => {
        const thread = seed({ mode, turns: talk });
        const store = await make([thread]);
        for (const order of ['newestFirst', 'oldestFirst'] as const) {
          const turns = await pagesOf(store, thread.id, order, 3);
          const questions = turns.map(({ items }) => items[0]?.body?.text);
          const wanted = talk.map(([question]) => question);
          expect(questions).toEqual(order === 'oldestFirst' ? wanted : wanted.reverse());
          expect(turns[0]).toMatchObject({
            status: 'completed',
            startedAt: 1_795_000_000_000,
            completedAt: 1_795_000_002_000,
            durationMs: 2000,
          });
          expect(turns[0]?.items.map(({ type }) => type)).toEqual(['userMessage', 'agentMessage']);
        }
      });

      it('has more only where there is more', async () => {
        const thread = seed({ turns: talk.slice(0, 3) });
        const store = await make([thread]);
        for (const order of ['newestFirst', 'oldestFirst'] as const) {
          expect(await store.listTurns({ threadId: thread.id, order, limit: 3 })).toMatchObject({ hasMore: false });
          expect(await store.listTurns({ threadId: thread.id, order, limit: 2 })).toMatchObject({ hasMore: true });
        }
      });

      it('gives no turns of a thread that has none', async () => {
        const thread = seed({ turns: [] });
        const store = await make([thread]);
        expect(await store.listTurns({ threadId: thread.id, order: 'newestFirst', limit: 5 })).toMatchObject({
          turns: [],
          hasMore: false,
        });
      });

      it('refuses a cursor to a turn that is not there', async () => {
        const thread = seed({ turns: talk });
        const store = await make([thread]);
        for (const order of ['newestFirst', 'oldestFirst'] as const) {
          const cursor = { turnId: 'x', rolloutId: thread.id, offset: 987_654_321 };
          const call = store.listTurns({ threadId: thread.id, order, limit: 2, cursor });
          expect(await errorOf(call)).toMatchObject({ code: 'invalid_request' });
        }
      });

      it('fails with thread_not_found for an unknown id', async () => {
        const call = (await make([])).listTurns({ threadId: newId(), order: 'newestFirst', limit: 1 });
        expect(await errorOf(call)).toMatchObject({ code: 'thread_not_found' });
      });
    });

    describe('loadHistory and historyVersion', () => {
      it('gives every line of the history, oldest first', async () => {
        const thread = seed({
          turns: [
            ['one', 'first answer'],
            ['two', 'second answer'],
          ],
        });
        const reader = await make([thread]);
        const texts: unknown[] = [];
        for await (const { payload } of reader.loadHistory(thread.id)) {
          if (payload['type'] === 'user_message') texts.push(payload['message']);
        }
        expect(texts).toEqual(['one', 'two']);
      });

      it('gives one version of a history that does not change', async () => {
        const thread = seed();
        const reader = await make([thread]);
        expect(await reader.historyVersion(thread.id)).toBe(await reader.historyVersion(thread.id));
      });

      it('fails with thread_not_found for an unknown id', async () => {
        const reader = await make([seed()]);
        expect(await errorOf(reader.loadHistory(newId())[Symbol.asyncIterator]().next())).toMatchObject({
          code: 'thread_not_found',
        });
        expect(await errorOf(reader.historyVersion(newId()))).toMatchObject({ code: 'thread_not_found' });
      });
    });
  });
}

/** All turns, page by page. */
export async function pagesOf(
  reader: ThreadReader,
  threadId: ThreadId,
  order: 'newestFirst' | 'oldestFirst',
  limit: number,
) {
  const turns = [];
  let cursor: TurnCursor | undefined;
  for (let page = 0; page < 50; page += 1) {
    const found = await reader.listTurns({ threadId, order, limit, cursor });
    turns.push(...found.turns);
    const last = found.turns.at(-1);
    if (!found.hasMore || !last) return turns;
    cursor = { turnId: last.turnId, ...last.anchor };
  }
  throw new Error('the pages do not end');
}
