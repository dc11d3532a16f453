import { describe, expect, it } from 'vitest';
import { damagedRollouts } from '../support/damaged-rollouts.js';
import { OurServer } from '../support/mcp-client.js';
import { TestHome } from '../support/test-home.js';
import { type CodexTurn, withAppServer } from './codex-answers.js';
import { writeConfig } from './rig/with-codex.mjs';

describe('a rollout that lost a line', () => {
  it.each(['legacy', 'paginated'] as const)(
    'has the turns and the texts that real Codex shows, where it shows any (%s)',
    async (mode) => {
      const home = new TestHome();
      const rollouts = damagedRollouts(home, mode);
      // No model is asked for anything.
      writeConfig(home.root, 9);
      const ours = await new OurServer(home.root, ['--no-state-db']).start();
      let answered = 0;
      const told = new Map<string, string[]>();
      for (const { id, damage } of rollouts) {
        const turns = await ours.turnsOf(id, { includeOutputs: true });
        told.set(
          damage,
          turns.map(({ turnId, items }) => `${turnId}: ${items.map((item) => item['text'] ?? '').join(' | ')}`),
        );
      }
      await ours.stop();
      await withAppServer(home.root, async (codex) => {
        for (const { id, damage } of rollouts) {
          // A paginated thread shows turns once it was resumed.
          await codex.try('thread/resume', { threadId: id });
          const params = { threadId: id, itemsView: 'full', sortDirection: 'asc', limit: 100 };
          const { ok } = await codex.try<{ data: CodexTurn[] }>('thread/turns/list', params);
          if (!ok || ok.data.length === 0) continue;
          answered += 1;
          const theirs = ok.data.map(
            (turn) => `${turn.id}: ${turn.items.map((item) => item.text ?? item.content?.[0]?.text ?? '').join(' | ')}`,
          );
          expect(told.get(damage), damage).toEqual(theirs);
        }
      });
      expect(answered).toBeGreaterThan(rollouts.length / 2);
    },
    120_000,
  );
});
