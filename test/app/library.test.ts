import { existsSync } from 'node:fs';
import { expect, it, onTestFinished } from 'vitest';
import { openHome } from '../../src/app/library.js';
import { errorOf } from '../../src/contract/error-of.js';
import { TestHome } from '../support/test-home.js';

it('opens a home read-only so that nothing of it can be changed', async () => {
  const home = new TestHome();
  const { id, file } = home.rollout({ turns: [['q', 'a']] });
  const { manager, store, repair, close } = await openHome({ home: home.root, readOnly: true });
  onTestFinished(close);
  expect((await manager.readThread(id)).preview).toBe('q');
  const writes = [
    () => manager.updateThreadMetadata(id, { name: 'x' }),
    () => store.updateThreadMetadata(id, { name: 'x' }),
    () => store.archiveThread(id),
    () => repair(),
  ];
  for (const write of writes) expect(await errorOf(write())).toMatchObject({ code: 'read_only' });
  expect(existsSync(file)).toBe(true);
  expect(existsSync(`${home.root}/session_index.jsonl`)).toBe(false);
});
