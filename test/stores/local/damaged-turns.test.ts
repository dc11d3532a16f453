import { describe, expect, it } from 'vitest';
import type { ThreadId } from '../../../src/protocol/ids.js';
import type { ThreadStore, TurnCursor } from '../../../src/store/thread-store.js';
import type { Turn } from '../../../src/transcript/turn.js';
import { damagedRollouts } from '../../support/damaged-rollouts.js';
import { openStore } from '../../support/local-store.js';
import { event, legacyTurn, paginatedTurn, TestHome } from '../../support/test-home.js';

type Order = 'newestFirst' | 'oldestFirst';

/** All turns, page by page, oldest first; and the most warnings that a page gave. */
async function pages(store: ThreadStore, threadId: ThreadId, order: Order, limit: number) {
  const turns: Turn[] = [];
  const warnings = new Set<string>();
  let cursor: TurnCursor | undefined;
  for (;;) {
    const page = await store.listTurns({ threadId, order, limit, cursor });
    turns.push(...page.turns);
    for (const warning of page.warnings) warnings.add(warning);
    const last = page.turns.at(-1);
    if (!page.hasMore || !last) break;
    cursor = { turnId: last.turnId, ...last.anchor };
  }
  return { turns: order === 'newestFirst' ? turns.reverse() : turns, warnings: [...warnings] };
}

const told = ({ turns }: { turns: readonly Turn[] }) =>
  turns.map(({ turnId, status, items }) => `${turnId} ${status}: ${items.map(({ body }) => body?.text).join(' | ')}`);

describe('turns of a rollout that lost a line', () => {
  it.each(['legacy', 'paginated'] as const)(
    'are the same in every order and for every size of page (%s)',
    async (mode) => {
      const home = new TestHome();
      const rollouts = damagedRollouts(home, mode);
      const store = await openStore(home.root);
      expect(rollouts.length).toBeGreaterThan(60);
      for (const { id, damage } of rollouts) {
        const whole = told(await pages(store, id, 'oldestFirst', 100));
        expect(whole.length, damage).toBeGreaterThanOrEqual(3);
        for (const order of ['newestFirst', 'oldestFirst'] as const)
          for (const limit of [1, 2, 3, 100])
            expect(told(await pages(store, id, order, limit)), `${damage}, ${order} ${limit}`).toEqual(whole);
      }
    },
    60_000,
  );

  it.each(['legacy', 'paginated'] as const)('are the same where lines are in any order (%s)', async (mode) => {
    const home = new TestHome();
    const next = random(7);
    const pick = <T>(values: readonly T[]): T => values[next(values.length)] as T;
    const item = (turnId: string, type: string, text: string) =>
      event({
        type: 'item_completed',
        turn_id: turnId,
        item: { type, id: `${type}-${text}`, content: [{ type: type === 'AgentMessage' ? 'Text' : 'text', text }] },
      });
    const ids = Array.from({ length: 400 }, () => {
      let started = 0;
      const lines = Array.from({ length: 4 + next(10) }, (_, n) => {
        // Of turns that began, will begin, or never do; each begins once.
        const turnId = `t${next(started + 2)}`;
        if (next(4) === 0) {
          started += 1;
          return event({ type: 'task_started', turn_id: `t${started}` });
        }
        return pick([
          event({ type: 'task_complete', turn_id: turnId }),
          event({ type: 'turn_aborted', turn_id: turnId, reason: 'interrupted' }),
          ...(mode === 'legacy'
            ? [event({ type: 'user_message', message: `q${n}` }), event({ type: 'agent_message', message: `a${n}` })]
            : [item(turnId, 'UserMessage', `q${n}`), item(turnId, 'AgentMessage', `a${n}`)]),
        ]);
      });
      return home.rollout({ mode, lines }).id;
    });
    const store = await openStore(home.root);
    for (const id of ids) {
      const whole = told(await pages(store, id, 'oldestFirst', 100));
      for (const order of ['newestFirst', 'oldestFirst'] as const)
        for (const limit of [1, 2, 100])
          expect(told(await pages(store, id, order, limit)), `${id}, ${order} ${limit}`).toEqual(whole);
    }
  });

  it('count each bad line once, whatever the order', async () => {
    const home = new TestHome();
    const { id } = home.rollout({
      lines: [...legacyTurn('t1', 'q', 'a'), { bad: true }, ...legacyTurn('t2', 'q', 'a'), { bad: true }],
    });
    const store = await openStore(home.root);
    for (const order of ['newestFirst', 'oldestFirst'] as const)
      expect((await pages(store, id, order, 10)).warnings).toEqual([
        'Left out because they could not be read: 2 lines.',
      ]);
  });

  it('name the turn that a line far behind belongs to, beyond any page', async () => {
    const home = new TestHome();
    const late = event({
      type: 'item_completed',
      turn_id: 't1',
      item: { type: 'AgentMessage', id: 'late', content: [{ type: 'Text', text: 'late' }] },
    });
    const others = Array.from({ length: 300 }, (_, n) => paginatedTurn(`t${n + 2}`, 'q', 'a')).flat();
    const lines = [...paginatedTurn('t1', 'q', 'a'), ...others, late];
    const { id } = home.rollout({ mode: 'paginated', lines });
    const store = await openStore(home.root);
    for (const order of ['newestFirst', 'oldestFirst'] as const) {
      const { turns } = await pages(store, id, order, 7);
      expect(turns).toHaveLength(301);
      expect(turns[0]?.items.map(({ itemId }) => itemId)).toEqual(['t1-user', 't1-agent', 'late']);
    }
  });
});

