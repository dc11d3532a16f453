import { describe, expect, it } from 'vitest';
import { parseRolloutLine } from '../../../src/protocol/rollout-line.js';
import { sessionSource } from '../../../src/protocol/session-source.js';
import { InMemoryThreadStore } from '../../../src/thread-store/memory/in-memory-thread-store.js';
import type { StoredThread } from '../../../src/thread-store/thread-store.js';
import { errorOf } from '../../support/error-of.js';
import { rolloutText } from '../../support/test-home.js';
import { threadStoreContract } from '../contract.js';
import { keptMetadataContract } from '../live-contract.js';
import { rolloutOf, type Seed, seed } from '../seed.js';

function storeOf(seeds: readonly Seed[], options: { readOnly?: boolean } = {}): InMemoryThreadStore {
  const store = new InMemoryThreadStore(options);
  for (const entry of seeds) {
    const text = rolloutText({ ...rolloutOf(entry), id: entry.id, at: entry.at });
    const lines = text.split('\n').map(parseRolloutLine);
    store.add(
      threadOf(entry),
      lines.filter((line) => line !== undefined),
    );
  }
  return store;
}

function threadOf(entry: Seed): StoredThread {
  const time = Date.parse(entry.at);
  const firstMessage = entry.turns[0]?.[0];
  const meta = rolloutOf(entry).meta ?? {};
  const source = sessionSource(meta['source']);
  return {
    threadId: entry.id,
    sessionId: entry.id,
    name: entry.name,
    preview: firstMessage ?? '',
    title: firstMessage,
    firstUserMessage: firstMessage,
    cwd: entry.cwd,
    source,
    threadSource: undefined,
    modelProvider: entry.provider,
    model: undefined,
    reasoningEffort: undefined,
    git: { sha: undefined, branch: entry.branch, originUrl: undefined },
    createdAt: time,
    updatedAt: time,
    recencyAt: time,
    isArchived: entry.archived,
    archivedAt: entry.archived ? time : undefined,
    parentThreadId: entry.parent,
    agentNickname: source.spawn?.agentNickname,
    agentRole: source.spawn?.agentRole,
    agentPath: undefined,
    agentDepth: source.spawn?.depth,
    forkedFromId: undefined,
    tokensUsed: undefined,
    memoryMode: 'enabled',
    historyMode: entry.mode,
    cliVersion: '0.169.0',
    approvalMode: undefined,
    permissionProfile: undefined,
  };
}

threadStoreContract('InMemoryThreadStore', async (seeds) => storeOf(seeds));
keptMetadataContract('InMemoryThreadStore', async (seeds) => storeOf(seeds));

describe('InMemoryThreadStore', () => {
  it('refuses writes when it is read-only', async () => {
    const thread = seed();
    const store = storeOf([thread], { readOnly: true });
    expect(await errorOf(store.updateThreadMetadata(thread.id, { name: 'x' }))).toMatchObject({ code: 'read_only' });
    expect(await errorOf(store.archiveThread(thread.id))).toMatchObject({ code: 'read_only' });
  });
});
