import { describe, expect, it } from 'vitest';
import { newThreadParams } from '../../src/contract/live-contract.js';
import { eventItem, type RolloutItem } from '../../src/protocol/rollout-item.js';
import { newThread } from '../../src/store/new-thread.js';
import { ThreadMetadataSync } from '../../src/threads/thread-metadata-sync.js';
import { newId } from '../support/test-home.js';

const T = 1_795_000_000_000;
const says = (message: string): RolloutItem => eventItem({ type: 'user_message', message });
const started = eventItem({ type: 'task_started', turn_id: 't' });
const output = eventItem({ type: 'agent_message', message: 'out' });
const tokens = eventItem({ type: 'token_count', info: { total_token_usage: { total_tokens: 42 } } });
const goal = eventItem({ type: 'thread_goal_updated', goal: { objective: ' The goal ' } });

function ofStored(fields: Parameters<typeof newThread>[0] = newThreadParams()): ThreadMetadataSync {
  return ThreadMetadataSync.ofStored({ ...newThread(fields), preview: 'p', title: 'p', firstUserMessage: 'p' });
}

/** The patch that is due now, taken by the store. */
function send(sync: ThreadMetadataSync, now: number, isBarrier = false) {
  const pending = sync.pending(now, isBarrier);
  if (pending) sync.applied(pending);
  return pending?.patch;
}

describe('metadata of a new thread', () => {
  it('wait for the first item, then come with what it was made with', () => {
    const params = newThreadParams({ git: { branch: 'main' } });
    const sync = ThreadMetadataSync.ofNew(params);
    expect(sync.pending(T, true)).toBeUndefined();
    sync.observe([started, says('Hello')], T);
    expect(send(sync, T)).toEqual({
      modelProvider: 'mock',
      createdAt: params.createdAt,
      updatedAt: T,
      advanceRecencyAt: T,
      source: 'mcp',
      threadSource: 'user',
      agentNickname: null,
      agentRole: null,
      agentPath: null,
      cwd: '/home/dev/project',
      cliVersion: '1.0.0',
      gitInfo: { sha: null, branch: 'main', originUrl: null },
      memoryMode: 'enabled',
      preview: 'Hello',
      title: 'Hello',
      firstUserMessage: 'Hello',
    });
    expect(sync.pending(T, true)).toBeUndefined();
  });

  it('come without an item when the thread is made durable', () => {
    const sync = ThreadMetadataSync.ofNew(newThreadParams());
    sync.release();
    expect(send(sync, T, true)).toMatchObject({ source: 'mcp' });
  });
});

