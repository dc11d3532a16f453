import { createHash } from 'node:crypto';
import { appendFileSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LocalThreadkeeper } from '../../src/app/open-local.js';
import { linesFromSeed, seed, threadFromSeed } from '../../src/contract/seed.js';
import { StoreUnreachable, ThreadkeeperError } from '../../src/protocol/errors.js';
import type { ThreadImporter } from '../../src/store/thread-importer.js';
import type { StoredThread, ThreadReader } from '../../src/store/thread-store.js';
import { InMemoryAgentGraph } from '../../src/stores/memory/in-memory-agent-graph.js';
import { InMemoryThreadStore } from '../../src/stores/memory/in-memory-thread-store.js';
import { PostgresAgentGraph } from '../../src/stores/postgres/agent-graph.js';
import { PostgresImporter } from '../../src/stores/postgres/importer.js';
import { allThreads } from '../../src/transfer/all-threads.js';
import { copyThreads } from '../../src/transfer/copy-threads.js';
import type { CopyReport } from '../../src/transfer/report.js';
import { open } from '../support/local-store.js';
import { openDb, openPostgresStore } from '../support/postgres-store.js';
import { addEdge, addRow, event, newId, spawnedBy, TestHome } from '../support/test-home.js';

function database() {
  const db = openDb();
  const graph = new PostgresAgentGraph(db);
  return { store: openPostgresStore({ db }), graph, importer: new PostgresImporter(db, graph), db };
}

type Database = ReturnType<typeof database>;

async function imported(home: TestHome, to: Database, dryRun = false): Promise<CopyReport> {
  const { store: reader, graph } = await open(home.root);
  return await copyThreads({ reader, graph }, to.importer, { dryRun, onProgress: () => {} });
}

async function exported(from: Database, to: LocalThreadkeeper, dryRun = false): Promise<CopyReport> {
  const source = { reader: from.store, graph: from.graph };
  return await copyThreads(source, to.importer, { dryRun, onProgress: () => {} });
}

async function threadsOf(store: ThreadReader): Promise<Map<string, StoredThread>> {
  const found = new Map<string, StoredThread>();
  for await (const thread of allThreads(store)) found.set(thread.threadId, thread);
  return found;
}

async function textsOf(store: ThreadReader, threadId: StoredThread['threadId']): Promise<unknown[]> {
  const { turns } = await store.listTurns({ threadId, order: 'oldestFirst', limit: 100 });
  return turns.map(({ status, items }) => [status, ...items.map(({ body }) => body?.text)]);
}

/** Active, archived, named, spawned, forked, compressed, legacy and paginated threads. */
function someHome(): { home: TestHome; ids: Record<string, StoredThread['threadId']> } {
  const home = new TestHome();
  const turns = [['q1', 'a1\u0000 Привет 🎉'] as const, ['q2', 'a2'] as const];
  const root = home.rollout({ turns, meta: { git: { branch: 'main', commit_hash: 'abc' } } });
  home.name(root.id, 'The root');
  const child = home.rollout({ mode: 'paginated', turns, meta: spawnedBy(root.id) });
  const leaf = home.rollout({ turns, meta: spawnedBy(child.id, 2), archived: true });
  const packed = home.rollout({ turns, compressed: true });
  const base = home.rollout({ mode: 'paginated', turns });
  const bytes = Buffer.byteLength(home.read(base.file).split('\n').slice(0, 5).join('\n')) + 1;
  const history_base = { thread_id: base.id, end_ordinal_exclusive: 5, end_byte_offset: bytes };
  const fork = home.rollout({
    mode: 'paginated',
    firstOrdinal: 5,
    meta: { history_base, forked_from_id: base.id },
    turns: [['q3', 'a3']],
  });
  const ids = { root: root.id, child: child.id, leaf: leaf.id, packed: packed.id, base: base.id, fork: fork.id };
  return { home, ids };
}

