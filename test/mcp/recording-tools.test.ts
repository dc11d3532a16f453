import {
  copyFileSync,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../support/connect.js';
import type { ThreadList, ThreadReading } from '../support/mcp-client.js';
import { newId, TestHome } from '../support/test-home.js';

interface Appended {
  readonly threadId: string;
  readonly turnId?: string;
  readonly appended: number;
  readonly warnings?: readonly string[];
}

const user = (text: string) => ({ type: 'userMessage', text });
const agent = (text: string) => ({ type: 'agentMessage', text });
const call = { type: 'toolCall', tool: 'shell', arguments: { cmd: 'ls' }, output: 'a\nb', status: 'completed' };

describe('a conversation that is recorded', () => {
  it('is read back with its turns, listed, and goes on after a close', async () => {
    const home = new TestHome();
    const server = await connect(home);
    const { thread } = await server.call<ThreadReading>('start_thread', {
      cwd: '/code/app',
      name: 'Plan',
      message: 'Hello',
    });
    const { threadId } = thread;
    expect(thread).toMatchObject({ name: 'Plan', preview: 'Hello', cwd: '/code/app', source: 'mcp', status: 'loaded' });
    const first = await server.call<Appended>('append_to_thread', {
      threadId,
      items: [call, agent('Done')],
      endTurn: true,
    });
    expect(first).toEqual({ threadId, turnId: expect.any(String), appended: 2 });
    const second = await server.call<Appended>('append_to_thread', { threadId, items: [user('And now?')] });
    expect(second.turnId).not.toBe(first.turnId);
    const { turns } = await server.call<ThreadReading>('read_thread', {
      threadId,
      order: 'oldestFirst',
      includeOutputs: true,
    });
    expect(turns).toMatchObject([
      {
        turnId: first.turnId,
        status: 'completed',
        items: [{ text: 'Hello' }, { type: 'mcpToolCall', tool: 'shell', result: 'a\nb' }, { text: 'Done' }],
      },
      { turnId: second.turnId, status: 'inProgress', items: [{ text: 'And now?' }] },
    ]);
    expect(await server.call('close_thread', { threadId })).toEqual({ threadId, closed: true });
    expect(await server.call('close_thread', { threadId })).toEqual({ threadId, closed: false });
    const { threads } = await server.call<ThreadList>('list_threads', {});
    expect(threads).toMatchObject([{ threadId, name: 'Plan' }]);
    expect(threads[0]).not.toHaveProperty('status');
    await server.call('append_to_thread', { threadId, items: [agent('Later')] });
    expect((await server.call<ThreadReading>('read_thread', { threadId })).turns).toHaveLength(3);
  });

  it('takes the tools of other threads while it is loaded', async () => {
    const server = await connect(new TestHome());
    const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code', message: 'q' });
    const { threadId } = thread;
    await server.call('set_thread_name', { threadId, name: 'Loaded' });
    const patched = await server.call<ThreadReading>('update_thread_metadata', {
      threadId,
      gitInfo: { branch: 'b' },
      memoryMode: 'disabled',
    });
    expect(patched.thread).toMatchObject({
      name: 'Loaded',
      git: { branch: 'b' },
      memoryMode: 'disabled',
      status: 'loaded',
    });
    await server.call('append_to_thread', { threadId, items: [agent('still open')] });
    expect(await server.call('archive_thread', { threadId })).toMatchObject({ archived: [threadId], failed: [] });
    expect(await server.failure('append_to_thread', { threadId, items: [user('x')] })).toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('unarchive_thread'),
    });
  });

  it('is a tree when its threads spawn others', async () => {
    const server = await connect(new TestHome());
    const start = async (args: object) =>
      (await server.call<ThreadReading>('start_thread', { cwd: '/code', ...args })).thread;
    const root = await start({ message: 'root' });
    const child = await start({ parentThreadId: root.threadId, agentRole: 'worker', agentNickname: 'Ada' });
    expect(child).toMatchObject({
      source: 'subagent',
      parentThreadId: root.threadId,
      agent: { nickname: 'Ada', role: 'worker', depth: 1 },
    });
    const below = await server.call<ThreadList>('list_threads', { ancestorThreadId: root.threadId });
    expect(below.threads.map(({ threadId }) => threadId)).toEqual([child.threadId]);
    const { archived } = await server.call<{ archived: string[] }>('archive_thread', { threadId: root.threadId });
    expect(archived).toEqual([root.threadId, child.threadId]);
  });

  it('can be forked, whole or at a turn', async () => {
    const server = await connect(new TestHome());
    const { thread } = await server.call<ThreadReading>('start_thread', {
      cwd: '/code',
      name: 'One',
      message: 'first',
    });
    const { threadId } = thread;
    const { turnId } = await server.call<Appended>('append_to_thread', {
      threadId,
      items: [agent('a')],
      endTurn: true,
    });
    await server.call('append_to_thread', { threadId, items: [user('second'), agent('b')], endTurn: true });
    const whole = await server.call<ThreadReading>('fork_thread', { threadId });
    expect(whole.thread).toMatchObject({ name: 'One', forkedFromThreadId: threadId, status: 'loaded' });
    const early = await server.call<ThreadReading>('fork_thread', { threadId, lastTurnId: turnId, name: 'Early' });
    expect(early.thread).toMatchObject({ name: 'Early', preview: 'first' });
    const lengthOf = async (id: string) =>
      (await server.call<ThreadReading>('read_thread', { threadId: id })).turns?.length;
    expect(await lengthOf(whole.thread.threadId)).toBe(2);
    expect(await lengthOf(early.thread.threadId)).toBe(1);
  });

  it('in memory alone is in no list, and said to be so', async () => {
    const home = new TestHome();
    const server = await connect(home);
    const { thread } = await server.call<ThreadReading>('start_thread', {
      cwd: '/code',
      message: 'q',
      ephemeral: true,
    });
    const list = await server.call<ThreadList>('list_threads', {});
    expect(list.threads).toEqual([]);
    expect(list.warnings?.join()).toContain(thread.threadId);
    expect((await server.call<ThreadReading>('read_thread', { threadId: thread.threadId })).turns).toHaveLength(1);
    expect(await server.failure('set_thread_name', { threadId: thread.threadId, name: 'x' })).toMatchObject({
      code: 'unsupported',
    });
    expect(readdirSync(path.join(home.root, 'sessions'))).toEqual([]);
  });
});

