import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import type { ThreadId } from '../../src/protocol/ids.js';
import { RolloutHome } from '../../src/stores/local/rollout/rollout-home.js';
import { RolloutLibrary } from '../../src/stores/local/rollout/rollout-library.js';
import { hasWriter } from '../../src/stores/local/rollout/writer-lock.js';
import { RolloutAgentGraph } from '../../src/stores/local/rollout-agent-graph.js';
import type { ThreadEvent } from '../../src/threads/thread-events.js';
import type { ThreadManager, ThreadManagerParts } from '../../src/threads/thread-manager.js';
import type { ConversationItem } from '../../src/transcript/turn-writer.js';
import { ALL, openStore } from '../support/local-store.js';
import { managerOver } from '../support/manager-over.js';
import { newId, TestHome } from '../support/test-home.js';

const user = (text: string): ConversationItem => ({ type: 'userMessage', text });
const agent = (text: string): ConversationItem => ({ type: 'agentMessage', text });
const WHOLE = { includeDescendants: true, dryRun: false };

/** A manager over a home as the program puts it together, without a DB; `events` is what it told. */
async function managerOf(home: TestHome, options: Partial<ThreadManagerParts> = {}) {
  const store = await openStore(home.root);
  const graph = new RolloutAgentGraph(new RolloutLibrary(new RolloutHome(home.root)));
  const manager = managerOver(store, graph, options);
  onTestFinished(() => manager.close());
  const events: ThreadEvent[] = [];
  manager.listen((event) => events.push(event));
  return { manager, store, events };
}

const questionsOf = async (manager: ThreadManager, threadId: ThreadId) => {
  const { turns } = await manager.listTurns({ threadId, order: 'oldestFirst', limit: 100 });
  return turns.map(({ status, items }) => [items[0]?.body?.text, status]);
};

describe('startThread', () => {
  it('makes a thread that is loaded, locked, and leaves no trace until it has something to say', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root });
    const { threadId } = thread;
    expect(manager.listLoaded()).toEqual([threadId]);
    expect(manager.loadedThread(threadId)).toBe(thread);
    expect(await manager.readThread(threadId)).toMatchObject({ cwd: home.root, source: { kind: 'mcp' } });
    expect(await hasWriter(new RolloutHome(home.root), threadId)).toBe(true);
    const page = await manager.listThreads(ALL);
    expect(page.threads).toEqual([]);
    expect(page.warnings.join()).toContain(threadId);
    await manager.closeThread(threadId);
    expect(readdirSync(path.join(home.root, 'sessions'))).toEqual([]);
    expect(await errorOf(manager.readThread(threadId))).toMatchObject({ code: 'thread_not_found' });
  });

  it('keeps what is said first, the name, and where the work is in git', async () => {
    const home = new TestHome();
    const repo = path.join(home.root, 'repo');
    mkdirSync(repo);
    const git = (...args: string[]) => execFileSync('git', ['-C', repo, ...args], { stdio: 'ignore' });
    git('init', '-b', 'trunk');
    git('remote', 'add', 'origin', 'https://me:secret@example.com/r.git');
    git('-c', 'user.name=x', '-c', 'user.email=x', 'commit', '--allow-empty', '-m', 'x');
    const { manager } = await managerOf(home);
    const { thread, warnings } = await manager.startThread({ cwd: repo, name: 'Named', message: 'Hello' });
    expect(warnings).toEqual([]);
    expect(await thread.read()).toMatchObject({
      name: 'Named',
      preview: 'Hello',
      modelProvider: 'mock',
      cliVersion: '1.0.0',
      git: { branch: 'trunk', sha: expect.stringMatching(/^[0-9a-f]{40}$/), originUrl: 'https://example.com/r.git' },
    });
    expect(await questionsOf(manager, thread.threadId)).toEqual([['Hello', 'inProgress']]);
  });

  it('spawns: parent, root, depth and edge are there at once, at any depth', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread: root } = await manager.startThread({ cwd: home.root, message: 'root' });
    const spawn = { cwd: home.root, agentNickname: 'Ada', agentRole: 'worker' };
    const { thread: child } = await manager.startThread({ ...spawn, parentThreadId: root.threadId });
    const { thread: grandchild } = await manager.startThread({ ...spawn, parentThreadId: child.threadId });
    expect(await grandchild.read()).toMatchObject({
      sessionId: root.threadId,
      parentThreadId: child.threadId,
      agentDepth: 2,
      agentNickname: 'Ada',
      agentRole: 'worker',
      threadSource: 'subagent',
      source: { kind: 'subagent' },
    });
    const family = { relation: 'descendants', threadId: root.threadId } as const;
    const page = await manager.listThreads({ ...ALL, family });
    expect(page.threads.map(({ thread }) => thread.threadId).sort()).toEqual(
      [child.threadId, grandchild.threadId].sort(),
    );
  });

  it('refuses an unknown parent', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const call = manager.startThread({ cwd: home.root, parentThreadId: newId() });
    expect(await errorOf(call)).toMatchObject({ code: 'thread_not_found' });
    expect(manager.listLoaded()).toEqual([]);
  });
});

