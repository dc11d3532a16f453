import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { CallToolResultSchema } from '@modelcontextprotocol/sdk/types.js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import { open } from '../support/local-store.js';
import { OurServer, type ThreadList, type ThreadReading } from '../support/mcp-client.js';
import { addRow, event, newId, rolloutText, TestHome } from '../support/test-home.js';

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 100 } as const;
const AT = '2026-11-20T10:00:00.000Z';

describe('two servers that write one thread at once', () => {
  it.each(['legacy', 'paginated'] as const)('lose no update of a %s thread, and leave one file', async (mode) => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ mode, turns: [['q', 'x'.repeat(200_000)]] });
    addRow(db, { id, rollout_path: file, history_mode: mode, title: 'q', first_user_message: 'q', preview: 'q' });
    const [one, two] = [await new OurServer(home.root).start(), await new OurServer(home.root).start()];
    for (let round = 0; round < 12; round += 1) {
      const sha = `sha${round}`;
      const branch = `branch${round}`;
      const results = await Promise.all([
        one.call<ThreadReading>('update_thread_metadata', { threadId: id, gitInfo: { sha }, name: `a${round}` }),
        two.call<ThreadReading>('update_thread_metadata', { threadId: id, gitInfo: { branch }, name: `b${round}` }),
        round % 2 === 0 ? one.call('archive_thread', { threadId: id }) : two.call('unarchive_thread', { threadId: id }),
      ]);
      expect(results).toHaveLength(3);
      const { thread } = await one.call<ThreadReading>('read_thread', { threadId: id, includeTurns: false });
      expect(thread.git).toEqual({ sha, branch });
      const files = readdirSync(home.root, { recursive: true })
        .map(String)
        .filter((name) => name.endsWith(`${id}.jsonl`));
      expect(files).toHaveLength(1);
      const lines = readFileSync(path.join(home.root, files[0] ?? ''), 'utf8')
        .trimEnd()
        .split('\n');
      expect(JSON.parse(lines.at(-1) ?? '').payload.git).toEqual({ commit_hash: sha, branch });
      const index = home
        .read('session_index.jsonl')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line).thread_name);
      expect(thread.name).toBe(index.at(-1));
    }
    await one.stop();
    await two.stop();
  });
});

describe('a thread that another program moves back and forth all the time', () => {
  it.each([true, false])('is there at every look (state DB: %s)', async (hasDb) => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    if (hasDb) addRow(home.stateDb(), { id, rollout_path: file, title: 'q', first_user_message: 'q', preview: 'q' });
    const other = path.join(home.root, 'archived_sessions', path.basename(file));
    mkdirSync(path.dirname(other));
    const mover = new Worker(MOVER, { eval: true, workerData: [file, other] });
    onTestFinished(async () => void (await mover.terminate()));
    const { manager } = await open(home.root);
    for (let round = 0; round < 300; round += 1) {
      expect((await manager.readThread(id)).preview).toBe('q');
      expect((await manager.listTurns({ threadId: id, order: 'newestFirst', limit: 1 })).turns).toHaveLength(1);
      if (round % 10 === 0) await manager.updateThreadMetadata(id, { name: `name ${round}` });
    }
  });
});

const MOVER = `
  const { renameSync } = require('node:fs');
  const [here, there] = require('node:worker_threads').workerData;
  for (let from = here, to = there; ; [from, to] = [to, from]) {
    renameSync(from, to);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.random() * 3);
  }`;

describe('directories of the home that are one', () => {
  it.each([
    ['sessions', 'archived_sessions'],
    ['sessions/archived', 'archived_sessions'],
  ])('(%s is %s too) lose no file, whatever is asked', async (target, link) => {
    const home = new TestHome();
    mkdirSync(path.join(home.root, target), { recursive: true });
    symlinkSync(target, path.join(home.root, link));
    const ids = [0, 1].map(() => {
      const { id, file } = home.rollout({ turns: [['q', 'a']] });
      renameSync(file, path.join(home.root, target, path.basename(file)));
      return id;
    });
    const count = () => readdirSync(path.join(home.root, target)).filter((name) => name.endsWith('.jsonl')).length;
    for (const useStateDb of [false, true]) {
      const { manager } = await open(home.root, { useStateDb, indexUse: 'create' });
      for (let round = 0; round < 3; round += 1) {
        await manager.listThreads(ALL);
        for (const id of ids) {
          for (const call of ['archiveThread', 'unarchiveThread'] as const) {
            await manager[call](id, { includeDescendants: true, dryRun: false }).catch(() => undefined);
            expect((await manager.readThread(id)).preview).toBe('q');
          }
        }
      }
    }
    const everywhere = new Set(
      readdirSync(home.root, { recursive: true })
        .map(String)
        .filter((name) => name.endsWith('.jsonl'))
        .map((name) => path.basename(name)),
    );
    expect(everywhere.size).toBe(2);
    expect(count()).toBeLessThanOrEqual(2);
  });
});