describe('an import', () => {
  it('copies every thread: metadata, names, archived state, turns, inherited ones too, and edges', async () => {
    const { home, ids } = someHome();
    const db = home.stateDb();
    const { id: closedParent, file } = home.rollout();
    addRow(db, { id: closedParent, rollout_path: file });
    const gone = newId();
    addEdge(db, closedParent, gone, 'closed');
    const to = database();
    expect(await imported(home, to, true)).toMatchObject({ total: 7, added: 7, items: 0 });
    expect((await to.store.listThreads({ ...EVERYTHING, limit: 10 })).total).toBe(0);
    const report = await imported(home, to);
    expect(report).toMatchObject({ total: 7, added: 7, edges: 3, failed: [], notes: [], warnings: [] });
    const { store } = await open(home.root);
    expect(await threadsOf(to.store)).toEqual(await threadsOf(store));
    for (const id of Object.values(ids)) expect(await textsOf(to.store, id)).toEqual(await textsOf(store, id));
    expect(await textsOf(to.store, ids['fork'] ?? newId())).toEqual([
      ['completed', 'q1', 'a1\u0000 Привет 🎉'],
      ['completed', 'q3', 'a3'],
    ]);
    expect(await to.graph.listChildren(closedParent, 'closed')).toEqual([gone]);
  });

  it('copies what is new or has changed again, and leaves alone what was changed in the database', async () => {
    const { home, ids } = someHome();
    const to = database();
    await imported(home, to);
    expect(await imported(home, to)).toMatchObject({ added: 0, updated: 0, unchanged: 6, items: 0 });
    home.rollout({ turns: [['new', 'x']] });
    home.name(ids['packed'] ?? '', 'Named since');
    const line = event({ type: 'user_message', message: 'later' });
    const root = readdirSync(home.root, { recursive: true }).find((name) => String(name).includes(ids['root'] ?? '-'));
    const text = JSON.stringify({ timestamp: new Date().toISOString(), ...line });
    appendFileSync(path.join(home.root, String(root)), `${text}\n`);
    await to.store.updateThreadMetadata(ids['leaf'] ?? newId(), { name: 'Named in the database' });
    home.name(ids['leaf'] ?? '', 'Named at home');
    const report = await imported(home, to);
    expect(report).toMatchObject({ total: 7, added: 1, updated: 2, unchanged: 3, leftAlone: 1 });
    const threads = await threadsOf(to.store);
    expect(threads.get(ids['packed'] ?? '')?.name).toBe('Named since');
    expect(threads.get(ids['leaf'] ?? '')?.name).toBe('Named in the database');
    expect((await textsOf(to.store, ids['root'] ?? newId())).flat()).toContain('later');
  });

  it('says what of a history is missing, and goes on after a thread that cannot be read', async () => {
    const home = new TestHome();
    const torn = home.rollout({ turns: [['q', 'a']] });
    appendFileSync(torn.file, 'garbage\n{"timestamp":"2026-11-20T10:00:00.000Z","type":"event_');
    const history_base = { thread_id: newId(), end_ordinal_exclusive: 3, end_byte_offset: 300 };
    const cut = home.rollout({ mode: 'paginated', firstOrdinal: 3, meta: { history_base }, turns: [['q', 'a']] });
    let deep: unknown = 'x';
    for (let depth = 0; depth < 2000; depth += 1) deep = [deep];
    const nested = home.rollout({ lines: [event({ type: 'user_message', message: 'q', deep })] });
    const noted = home.rollout({ lines: [{ ...event({ type: 'user_message', message: 'q' }), metadata: { deep } }] });
    const report = await imported(home, database());
    expect(report).toMatchObject({ added: 4, failed: [] });
    expect(new Map(report.notes.map(({ threadId, problem }) => [threadId, problem]))).toEqual(
      new Map([
        [torn.id, '2 lines cannot be read'],
        [cut.id, expect.stringContaining('missing')],
        [nested.id, expect.stringContaining('left out')],
        [noted.id, expect.stringContaining('left out')],
      ]),
    );
  });
});

describe('a copy', () => {
  /** A reader of seeds, of which some cannot be read, and an importer that notes what it takes. */
  function parts(count: number, unreadable: (index: number) => Error | undefined) {
    const store = new InMemoryThreadStore();
    const seeds = Array.from({ length: count }, () => seed());
    for (const entry of seeds) store.add(threadFromSeed(entry), linesFromSeed(entry));
    const readVersion = store.historyVersion.bind(store);
    store.historyVersion = async (threadId) => {
      const error = unreadable(seeds.findIndex(({ id }) => id === threadId));
      if (error) throw error;
      return await readVersion(threadId);
    };
    const versions: string[] = [];
    let failure: ThreadkeeperError | undefined;
    const importer: ThreadImporter = {
      async add(thread) {
        versions.push(await thread.version());
        if (failure) throw failure;
        return { state: 'new', items: 1, notes: [] };
      },
      isFatal: ({ code }) => code === 'resource_exhausted',
      addEdge: async () => true,
    };
    const source = { reader: store, graph: new InMemoryAgentGraph() };
    const run = () => copyThreads(source, importer, { dryRun: false, onProgress: () => {} });
    const failWith = (error: ThreadkeeperError) => {
      failure = error;
    };
    return { run, failWith, versions, seeds };
  }

  it('reports each thread that cannot be read, however many there are, and copies the others', async () => {
    const { run } = parts(30, (index) =>
      index < 20 ? Object.assign(new Error('x'), { code: 'Z_BUF_ERROR' }) : undefined,
    );
    const report = await run();
    expect(report).toMatchObject({ total: 30, added: 10 });
    expect(report.failed).toHaveLength(20);
  });

  it('ends when the source cannot be reached', async () => {
    const { run } = parts(3, () => new StoreUnreachable('gone', 'Call again.', undefined));
    await expect(run()).rejects.toThrow('gone');
  });

  it('ends with an error of the target that concerns all threads, and goes on after another', async () => {
    const full = parts(3, () => undefined);
    full.failWith(new ThreadkeeperError('resource_exhausted', 'full', 'Free some space.'));
    await expect(full.run()).rejects.toThrow('full');
    const held = parts(3, () => undefined);
    held.failWith(new ThreadkeeperError('conflict', 'held', 'Call again.'));
    expect((await held.run()).failed).toHaveLength(3);
  });

  it('gives a thread the version that it always had, whatever the order of its fields', async () => {
    const { run, versions, seeds } = parts(1, () => undefined);
    await run();
    const [entry] = seeds;
    const text = JSON.stringify([
      entry && threadFromSeed(entry),
      String(entry && linesFromSeed(entry).length),
      undefined,
    ]);
    expect(versions).toEqual([createHash('sha256').update(text).digest('base64url')]);
  });
});