describe('bad arguments of the tools that record', () => {
  it.each([
    ['start_thread', {}, 'cwd is required'],
    ['start_thread', { cwd: 'relative/path' }, 'absolute'],
    ['start_thread', { cwd: '/w', name: ' ' }, 'name'],
    ['start_thread', { cwd: '/w', message: ' \n ' }, 'message must not be blank'],
    ['start_thread', { cwd: '/w', agentRole: 'x' }, 'agentRole'],
    ['start_thread', { cwd: '/w', parentThreadId: 'x' }, 'not a thread id'],
    ['start_thread', { cwd: '/w', effort: 'x' }, 'unknown argument "effort"'],
    ['append_to_thread', { threadId: newId(), items: [] }, 'nothing to append'],
    ['append_to_thread', { threadId: newId(), items: [{ type: 'userMessage' }] }, 'items.0 lacks'],
    ['append_to_thread', { threadId: newId(), items: [{ type: 'userMessage', text: '' }] }, 'items.0.text'],
    ['append_to_thread', { threadId: newId(), items: [{ type: 'toolCall', text: 'x' }] }, 'items.0 has text'],
    [
      'append_to_thread',
      { threadId: newId(), items: [{ type: 'agentMessage', text: 'x', tool: 'y' }] },
      'items.0 has tool',
    ],
    [
      'append_to_thread',
      { threadId: newId(), items: [{ type: 'reasoning', text: 'x' }] },
      'items.0.type must be one of',
    ],
    [
      'append_to_thread',
      { threadId: newId(), items: [{ type: 'toolCall', tool: 'x', status: 'odd' }] },
      'items.0.status',
    ],
    ['fork_thread', { threadId: 'x' }, 'not a thread id'],
    ['fork_thread', { threadId: newId(), lastTurnId: '' }, 'lastTurnId must not be empty'],
  ] as const)('%s %j', async (tool, args, message) => {
    const server = await connect(new TestHome());
    const error = await server.failure(tool, args);
    expect(error).toMatchObject({ code: 'invalid_request', message: expect.stringContaining(message) });
    expect(server.manager.listLoaded()).toEqual([]);
  });

  it.each(['append_to_thread', 'fork_thread'] as const)('%s of an unknown thread', async (tool) => {
    const server = await connect(new TestHome());
    const args = { threadId: newId(), ...(tool === 'append_to_thread' ? { items: [user('x')] } : {}) };
    expect(await server.failure(tool, args)).toMatchObject({ code: 'thread_not_found' });
  });

  it('a turn that the thread does not have', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const server = await connect(home);
    const error = await server.failure('fork_thread', { threadId: id, lastTurnId: 'nope' });
    expect(error).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('no turn nope') });
  });
});

