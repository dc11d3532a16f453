import { rmSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { expect, it } from 'vitest';
import { INDEX_FILE } from '../../src/stores/local/state-db/open-state-db.js';
import { OurServer, type ThreadList } from '../support/mcp-client.js';
import { TestHome } from '../support/test-home.js';

const THREADS = 10_000;

it('two, four and eight servers at once on a home of 10,000 threads without a DB: one fills, all answer right', async () => {
  const home = new TestHome();
  for (let n = 0; n < THREADS; n += 1) {
    const day = String(1 + (n % 28)).padStart(2, '0');
    home.rollout({ at: `2026-10-${day}T10:00:00.000Z`, turns: [[`question ${n}`, 'answer']] });
  }
  for (const count of [2, 4, 8]) {
    for (const suffix of ['', '-wal', '-shm']) rmSync(path.join(home.root, INDEX_FILE + suffix), { force: true });
    const servers = await Promise.all(Array.from({ length: count }, () => new OurServer(home.root).start()));
    const lists = await Promise.all(servers.map((server) => server.call<ThreadList>('list_threads', { limit: 5 })));
    for (const { total, threads } of lists) expect([total, threads.length]).toEqual([THREADS, 5]);
    const found = await Promise.all(
      servers.map((server) => server.call<ThreadList>('list_threads', { search: 'question 9999' })),
    );
    for (const { total } of found) expect(total).toBe(1);
    for (const server of servers) {
      expect(server.stderr).not.toMatch(/locked|unforeseen|cannot/);
      await server.stop();
    }
    const db = new Database(path.join(home.root, INDEX_FILE), { readonly: true });
    expect(db.prepare('SELECT count(*) FROM threads').pluck().get()).toBe(THREADS);
    expect(db.prepare('SELECT status FROM backfill_state').pluck().get()).toBe('complete');
    db.close();
  }
}, 180_000);
