import { readdirSync, readlinkSync, renameSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { open } from '../support/local-store.js';
import { makeStateDb, TestHome } from '../support/test-home.js';

const OURS = 'threadkeeper.sqlite';
const CODEXS = 'state_5.sqlite';

/** How many descriptors this process has on a DB of the home and the files beside it, those of removed files included. */
function openOn(home: TestHome, db: string): { there: number; removed: number } {
  const targets = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  const ofDb = targets.filter((target) => target.startsWith(path.join(home.root, db)));
  const removed = ofDb.filter((target) => target.endsWith(' (deleted)')).length;
  return { there: ofDb.length - removed, removed };
}

/** What one handle has open: the DB, its log and the index of that. */
const ONE = { there: 3, removed: 0 };
const NONE = { there: 0, removed: 0 };

async function served(home: TestHome) {
  const { id } = home.rollout({ turns: [['q', 'a']] });
  const { manager, stateDb, backfilled } = await open(home.root, { indexUse: 'create' });
  await backfilled;
  return { stateDb, write: (name: string) => manager.updateThreadMetadata(id, { name }) };
}

describe('the descriptors on state DBs', () => {
  it('are those of one handle on ours while it serves, and none once Codex’s has taken over', async () => {
    const home = new TestHome();
    const { stateDb, write } = await served(home);
    await write('one');
    expect(stateDb.status.kind).toBe('index');
    expect(openOn(home, OURS)).toEqual(ONE);
    makeStateDb(home.root).close();
    await write('two');
    expect(stateDb.status.kind).toBe('codex');
    expect(openOn(home, OURS)).toEqual(NONE);
    expect(openOn(home, CODEXS)).toEqual(ONE);
  });

  it('are none on a DB of Codex’s that was replaced, and those of one handle on the new one', async () => {
    const home = new TestHome();
    makeStateDb(home.root).close();
    const { stateDb, write } = await served(home);
    await write('one');
    for (let time = 0; time < 3; time += 1) {
      makeStateDb(home.root, 'next.sqlite').close();
      for (const suffix of ['-wal', '-shm'])
        renameSync(path.join(home.root, CODEXS + suffix), `${home.root}/old${suffix}`);
      renameSync(path.join(home.root, 'next.sqlite'), path.join(home.root, CODEXS));
      await write(`after ${time}`);
      expect(stateDb.status.kind).toBe('codex');
      expect(openOn(home, CODEXS)).toEqual(ONE);
      expect(openOn(home, 'old')).toEqual(NONE);
    }
  });

  it('are none on a DB of ours that is lost, and those of one handle on the one made anew', async () => {
    const home = new TestHome();
    const { stateDb, write } = await served(home);
    for (let time = 0; time < 3; time += 1) {
      const lost = stateDb.db;
      if (!lost) throw new Error('there is no state DB');
      stateDb.lose(lost, 'its pages are damaged');
      await expect.poll(() => stateDb.status.kind).toBe('index');
      await write(`after ${time}`);
      expect(openOn(home, OURS)).toEqual(ONE);
    }
  });
});
