import { describe, expect, it } from 'vitest';
import type { ThreadId } from '../protocol/ids.js';
import { eventItem, type RolloutItem } from '../protocol/rollout-item.js';
import { sessionSource } from '../protocol/session-source.js';
import type { CreateThreadParams, ThreadStore } from '../store/thread-store.js';
import { TurnWriter } from '../transcript/turn-writer.js';
import { errorOf } from './error-of.js';
import { type Seed, seed } from './seed.js';
import { newId } from './seed-rollout.js';

/** Makes a store that holds these threads and nothing else. */
export type StoreFactory = (seeds: readonly Seed[]) => Promise<ThreadStore>;

const OWN = { cwd: '/home/dev/project', modelProvider: 'mock', memoryMode: 'enabled' } as const;

export function newThreadParams(fields: Partial<CreateThreadParams> = {}): CreateThreadParams {
  const threadId = newId();
  return {
    threadId,
    sessionId: threadId,
    source: sessionSource('mcp'),
    threadSource: 'user',
    originator: 'test',
    cliVersion: '1.0.0',
    historyMode: 'legacy',
    createdAt: Date.parse('2026-11-22T10:00:00.250Z'),
    git: undefined,
    metadata: OWN,
    ...fields,
  };
}

/** The items of whole turns, each a question and an answer. */
export function turnItems(
  threadId: ThreadId,
  mode: 'legacy' | 'paginated',
  ...turns: [string, string][]
): RolloutItem[] {
  const writer = new TurnWriter({ threadId, mode, newId });
  return turns.flatMap(([question, answer]) => [
    ...writer.items(
      [
        { type: 'userMessage', text: question },
        { type: 'agentMessage', text: answer },
      ],
      Date.now(),
    ),
    ...writer.end(Date.now()),
  ]);
}

async function questionsOf(store: ThreadStore, threadId: ThreadId): Promise<(string | undefined)[]> {
  const { turns } = await store.listTurns({ threadId, order: 'oldestFirst', limit: 100 });
  return turns.map(({ items }) => items[0]?.body?.text);
}

async function readHistory(store: ThreadStore, threadId: ThreadId): Promise<RolloutItem[]> {
  const items: RolloutItem[] = [];
  for await (const { type, payload } of store.loadHistory(threadId)) {
    // Each store may begin a thread with a line of its own.
    if (type !== 'session_meta') items.push({ type, payload });
  }
  return items;
}

async function listedIds(store: ThreadStore): Promise<ThreadId[]> {
  const page = await store.listThreads({
    filter: { archived: 'include' },
    sortBy: 'createdAt',
    order: 'desc',
    limit: 100,
  });
  return page.threads.map(({ thread }) => thread.threadId);
}

const codeOf = async (call: Promise<unknown>) => (await errorOf(call)).code;
const plain = (items: readonly RolloutItem[]) =>
  items.map(({ type, payload }) => ({ type, payload: JSON.parse(JSON.stringify(payload)) }));

