import { describe, expect, it, vi } from 'vitest';
import { openStore } from '../../support/local-store.js';
import { event, type Line, newId, rolloutText, TestHome } from '../../support/test-home.js';

const ITEMS = 60_000;
/** So many items of a turn are kept (turn-builder.ts). */
const KEPT = 20_000;
const AT = '2026-11-20T10:00:00.000Z';

/** One turn of very many messages. */
function longTurn(mode: 'legacy' | 'paginated', id: string): Line[] {
  const message = (index: number): Line =>
    event(
      mode === 'legacy'
        ? { type: 'agent_message', message: `message ${index}` }
        : {
            type: 'item_completed',
            thread_id: id,
            turn_id: 't1',
            item: { type: 'AgentMessage', id: `i${index}`, content: [{ type: 'Text', text: `message ${index}` }] },
          },
    );
  return [
    event({ type: 'task_started', turn_id: 't1' }),
    ...Array.from({ length: ITEMS }, (_, index) => message(index)),
    event({ type: 'task_complete', turn_id: 't1' }),
  ];
}

async function made(mode: 'legacy' | 'paginated', damage: (lines: string[]) => void = () => {}) {
  const home = new TestHome();
  const id = newId();
  const lines = rolloutText({ id, at: AT, mode, lines: longTurn(mode, id) })
    .trim()
    .split('\n');
  damage(lines);
  home.rollout({ id, at: AT, raw: `${lines.join('\n')}\n` });
  return { id, store: await openStore(home.root) };
}

describe.each(['legacy', 'paginated'] as const)('a %s turn of 60,000 items', (mode) => {
  it.each(['newestFirst', 'oldestFirst'] as const)(
    'keeps the first items and counts the others without parsing them (%s)',
    async (order) => {
      const { id, store } = await made(mode);
      const parse = vi.spyOn(JSON, 'parse');
      const { turns, warnings } = await store.listTurns({ threadId: id, order, limit: 5 });
      const parsed = parse.mock.calls.length;
      parse.mockRestore();
      expect(turns).toHaveLength(1);
      expect(turns[0]).toMatchObject({ status: 'completed', omittedItems: ITEMS - KEPT });
      expect(turns[0]?.items).toHaveLength(KEPT);
      expect(turns[0]?.items.at(-1)?.body?.text).toBe(`message ${KEPT - 1}`);
      expect(warnings).toEqual([]);
      expect(parsed).toBeLessThan(KEPT + 100);
    },
  );

  it('counts a torn line as a line that could not be read, not as an item', async () => {
    const { id, store } = await made(mode, (lines) => {
      lines[ITEMS - 10] = lines[ITEMS - 10]?.slice(0, -8) ?? '';
    });
    for (const order of ['newestFirst', 'oldestFirst'] as const) {
      const { turns, warnings } = await store.listTurns({ threadId: id, order, limit: 5 });
      expect(turns[0]?.omittedItems).toBe(ITEMS - KEPT - 1);
      expect(warnings).toEqual(['Left out because they could not be read: 1 line.']);
    }
  });
});

it('takes a later line of an item that a long turn keeps', async () => {
  const { id, store } = await made('paginated', (lines) => {
    lines[ITEMS] = lines[ITEMS]?.replace(/"id":"i\d+"/, '"id":"i7"').replace(/message \d+/, 'said anew') ?? '';
  });
  const { turns } = await store.listTurns({ threadId: id, order: 'newestFirst', limit: 1 });
  expect(turns[0]?.items[7]?.body?.text).toBe('said anew');
  expect(turns[0]?.omittedItems).toBe(ITEMS - KEPT - 1);
});