describe('resumeThread', () => {
  it('gives everybody the same handle, also when they come at once', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const { manager } = await managerOf(home);
    const [one, two] = await Promise.all([manager.resumeThread(id), manager.resumeThread(id)]);
    expect(one).toBe(two);
    expect(await manager.resumeThread(id)).toBe(one);
    expect(manager.listLoaded()).toEqual([id]);
  });

  it('is a conflict while another process has it, and leaves that one be', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const [{ manager: first }, { manager: second }] = [await managerOf(home), await managerOf(home)];
    await first.appendToThread(id, [user('mine')]);
    expect(await errorOf(second.resumeThread(id))).toMatchObject({ code: 'conflict' });
    expect(await errorOf(second.appendToThread(id, [user('theirs')]))).toMatchObject({ code: 'conflict' });
    await first.closeThread(id);
    await second.appendToThread(id, [user('theirs')]);
    expect((await questionsOf(first, id)).map(([text]) => text)).toEqual(['q', 'mine', 'theirs']);
  });

  it('does not load archived, compressed or unknown threads', async () => {
    const home = new TestHome();
    const archived = home.rollout({ archived: true, turns: [['q', 'a']] });
    const packed = home.rollout({ compressed: true, turns: [['q', 'a']] });
    const strange = home.rollout({ meta: { history_mode: 'of the future' }, turns: [['q', 'a']] });
    const { manager } = await managerOf(home);
    expect(await errorOf(manager.resumeThread(archived.id))).toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('unarchive_thread'),
    });
    expect(await errorOf(manager.resumeThread(packed.id))).toMatchObject({ code: 'unsupported' });
    expect(await errorOf(manager.resumeThread(strange.id))).toMatchObject({ code: 'unsupported' });
    expect(await errorOf(manager.resumeThread(newId()))).toMatchObject({ code: 'thread_not_found' });
    expect(readdirSync(path.join(home.root, 'thread-writer-locks'))).toEqual(['.coordination.lock']);
  });
});

describe('appendToThread', () => {
  it.each(['legacy', 'paginated'] as const)('opens a turn with a user message on a cold %s thread', async (mode) => {
    const home = new TestHome();
    const { id } = home.rollout({ mode, turns: [['q', 'a']] });
    const { manager } = await managerOf(home);
    const { turnId, appended } = await manager.appendToThread(id, [user('more'), agent('a')], { endTurn: true });
    expect(appended).toBe(2);
    const { turns } = await manager.listTurns({ threadId: id, order: 'newestFirst', limit: 1 });
    expect(turns).toMatchObject([{ turnId, status: 'completed' }]);
  });

  it.each(['legacy', 'paginated'] as const)('goes on with a turn that was left open in a %s thread', async (mode) => {
    const home = new TestHome();
    const { id } = home.rollout({ mode, turns: [['q', 'a']] });
    const first = await managerOf(home);
    const { turnId } = await first.manager.appendToThread(id, [user('long work')]);
    await first.manager.shutdownAll(1000);
    expect((await questionsOf(first.manager, id)).at(-1)).toEqual(['long work', 'interrupted']);
    const second = await managerOf(home);
    const later = await second.manager.appendToThread(id, [agent('done')], { endTurn: true });
    expect(later.turnId).toBe(turnId);
    expect(await questionsOf(second.manager, id)).toEqual([
      ['q', 'completed'],
      ['long work', 'completed'],
    ]);
  });

  it('takes calls that come at once one after another', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [] });
    const { manager } = await managerOf(home);
    const texts = Array.from({ length: 20 }, (_, n) => `m${n}`);
    await Promise.all(texts.map((text) => manager.appendToThread(id, [user(text), agent('a')], { endTurn: true })));
    expect((await questionsOf(manager, id)).map(([text]) => text)).toEqual(texts);
  });

  it('ends the open turn alone', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q' });
    const { turnId, appended } = await manager.appendToThread(thread.threadId, [], { endTurn: true });
    expect(turnId).toBeDefined();
    expect(appended).toBe(0);
    expect(await questionsOf(manager, thread.threadId)).toEqual([['q', 'completed']]);
    expect((await manager.appendToThread(thread.threadId, [], { endTurn: true })).turnId).toBeUndefined();
  });
});

