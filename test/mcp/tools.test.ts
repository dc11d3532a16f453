import { describe, expect, it } from 'vitest';
import { instructions } from '../../src/mcp/instructions.js';
import type { TurnView } from '../../src/mcp/results/turn-view.js';
import { ALL_TOOLS } from '../../src/mcp/tools/index.js';
import { connect } from '../support/connect.js';
import type { ThreadList, ThreadReading, TreeResult } from '../support/mcp-client.js';
import { event, newId, paginatedTurn, spawnedBy, TestHome } from '../support/test-home.js';

describe('the definitions', () => {
  const definitions = ALL_TOOLS.map(({ definition }) => definition);

  it('are small enough for every client', () => {
    expect(JSON.stringify(definitions).length).toBeLessThan(12_000);
    for (const { inputSchema } of definitions) {
      for (const property of Object.values(inputSchema.properties)) expect(property).toHaveProperty('description');
    }
    expect(instructions({ readOnly: false }).length).toBeLessThanOrEqual(1500);
    expect(instructions({ readOnly: true })).not.toMatch(/archive_thread|start_thread/);
    for (const { description } of definitions) expect(description.length).toBeLessThanOrEqual(600);
  });

  it('say all that a client wants to know', () => {
    expect(definitions.map(({ name }) => name)).toEqual([
      'list_threads',
      'read_thread',
      'set_thread_name',
      'update_thread_metadata',
      'archive_thread',
      'unarchive_thread',
      'start_thread',
      'append_to_thread',
      'fork_thread',
      'close_thread',
    ]);
    for (const { name, title, annotations, inputSchema, outputSchema } of definitions) {
      const isRead = /^(list|read)_/.test(name);
      expect(annotations).toEqual({
        title,
        readOnlyHint: isRead,
        destructiveHint: false,
        idempotentHint: !/^(start|append|fork)_/.test(name),
        openWorldHint: false,
      });
      expect(inputSchema).toMatchObject({ type: 'object', additionalProperties: false });
      expect(outputSchema).toMatchObject({ type: 'object', properties: { error: expect.anything() } });
    }
  });

  it('leave the tools that write out of a read-only server, where a call of one is read_only', async () => {
    const home = new TestHome();
    const { id } = home.rollout();
    const { client, failure } = await connect(home, { readOnly: true });
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['list_threads', 'read_thread']);
    expect(await failure('set_thread_name', { threadId: id, name: 'x' })).toMatchObject({ code: 'read_only' });
  });

  it('are what there is: another tool is a protocol error that names them', async () => {
    const { client } = await connect(new TestHome());
    await expect(client.callTool({ name: 'delete_thread', arguments: {} })).rejects.toThrow(
      /unknown tool.*list_threads/,
    );
  });
});