describe('a patch whose last part fails', () => {
  it('leaves neither row, nor name, nor line', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    mkdirSync(path.join(home.root, 'session_index.jsonl'));
    const before = readFileSync(file, 'utf8');
    const { manager } = await open(home.root);
    await errorOf(manager.updateThreadMetadata(id, { name: 'x', gitInfo: { branch: 'b' } }));
    expect(readFileSync(file, 'utf8')).toBe(before);
    expect((await manager.readThread(id)).git.branch).toBeUndefined();
  });
});

describe('links', () => {
  it('that dangle out of the home are not written through', async () => {
    for (const [link, tool] of [
      ['session_index.jsonl', 'name'],
      ['session_index.jsonl.lock', 'name'],
      ['thread-writer-locks', 'git'],
    ] as const) {
      const home = new TestHome();
      const outside = new TestHome();
      symlinkSync(path.join(outside.root, 'made-by-link'), path.join(home.root, link));
      const { id } = home.rollout({ turns: [['q', 'a']] });
      const { manager } = await open(home.root);
      const patch = tool === 'name' ? { name: 'x' } : { gitInfo: { branch: 'b' } };
      expect(await errorOf(manager.updateThreadMetadata(id, patch))).toMatchObject({ code: 'unsupported' });
      expect(readdirSync(outside.root)).toEqual(['sessions']);
    }
  });

  it('in the place of lock files are not followed', async () => {
    const home = new TestHome();
    const outside = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    mkdirSync(path.join(home.root, 'thread-writer-locks'));
    for (const name of ['.coordination.lock', `${id}.lock`]) {
      symlinkSync(path.join(outside.root, name), path.join(home.root, 'thread-writer-locks', name));
    }
    const { manager } = await open(home.root);
    await errorOf(manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } }));
    expect(readdirSync(outside.root)).toEqual(['sessions']);
  });

  it('that are rollouts are read and not moved', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    mkdirSync(path.join(home.root, 'store'));
    renameSync(file, path.join(home.root, 'store', path.basename(file)));
    symlinkSync(`../../../../store/${path.basename(file)}`, file);
    const { manager } = await open(home.root);
    expect((await manager.readThread(id)).preview).toBe('q');
    const archive = manager.archiveThread(id, { includeDescendants: true, dryRun: false });
    expect(await errorOf(archive)).toMatchObject({ code: 'unsupported', message: expect.stringContaining('link') });
    expect((await manager.readThread(id)).preview).toBe('q');
  });

  it('in a row’s path that lead out of the home show nothing of what is there', async () => {
    const home = new TestHome();
    const outside = new TestHome();
    const { id, file } = outside.rollout({ turns: [['secret', 'a']] });
    symlinkSync(path.dirname(file), path.join(home.root, 'sessions/lnk'));
    addRow(home.stateDb(), { id, rollout_path: path.join(home.root, 'sessions/lnk', path.basename(file)) });
    const { manager } = await open(home.root);
    const page = await manager.listThreads(ALL);
    expect(JSON.stringify(page)).not.toContain('secret');
    expect(page.warnings.length).toBeGreaterThan(0);
    await expect(manager.readThread(id)).rejects.toThrow();
  });
});

