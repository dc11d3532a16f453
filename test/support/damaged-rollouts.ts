import { event, type Line, legacyTurn, newId, paginatedTurn, rolloutText, type TestHome } from './test-home.js';

export interface DamagedRollout {
  readonly id: ReturnType<typeof newId>;
  /** What was done to which line. */
  readonly damage: string;
}

const AT = '2026-11-20T10:00:00.000Z';

/** Three turns: a whole one, one that was cut off, and one whose last command ends after it. */
function threeTurns(mode: 'legacy' | 'paginated', id: string): Line[] {
  const isLegacy = mode === 'legacy';
  const turn = isLegacy ? legacyTurn : paginatedTurn;
  const item = (turnId: string, value: Line) =>
    event({ type: 'item_completed', thread_id: id, turn_id: turnId, item: value, completed_at_ms: 1_795_000_001_000 });
  const says = (turnId: string, text: string) =>
    isLegacy
      ? event({ type: 'agent_message', message: text })
      : item(turnId, { type: 'AgentMessage', id: `${turnId}-${text}`, content: [{ type: 'Text', text }] });
  const settled = (line: Line): Line => {
    const payload = line['payload'] as Line;
    return payload['type'] === 'item_completed' ? { ...line, payload: { thread_id: id, ...payload } } : line;
  };
  return [
    ...turn('t1', 'question 1', 'answer 1'),
    { type: 'turn_context', payload: CONTEXT('t2') },
    ...turn('t2', 'question 2', 'begins an answer').slice(0, 3),
    says('t2', 'more'),
    event({ type: 'turn_aborted', turn_id: 't2', reason: 'interrupted' }),
    ...turn('t3', 'question 3', 'answer 3'),
    ...(isLegacy ? [] : [says('t3', 'afterwards')]),
    event({ type: 'token_count', info: null, rate_limits: null }),
    ...turn('t4', 'question 4', 'answer 4'),
  ].map(settled);
}

const CONTEXT = (turnId: string) => ({
  turn_id: turnId,
  cwd: '/home/dev/project',
  approval_policy: 'never',
  sandbox_policy: { type: 'danger-full-access' },
  model: 'm',
});

/** One rollout for every way to lose one line: removed, glued to the next one, or cut and written again behind its half. */
export function damagedRollouts(home: TestHome, mode: 'legacy' | 'paginated'): DamagedRollout[] {
  const count = rolloutText({ id: newId(), at: AT, mode, lines: threeTurns(mode, newId()) })
    .trim()
    .split('\n').length;
  const made: DamagedRollout[] = [];
  const add = (damage: string, change: (lines: string[]) => void) => {
    const id = newId();
    home.damagedRollout({ id, at: AT, mode, lines: threeTurns(mode, id) }, change);
    made.push({ id, damage: `${mode}: ${damage}` });
  };
  add('none', () => {});
  for (let n = 1; n < count; n += 1) {
    add(`line ${n} removed`, (lines) => lines.splice(n, 1));
    if (n + 1 < count) add(`line ${n} glued to the next`, (lines) => lines.splice(n, 2, `${lines[n]}${lines[n + 1]}`));
    add(`half of line ${n} before it`, (lines) => lines.splice(n, 1, `${lines[n]?.slice(0, 60)}${lines[n]}`));
    if (n + 1 < count)
      add(`half of line ${n}, then the next`, (lines) =>
        lines.splice(n, 2, `${lines[n]?.slice(0, 60)}${lines[n + 1]}`),
      );
  }
  return made;
}
