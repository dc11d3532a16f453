import { describe, expect, it } from 'vitest';
import type { ThreadId } from '../protocol/ids.js';
import { serialized } from '../store/serialized.js';
import type { ThreadMetadataPatch } from '../store/thread-patch.js';
import type { StoredThread, ThreadStore } from '../store/thread-store.js';
import { errorOf } from './error-of.js';
import { liveThreadContract, type StoreFactory } from './live-contract.js';
import { idsOf, pagesOf, threadReaderContract } from './reader-contract.js';
import { seed } from './seed.js';
import { newId } from './seed-rollout.js';

/** The thread after a patch that left nothing to warn of. */
async function updated(store: ThreadStore, threadId: ThreadId, patch: ThreadMetadataPatch): Promise<StoredThread> {
  const { thread, warnings } = await store.updateThreadMetadata(threadId, patch);
  expect(warnings).toEqual([]);
  return await thread();
}

/** What every thread store promises, under the queue that the manager puts around it. */
export function threadStoreContract(name: string, makeBare: StoreFactory): void {
  const make: StoreFactory = async (seeds) => serialized(await makeBare(seeds));
  threadReaderContract(name, make);
  describe(`${name} as a ThreadStore`, () => {
    describe('updateThreadMetadata', () => {
      it.each(['legacy', 'paginated'] as const)(
        'sets, keeps and clears what a patch says, on a %s thread',
        async (mode) => {
          const thread = seed({ mode, branch: 'main' });
          const store = await make([thread]);
          const update = (patch: ThreadMetadataPatch) => updated(store, thread.id, patch);
          expect((await update({ name: 'One' })).name).toBe('One');
          const both = await update({ gitInfo: { sha: 'abc', originUrl: 'u' }, memoryMode: 'disabled' });
          expect(both).toMatchObject({
            name: 'One',
            git: { sha: 'abc', branch: 'main', originUrl: 'u' },
            memoryMode: 'disabled',
          });
          await update({ gitInfo: { sha: null }, name: null, memoryMode: 'enabled' });
          const read = await store.readThread(thread.id);
          expect(read.name).toBeUndefined();
          expect(read.git).toEqual({ branch: 'main', originUrl: 'u', sha: undefined });
          expect(read.memoryMode).toBe('enabled');
          expect(await idsOf(store)).toEqual([thread.id]);
        },
      );

      it('reads the thread when the patch is empty', async () => {
        const thread = seed({ name: 'Kept' });
        const store = await make([thread]);
        expect((await updated(store, thread.id, { gitInfo: {} })).name).toBe('Kept');
      });

      it('takes a name that is the first message, or that another thread has', async () => {
        const thread = seed();
        const other = seed();
        const store = await make([thread, other]);
        for (const { id } of [thread, other]) {
          expect((await updated(store, id, { name: 'Same' })).name).toBe('Same');
        }
        expect((await store.findThreadsByName('Same', 5)).sort()).toEqual([thread.id, other.id].sort());
        expect(await store.findThreadsByName('same', 5)).toEqual([]);
      });

      it('works on an archived thread, which stays archived', async () => {
        const thread = seed({ archived: true });
        const store = await make([thread]);
        const after = await updated(store, thread.id, {
          name: 'Old',
          gitInfo: { branch: 'b' },
        });
        expect(after).toMatchObject({ name: 'Old', git: { branch: 'b' }, isArchived: true });
      });

      it('takes calls that come all at once, one after another', async () => {
        const thread = seed({ turns: [['q1', 'a1']] });
        const store = await make([thread]);
        const calls = Array.from({ length: 10 }, (_, n) => [
          store.updateThreadMetadata(thread.id, { name: `name ${n}`, gitInfo: { branch: `b${n}` } }),
          n % 2 === 0 ? store.archiveThread(thread.id) : store.unarchiveThread(thread.id),
        ]).flat();
        await Promise.all(calls);
        expect(await store.readThread(thread.id)).toMatchObject({
          name: 'name 9',
          git: { branch: 'b9' },
          isArchived: false,
        });
      });

      it('leaves the turns as they are', async () => {
        const thread = seed({
          mode: 'paginated',
          turns: [
            ['q1', 'a1'],
            ['q2', 'a2'],
          ],
        });
        const store = await make([thread]);
        await store.updateThreadMetadata(thread.id, { name: 'n', gitInfo: { branch: 'b' }, memoryMode: 'disabled' });
        expect(await pagesOf(store, thread.id, 'oldestFirst', 10)).toHaveLength(2);
      });

      it('fails with thread_not_found for an unknown id', async () => {
        const call = (await make([])).updateThreadMetadata(newId(), { name: 'x' });
        expect(await errorOf(call)).toMatchObject({ code: 'thread_not_found' });
      });
    });

    describe('archiveThread and unarchiveThread', () => {
      it.each(['legacy', 'paginated'] as const)(
        'moves one %s thread there and back, with all that it is',
        async (mode) => {
          const thread = seed({ mode, name: 'Kept', turns: [['q1', 'a1']] });
          const store = await make([thread]);
          expect(await store.archiveThread(thread.id)).toBe(true);
          const archived = await store.readThread(thread.id);
          expect(archived).toMatchObject({ name: 'Kept', isArchived: true });
          expect(await idsOf(store)).toEqual([]);
          expect(await pagesOf(store, thread.id, 'newestFirst', 5)).toHaveLength(1);
          expect(await store.unarchiveThread(thread.id)).toBe(true);
          expect(await store.readThread(thread.id)).toMatchObject({
            name: 'Kept',
            isArchived: false,
            archivedAt: undefined,
          });
          expect(await idsOf(store)).toEqual([thread.id]);
        },
      );

      it('does nothing the second time', async () => {
        const thread = seed();
        const store = await make([thread]);
        expect(await store.unarchiveThread(thread.id)).toBe(false);
        await store.archiveThread(thread.id);
        expect(await store.archiveThread(thread.id)).toBe(false);
      });

      it('tells in a dry run what it would do', async () => {
        const thread = seed();
        const store = await make([thread]);
        expect(await store.archiveThread(thread.id, { dryRun: true })).toBe(true);
        expect(await store.readThread(thread.id)).toMatchObject({ isArchived: false });
        expect(await store.unarchiveThread(thread.id, { dryRun: true })).toBe(false);
      });

      it('leaves other threads alone, its children too', async () => {
        const parent = seed();
        const child = seed({ parent: parent.id });
        const store = await make([parent, child]);
        await store.archiveThread(parent.id);
        expect(await store.readThread(child.id)).toMatchObject({ isArchived: false });
      });

      it('fails with thread_not_found for an unknown id', async () => {
        const store = await make([]);
        expect(await errorOf(store.archiveThread(newId()))).toMatchObject({ code: 'thread_not_found' });
        expect(await errorOf(store.unarchiveThread(newId()))).toMatchObject({ code: 'thread_not_found' });
      });
    });

    liveThreadContract(make);
  });
}