describe('FIFOs where files should be', () => {
  const fifo = (file: string) => execFileSync('mkfifo', [file]);

  it('do not block the server', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ lines: [event({ type: 'task_started', turn_id: 'open' })] });
    const hanging = newId();
    addRow(home.stateDb(), { id: hanging, rollout_path: path.join(home.root, 'sessions', 'pipe.jsonl') });
    mkdirSync(path.join(home.root, 'thread-writer-locks'));
    fifo(path.join(home.root, 'sessions/pipe.jsonl'));
    fifo(path.join(home.root, 'session_index.jsonl'));
    fifo(path.join(home.root, 'config.toml'));
    fifo(path.join(home.root, 'thread-writer-locks', `${id}.lock`));
    fifo(path.join(path.dirname(file), `rollout-2026-11-20T10-00-00-${newId()}.jsonl`));
    const server = await new OurServer(home.root).start();
    const page = await server.call<ThreadList>('list_threads', {});
    expect(page.threads.map(({ threadId }) => threadId)).toEqual([id]);
    expect(page.warnings?.join()).toContain('(no file)');
    expect((await server.call<ThreadReading>('read_thread', { threadId: id })).turns).toHaveLength(1);
    await expect(server.failure('read_thread', { threadId: hanging })).resolves.toHaveProperty('code');
    await expect(server.failure('set_thread_name', { threadId: id, name: 'x' })).resolves.toHaveProperty('code');
    await server.stop();
    const withoutDb = new TestHome();
    fifo(path.join(withoutDb.root, 'state_5.sqlite'));
    const { warnings } = await open(withoutDb.root, { readOnly: true });
    expect(warnings.join()).toContain('is no file');
  });
});

describe('rows that make no sense', () => {
  const rows = (home: TestHome) => {
    const db = home.stateDb();
    db.pragma('ignore_check_constraints = 1');
    return db;
  };

  it('do not hide their threads, and do not break the pages', async () => {
    const home = new TestHome();
    const db = rows(home);
    const values: Record<string, string | number | null>[] = [
      { updated_at_ms: 1_790_000_000 },
      { updated_at_ms: 9.2e18, updated_at: 9.2e15 },
      { updated_at_ms: -5, updated_at: -5 },
      { recency_at_ms: 0 },
      { archived: 7 },
      { updated_at_ms: Number.POSITIVE_INFINITY },
      { source: '{"subagent":', cwd: 'x', title: 'x' },
      {},
    ];
    for (const value of values) {
      const { id, file } = home.rollout({ turns: [['q', 'a']] });
      addRow(db, { id, rollout_path: file, ...value });
    }
    addRow(db, { id: 'not-a-uuid', rollout_path: '/x' });
    const { manager } = await open(home.root);
    for (const sortBy of ['updatedAt', 'createdAt', 'recencyAt'] as const) {
      const ids: string[] = [];
      let cursor: string | undefined;
      for (let page = 0; page < 20; page += 1) {
        const found = await manager.listThreads({ ...ALL, sortBy, limit: 2, cursor });
        expect(found.total).toBe(values.length);
        expect(found.warnings.join()).toContain('1 row of the state DB left out');
        ids.push(...found.threads.map(({ thread }) => thread.threadId));
        cursor = found.threads.at(-1)?.cursor;
        if (!found.hasMore) break;
      }
      expect(new Set(ids).size).toBe(values.length);
      expect(ids).toHaveLength(values.length);
    }
  });

  it('with a rollout that cannot be read leave the others listed', async () => {
    const home = new TestHome();
    const db = rows(home);
    const fine = home.rollout({ turns: [['fine', 'a']] });
    addRow(db, { id: fine.id, rollout_path: fine.file, preview: 'fine' });
    mkdirSync(path.join(home.root, 'sessions/directory.jsonl'));
    addRow(db, { id: newId(), rollout_path: path.join(home.root, 'sessions/directory.jsonl') });
    const packed = home.rollout({ compressed: true });
    writeFileSync(packed.file, 'garbage');
    addRow(db, { id: packed.id, rollout_path: packed.file });
    const { manager } = await open(home.root);
    const page = await manager.listThreads(ALL);
    expect(page.threads.map(({ thread }) => thread.preview)).toContain('fine');
    expect(await errorOf(manager.readThread(packed.id))).toMatchObject({
      code: 'internal',
      message: expect.stringContaining('cannot be read'),
    });
  });
});