describe('bad arguments', () => {
  it.each([
    ['list_threads', { limit: 0 }, 'limit must be at least 1'],
    ['list_threads', { limit: 101 }, 'limit must be at most 100'],
    ['list_threads', { limit: '5' }, 'limit must be a number'],
    ['list_threads', { limit: 1.5 }, 'limit'],
    ['list_threads', { sortBy: 'size' }, 'sortBy must be one of updatedAt, createdAt, recencyAt'],
    ['list_threads', { cursor: 'nonsense' }, 'the cursor is not one of this server'],
    ['list_threads', { page: 2, Limit: 3 }, 'unknown argument "page", "Limit"'],
    ['list_threads', { sources: [] }, 'sources must be at least 1 entries long'],
    ['list_threads', { sources: ['terminal'] }, 'sources.0 must be one of cli'],
    ['list_threads', { parentThreadId: newId(), ancestorThreadId: newId() }, 'exclude each other'],
    ['list_threads', { search: '' }, 'search must not be empty'],
    ['read_thread', {}, 'threadId is required'],
    ['read_thread', { threadId: 'nope' }, '"nope" is not a thread id'],
    ['read_thread', { threadId: 5 }, 'threadId must be a string'],
    ['read_thread', { threadId: '../../../etc/passwd' }, 'is not a thread id'],
    ['set_thread_name', { threadId: newId(), name: '   ' }, 'name must not be empty'],
    ['set_thread_name', { threadId: newId(), name: 'x'.repeat(10_000) }, 'name must be at most 200 characters'],
    ['set_thread_name', { threadId: newId() }, 'name is required'],
    ['update_thread_metadata', { threadId: newId() }, 'there is nothing to change'],
    ['update_thread_metadata', { threadId: newId(), gitInfo: {} }, 'there is nothing to change'],
    ['update_thread_metadata', { threadId: newId(), gitInfo: { branch: ' ' } }, 'gitInfo.branch must not be empty'],
    ['update_thread_metadata', { threadId: newId(), gitInfo: { commit: 'x' } }, 'unknown argument "commit" in gitInfo'],
    ['update_thread_metadata', { threadId: newId(), memoryMode: 'off' }, 'memoryMode must be one of enabled, disabled'],
    ['archive_thread', { threadId: newId(), dryRun: 'yes' }, 'dryRun must be a boolean'],
  ])('%s %j is invalid_request: %s', async (tool, args, message) => {
    const home = new TestHome();
    home.rollout();
    const error = await (await connect(home)).failure(tool, args);
    expect(error).toMatchObject({ code: 'invalid_request', message: expect.stringContaining(message) });
    expect(error.hint).not.toBe('');
  });

  it('names the valid arguments', async () => {
    const { hint } = await (await connect(new TestHome())).failure('set_thread_name', { id: 'x' });
    expect(hint).toBe('Valid arguments: threadId, name. name: null clears it.');
  });

  it('gives the id when the exact name of a thread stands where an id should', async () => {
    const home = new TestHome();
    const { id } = home.rollout();
    home.name(id, 'My thread');
    const { failure } = await connect(home);
    expect((await failure('read_thread', { threadId: 'My thread' })).hint).toContain(id);
    const other = home.rollout();
    home.name(other.id, 'My thread');
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await failure('archive_thread', { threadId: 'My thread' })).hint).toMatch(/2 threads have that name/);
  });

  it.each(['read_thread', 'set_thread_name', 'update_thread_metadata', 'archive_thread', 'unarchive_thread'])(
    '%s of an unknown thread is thread_not_found',
    async (tool) => {
      const args = tool === 'set_thread_name' ? { name: 'x' } : tool === 'update_thread_metadata' ? { name: 'x' } : {};
      const error = await (await connect(new TestHome())).failure(tool, { threadId: newId(), ...args });
      expect(error).toMatchObject({ code: 'thread_not_found', hint: expect.stringContaining('list_threads') });
    },
  );

  it('takes an id in capitals', async () => {
    const home = new TestHome();
    const { id } = home.rollout();
    const { thread } = await (await connect(home)).call<ThreadReading>('read_thread', { threadId: id.toUpperCase() });
    expect(thread.threadId).toBe(id);
  });
});