describe('forkThread', () => {
  it.each(['legacy', 'paginated'] as const)(
    'cuts off a turn of a %s thread that is open, in the fork alone',
    async (mode) => {
      const home = new TestHome();
      const { id } = home.rollout({ mode, turns: [['q', 'a']] });
      const { manager } = await managerOf(home);
      await manager.appendToThread(id, [user('running')]);
      const { thread, warnings } = await manager.forkThread(id);
      expect(warnings).toEqual([]);
      expect(await questionsOf(manager, thread.threadId)).toEqual([
        ['q', 'completed'],
        ['running', 'interrupted'],
      ]);
      await thread.submit([agent('own')], { endTurn: true });
      expect((await questionsOf(manager, thread.threadId)).at(-1)).toEqual(['own', 'completed']);
      expect((await questionsOf(manager, id)).at(-1)).toEqual(['running', 'inProgress']);
    },
  );

  it('takes the name over, or gets one, and is listed with its preview', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    home.name(id, 'Original');
    const { manager } = await managerOf(home);
    const { thread: same } = await manager.forkThread(id);
    const { thread: other } = await manager.forkThread(id, { name: 'Other' });
    expect(await same.read()).toMatchObject({
      name: 'Original',
      preview: 'q',
      forkedFromId: id,
      parentThreadId: undefined,
    });
    expect(await other.read()).toMatchObject({ name: 'Other', preview: 'q' });
    expect((await manager.listThreads(ALL)).total).toBe(3);
  });

  it('is not loaded when it cannot be made', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const { manager } = await managerOf(home);
    expect(await errorOf(manager.forkThread(id, { lastTurnId: 'none' }))).toMatchObject({ code: 'invalid_request' });
    expect(manager.listLoaded()).toEqual([]);
    expect((await manager.listThreads(ALL)).total).toBe(1);
  });
});

describe('updateThreadMetadata', () => {
  it('is one entry for loaded and for cold threads', async () => {
    const home = new TestHome();
    const [loaded, cold] = [home.rollout({ turns: [['q', 'a']] }), home.rollout({ turns: [['q', 'a']] })];
    const { manager } = await managerOf(home);
    await manager.resumeThread(loaded.id);
    for (const { id } of [loaded, cold]) {
      const patch = { name: 'n', gitInfo: { branch: 'b' }, memoryMode: 'disabled' } as const;
      const { thread } = await manager.updateThreadMetadata(id, patch);
      expect(thread).toMatchObject({ name: 'n', git: { branch: 'b' }, memoryMode: 'disabled' });
    }
    await manager.appendToThread(loaded.id, [user('goes on')]);
    expect(await questionsOf(manager, loaded.id)).toHaveLength(2);
  });
});

describe('closeThread', () => {
  it('ends the open turn, unlocks, and can be repeated', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q' });
    expect(await manager.closeThread(thread.threadId)).toEqual({ wasLoaded: true, warnings: [] });
    expect(await manager.closeThread(thread.threadId)).toEqual({ wasLoaded: false, warnings: [] });
    expect(await questionsOf(manager, thread.threadId)).toEqual([['q', 'completed']]);
    expect(existsSync(path.join(home.root, 'thread-writer-locks', `${thread.threadId}.lock`))).toBe(false);
    expect(await errorOf(thread.submit([user('stale')]))).toMatchObject({ code: 'conflict' });
  });

  it('comes by itself when nobody writes for a while, and the thread goes on later', async () => {
    const home = new TestHome();
    const { manager, events } = await managerOf(home, { idleMs: 80 });
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q' });
    const { threadId } = thread;
    await vi.waitFor(() => expect(manager.listLoaded()).toEqual([]));
    expect(events.at(-1)).toEqual({ type: 'closed', threadId, reason: 'idle' });
    expect(await hasWriter(new RolloutHome(home.root), threadId)).toBe(false);
    await manager.appendToThread(threadId, [agent('a')], { endTurn: true });
    expect(await questionsOf(manager, threadId)).toEqual([['q', 'completed']]);
  });

  it('does not come to a thread that is written to', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home, { idleMs: 400 });
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q' });
    for (let round = 0; round < 10; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 80));
      expect(thread.isClosed).toBe(false);
      await thread.submit([agent('a')]);
    }
  });
});