describe('what items say', () => {
  it('is the first message once, and never again', () => {
    const sync = ThreadMetadataSync.ofNew(newThreadParams());
    sync.observe([says('first')], T);
    send(sync, T);
    sync.observe([says('second')], T + 10_000);
    expect(send(sync, T + 10_000)).toEqual({ updatedAt: T + 10_000 });
  });

  it('is not a first message where the thread has one', () => {
    const sync = ofStored();
    sync.observe([says('later')], T);
    expect(send(sync, T)).toEqual({ updatedAt: T });
  });

  it('is a goal for the preview alone, until a message gives title and first message', () => {
    const sync = ThreadMetadataSync.ofNew(newThreadParams());
    sync.observe([goal], T);
    const first = send(sync, T);
    expect(first).toMatchObject({ preview: 'The goal' });
    expect(first).not.toHaveProperty('title');
    sync.observe([says('message')], T);
    expect(send(sync, T)).toEqual({ title: 'message', firstUserMessage: 'message', updatedAt: T });
  });

  it('is an image for the preview, and no title', () => {
    const sync = ThreadMetadataSync.ofNew(newThreadParams());
    sync.observe([eventItem({ type: 'user_message', message: ' ', images: ['x'] })], T);
    const patch = send(sync, T);
    expect(patch).toMatchObject({ preview: '[Image]', firstUserMessage: '[Image]' });
    expect(patch).not.toHaveProperty('title');
  });

  it('is model, effort, policies and tokens as they were set last', () => {
    const sync = ofStored();
    const context = (model: string) => ({ type: 'turn_context', payload: { model, effort: 'high', cwd: '/x' } });
    sync.observe([context('one'), context('two'), tokens], T);
    expect(send(sync, T)).toEqual({ model: 'two', reasoningEffort: 'high', tokensUsed: 42, updatedAt: T });
  });

  it('is a cwd of a turn only where none is known, of settings always', () => {
    const params = newThreadParams();
    const none = ThreadMetadataSync.ofNew({ ...params, metadata: { ...params.metadata, cwd: undefined } });
    none.observe(
      [
        { type: 'turn_context', payload: { cwd: '/first' } },
        { type: 'turn_context', payload: { cwd: '/next' } },
      ],
      T,
    );
    expect(send(none, T)).toMatchObject({ cwd: '/first' });
    none.observe([eventItem({ type: 'thread_settings_applied', thread_settings: { cwd: '/set' } })], T);
    expect(send(none, T)).toMatchObject({ cwd: '/set' });
  });

  it('is what its own session_meta says, and not those of other threads', () => {
    const params = newThreadParams();
    const sync = ofStored(params);
    const meta = (id: string, branch: string): RolloutItem => ({
      type: 'session_meta',
      payload: { id, cwd: '/m', git: { branch }, memory_mode: 'disabled', source: 'exec' },
    });
    sync.observe([meta(newId(), 'theirs')], T);
    expect(send(sync, T)).toEqual({ updatedAt: T });
    sync.observe([meta(params.threadId, 'ours')], T);
    expect(send(sync, T)).toMatchObject({
      cwd: '/m',
      source: 'exec',
      memoryMode: 'disabled',
      gitInfo: { sha: null, branch: 'ours', originUrl: null },
    });
  });
});

describe('times', () => {
  it('move recency with the start of a turn only', () => {
    const sync = ofStored();
    sync.observe([output], T);
    expect(send(sync, T)).toEqual({ updatedAt: T });
    sync.observe([started], T + 1);
    expect(send(sync, T + 1)).toEqual({ updatedAt: T + 1, advanceRecencyAt: T + 1 });
  });

  it('are told at most every five seconds when nothing else is new, and at a barrier', () => {
    const sync = ofStored();
    const sent: number[] = [];
    for (let at = T; at < T + 20_000; at += 500) {
      sync.observe([output], at);
      const patch = send(sync, at);
      if (patch) sent.push(at - T);
    }
    expect(sent).toEqual([0, 5000, 10_000, 15_000]);
    expect(send(sync, T + 20_000, true)).toEqual({ updatedAt: T + 19_500 });
    expect(send(sync, T + 20_000, true)).toBeUndefined();
  });

  it('do not hold back what is new', () => {
    const sync = ofStored();
    sync.observe([output], T);
    send(sync, T);
    sync.observe([output], T + 1);
    sync.observe([tokens], T + 2);
    expect(send(sync, T + 2)).toEqual({ updatedAt: T + 2, tokensUsed: 42 });
  });
});

describe('a patch that the store did not take', () => {
  it('stays pending, and takes in what comes meanwhile', () => {
    const sync = ThreadMetadataSync.ofNew(newThreadParams());
    sync.observe([says('first')], T);
    expect(sync.pending(T)?.patch).toMatchObject({ title: 'first' });
    sync.observe([tokens], T + 1);
    expect(send(sync, T + 1)).toMatchObject({ title: 'first', tokensUsed: 42, updatedAt: T + 1 });
  });

  it('is not forgotten when an older one is taken late', () => {
    const sync = ThreadMetadataSync.ofNew(newThreadParams());
    sync.observe([says('first')], T);
    const early = sync.pending(T);
    sync.observe([tokens], T + 1);
    if (early) sync.applied(early);
    expect(send(sync, T + 1)).toMatchObject({ tokensUsed: 42 });
  });
});