describe('list_threads', () => {
  it('hides archived threads and sub-agents, and says how many', async () => {
    const home = new TestHome();
    const { id } = home.rollout();
    home.rollout({ archived: true });
    home.rollout({ meta: spawnedBy(id) });
    home.rollout({ meta: spawnedBy(id) });
    const { call } = await connect(home);
    expect(await call<ThreadList>('list_threads', {})).toMatchObject({
      total: 1,
      hidden: { archived: 1, subagents: 2 },
    });
    const all = await call<ThreadList>('list_threads', { archived: 'include', sources: ['cli', 'subagent'] });
    expect(all).toMatchObject({ total: 4, hidden: { archived: 0, subagents: 0 } });
    const children = await call<ThreadList>('list_threads', { parentThreadId: id });
    expect(children).toMatchObject({ total: 2, hidden: { archived: 0, subagents: 0 } });
    expect(children.threads[0]).toMatchObject({
      parentThreadId: id,
      agent: { nickname: 'Euclid', role: 'worker', depth: 1 },
    });
  });

  it('leaves out what is unknown, and cuts previews to 200 characters', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['🎉'.repeat(300), 'x']] });
    const { call } = await connect(home);
    const [thread] = (await call<ThreadList>('list_threads', {})).threads;
    expect(Object.keys(thread ?? {}).sort()).toEqual(
      ['threadId', 'preview', 'cwd', 'source', 'modelProvider', 'createdAt', 'updatedAt', 'recencyAt'].sort(),
    );
    expect(thread?.threadId).toBe(id);
    expect(thread?.preview?.length).toBeLessThanOrEqual(200);
    expect(thread?.preview).toMatch(/^(🎉)+…$/u);
  });

  it('ends a page that would be too large, and goes on with the cursor', async () => {
    const home = new TestHome();
    for (let n = 0; n < 100; n += 1)
      home.rollout({
        turns: [[`${n} ${'long preview '.repeat(40)}`, 'x']],
        meta: { cwd: `/home/${'deep/'.repeat(40)}` },
      });
    const { call } = await connect(home);
    const ids = new Set<string>();
    let pages = 0;
    let cursor: string | undefined;
    do {
      const page = await call<ThreadList>('list_threads', { limit: 100, ...(cursor ? { cursor } : {}) });
      for (const { threadId } of page.threads) ids.add(threadId);
      expect(page.total).toBe(100);
      cursor = page.nextCursor;
      pages += 1;
    } while (cursor);
    expect(ids.size).toBe(100);
    expect(pages).toBeGreaterThan(1);
  });

  it('stays within its size whatever a thread is made of', async () => {
    const home = new TestHome();
    const huge = '\u0001"\\'.repeat(20_000);
    home.rollout({
      turns: [[huge, 'x']],
      meta: {
        cwd: `/${huge}`,
        model_provider: huge,
        agent_nickname: huge,
        git: { branch: huge, commit_hash: huge, repository_url: huge },
      },
    });
    const { call } = await connect(home);
    expect((await call<ThreadList>('list_threads', {})).threads).toHaveLength(1);
  });
});

describe('read_thread', () => {
  const output = (size: number) =>
    event({
      type: 'item_completed',
      turn_id: 'turn-1',
      item: {
        type: 'CommandExecution',
        id: 'c',
        command: ['make'],
        status: 'completed',
        exit_code: 0,
        aggregated_output: 'o'.repeat(size),
      },
    });

  it('gives the size of outputs, the outputs when asked, and says how they were cut', async () => {
    const home = new TestHome();
    const [start, ...rest] = paginatedTurn('turn-1', 'build it', 'done');
    const { id } = home.rollout({ mode: 'paginated', lines: [start ?? {}, output(5000), ...rest] });
    const { call } = await connect(home);
    const command = async (args: object) =>
      (await call<ThreadReading>('read_thread', { threadId: id, ...args })).turns?.[0]?.items[0];
    expect(await command({})).toEqual({
      itemId: 'c',
      type: 'commandExecution',
      command: 'make',
      status: 'completed',
      exitCode: 0,
      aggregatedOutputChars: 5000,
    });
    expect(await command({ includeOutputs: true })).toMatchObject({
      aggregatedOutput: 'o'.repeat(2000),
      cut: { field: 'aggregatedOutput', from: 0, to: 2000, total: 5000, rest: 'raise maxOutputCharsPerItem' },
    });
    const whole = await command({ includeOutputs: true, maxOutputCharsPerItem: 5000 });
    expect(whole).toMatchObject({ aggregatedOutput: 'o'.repeat(5000) });
    expect(whole).not.toHaveProperty('cut');
  });

  it('gives metadata alone when asked', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const reading = await (await connect(home)).call<ThreadReading>('read_thread', {
      threadId: id,
      includeTurns: false,
    });
    expect(Object.keys(reading)).toEqual(['thread']);
  });

  it.each(['newestFirst', 'oldestFirst'])(
    'cuts a turn and an item that are larger than a page, %s, and loses nothing',
    async (order) => {
      const home = new TestHome();
      const text = Array.from({ length: 20_000 }, (_, n) => `${n}: "ünï🎉\n`).join('');
      const lines = [
        ...paginatedTurn('small', 'first', 'first answer'),
        event({ type: 'task_started', turn_id: 'big' }),
        ...Array.from({ length: 60 }, (_, n) =>
          event({
            type: 'item_completed',
            turn_id: 'big',
            item: { type: 'Plan', id: `p${n}`, text: `${n} ${'step '.repeat(300)}` },
          }),
        ),
        event({
          type: 'item_completed',
          turn_id: 'big',
          item: { type: 'AgentMessage', id: 'long', content: [{ type: 'Text', text }] },
        }),
        event({
          type: 'item_completed',
          turn_id: 'big',
          item: { type: 'AgentMessage', id: 'after', content: [{ type: 'Text', text: 'the end' }] },
        }),
        event({ type: 'task_complete', turn_id: 'big' }),
      ];
      const { id } = home.rollout({ mode: 'paginated', lines });
      const { call } = await connect(home);
      const texts = new Map<string, string>();
      const turnIds: string[] = [];
      let cursor: string | undefined;
      let pages = 0;
      do {
        const page = await call<ThreadReading>('read_thread', { threadId: id, order, ...(cursor ? { cursor } : {}) });
        for (const turn of page.turns ?? []) collect(turn, texts, turnIds);
        cursor = page.nextCursor;
        pages += 1;
        expect(pages).toBeLessThan(60);
      } while (cursor);
      expect(turnIds).toEqual(order === 'newestFirst' ? ['big', 'small'] : ['small', 'big']);
      expect([...texts.keys()].filter((key) => /^p\d/.test(key))).toHaveLength(60);
      expect(texts.get('long')).toBe(text);
      expect(texts.get('after')).toBe('the end');
      expect(texts.get('small-user')).toBe('first');
    },
  );

  it('refuses a cursor of another thread, another order, or no cursor at all', async () => {
    const home = new TestHome();
    const turns = Array.from({ length: 5 }, (_, n) => [`q${n}`, 'a'] as const);
    const { id } = home.rollout({ turns });
    const other = home.rollout({ turns });
    const { call, failure } = await connect(home);
    const { nextCursor: cursor } = await call<ThreadReading>('read_thread', { threadId: id, turnLimit: 2 });
    expect(cursor).toBeDefined();
    for (const args of [
      { threadId: other.id, cursor },
      { threadId: id, order: 'oldestFirst', cursor },
      { threadId: id, cursor: 'x' },
      { threadId: id, cursor: '' },
    ]) {
      expect(await failure('read_thread', args)).toMatchObject({
        code: 'invalid_request',
        hint: expect.stringContaining('cursor'),
      });
    }
  });
});

