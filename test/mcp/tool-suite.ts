import { describe, expect, it } from 'vitest';
import type { Connection } from '../support/connect.js';
import type { ThreadList, ThreadReading, TreeResult } from '../support/mcp-client.js';
import { newId } from '../support/test-home.js';

const user = (text: string) => ({ type: 'userMessage', text });
const agent = (text: string) => ({ type: 'agentMessage', text });
const call = { type: 'toolCall', tool: 'shell', arguments: { cmd: 'ls' }, output: 'a\nb', status: 'completed' };

/** What the tools promise whatever the threads are kept in. Everything is made and seen through the tools alone. */
export function toolSuite(name: string, connected: () => Promise<Connection>): void {
  describe(`the tools on ${name}`, () => {
    it('record a conversation, and read it back in pages', async () => {
      const server = await connected();
      const threadId = await started(server, { name: 'Plan', message: 'Hello' });
      await server.call('append_to_thread', { threadId, items: [call, agent('Done')], endTurn: true });
      for (const n of [2, 3, 4]) {
        await server.call('append_to_thread', { threadId, items: [user(`q${n}`), agent(`a${n}`)], endTurn: true });
      }
      const texts: unknown[] = [];
      let cursor: string | undefined;
      do {
        const args = { threadId, turnLimit: 1, includeOutputs: true, ...(cursor ? { cursor } : {}) };
        const page = await server.call<ThreadReading>('read_thread', args);
        expect(page.turns).toHaveLength(1);
        texts.push(page.turns?.[0]?.items.map((item) => item['text'] ?? item['result']));
        cursor = page.nextCursor;
      } while (cursor);
      expect(texts).toEqual([
        ['q4', 'a4'],
        ['q3', 'a3'],
        ['q2', 'a2'],
        ['Hello', 'a\nb', 'Done'],
      ]);
      const { thread } = await server.call<ThreadReading>('read_thread', { threadId, includeTurns: false });
      expect(thread).toMatchObject({ threadId, name: 'Plan', preview: 'Hello', cwd: '/code/app', source: 'mcp' });
    });

    it('keep texts of every kind', async () => {
      const server = await connected();
      const text = 'nul \u0000, Привет 世界 🎉, "quotes" \\ \u2028 \u202e, tab\t, \r\n end';
      const threadId = await started(server, { message: text });
      await server.call('set_thread_name', { threadId, name: 'Ünï 世界 🎉' });
      await server.call('append_to_thread', { threadId, items: [agent('x'.repeat(100_000))] });
      const { thread, turns } = await server.call<ThreadReading>('read_thread', { threadId, order: 'oldestFirst' });
      expect(thread.name).toBe('Ünï 世界 🎉');
      expect(turns?.[0]?.items[0]).toMatchObject({ text });
    });

    it('list by directory, text, source and time, in pages that neither skip nor repeat', async () => {
      const server = await connected();
      const ids: string[] = [];
      for (let index = 0; index < 7; index += 1) {
        const cwd = index % 2 === 0 ? '/code/app' : '/code/application';
        ids.push(await started(server, { cwd, message: `Message ${index}`, name: index === 3 ? 'Ärger' : undefined }));
      }
      const below = await server.call<ThreadList>('list_threads', { cwd: '/code/app' });
      expect(below.threads.map(({ threadId }) => threadId).sort()).toEqual(ids.filter((_, i) => i % 2 === 0).sort());
      const found = await server.call<ThreadList>('list_threads', { search: 'äRGER' });
      expect(found.threads.map(({ threadId }) => threadId)).toEqual([ids[3]]);
      expect((await server.call<ThreadList>('list_threads', { search: '100%_' })).total).toBe(0);
      expect((await server.call<ThreadList>('list_threads', { sources: ['cli'] })).total).toBe(0);
      for (const sortBy of ['updatedAt', 'createdAt', 'recencyAt']) {
        for (const order of ['asc', 'desc']) {
          const seen: string[] = [];
          let cursor: string | undefined;
          do {
            const args = { limit: 3, sortBy, order, ...(cursor ? { cursor } : {}) };
            const page = await server.call<ThreadList>('list_threads', args);
            expect(page.total).toBe(7);
            seen.push(...page.threads.map(({ threadId }) => threadId));
            cursor = page.nextCursor;
          } while (cursor);
          expect([...seen].sort()).toEqual([...ids].sort());
        }
      }
      const { nextCursor } = await server.call<ThreadList>('list_threads', { limit: 3 });
      const other = await server.failure('list_threads', { limit: 3, cursor: nextCursor, search: 'x' });
      expect(other).toMatchObject({ code: 'invalid_request' });
    });

    it('name threads, and tell an id by a name', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'Hello' });
      await server.call('set_thread_name', { threadId, name: 'Mine' });
      expect((await server.failure('read_thread', { threadId: 'Mine' })).hint).toContain(threadId);
      await server.call('set_thread_name', { threadId, name: null });
      const { thread } = await server.call<ThreadReading>('read_thread', { threadId, includeTurns: false });
      expect(thread).not.toHaveProperty('name');
    });

    it('patch metadata part by part', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'Hello' });
      const patch = (args: object) => server.call<ThreadReading>('update_thread_metadata', { threadId, ...args });
      await patch({ gitInfo: { branch: 'main', sha: 'abc' }, memoryMode: 'disabled' });
      await server.call('close_thread', { threadId });
      const { thread } = await patch({ gitInfo: { sha: null, originUrl: 'https://example.org/x' } });
      expect(thread.git).toEqual({ branch: 'main', originUrl: 'https://example.org/x' });
      expect((await server.call<ThreadList>('list_threads', { gitBranch: 'main' })).total).toBe(1);
      expect(await server.failure('update_thread_metadata', { threadId })).toMatchObject({ code: 'invalid_request' });
    });

    it('archive a tree with all that it spawned, and bring it back', async () => {
      const server = await connected();
      const root = await started(server, { message: 'root' });
      const child = await started(server, { message: 'child', parentThreadId: root, agentNickname: 'Ada' });
      const leaf = await started(server, { message: 'leaf', parentThreadId: child });
      const listed = async (args: object) => {
        const { threads } = await server.call<ThreadList>('list_threads', args);
        return threads.map(({ threadId }) => threadId).sort();
      };
      expect(await listed({ parentThreadId: root })).toEqual([child]);
      expect(await listed({ ancestorThreadId: root })).toEqual([child, leaf].sort());
      expect(await server.call<ThreadList>('list_threads', {})).toMatchObject({ total: 1, hidden: { subagents: 2 } });
      const plan = await server.call<TreeResult>('archive_thread', { threadId: root, dryRun: true });
      expect(plan).toMatchObject({ archived: [root, leaf, child], failed: [], dryRun: true });
      expect(await listed({})).toEqual([root]);
      const done = await server.call<TreeResult>('archive_thread', { threadId: root });
      expect(done).toMatchObject({ archived: [root, leaf, child], failed: [] });
      expect(await listed({})).toEqual([]);
      expect(await server.failure('append_to_thread', { threadId: leaf, items: [user('x')] })).toMatchObject({
        code: 'conflict',
      });
      const again = await server.call<TreeResult>('archive_thread', { threadId: root });
      expect(again).toMatchObject({ archived: [], skipped: [{}, {}, {}] });
      const back = await server.call<TreeResult>('unarchive_thread', { threadId: root });
      expect(back).toMatchObject({ unarchived: [root, child, leaf] });
      expect(await listed({ ancestorThreadId: root })).toEqual([child, leaf].sort());
    });

    it('fork a thread at a turn or at its end, where an open turn is cut off', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'one' });
      const turnOf = async (text: string) =>
        (await server.call<{ turnId: string }>('append_to_thread', { threadId, items: [user(text)] })).turnId;
      const first = (await server.call<ThreadReading>('read_thread', { threadId })).turns?.[0]?.turnId;
      await turnOf('two');
      const textsOf = async (id: string) =>
        (await server.call<ThreadReading>('read_thread', { threadId: id, order: 'oldestFirst' })).turns?.map((turn) => [
          turn.status,
          turn.items[0]?.['text'],
        ]);
      const early = await server.call<ThreadReading>('fork_thread', { threadId, lastTurnId: first });
      expect(early.thread.forkedFromThreadId).toBe(threadId);
      expect(await textsOf(early.thread.threadId)).toEqual([['completed', 'one']]);
      const late = await server.call<ThreadReading>('fork_thread', { threadId, name: 'Late' });
      expect(await textsOf(late.thread.threadId)).toEqual([
        ['completed', 'one'],
        ['interrupted', 'two'],
      ]);
      await server.call('append_to_thread', { threadId: late.thread.threadId, items: [user('three')] });
      expect(await textsOf(threadId)).toEqual([
        ['completed', 'one'],
        ['inProgress', 'two'],
      ]);
      expect(await server.failure('fork_thread', { threadId, lastTurnId: newId() })).toMatchObject({
        code: 'invalid_request',
      });
    });

    it('leave no trace of a thread without content, and none of an ephemeral one', async () => {
      const server = await connected();
      const empty = await started(server, {});
      const ephemeral = await started(server, { ephemeral: true, message: 'for now' });
      const { threads, warnings } = await server.call<ThreadList>('list_threads', {});
      expect(threads).toEqual([]);
      expect(warnings?.join()).toContain(ephemeral);
      expect(await server.failure('archive_thread', { threadId: ephemeral })).toMatchObject({ code: 'unsupported' });
      for (const threadId of [empty, ephemeral]) {
        await server.call('close_thread', { threadId });
        expect(await server.failure('read_thread', { threadId })).toMatchObject({ code: 'thread_not_found' });
      }
    });

    it('answer what is wrong with an error that says so', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'Hello' });
      const failures: [string, object, string][] = [
        ['read_thread', { threadId: newId() }, 'thread_not_found'],
        ['read_thread', { threadId: 'nobody' }, 'invalid_request'],
        ['read_thread', { threadId, cursor: 'bad' }, 'invalid_request'],
        ['list_threads', { cursor: 'bad' }, 'invalid_request'],
        ['list_threads', { unknown: 1 }, 'invalid_request'],
        ['list_threads', { sources: [] }, 'invalid_request'],
        ['list_threads', { parentThreadId: threadId, ancestorThreadId: threadId }, 'invalid_request'],
        ['list_threads', { parentThreadId: newId() }, 'thread_not_found'],
        ['set_thread_name', { threadId, name: 'x'.repeat(10_000) }, 'invalid_request'],
        ['set_thread_name', { threadId: newId(), name: 'x' }, 'thread_not_found'],
        ['append_to_thread', { threadId: newId(), items: [user('x')] }, 'thread_not_found'],
        ['append_to_thread', { threadId, items: [] }, 'invalid_request'],
        ['start_thread', { cwd: '/code', parentThreadId: newId() }, 'thread_not_found'],
        ['archive_thread', { threadId: newId() }, 'thread_not_found'],
      ];
      for (const [tool, args, code] of failures) {
        const error = await server.failure(tool, args);
        expect([tool, args, error.code]).toEqual([tool, args, code]);
        expect(error.hint).not.toBe('');
      }
    });

    it('take an append and the close after it in that order, though they come at once', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'Hello' });
      const append = server.call('append_to_thread', { threadId, items: [agent('the end')] });
      const [, closed] = await Promise.all([append, server.call('close_thread', { threadId })]);
      expect(closed).toEqual({ threadId, closed: true });
      const { thread, turns } = await server.call<ThreadReading>('read_thread', { threadId });
      expect(thread).not.toHaveProperty('status');
      expect(turns).toMatchObject([{ status: 'completed', items: [{ text: 'Hello' }, { text: 'the end' }] }]);
    });

    it('do nothing where there is nothing to bring back or to archive', async () => {
      const server = await connected();
      const loaded = await started(server, { message: 'Hello' });
      const back = await server.call<TreeResult>('unarchive_thread', { threadId: loaded });
      expect(back).toMatchObject({ unarchived: [], skipped: [{ threadId: loaded }], failed: [] });
      const empty = await started(server, {});
      expect(await server.failure('archive_thread', { threadId: empty })).toMatchObject({ code: 'unsupported' });
      // It is as it was.
      await server.call('append_to_thread', { threadId: empty, items: [user('x')] });
    });

    it('name only some of many threads that no list shows', async () => {
      const server = await connected();
      for (let index = 0; index < 30; index += 1) await started(server, { ephemeral: true });
      const { warnings } = await server.call<ThreadList>('list_threads', {});
      expect(warnings?.join()).toContain('and 20 more');
    });

    it('refuse what no program could read', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'Hello' });
      let deep: unknown = 'x';
      for (let depth = 0; depth < 4000; depth += 1) deep = { deep };
      const items = [user('second'), { ...call, arguments: { deep } }];
      const error = await server.failure('append_to_thread', { threadId, items });
      expect(error).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('nested') });
      expect((await server.call<ThreadReading>('read_thread', { threadId })).turns).toHaveLength(1);
      const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code/\ud800', message: 'Hi' });
      expect(thread.cwd).toBe('/code/\ufffd');
      await server.call('set_thread_name', { threadId: thread.threadId, name: 'x' });
    });

    it('take calls that come all at once', async () => {
      const server = await connected();
      const threadId = await started(server, { message: 'Hello' });
      const numbers = Array.from({ length: 30 }, (_, index) => index);
      await Promise.all([
        ...numbers.map((n) => server.call('append_to_thread', { threadId, items: [agent(`n${n}`)] })),
        server.call('set_thread_name', { threadId, name: 'Busy' }),
        ...numbers.slice(0, 5).map(() => server.call('list_threads', {})),
      ]);
      const { thread, turns } = await server.call<ThreadReading>('read_thread', { threadId });
      expect(thread.name).toBe('Busy');
      expect(turns?.[0]?.items.map((item) => item['text'])).toEqual(['Hello', ...numbers.map((n) => `n${n}`)]);
    });
  });
}

async function started(server: Connection, args: object): Promise<string> {
  const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code/app', ...args });
  return thread.threadId;
}