/** What every store promises of threads that it has open for writing (docs/architecture.md, Live threads). */
export function liveThreadContract(make: StoreFactory): void {
  const talk: Seed['turns'] = [
    ['question 1', 'answer 1'],
    ['question 2', 'answer 2'],
    ['question 3', 'answer 3'],
  ];

  describe('createThread', () => {
    it('leaves no trace of a thread with nothing in it, whatever is asked of it', async () => {
      const store = await make([]);
      const params = newThreadParams();
      const { threadId } = params;
      await store.createThread(params);
      expect(await store.readThread(threadId)).toMatchObject({ threadId, preview: '', source: { kind: 'mcp' } });
      expect(await store.listTurns({ threadId, order: 'newestFirst', limit: 5 })).toMatchObject({ turns: [] });
      expect(await readHistory(store, threadId)).toEqual([]);
      await store.flushThread(threadId);
      await store.appendItems(threadId, [eventItem({ type: 'warning' })]);
      expect(await listedIds(store)).toEqual([]);
      await store.shutdownThread(threadId);
      expect(await listedIds(store)).toEqual([]);
      expect(await codeOf(store.readThread(threadId))).toBe('thread_not_found');
    });

    it('keeps a thread that was persisted, without an item', async () => {
      const store = await make([]);
      const params = newThreadParams({ git: { branch: 'main' } });
      await store.createThread(params);
      await store.persistThread(params.threadId);
      await store.shutdownThread(params.threadId);
      expect(await store.readThread(params.threadId)).toMatchObject({
        sessionId: params.threadId,
        cwd: OWN.cwd,
        modelProvider: 'mock',
        git: { branch: 'main' },
        threadSource: 'user',
        cliVersion: '1.0.0',
        createdAt: params.createdAt,
        historyMode: 'legacy',
      });
      expect(await listedIds(store)).toEqual([params.threadId]);
    });

    it('keeps that no memories are to be made', async () => {
      const store = await make([]);
      const params = newThreadParams({ metadata: { ...OWN, memoryMode: 'disabled' } });
      await store.createThread(params);
      expect(await store.readThread(params.threadId)).toMatchObject({ memoryMode: 'disabled' });
      await store.persistThread(params.threadId);
      await store.shutdownThread(params.threadId);
      expect(await store.readThread(params.threadId)).toMatchObject({ memoryMode: 'disabled' });
    });

    it('refuses an id that is taken, live or cold', async () => {
      const cold = seed();
      const store = await make([cold]);
      const params = newThreadParams();
      await store.createThread(params);
      expect(await codeOf(store.createThread(params))).toBe('conflict');
      expect(await codeOf(store.createThread(newThreadParams({ threadId: cold.id })))).toBe('conflict');
    });

    it('says where a spawned thread comes from', async () => {
      const parent = seed();
      const store = await make([parent]);
      const spawn = { parent_thread_id: parent.id, depth: 1, agent_nickname: 'Ada', agent_role: 'worker' };
      const params = newThreadParams({
        sessionId: parent.id,
        parentThreadId: parent.id,
        source: sessionSource({ subagent: { thread_spawn: spawn } }),
        agentNickname: 'Ada',
        agentRole: 'worker',
      });
      await store.createThread(params);
      await store.persistThread(params.threadId);
      expect(await store.readThread(params.threadId)).toMatchObject({
        sessionId: parent.id,
        parentThreadId: parent.id,
        source: { kind: 'subagent' },
        agentNickname: 'Ada',
        agentRole: 'worker',
        agentDepth: 1,
      });
    });
  });

  describe('appendItems', () => {
    it.each(['legacy', 'paginated'] as const)(
      'makes a %s history that is read back as it was appended',
      async (mode) => {
        const store = await make([]);
        const params = newThreadParams({ historyMode: mode });
        const { threadId } = params;
        await store.createThread(params);
        const items = turnItems(threadId, mode, ['one', 'a'], ['two', 'b']);
        await store.appendItems(threadId, items.slice(0, 3));
        await store.appendItems(threadId, items.slice(3));
        expect(await questionsOf(store, threadId)).toEqual(['one', 'two']);
        expect(await readHistory(store, threadId)).toEqual(plain(items));
        await store.shutdownThread(threadId);
        expect(await questionsOf(store, threadId)).toEqual(['one', 'two']);
      },
    );

    it('keeps what the shared policy keeps, and nothing else', async () => {
      const store = await make([]);
      const params = newThreadParams();
      await store.createThread(params);
      const kept = eventItem({ type: 'user_message', message: 'kept' });
      await store.appendItems(params.threadId, [eventItem({ type: 'agent_message_delta', delta: 'x' }), kept]);
      expect(await readHistory(store, params.threadId)).toEqual([kept]);
    });

    it('fails with thread_not_found after shutdown, for a cold thread and for none', async () => {
      const cold = seed();
      const store = await make([cold]);
      const params = newThreadParams();
      await store.createThread(params);
      await store.appendItems(params.threadId, turnItems(params.threadId, 'legacy', ['q', 'a']));
      await store.shutdownThread(params.threadId);
      for (const id of [params.threadId, cold.id, newId()]) {
        const items = turnItems(id, 'legacy', ['late', 'x']);
        expect(await codeOf(store.appendItems(id, items))).toBe('thread_not_found');
        for (const call of ['flushThread', 'persistThread', 'shutdownThread'] as const) {
          expect(await codeOf(store[call](id))).toBe('thread_not_found');
        }
        await store.appendItems(id, [eventItem({ type: 'warning' })]);
      }
      expect(await questionsOf(store, params.threadId)).toEqual(['q']);
    });

    it('takes calls that come all at once in their order', async () => {
      const store = await make([]);
      const params = newThreadParams();
      await store.createThread(params);
      const items = Array.from({ length: 50 }, (_, n) => eventItem({ type: 'user_message', message: `m${n}` }));
      await Promise.all(items.map((item) => store.appendItems(params.threadId, [item])));
      expect(await readHistory(store, params.threadId)).toEqual(items);
    });
  });

  describe('resumeThread', () => {
    it.each(['legacy', 'paginated'] as const)('goes on with a %s thread', async (mode) => {
      const thread = seed({ mode, turns: talk });
      const store = await make([thread]);
      await store.resumeThread(thread.id);
      await store.appendItems(thread.id, turnItems(thread.id, mode, ['question 4', 'answer 4']));
      await store.shutdownThread(thread.id);
      await store.resumeThread(thread.id);
      await store.appendItems(thread.id, turnItems(thread.id, mode, ['question 5', 'answer 5']));
      expect(await questionsOf(store, thread.id)).toEqual([1, 2, 3, 4, 5].map((n) => `question ${n}`));
    });

    it('refuses a thread that is live, is archived, or is not there', async () => {
      const live = seed();
      const archived = seed({ archived: true });
      const store = await make([live, archived]);
      await store.resumeThread(live.id);
      expect(await codeOf(store.resumeThread(live.id))).toBe('conflict');
      expect(await codeOf(store.resumeThread(archived.id))).toBe('conflict');
      expect(await codeOf(store.resumeThread(newId()))).toBe('thread_not_found');
      await store.shutdownThread(live.id);
      await store.resumeThread(live.id);
    });
  });

  describe('discardThread', () => {
    it('keeps what is written, can be repeated, and lets others resume', async () => {
      const store = await make([]);
      const params = newThreadParams();
      const { threadId } = params;
      await store.createThread(params);
      await store.appendItems(threadId, turnItems(threadId, 'legacy', ['q', 'a']));
      await store.discardThread(threadId);
      await store.discardThread(threadId);
      await store.discardThread(newId());
      expect(await questionsOf(store, threadId)).toEqual(['q']);
      expect(await codeOf(store.appendItems(threadId, turnItems(threadId, 'legacy', ['x', 'y'])))).toBe(
        'thread_not_found',
      );
      await store.resumeThread(threadId);
    });
  });

  describe('forkThread', () => {
    const { historyMode: _, ...forkOf } = newThreadParams();
    const fork = () => {
      const threadId = newId();
      return { ...forkOf, threadId, sessionId: threadId };
    };

    it.each(['legacy', 'paginated'] as const)(
      'makes a thread with the history of a %s one, and leaves that alone',
      async (mode) => {
        const source = seed({ mode, turns: talk });
        const store = await make([source]);
        const thread = fork();
        await store.forkThread({ sourceThreadId: source.id, thread });
        expect(await store.readThread(thread.threadId)).toMatchObject({
          forkedFromId: source.id,
          historyMode: mode,
          preview: 'question 1',
          sessionId: thread.threadId,
        });
        await store.appendItems(thread.threadId, turnItems(thread.threadId, mode, ['in the fork', 'x']));
        await store.shutdownThread(thread.threadId);
        expect(await questionsOf(store, thread.threadId)).toEqual([
          'question 1',
          'question 2',
          'question 3',
          'in the fork',
        ]);
        expect(await questionsOf(store, source.id)).toEqual(['question 1', 'question 2', 'question 3']);
        expect((await listedIds(store)).sort()).toEqual([source.id, thread.threadId].sort());
      },
    );

    it.each(['legacy', 'paginated'] as const)(
      'takes over turns of a %s thread up to the one that is named',
      async (mode) => {
        const source = seed({ mode, turns: talk });
        const store = await make([source]);
        const { turns } = await store.listTurns({ threadId: source.id, order: 'oldestFirst', limit: 10 });
        for (const [index, turn] of turns.entries()) {
          const thread = fork();
          await store.forkThread({ sourceThreadId: source.id, lastTurnId: turn.turnId, thread });
          await store.appendItems(thread.threadId, turnItems(thread.threadId, mode, ['own', 'x']));
          const inherited = talk.slice(0, index + 1).map(([question]) => question);
          expect(await questionsOf(store, thread.threadId)).toEqual([...inherited, 'own']);
          const again = fork();
          await store.forkThread({ sourceThreadId: thread.threadId, thread: again });
          expect(await questionsOf(store, again.threadId)).toEqual([...inherited, 'own']);
        }
      },
    );

    it('refuses a turn or a thread that is not there, and one that has nothing yet', async () => {
      const source = seed({ turns: talk });
      const store = await make([source]);
      const lastTurnId = 'no such turn';
      expect(await codeOf(store.forkThread({ sourceThreadId: source.id, lastTurnId, thread: fork() }))).toBe(
        'invalid_request',
      );
      expect(await codeOf(store.forkThread({ sourceThreadId: newId(), thread: fork() }))).toBe('thread_not_found');
      const empty = newThreadParams();
      await store.createThread(empty);
      expect(await codeOf(store.forkThread({ sourceThreadId: empty.threadId, thread: fork() }))).toBe('conflict');
      expect(await listedIds(store)).toEqual([source.id]);
    });

    it('works from a live thread, and from an archived one', async () => {
      const live = seed({ turns: talk });
      const archived = seed({ turns: talk, archived: true });
      const store = await make([live, archived]);
      await store.resumeThread(live.id);
      await store.appendItems(live.id, turnItems(live.id, 'legacy', ['question 4', 'x']));
      const [one, other] = [fork(), fork()];
      await store.forkThread({ sourceThreadId: live.id, thread: one });
      await store.forkThread({ sourceThreadId: archived.id, thread: other });
      expect(await questionsOf(store, one.threadId)).toHaveLength(4);
      expect(await questionsOf(store, other.threadId)).toHaveLength(3);
      expect(await store.readThread(other.threadId)).toMatchObject({ isArchived: false });
    });
  });

  describe('a live thread', () => {
    it('takes patches as a cold one does, and is made durable by one', async () => {
      const store = await make([]);
      const params = newThreadParams();
      const { threadId } = params;
      await store.createThread(params);
      const patch = { name: 'Live', gitInfo: { branch: 'b' }, memoryMode: 'disabled' } as const;
      await store.updateThreadMetadata(threadId, patch);
      await store.appendItems(threadId, turnItems(threadId, 'legacy', ['q', 'a']));
      await store.updateThreadMetadata(threadId, { gitInfo: { sha: 'abc' } });
      await store.shutdownThread(threadId);
      expect(await store.readThread(threadId)).toMatchObject({
        name: 'Live',
        git: { branch: 'b', sha: 'abc' },
        memoryMode: 'disabled',
      });
      expect(await questionsOf(store, threadId)).toEqual(['q']);
    });

    it('is not archived, but a dry run tells that it would be', async () => {
      const thread = seed();
      const store = await make([thread]);
      await store.resumeThread(thread.id);
      expect(await codeOf(store.archiveThread(thread.id))).toBe('conflict');
      expect(await store.archiveThread(thread.id, { dryRun: true })).toBe(true);
      await store.shutdownThread(thread.id);
      expect(await store.archiveThread(thread.id)).toBe(true);
    });

    it('may be running its last turn, a cold one is not', async () => {
      const store = await make([]);
      const params = newThreadParams();
      const { threadId } = params;
      await store.createThread(params);
      await store.appendItems(threadId, turnItems(threadId, 'legacy', ['q', 'a']).slice(0, 3));
      const statuses = async () =>
        (await store.listTurns({ threadId, order: 'newestFirst', limit: 5 })).turns.map(({ status }) => status);
      expect(await statuses()).toEqual(['inProgress']);
      await store.shutdownThread(threadId);
      expect(await statuses()).toEqual(['interrupted']);
    });
  });
}
