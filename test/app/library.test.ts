import { existsSync } from 'node:fs';
import { expect, it, onTestFinished, vi } from 'vitest';
import { openHome } from '../../src/app/library.js';
import { errorOf } from '../../src/contract/error-of.js';
import { addRow, newId, TestHome } from '../support/test-home.js';

it('opens a home read-only so that nothing of it can be changed', async () => {
  const home = new TestHome();
  const { id, file } = home.rollout({ turns: [['q', 'a']] });
  const { manager, store, graph, repair, close } = await openHome({ home: home.root, readOnly: true });
  onTestFinished(close);
  expect((await manager.readThread(id)).preview).toBe('q');
  const writes = [
    () => manager.updateThreadMetadata(id, { name: 'x' }),
    () => store.updateThreadMetadata(id, { name: 'x' }),
    () => store.archiveThread(id),
    () => graph.upsertSpawnEdge({ parentThreadId: id, childThreadId: newId(), status: 'open' }),
    () => graph.setSpawnEdgeStatus(id, 'closed'),
    () => repair(),
  ];
  for (const write of writes) expect(await errorOf(write())).toMatchObject({ code: 'read_only' });
  expect(existsSync(file)).toBe(true);
  expect(existsSync(`${home.root}/session_index.jsonl`)).toBe(false);
});

it('finds the state DB of Codex where CODEX_SQLITE_HOME says, so that Codex sees a write', async () => {
  const [home, sqlite] = [new TestHome(), new TestHome()];
  const { id, file } = home.rollout({ turns: [['q', 'a']], mode: 'paginated' });
  const db = sqlite.stateDb();
  addRow(db, { id, rollout_path: file, history_mode: 'paginated' });
  vi.stubEnv('CODEX_SQLITE_HOME', sqlite.root);
  onTestFinished(() => void vi.unstubAllEnvs());
  const { manager, close } = await openHome({ home: home.root });
  onTestFinished(close);
  await manager.updateThreadMetadata(id, { name: 'Seen' });
  expect(db.prepare('SELECT name FROM threads WHERE id = ?').get(id)).toEqual({ name: 'Seen' });
});
