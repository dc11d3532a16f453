import { describe, expect, it } from 'vitest';
import { openStore } from '../../../support/local-store.js';
import { addRow, TestHome } from '../../../support/test-home.js';

describe('a search of rows', () => {
  it.each(['name', 'title', 'preview', 'first_user_message'])(
    'finds what stands in %s alone, without regard to case',
    async (column) => {
      const home = new TestHome();
      const db = home.stateDb();
      for (const text of ['Straße to nowhere', 'another']) {
        const { id, file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
        const texts = { title: 't', name: 'n', preview: 'p', first_user_message: 'f', [column]: text };
        addRow(db, { id, rollout_path: file, history_mode: 'paginated', ...texts });
      }
      const store = await openStore(home.root);
      const found = async (search: string) => {
        const filter = { archived: 'include', search } as const;
        return (await store.listThreads({ filter, sortBy: 'createdAt', order: 'desc', limit: 10 })).total;
      };
      expect(await found('STRASSE')).toBe(1);
      expect(await found('another')).toBe(1);
      expect(await found('neither')).toBe(0);
    },
  );
});
