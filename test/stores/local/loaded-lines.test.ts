import { describe, expect, it, vi } from 'vitest';
import { LoadedLines } from '../../../src/stores/local/loaded-lines.js';
import { readLines } from '../../../src/stores/local/rollout/line-reader.js';
import { openPlain } from '../../../src/stores/local/rollout/rollout-bytes.js';
import { openStore } from '../../support/local-store.js';
import { event, legacyTurn, newId, rolloutText, TestHome } from '../../support/test-home.js';

const AT = '2026-11-20T10:00:00.000Z';
const said = (message: string) => event({ type: 'user_message', message });

describe('the count of lines that Codex loads before a place', () => {
  it('is the same in whichever order places are asked for', async () => {
    const home = new TestHome();
    const { file } = home.damagedRollout({ lines: Array.from({ length: 40 }, (_, n) => said(`q${n}`)) }, (lines) => {
      for (const index of [5, 17, 18, 30]) lines[index] = lines[index]?.slice(0, -9) ?? '';
      lines[20] = '';
      lines[25] = '{"timestamp":"x","type":"of_the_future","payload":{}}';
    });
    const bytes = openPlain(file);
    const offsets = [...readLines(bytes)].map(({ offset }) => offset);
    const expected = new Map<number, number>();
    for (const offset of offsets) expected.set(offset, await new LoadedLines().before(bytes, 'x', offset));
    expect(expected.get(offsets.at(-1) ?? 0)).toBe(40 - 6);
    const counts = new LoadedLines();
    for (let round = 0; round < 200; round += 1) {
      const offset = offsets[(round * 17 + (round % 3) * 5) % offsets.length] ?? 0;
      expect(await counts.before(bytes, 'x', offset)).toBe(expected.get(offset));
    }
    bytes.close();
  });

  it('goes on from the last count, so that the next page of a thread parses few lines', async () => {
    const { file } = new TestHome().rollout({ lines: Array.from({ length: 3000 }, (_, n) => said(`q${n}`)) });
    const bytes = openPlain(file);
    const offsets = [...readLines(bytes)].map(({ offset }) => offset);
    const counts = new LoadedLines();
    expect(await counts.before(bytes, 'x', offsets[2995] ?? 0)).toBe(2995);
    const parse = vi.spyOn(JSON, 'parse');
    expect(await counts.before(bytes, 'x', offsets[2990] ?? 0)).toBe(2990);
    expect(await counts.before(bytes, 'x', offsets[2999] ?? 0)).toBe(2999);
    expect(parse.mock.calls.length).toBeLessThan(20);
    expect(await counts.before(bytes, 'x', offsets[3] ?? 0)).toBe(3);
    expect(parse.mock.calls.length).toBeLessThan(30);
    parse.mockRestore();
    bytes.close();
  });

  it('is not taken from another file that has come to the same place', async () => {
    const home = new TestHome();
    const id = newId();
    const write = (before: number) =>
      home.rollout({ id, raw: rolloutText({ id, at: AT, lines: [...Array(before).fill(said('x')), said('last')] }) });
    const store = await openStore(home.root);
    for (const before of [10, 20, 15]) {
      write(before);
      const { turns } = await store.listTurns({ threadId: id, order: 'newestFirst', limit: 1 });
      expect(turns[0]?.turnId).toBe(`rollout-${before + 1}`);
    }
  });

  it('is not asked for where turns have ids of their own', async () => {
    const home = new TestHome();
    const lines = Array.from({ length: 500 }, (_, n) => legacyTurn(`t${n}`, 'q', 'a')).flat();
    const { id } = home.rollout({ lines });
    const store = await openStore(home.root);
    const before = vi.spyOn(LoadedLines.prototype, 'before');
    await store.listTurns({ threadId: id, order: 'newestFirst', limit: 5 });
    expect(before).not.toHaveBeenCalled();
    before.mockRestore();
  });
});
