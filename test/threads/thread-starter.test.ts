import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorOf } from '../../src/contract/error-of.js';
import { newThreadParams, turnItems } from '../../src/contract/live-contract.js';
import { internalError } from '../../src/protocol/errors.js';
import type { ThreadId } from '../../src/protocol/ids.js';
import { InMemoryAgentGraph } from '../../src/stores/memory/in-memory-agent-graph.js';
import { InMemoryThreadStore } from '../../src/stores/memory/in-memory-thread-store.js';
import { openStore } from '../support/local-store.js';
import { managerOver } from '../support/manager-over.js';
import { newId, TestHome } from '../support/test-home.js';

/** A store in which a thread opens but its turns cannot be read; it says which threads it has open. */
class HalfReadyStore extends InMemoryThreadStore {
  readonly live = new Set<ThreadId>();
  isBroken = false;

  override async listTurns(...args: Parameters<InMemoryThreadStore['listTurns']>) {
    if (this.isBroken) throw internalError('the turns cannot be read', 'Call again.');
    return await super.listTurns(...args);
  }

  override async createThread(params: Parameters<InMemoryThreadStore['createThread']>[0]) {
    await super.createThread(params);
    this.live.add(params.threadId);
  }

  override async resumeThread(threadId: ThreadId) {
    const thread = await super.resumeThread(threadId);
    this.live.add(threadId);
    return thread;
  }

  override async forkThread(params: Parameters<InMemoryThreadStore['forkThread']>[0]) {
    await super.forkThread(params);
    this.live.add(params.thread.threadId);
  }

  override async discardThread(threadId: ThreadId) {
    await super.discardThread(threadId);
    this.live.delete(threadId);
  }

  override async shutdownThread(threadId: ThreadId) {
    await super.shutdownThread(threadId);
    this.live.delete(threadId);
  }
}

/** A thread of the store with one turn, closed. */
async function coldThread(store: InMemoryThreadStore, metadata = newThreadParams().metadata): Promise<ThreadId> {
  const params = newThreadParams({ metadata });
  await store.createThread(params);
  await store.appendItems(params.threadId, turnItems(params.threadId, 'legacy', ['q', 'a']));
  await store.shutdownThread(params.threadId);
  return params.threadId;
}

describe('a thread that opens and cannot be made ready', () => {
  it.each([
    ['start', (manager: ReturnType<typeof managerOver>) => manager.startThread({ cwd: '/work' })],
    ['fork', (manager: ReturnType<typeof managerOver>, id: ThreadId) => manager.forkThread(id)],
    ['resume', (manager: ReturnType<typeof managerOver>, id: ThreadId) => manager.resumeThread(id)],
  ] as const)('is let go after a %s, so that it is not locked for ever', async (_, call) => {
    const store = new HalfReadyStore();
    const manager = managerOver(store, new InMemoryAgentGraph());
    const source = await coldThread(store);
    store.isBroken = true;
    expect(await errorOf(call(manager, source))).toMatchObject({ code: 'internal' });
    expect([...store.live]).toEqual([]);
    expect(manager.listLoaded()).toEqual([]);
    store.isBroken = false;
    await manager.resumeThread(source);
    expect(manager.listLoaded()).toEqual([source]);
  });
});

describe('a fork', () => {
  it('has the provider and the memory mode of its source', async () => {
    const store = new InMemoryThreadStore();
    const manager = managerOver(store, new InMemoryAgentGraph());
    const source = await coldThread(store, { cwd: '/work', modelProvider: 'other', memoryMode: 'disabled' });
    const { thread } = await manager.forkThread(source);
    expect(await manager.readThread(thread.threadId)).toMatchObject({
      modelProvider: 'other',
      memoryMode: 'disabled',
    });
  });

  it('writes them into its rollout', async () => {
    const home = new TestHome();
    const { id } = home.rollout({ meta: { model_provider: 'other' }, turns: [['q', 'a']] });
    const store = await openStore(home.root);
    const manager = managerOver(store, new InMemoryAgentGraph());
    await manager.updateThreadMetadata(id, { memoryMode: 'disabled' });
    const { thread } = await manager.forkThread(id);
    await manager.closeThread(thread.threadId);
    expect(await (await openStore(home.root)).readThread(thread.threadId)).toMatchObject({
      modelProvider: 'other',
      memoryMode: 'disabled',
    });
  });
});

describe('the model of a new thread', () => {
  const told = async (home: TestHome, threadId: ThreadId) => {
    const { model, modelProvider } = await (await openStore(home.root)).readThread(threadId);
    return { model, modelProvider };
  };

  it('is told before the first turn, with the provider, where Codex looks for it', async () => {
    const home = new TestHome();
    const manager = managerOver(await openStore(home.root), new InMemoryAgentGraph());
    const params = { cwd: home.root, model: 'other-1', modelProvider: 'other' };
    const { thread } = await manager.startThread({ ...params, message: 'q' });
    await manager.closeThread(thread.threadId);
    const names = readdirSync(home.root, { recursive: true }).map(String);
    const file = names.find((name) => name.endsWith(`${thread.threadId}.jsonl`)) ?? '';
    const lines = home
      .read(file)
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines[0].payload.model_provider).toBe('other');
    expect(lines[1].payload).toMatchObject({
      type: 'thread_settings_applied',
      thread_settings: { model: 'other-1', model_provider_id: 'other', approval_policy: 'on-request' },
    });
    expect(lines[2].payload.type).toBe('task_started');
    expect(await told(home, thread.threadId)).toEqual({ model: 'other-1', modelProvider: 'other' });
  });

  it('is known from the start, and kept with a name alone', async () => {
    const home = new TestHome();
    const manager = managerOver(await openStore(home.root), new InMemoryAgentGraph());
    const quiet = await manager.startThread({ cwd: home.root, model: 'other-1' });
    expect(await manager.readThread(quiet.thread.threadId)).toMatchObject({ model: 'other-1', modelProvider: 'mock' });
    const named = await manager.startThread({ cwd: home.root, model: 'other-1', name: 'Named' });
    expect(named.warnings).toEqual([]);
    for (const { thread } of [quiet, named]) await manager.closeThread(thread.threadId);
    expect(await told(home, named.thread.threadId)).toEqual({ model: 'other-1', modelProvider: 'mock' });
    // Nothing was said in the other: it leaves no trace.
    expect(await errorOf(manager.readThread(quiet.thread.threadId))).toMatchObject({ code: 'thread_not_found' });
    expect(await errorOf(manager.readThread(newId()))).toMatchObject({ code: 'thread_not_found' });
  });
});
