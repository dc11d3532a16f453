import { describe, expect, it } from 'vitest';
import { eventItem } from '../protocol/rollout-item.js';
import { type StoreFactory, turnItems } from './live-contract.js';
import { seed } from './seed.js';

/** For stores that keep metadata themselves, and do not read them off the history. */
export function keptMetadataContract(name: string, make: StoreFactory): void {
  describe(`${name}, which keeps metadata itself`, () => {
    it('takes a patch of every field, literally, and leaves out what is absent', async () => {
      const thread = seed({ mode: 'paginated', branch: 'main' });
      const store = await make([thread]);
      const time = Date.parse('2026-11-23T10:00:00.123Z');
      const patch = {
        name: 'Name',
        title: 'Title',
        preview: 'Preview',
        firstUserMessage: 'First',
        modelProvider: 'provider',
        model: 'model',
        reasoningEffort: 'high',
        createdAt: time,
        updatedAt: time + 1,
        threadSource: 'user',
        agentNickname: 'Ada',
        agentRole: 'worker',
        agentPath: '/root/a',
        cwd: '/elsewhere',
        cliVersion: '9.9.9',
        approvalMode: 'never',
        permissionProfile: '{"type":"disabled"}',
        tokensUsed: 42,
        memoryMode: 'disabled',
      } as const;
      const before = await store.readThread(thread.id);
      const recency = { advanceRecencyAt: time + 2, source: 'exec', gitInfo: { sha: 'abc' } };
      await store.updateThreadMetadata(thread.id, { ...patch, ...recency });
      const after = await store.readThread(thread.id);
      expect(after).toMatchObject({
        ...patch,
        recencyAt: time + 2,
        source: { kind: 'exec', stored: 'exec' },
        git: { sha: 'abc', branch: 'main' },
      });
      expect(Object.keys(after).sort()).toEqual(Object.keys(before).sort());
      await store.updateThreadMetadata(thread.id, { model: 'other', agentPath: null, threadSource: null });
      expect(await store.readThread(thread.id)).toEqual({
        ...after,
        model: 'other',
        agentPath: undefined,
        threadSource: undefined,
      });
    });

    it('moves recency forward and never back', async () => {
      const thread = seed();
      const store = await make([thread]);
      const { recencyAt } = await store.readThread(thread.id);
      await store.updateThreadMetadata(thread.id, { advanceRecencyAt: recencyAt - 1000 });
      expect((await store.readThread(thread.id)).recencyAt).toBe(recencyAt);
      await store.updateThreadMetadata(thread.id, { advanceRecencyAt: recencyAt + 1000 });
      expect((await store.readThread(thread.id)).recencyAt).toBe(recencyAt + 1000);
    });

    it('changes none of it when items are appended', async () => {
      const thread = seed({ turns: [['question', 'answer']] });
      const store = await make([thread]);
      await store.resumeThread(thread.id);
      const before = await store.readThread(thread.id);
      await store.appendItems(thread.id, [
        eventItem({ type: 'thread_settings_applied', thread_settings: { cwd: '/elsewhere', model: 'new' } }),
        ...turnItems(thread.id, 'legacy', ['more', 'x']),
      ]);
      expect(await store.readThread(thread.id)).toEqual(before);
    });
  });
}