describe('removeThread', () => {
  it('lets a thread go as it is', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q' });
    await manager.removeThread(thread.threadId);
    await manager.removeThread(thread.threadId);
    expect(manager.listLoaded()).toEqual([]);
    expect(await questionsOf(manager, thread.threadId)).toEqual([['q', 'interrupted']]);
  });
});

describe('a thread whose writer is lost', () => {
  it('takes nothing, is no longer loaded, and is opened anew by the next call', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout();
    const { manager, events } = await managerOf(home);
    const thread = await manager.resumeThread(id);
    await thread.submit([user('first')]);
    const text = readFileSync(file);
    // Another file stands where the thread was.
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
    expect(await errorOf(manager.appendToThread(id, [user('into the void')]))).toMatchObject({ code: 'conflict' });
    expect(manager.listLoaded()).toEqual([]);
    expect(events.at(-1)).toEqual({ type: 'closed', threadId: id, reason: 'lost' });
    await manager.appendToThread(id, [user('again')]);
    expect(await questionsOf(manager, id)).toEqual([
      ['first', 'completed'],
      ['again', 'inProgress'],
    ]);
    expect(readFileSync(file, 'utf8')).toContain(text.toString());
  });
});

describe('shutdownAll', () => {
  it('tells what became of each, within the time', async () => {
    const home = new TestHome();
    const { manager, store } = await managerOf(home);
    const started = [];
    for (let n = 0; n < 3; n += 1) started.push((await manager.startThread({ cwd: home.root, message: 'q' })).thread);
    const [good, failing, late] = started.map(({ threadId }) => threadId) as [ThreadId, ThreadId, ThreadId];
    const shutdown = store.shutdownThread.bind(store);
    let letLateEnd = () => {};
    const lateShutdown = new Promise<void>((resolve) => {
      letLateEnd = resolve;
    });
    store.shutdownThread = async (threadId) => {
      if (threadId === failing) throw new Error('cannot be written');
      if (threadId === late) await lateShutdown;
      await shutdown(threadId);
    };
    expect(await manager.shutdownAll(150)).toEqual({ completed: [good], failed: [failing], timedOut: [late] });
    expect(manager.listLoaded()).toEqual([]);
    const rolloutHome = new RolloutHome(home.root);
    for (const id of [good, failing]) expect(await hasWriter(rolloutHome, id)).toBe(false);
    letLateEnd();
    await vi.waitFor(async () => expect(await hasWriter(rolloutHome, late)).toBe(false));
  });
});

describe('archiveThread', () => {
  it('shuts loaded members down before anything moves', async () => {
    const home = new TestHome();
    const { manager, events } = await managerOf(home);
    const { thread: root } = await manager.startThread({ cwd: home.root, message: 'root' });
    const { thread: child } = await manager.startThread({
      cwd: home.root,
      message: 'child',
      parentThreadId: root.threadId,
    });
    events.length = 0;
    const dry = await manager.archiveThread(root.threadId, { ...WHOLE, dryRun: true });
    expect(dry.moved).toEqual([root.threadId, child.threadId]);
    expect(manager.listLoaded()).toHaveLength(2);
    const { moved, failed } = await manager.archiveThread(root.threadId, WHOLE);
    expect({ moved, failed }).toEqual({ moved: [root.threadId, child.threadId], failed: [] });
    expect(events.map(({ type }) => type)).toEqual(['closed', 'closed', 'archived', 'archived']);
    expect(manager.listLoaded()).toEqual([]);
    expect(await errorOf(manager.appendToThread(root.threadId, [user('x')]))).toMatchObject({ code: 'conflict' });
    await manager.unarchiveThread(root.threadId, WHOLE);
    await manager.appendToThread(root.threadId, [user('back')]);
    expect(await questionsOf(manager, root.threadId)).toHaveLength(2);
  });

  it('leaves a member that another process has loaded, and fails for such a root', async () => {
    const home = new TestHome();
    const [{ manager: ours }, { manager: theirs }] = [await managerOf(home), await managerOf(home)];
    const { thread: root } = await ours.startThread({ cwd: home.root, message: 'root' });
    const { thread: child } = await ours.startThread({
      cwd: home.root,
      message: 'child',
      parentThreadId: root.threadId,
    });
    await ours.closeThread(child.threadId);
    await theirs.resumeThread(child.threadId);
    expect(await errorOf(theirs.archiveThread(root.threadId, WHOLE))).toMatchObject({ code: 'conflict' });
    const { moved, failed } = await ours.archiveThread(root.threadId, WHOLE);
    expect(moved).toEqual([root.threadId]);
    expect(failed).toMatchObject([{ threadId: child.threadId, error: { code: 'conflict' } }]);
  });
});

