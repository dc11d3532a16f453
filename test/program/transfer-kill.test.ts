import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, inject, it } from 'vitest';
import type { ThreadStore } from '../../src/store/thread-store.js';
import { allThreads } from '../../src/transfer/all-threads.js';
import { openStore } from '../support/local-store.js';
import { PROJECT } from '../support/mcp-client.js';
import { newSchema, openPostgresStore } from '../support/postgres-store.js';
import { runProgram } from '../support/program.js';
import { TestHome } from '../support/test-home.js';

const THREADS = 300;
const KILLS = 8;
const env = { THREADKEEPER_STORE: inject('postgresUrl') };

it('an import and an export that are killed again and again end as if they had not been', {
  timeout: 120_000,
}, async () => {
  const home = new TestHome();
  const turns = Array.from({ length: 20 }, (_, n) => [`question ${n}`, `answer ${n}`] as const);
  for (let n = 0; n < THREADS; n += 1) {
    const { id } = home.rollout({ turns, mode: n % 2 ? 'paginated' : 'legacy', archived: n % 10 === 0 });
    if (n % 3 === 0) home.name(id, `Thread ${n}`);
  }
  const schema = newSchema();
  const importing = ['import', '--from', home.root, '--schema', schema, '--json'];
  await killed(importing);
  const imported = await runProgram(importing, env);
  expect(JSON.parse(imported.stdout)).toMatchObject({ total: THREADS, updated: 0, leftAlone: 0, failed: [] });
  const wanted = await contentOf(await openStore(home.root));
  expect(await contentOf(openPostgresStore({ schema }))).toEqual(wanted);

  const target = new TestHome();
  const exporting = ['export', '--to', target.root, '--schema', schema, '--json'];
  await killed(exporting, () => {
    // What has its name is whole.
    for (const file of rolloutsIn(target.root)) expect(target.read(file).split('\n')).toHaveLength(82);
  });
  const exported = await runProgram(exporting, env);
  expect(JSON.parse(exported.stdout)).toMatchObject({ total: THREADS, failed: [] });
  expect(rolloutsIn(target.root)).toHaveLength(THREADS);
  expect(await contentOf(await openStore(target.root))).toEqual(wanted);
});

async function killed(args: readonly string[], check: () => void = () => {}): Promise<void> {
  for (let kill = 0; kill < KILLS; kill += 1) {
    const main = path.join(PROJECT, 'dist/main.js');
    const child = spawn(process.execPath, [main, ...args], { env: { ...process.env, ...env }, stdio: 'ignore' });
    const ended = once(child, 'exit');
    await sleep(250 + Math.random() * 500);
    child.kill('SIGKILL');
    await ended;
    check();
  }
}

function rolloutsIn(root: string): string[] {
  return readdirSync(root, { recursive: true }).flatMap((name) =>
    /rollout-[^/]*\.jsonl$/.test(String(name)) && !path.basename(String(name)).startsWith('.') ? [String(name)] : [],
  );
}

async function contentOf(store: ThreadStore): Promise<Map<string, unknown>> {
  const content = new Map<string, unknown>();
  for await (const { threadId, name, isArchived, updatedAt } of allThreads(store)) {
    const { turns } = await store.listTurns({ threadId, order: 'oldestFirst', limit: 100 });
    const texts = turns.map(({ items }) => items.map(({ body }) => body?.text));
    content.set(threadId, { name, isArchived, updatedAt, texts });
  }
  return content;
}