describe('the tools that write', () => {
  it('name, patch, archive and bring back, and answer with what came of it', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const child = home.rollout({ meta: spawnedBy(id) });
    const { call } = await connect(home);
    expect((await call<ThreadReading>('set_thread_name', { threadId: id, name: ' N ' })).thread.name).toBe('N');
    const patch = { threadId: id, gitInfo: { sha: ' abc ', branch: 'b' }, memoryMode: 'disabled' };
    expect((await call<ThreadReading>('update_thread_metadata', patch)).thread).toMatchObject({
      name: 'N',
      git: { sha: 'abc', branch: 'b' },
      memoryMode: 'disabled',
    });
    expect(await call<TreeResult>('archive_thread', { threadId: id, dryRun: true })).toEqual({
      archived: [id, child.id],
      skipped: [],
      failed: [],
      dryRun: true,
    });
    expect(await call<TreeResult>('archive_thread', { threadId: id })).toEqual({
      archived: [id, child.id],
      skipped: [],
      failed: [],
      dryRun: false,
    });
    const archived = await call<ThreadReading>('read_thread', { threadId: child.id });
    expect(archived.thread).toMatchObject({ archived: true });
    expect(await call<TreeResult>('unarchive_thread', { threadId: id, includeDescendants: false })).toMatchObject({
      unarchived: [id],
      dryRun: false,
    });
    expect((await call<ThreadReading>('set_thread_name', { threadId: id, name: null })).thread.name).toBeUndefined();
  });
});

/** Puts the pieces of texts together as a reader of the pages would. */
function collect(turn: TurnView, texts: Map<string, string>, turnIds: string[]): void {
  if (turnIds.at(-1) !== turn.turnId) turnIds.push(turn.turnId);
  for (const item of turn.items) {
    const before = texts.get(item.itemId) ?? '';
    if (item.cut) expect(item.cut.from).toBe(before.length);
    else expect(before).toBe('');
    texts.set(item.itemId, before + String(item['text']));
  }
}