describe('an export', () => {
  it('writes threads that read the same in a home without a DB', async () => {
    const { home, ids } = someHome();
    const from = database();
    await imported(home, from);
    const target = new TestHome();
    const to = await open(target.root);
    expect(await exported(from, to, true)).toMatchObject({ total: 6, added: 6 });
    expect(readdirSync(target.root)).toEqual(['sessions']);
    expect(await exported(from, to)).toMatchObject({ total: 6, added: 6, failed: [], notes: [] });
    const [before, after] = [await threadsOf(from.store), await threadsOf(to.store)];
    // In one file with what it inherits, the first message of a fork is that of its base.
    const fork = before.get(ids['fork'] ?? '');
    if (fork) before.set(fork.threadId, { ...fork, title: 'q1', firstUserMessage: 'q1' });
    expect(after).toEqual(before);
    for (const id of before.keys() as Iterable<StoredThread['threadId']>) {
      expect(await textsOf(to.store, id)).toEqual(await textsOf(from.store, id));
    }
    expect(await exported(from, to)).toMatchObject({ added: 0, leftAlone: 6, items: 0 });
    expect(readdirSync(target.root, { recursive: true }).filter((name) => String(name).endsWith('.tmp'))).toEqual([]);
  });

  it('keeps what was made and patched in the database', async () => {
    const { home, ids } = someHome();
    const from = database();
    await imported(home, from);
    const patch = {
      name: 'Patched',
      gitInfo: { branch: null, sha: 'def', originUrl: 'https://example.org/x' },
      memoryMode: 'disabled',
    } as const;
    for (const id of [ids['root'], ids['fork']]) await from.store.updateThreadMetadata(id ?? newId(), patch);
    await from.store.archiveThread(ids['packed'] ?? newId());
    const to = await open(new TestHome().root);
    await exported(from, to);
    const after = await threadsOf(to.store);
    for (const id of [ids['root'], ids['fork']]) {
      expect(after.get(id ?? '')).toMatchObject({
        name: 'Patched',
        git: { sha: 'def', originUrl: 'https://example.org/x' },
        memoryMode: 'disabled',
      });
      expect(after.get(id ?? '')?.git.branch).toBeUndefined();
    }
    expect(after.get(ids['packed'] ?? '')?.isArchived).toBe(true);
  });

  it("gives Codex's DB what files do not tell, and without one says what is lost", async () => {
    const { home, ids } = someHome();
    const from = database();
    await imported(home, from);
    const root = ids['root'] ?? newId();
    const child = ids['child'] ?? newId();
    await from.store.updateThreadMetadata(root, { advanceRecencyAt: 1_796_000_000_000, title: 'A title' });
    await from.graph.setSpawnEdgeStatus(child, 'closed');
    const withDb = new TestHome();
    withDb.stateDb();
    const to = await open(withDb.root);
    expect(await exported(from, to)).toMatchObject({ notes: [] });
    const written = await to.store.readThread(root);
    expect(written).toMatchObject({ recencyAt: 1_796_000_000_000, name: 'The root' });
    expect(await to.graph.listChildren(root, 'closed')).toEqual([child]);
    const without = await exported(from, await open(new TestHome().root));
    expect(without.notes).toEqual([{ threadId: child, problem: expect.stringContaining('closed') }]);
  });

  it('never follows a link out of the home, nor writes over a file', async () => {
    const { home } = someHome();
    const from = database();
    await imported(home, from);
    const target = new TestHome();
    const outside = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-outside-'));
    onTestFinished(() => rmSync(outside, { recursive: true }));
    symlinkSync(outside, path.join(target.root, 'sessions/2026'));
    const to = await open(target.root);
    await expect(exported(from, to)).rejects.toMatchObject({ code: 'unsupported' });
    expect(readdirSync(outside)).toEqual([]);
  });
});

const EVERYTHING = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc' } as const;