describe('a rollout that another program had in its hands', () => {
  it.each([
    ['a byte order mark', '\ufeff'],
    ['NULs', '\u0000'.repeat(512)],
  ])('is read when %s come before its first line', async (_, before) => {
    const home = new TestHome();
    const whole = new TestHome().rollout({ mode: 'paginated', turns: [['q', 'a']] });
    const { readFileSync } = await import('node:fs');
    const { id } = home.rollout({ id: whole.id, raw: before + readFileSync(whole.file, 'utf8') });
    const store = await openStore(home.root);
    expect(told(await pages(store, id, 'newestFirst', 10))).toEqual(['turn-1 completed: q | a']);
    expect(await store.readThread(id)).toMatchObject({ preview: 'q', historyMode: 'paginated' });
  });

  it('shows what a program without ordinals appended to a paginated one', async () => {
    const home = new TestHome();
    const first = new TestHome().rollout({ mode: 'paginated', turns: [['q1', 'a1']] });
    const { readFileSync } = await import('node:fs');
    const added = legacyTurn('old', 'q2', 'a2').map((line) =>
      JSON.stringify({ timestamp: '2026-11-20T11:00:00Z', ...line }),
    );
    const { id } = home.rollout({ id: first.id, raw: `${readFileSync(first.file, 'utf8')}${added.join('\n')}\n` });
    const store = await openStore(home.root);
    for (const order of ['newestFirst', 'oldestFirst'] as const)
      expect(told(await pages(store, id, order, 1))).toEqual(['turn-1 completed: q1 | a1', 'old completed: q2 | a2']);
  });

  it('is paginated when its lines have ordinals, whatever its session_meta says', async () => {
    const home = new TestHome();
    const whole = new TestHome().rollout({ mode: 'paginated', turns: [['q', 'a']] });
    const { readFileSync } = await import('node:fs');
    const raw = readFileSync(whole.file, 'utf8').replace('"history_mode":"paginated"', '"history_mode":"legacy"');
    const variants = [raw, raw.replace('"ordinal":0,', ''), raw.replace('"history_mode":"legacy"', '"x":1')];
    for (const variant of variants) {
      const { id } = home.rollout({
        raw: variant.replaceAll(whole.id, '01a20000-0000-7000-8000-00000000ffff'),
        id: '01a20000-0000-7000-8000-00000000ffff' as ThreadId,
      });
      const store = await openStore(home.root);
      expect(told(await pages(store, id, 'newestFirst', 10))).toEqual(['turn-1 completed: q | a']);
      expect((await store.readThread(id)).historyMode).toBe('paginated');
    }
  });
});

/** Whole numbers below a limit, the same ones each time. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * below);
  };
}