describe('rollouts that make no sense', () => {
  // Put in as text: JSON.stringify cannot write it.
  const NESTED = '@nested@';
  const withNesting = (text: string) => text.replaceAll(`"${NESTED}"`, '['.repeat(20_000) + ']'.repeat(20_000));

  it.each(['legacy', 'paginated'] as const)('are read as far as they go (%s)', async (mode) => {
    const home = new TestHome();
    const odd = [
      { type: '__proto__' },
      { type: 'hasOwnProperty' },
      { type: 'Constructor', id: 'c' },
      { type: 'ToString', id: 't' },
      {
        type: 'CommandExecution',
        id: 'e1',
        cwd: 'file:///a%E0%A4%A',
        command: [{ toString: 1, valueOf: 2 }],
        exit_code: {},
      },
      { type: 'McpToolCall', id: 'm', arguments: NESTED, result: NESTED },
      {
        type: 'FileChange',
        id: 'f',
        changes: Object.fromEntries(
          Array.from({ length: 1500 }, (_, n) => [
            `/very/long/directory/name/${'x'.repeat(40)}/${n}`,
            { type: 'add', content: 'c' },
          ]),
        ),
      },
      { type: 'AgentMessage', id: 'i'.repeat(40_000), content: [{ type: 'Text', text: 'long id' }] },
      { type: 'AgentMessage', id: 'z', content: [{ type: 'Text', text: '\u0000\u0001'.repeat(30_000) }] },
    ];
    const lines = [
      event({ type: 'task_started', turn_id: 'x'.repeat(5000) }),
      ...odd.map((item) => event({ type: 'item_completed', turn_id: 'x'.repeat(5000), item })),
      ...odd.map((item) => event({ ...item, call_id: item.id })),
    ];
    const id = newId();
    const meta = { source: NESTED, cwd: '\u0001'.repeat(5000) };
    home.rollout({ id, raw: withNesting(rolloutText({ id, at: AT, mode, lines, meta })) });
    const server = await new OurServer(home.root).start();
    const turns = await server.turnsOf(id, { includeOutputs: true, maxOutputCharsPerItem: 1_000_000 });
    expect(turns.length).toBeGreaterThan(0);
    expect((await server.listAll()).map(({ threadId }) => threadId)).toEqual([id]);
    expect((await server.call<ThreadReading>('set_thread_name', { threadId: id, name: 'x' })).thread.name).toBe('x');
    await server.stop();
  });

  it('never get an ordinal that does not follow', async () => {
    const home = new TestHome();
    for (const ordinal of ['9007199254740992', '1e308', '-1', '1.5']) {
      const id = newId();
      const text = rolloutText({ id, at: AT, mode: 'paginated' });
      const raw = `${text}{"timestamp":"${AT}","ordinal":${ordinal},"type":"event_msg","payload":{"type":"x"}}\n`;
      const { file } = home.rollout({ id, raw });
      const { manager } = await open(home.root);
      const patch = manager.updateThreadMetadata(id, { gitInfo: { branch: 'b' } });
      if (ordinal === '-1') {
        await patch;
        continue;
      }
      expect(await errorOf(patch)).toMatchObject({ code: 'invalid_request' });
      expect(readFileSync(file, 'utf8')).toBe(raw);
    }
  });

  it('with a base offset that is no offset lose their base, with a warning', async () => {
    const home = new TestHome();
    const base = home.rollout({ mode: 'paginated', turns: [['base', 'b']] });
    const { id } = home.rollout({
      mode: 'paginated',
      meta: { history_base: { thread_id: base.id, end_ordinal_exclusive: 3, end_byte_offset: 300.5 } },
      turns: [['own', 'o']],
    });
    const { manager } = await open(home.root);
    for (const order of ['newestFirst', 'oldestFirst'] as const) {
      expect((await manager.listTurns({ threadId: id, order, limit: 5 })).turns).toHaveLength(1);
    }
  });

  it('of many turns without markers are read in linear time', async () => {
    const home = new TestHome();
    const lines = Array.from({ length: 20_000 }, (_, n) => event({ type: 'user_message', message: `q${n}` }));
    const { id } = home.rollout({ lines });
    const { manager } = await open(home.root);
    const page = await manager.listTurns({ threadId: id, order: 'oldestFirst', limit: 100 });
    expect(page.turns.at(-1)?.items[0]?.body?.text).toBe('q99');
  }, 5000);
});

describe('requests that make no sense', () => {
  it('of any size and shape get an answer, and the next one too', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const server = await new OurServer(home.root).start();
    for (const args of [[], 5, null, 'text']) {
      const params = { name: 'read_thread', arguments: args } as never;
      await expect(server.client.request({ method: 'tools/call', params }, CallToolResultSchema)).rejects.toThrow(
        /-3260[23]/,
      );
    }
    server.client
      .callTool({ name: 'set_thread_name', arguments: { threadId: id, name: 'x'.repeat(12_000_000) } })
      .catch(() => undefined);
    expect((await server.call<ThreadList>('list_threads', {})).total).toBe(1);
    expect(existsSync(path.join(home.root, 'session_index.jsonl'))).toBe(false);
    await server.stop();
  });
});