describe('an ephemeral thread', () => {
  it('lives in memory, is read like others, and is gone when it is closed', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'secret', isEphemeral: true });
    const { threadId } = thread;
    await manager.appendToThread(threadId, [agent('a')], { endTurn: true });
    expect(await manager.readThread(threadId)).toMatchObject({ preview: 'secret' });
    expect(await questionsOf(manager, threadId)).toEqual([['secret', 'completed']]);
    expect((await manager.listThreads(ALL)).warnings.join()).toContain(threadId);
    await manager.closeThread(threadId);
    expect(await errorOf(manager.readThread(threadId))).toMatchObject({ code: 'thread_not_found' });
    expect(readdirSync(home.root)).toEqual(['sessions']);
  });

  it('refuses what needs to be kept', async () => {
    const home = new TestHome();
    const { manager } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q', isEphemeral: true });
    const { threadId } = thread;
    for (const call of [
      manager.updateThreadMetadata(threadId, { name: 'x' }),
      manager.archiveThread(threadId, WHOLE),
      manager.forkThread(threadId),
      manager.startThread({ cwd: home.root, parentThreadId: threadId }),
      manager.startThread({ cwd: home.root, isEphemeral: true, name: 'x' }),
    ]) {
      expect(await errorOf(call)).toMatchObject({ code: 'unsupported' });
    }
  });
});

describe('the event stream', () => {
  it('tells of a name whoever gives it: at a start, at a fork, through the thread itself', async () => {
    const home = new TestHome();
    const { manager, events } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q', name: 'At the start' });
    await thread.rename('By the thread');
    const fork = (await manager.forkThread(thread.threadId)).thread.threadId;
    const other = (await manager.forkThread(thread.threadId, { name: 'At the fork' })).thread.threadId;
    expect(events).toEqual([
      { type: 'created', threadId: thread.threadId },
      { type: 'nameUpdated', threadId: thread.threadId, name: 'At the start' },
      { type: 'nameUpdated', threadId: thread.threadId, name: 'By the thread' },
      { type: 'created', threadId: fork },
      { type: 'nameUpdated', threadId: fork, name: 'By the thread' },
      { type: 'created', threadId: other },
      { type: 'nameUpdated', threadId: other, name: 'At the fork' },
    ]);
  });

  it('tells what happened to threads, in order, until one stops listening', async () => {
    const home = new TestHome();
    const { manager, events } = await managerOf(home);
    const { thread } = await manager.startThread({ cwd: home.root, message: 'q' });
    const { threadId } = thread;
    await manager.updateThreadMetadata(threadId, { name: 'Named' });
    await manager.updateThreadMetadata(threadId, { gitInfo: { branch: 'b' } });
    await manager.closeThread(threadId);
    await manager.updateThreadMetadata(threadId, { name: null });
    await manager.archiveThread(threadId, WHOLE);
    await manager.archiveThread(threadId, WHOLE);
    await manager.unarchiveThread(threadId, WHOLE);
    expect(events).toEqual([
      { type: 'created', threadId },
      { type: 'nameUpdated', threadId, name: 'Named' },
      { type: 'closed', threadId, reason: 'asked' },
      { type: 'nameUpdated', threadId, name: undefined },
      { type: 'archived', threadId },
      { type: 'unarchived', threadId },
    ]);
    const heard: ThreadEvent[] = [];
    manager.listen(() => {
      throw new Error('a bad listener');
    });
    const stop = manager.listen((event) => heard.push(event));
    await manager.updateThreadMetadata(threadId, { name: 'again' });
    stop();
    await manager.updateThreadMetadata(threadId, { name: 'unheard' });
    expect(heard).toHaveLength(1);
  });
});
