import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { open } from '../../../support/local-store.js';
import { event, TestHome } from '../../../support/test-home.js';

const ALL = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 20 } as const;

const calls = vi.hoisted(() => ({ looks: 0 }));

// Counts the looks at files; everything is passed on to the real file system.
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>();
  const counted = ((...args: Parameters<typeof fs.statSync>) => {
    calls.looks += 1;
    return fs.statSync(...args);
  }) as typeof fs.statSync;
  return { ...fs, statSync: counted };
});

it('a list finds what grew without looking at every file', async () => {
  const home = new TestHome();
  const files = Array.from({ length: 1000 }, () => home.rollout({ turns: [['q', 'a']] }));
  const { manager } = await open(home.root, { indexUse: 'create' });
  await manager.listThreads(ALL);
  await sleep(600);
  const line = event({ type: 'token_count', info: { total_token_usage: { total_tokens: 99 } } });
  appendFileSync(files[500]?.file ?? '', `${JSON.stringify({ timestamp: new Date().toISOString(), ...line })}\n`);
  await sleep(100);
  calls.looks = 0;
  const { threads } = await manager.listThreads(ALL);
  expect(threads[0]?.thread).toMatchObject({ threadId: files[500]?.id, tokensUsed: 99 });
  expect(calls.looks).toBeGreaterThan(0);
  expect(calls.looks).toBeLessThan(200);
});
