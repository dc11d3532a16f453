import { closeSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import { newThreadParams, turnItems } from '../../src/contract/live-contract.js';
import { eventItem } from '../../src/protocol/rollout-item.js';
import type { ThreadMetadataPatch } from '../../src/store/thread-patch.js';
import { InMemoryThreadStore } from '../../src/stores/memory/in-memory-thread-store.js';
import { LiveThread } from '../../src/threads/live-thread.js';
import { descriptorsOf } from '../support/descriptors.js';
import { openStore } from '../support/local-store.js';
import { addRow, newId, TestHome } from '../support/test-home.js';

const says = (message: string) => eventItem({ type: 'user_message', message });

/** A store that counts patches, and refuses them while `isHeld`. */
class WatchedStore extends InMemoryThreadStore {
  readonly patches: ThreadMetadataPatch[] = [];
  isHeld = false;

  override async updateThreadMetadata(...[threadId, patch]: Parameters<InMemoryThreadStore['updateThreadMetadata']>) {
    if (this.isHeld) return await super.updateThreadMetadata(newId(), patch);
    this.patches.push(patch);
    return await super.updateThreadMetadata(threadId, patch);
  }
}

describe('appending', () => {
  it('writes history, then what it means, as one patch', async () => {
    const store = new WatchedStore();
    const params = newThreadParams();
    const live = await LiveThread.create(store, params);
    await live.append(turnItems(params.threadId, 'legacy', ['Hello', 'x']));
    expect(store.patches).toHaveLength(1);
    expect(await store.readThread(params.threadId)).toMatchObject({
      preview: 'Hello',
      title: 'Hello',
      firstUserMessage: 'Hello',
    });
    await live.append([eventItem({ type: 'agent_message', message: 'more' })]);
    await live.append([eventItem({ type: 'agent_message', message: 'more' })]);
    expect(store.patches).toHaveLength(1);
    await live.flush();
    expect(store.patches).toHaveLength(2);
  });

  it('writes nothing, and tells nothing, of what the policy leaves out', async () => {
    const store = new WatchedStore();
    const live = await LiveThread.create(store, newThreadParams());
    await live.append([eventItem({ type: 'warning', message: 'x' })]);
    await live.shutdown();
    expect(store.patches).toEqual([]);
    expect(live.isDurable).toBe(false);
  });

  it('is acknowledged when the metadata must wait, and those are sent again', async () => {
    const store = new WatchedStore();
    const params = newThreadParams();
    const live = await LiveThread.create(store, params);
    store.isHeld = true;
    const { warnings } = await live.append([says('Hello')]);
    expect(warnings).toEqual([expect.stringContaining('history is written')]);
    expect(await store.readThread(params.threadId)).toMatchObject({ preview: '' });
    expect((await live.append([says('again')])).warnings).toHaveLength(1);
    store.isHeld = false;
    expect((await live.append([says('third')])).warnings).toEqual([]);
    expect(await store.readThread(params.threadId)).toMatchObject({ preview: 'Hello' });
    expect(store.patches).toHaveLength(1);
  });

  it('sends what must wait before a patch on demand, which else fails', async () => {
    const store = new WatchedStore();
    const params = newThreadParams();
    const live = await LiveThread.create(store, params);
    store.isHeld = true;
    await live.append([says('Hello')]);
    await errorOf(live.updateMetadata({ name: 'n' }));
    store.isHeld = false;
    await live.updateMetadata({ name: 'n' });
    expect(await store.readThread(params.threadId)).toMatchObject({ preview: 'Hello', name: 'n' });
  });

  it('keeps items that cannot be written, takes no more until they can, and writes each once', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const store = await openStore(home.root);
    const live = await LiveThread.resume(store, id);
    await live.append([says('one')]);
    const away = `${path.dirname(file)}-away`;
    renameSync(path.dirname(file), away);
    mkdirSync(path.dirname(file));
    for (const fd of descriptorsOf(path.join(away, path.basename(file)))) closeSync(fd);
    const error = await errorOf(live.append([says('two')]));
    expect(error).toMatchObject({ code: 'internal', hint: expect.stringContaining('do not send them again') });
    await errorOf(live.append([says('refused')]));
    rmSync(path.dirname(file), { recursive: true });
    renameSync(away, path.dirname(file));
    await live.append([says('three')]);
    await live.shutdown();
    const text = readFileSync(file, 'utf8');
    expect(text.match(/"message":"\w+"/g)?.slice(2)).toEqual(['one', 'two', 'three'].map((t) => `"message":"${t}"`));
  });
});

