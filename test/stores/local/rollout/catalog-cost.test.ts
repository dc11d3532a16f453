import { utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, vi } from 'vitest';
import { RolloutCatalog } from '../../../../src/stores/local/rollout/rollout-catalog.js';
import { RolloutHome } from '../../../../src/stores/local/rollout/rollout-home.js';
import { TestHome } from '../../../support/test-home.js';

const calls = vi.hoisted(() => ({ listed: [] as string[] }));

// Counts the directories that are listed; everything is passed on to the real file system.
vi.mock('node:fs', async (importOriginal) => {
  const fs = await importOriginal<typeof import('node:fs')>();
  const counted = ((...args: Parameters<typeof fs.readdirSync>) => {
    calls.listed.push(String(args[0]));
    return fs.readdirSync(...args);
  }) as unknown as typeof fs.readdirSync;
  return { ...fs, readdirSync: counted };
});

it('a directory that has not changed is not listed again, also with copies in it that hold no thread', () => {
  const home = new TestHome();
  const { file } = home.rollout({ turns: [['said', 'x']] });
  writeFileSync(file.replace('.jsonl', ' (1).jsonl'), 'garbage\n'.repeat(10));
  writeFileSync(file.replace('.jsonl', ' (2).jsonl'), '');
  const directory = path.dirname(file);
  utimesSync(directory, 1_795_000_000, 1_795_000_000);
  const catalog = new RolloutCatalog(new RolloutHome(home.root));
  catalog.refresh();
  expect(calls.listed).toContain(directory);
  expect(catalog.copies).toHaveLength(2);
  calls.listed.length = 0;
  for (let look = 0; look < 3; look += 1) catalog.refresh();
  expect(calls.listed).not.toContain(directory);
});