describe('texts of any kind', () => {
  it('come back as they were', async () => {
    const server = await connect(new TestHome());
    const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code', message: 'q' });
    const { threadId } = thread;
    const texts = [
      'line\nbreak\r\n',
      '"quotes" \\ \u2028',
      '\u0000\u0007',
      'Объясни 世界 🎉',
      '\ud800 alone',
      'x'.repeat(20_000),
    ];
    await server.call('append_to_thread', { threadId, items: texts.map(agent) });
    const { turns } = await server.call<ThreadReading>('read_thread', { threadId });
    const read = turns?.[0]?.items.slice(1).map((item) => item['text']);
    expect(read?.slice(0, 4)).toEqual(texts.slice(0, 4));
    expect(read?.slice(4)).toEqual(['\ufffd alone', texts[5]]);
  });

  it('of a megabyte are kept whole', async () => {
    const server = await connect(new TestHome());
    const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code' });
    const { threadId } = thread;
    const long = 'ö'.repeat(1_000_000);
    await server.call('append_to_thread', { threadId, items: [{ ...call, output: long }], endTurn: true });
    const page = await server.call<ThreadReading>('read_thread', {
      threadId,
      includeOutputs: true,
      maxOutputCharsPerItem: 100,
    });
    expect(page.turns?.[0]?.items[0]).toMatchObject({ cut: { field: 'result', total: 1_000_000 } });
  });
});

describe('a read-only server', () => {
  it('records nothing', async () => {
    const server = await connect(new TestHome(), { readOnly: true });
    for (const tool of ['start_thread', 'append_to_thread', 'fork_thread', 'close_thread']) {
      expect(await server.failure(tool, {})).toMatchObject({ code: 'read_only' });
    }
  });
});

describe('a loaded thread whose rollout was changed behind its back', () => {
  it.each([
    ['removed', (file: string) => rmSync(file)],
    [
      'moved, and another put in its place',
      (file: string) => {
        renameSync(file, `${file}.away`);
        copyFileSync(`${file}.away`, file);
      },
    ],
    ['cut', (file: string) => truncateSync(file)],
  ])('(%s) takes nothing, says so, and is let go', async (_, change) => {
    const home = new TestHome();
    const server = await connect(home);
    const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code/app', message: 'Hello' });
    const { threadId } = thread;
    const name = readdirSync(home.root, { recursive: true }).find((entry) =>
      String(entry).endsWith(`${threadId}.jsonl`),
    );
    const file = path.join(home.root, String(name));
    change(file);
    const size = statSync(file, { throwIfNoEntry: false })?.size;
    const error = await server.failure('append_to_thread', { threadId, items: [agent('lost?')] });
    expect(error).toMatchObject({ code: 'conflict', hint: expect.stringContaining('not written') });
    expect(statSync(file, { throwIfNoEntry: false })?.size).toBe(size);
    expect(await server.call('close_thread', { threadId })).toEqual({ threadId, closed: false });
  });

  it('before it had one: a home that is gone is not made again, a link out of it not followed', async () => {
    const home = new TestHome();
    const server = await connect(home);
    const outside = new TestHome().root;
    const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code/app' });
    const before = readdirSync(outside, { recursive: true });
    symlinkSync(outside, path.join(home.root, 'sessions', String(new Date().getFullYear())));
    const items = [agent('x')];
    expect(await server.failure('append_to_thread', { threadId: thread.threadId, items })).toMatchObject({
      code: 'unsupported',
    });
    expect(readdirSync(outside, { recursive: true })).toEqual(before);
    rmSync(home.root, { recursive: true });
    await server.failure('append_to_thread', { threadId: thread.threadId, items });
    expect(existsSync(path.join(home.root, 'sessions'))).toBe(false);
  });
});