describe('a thread that cannot be made ready', () => {
  it('is let go: another can open it', async () => {
    class Unreadable extends InMemoryThreadStore {
      isBroken = false;
      override async readThread(...args: Parameters<InMemoryThreadStore['readThread']>) {
        if (this.isBroken) throw new Error('broken');
        return await super.readThread(...args);
      }
    }
    const store = new Unreadable();
    const params = newThreadParams();
    await store.createThread(params);
    await store.persistThread(params.threadId);
    await store.shutdownThread(params.threadId);
    const fork = newThreadParams();
    store.isBroken = true;
    await expect(LiveThread.fork(store, { sourceThreadId: params.threadId, thread: fork })).rejects.toThrow('broken');
    store.isBroken = false;
    await LiveThread.resume(store, fork.threadId);
  });
});

describe('a live thread beside Codex’s DB', () => {
  it('gets its row with the first item, and not before', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const store = await openStore(home.root);
    const params = newThreadParams({ git: { sha: 'abc', branch: 'main' } });
    const live = await LiveThread.create(store, params);
    const rows = () => db.prepare('SELECT * FROM threads').all() as Record<string, unknown>[];
    await live.flush();
    expect(rows()).toEqual([]);
    await live.append(turnItems(params.threadId, 'legacy', ['Hello', 'x']));
    const [row] = rows();
    expect(row).toMatchObject({
      id: params.threadId,
      source: 'mcp',
      thread_source: 'user',
      originator: 'test',
      model_provider: 'mock',
      cwd: '/home/dev/project',
      title: 'Hello',
      preview: 'Hello',
      first_user_message: 'Hello',
      git_sha: 'abc',
      git_branch: 'main',
      memory_mode: 'enabled',
      history_mode: 'legacy',
      created_at_ms: params.createdAt,
      archived: 0,
    });
    expect(Number(row?.['updated_at_ms'])).toBeGreaterThan(params.createdAt);
    expect(row?.['rollout_path']).toMatch(
      new RegExp(`sessions/2026/11/22/rollout-2026-11-22T.*-${params.threadId}.jsonl$`),
    );
    await live.shutdown();
  });

  it('keeps its name when the first message comes after it', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const store = await openStore(home.root);
    const live = await LiveThread.create(store, newThreadParams());
    await live.updateMetadata({ name: 'Named first' });
    await live.append([says('Hello')]);
    expect((await live.read()).name).toBe('Named first');
    expect(db.prepare('SELECT title, first_user_message FROM threads').get()).toEqual({
      title: 'Named first',
      first_user_message: 'Hello',
    });
    await live.shutdown();
  });

  it('writes on while the DB is held, and the row follows', async () => {
    const home = new TestHome();
    const db = home.stateDb();
    const { id, file } = home.rollout({ turns: [] });
    addRow(db, { id, rollout_path: file, history_mode: 'legacy' });
    const store = await openStore(home.root, { busyTimeoutMs: 100 });
    const live = await LiveThread.resume(store, id);
    const other = new Database(path.join(home.root, 'state_5.sqlite'));
    onTestFinished(() => void other.close());
    other.exec('BEGIN IMMEDIATE');
    const { warnings } = await live.append([says('while held')]);
    expect(warnings.join()).toContain('locked');
    other.exec('ROLLBACK');
    await live.shutdown();
    expect(db.prepare('SELECT title FROM threads').pluck().get()).toBe('while held');
  });
});

describe('a live thread where there is no DB, or ours', () => {
  it.each(['never', 'create'] as const)('is listed and read as soon as it is written (index: %s)', async (indexUse) => {
    const home = new TestHome();
    const store = await openStore(home.root, { indexUse });
    const params = newThreadParams();
    const live = await LiveThread.create(store, params);
    await live.append(turnItems(params.threadId, 'legacy', ['Hello', 'x']));
    const listed = async () => {
      const page = await store.listThreads({
        filter: { archived: 'include' },
        sortBy: 'updatedAt',
        order: 'desc',
        limit: 5,
      });
      return page.threads.map(({ thread }) => thread);
    };
    expect(await listed()).toMatchObject([{ threadId: params.threadId, preview: 'Hello', title: 'Hello' }]);
    await live.append([{ type: 'turn_context', payload: { model: 'gpt-x' } }]);
    await live.updateMetadata({ gitInfo: { branch: 'b' } });
    expect(await listed()).toMatchObject([{ model: 'gpt-x', git: { branch: 'b' } }]);
    await live.shutdown();
  });

  it('refuses what the rollout does not say', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ turns: [['q', 'a']] });
    const store = await openStore(home.root);
    const update = await store.updateThreadMetadata(id, { title: 'q', cwd: '/home/dev/project' });
    expect((await update.thread()).title).toBe('q');
    for (const patch of [{ title: 'other' }, { updatedAt: Date.now() }, { agentRole: 'x' }]) {
      expect(await errorOf(store.updateThreadMetadata(id, patch))).toMatchObject({ code: 'unsupported' });
    }
  });
});
