import { describe, expect, it, vi } from 'vitest';
import type { TurnCursor } from '../../../src/store/thread-store.js';
import { openStore } from '../../support/local-store.js';
import { event, type Line, newId, TestHome } from '../../support/test-home.js';

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
  home.damagedRollout({ id, mode, lines: longTurn(mode, id) }, damage);
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

/** Lines that look like messages of the open turn and are none, each where counting it as one would make another turn. */
const NO_MESSAGES: readonly (readonly [string, string])[] = [
  ['a blank message', JSON.stringify({ timestamp: AT, ...event({ type: 'agent_message', message: ' \n' }) })],
  ['an empty message', JSON.stringify({ timestamp: AT, ...event({ type: 'agent_message', message: '' }) })],
  [
    'a message of another turn',
    JSON.stringify({ timestamp: AT, ...event({ type: 'agent_message', message: 'm', turn_id: 'other' }) }),
  ],
  ['two lines glued', JSON.stringify({ timestamp: AT, ...event({ type: 'agent_message', message: 'm' }) }).repeat(2)],
];

it.each(NO_MESSAGES)(
  '%s between a compaction and a question makes no turn, in every order and page',
  async (_, line) => {
    const home = new TestHome();
    const said = (text: string) => JSON.stringify({ timestamp: AT, ...event({ type: 'user_message', message: text }) });
    const compacted = JSON.stringify({ timestamp: AT, type: 'compacted', payload: { message: '' } });
    const turns = [
      ['q1', 'a1'],
      ['q2', 'a2'],
    ] as const;
    const { id } = home.damagedRollout({ turns }, (lines) => lines.push(compacted, line, said('q3')));
    const store = await openStore(home.root);
    for (const order of ['newestFirst', 'oldestFirst'] as const) {
      for (const limit of [1, 2, 100]) {
        const texts: unknown[] = [];
        let cursor: TurnCursor | undefined;
        do {
          const { turns, hasMore } = await store.listTurns({ threadId: id, order, limit, cursor });
          for (const turn of turns) texts.push(turn.items.map(({ body }) => body?.text));
          const last = turns.at(-1);
          cursor = hasMore && last ? { turnId: last.turnId, ...last.anchor } : undefined;
        } while (cursor);
        expect(order === 'oldestFirst' ? texts : texts.reverse(), `${order} ${limit}`).toEqual([...turns, ['q3']]);
      }
    }
  },
);

it.each(NO_MESSAGES.slice(0, 3))('%s after those that a turn keeps is not counted as an item', async (_, line) => {
  const home = new TestHome();
  const id = newId();
  const message = JSON.stringify({ timestamp: AT, ...event({ type: 'agent_message', message: 'm' }) });
  const start = JSON.stringify({ timestamp: AT, ...event({ type: 'task_started', turn_id: 't1' }) });
  home.damagedRollout({ id }, (lines) => {
    lines.push(start, ...new Array<string>(KEPT + 5).fill(message), line);
  });
  const store = await openStore(home.root);
  const { turns } = await store.listTurns({ threadId: id, order: 'newestFirst', limit: 1 });
  expect(turns[0]?.omittedItems).toBe(5);
});
