import { expect, it } from 'vitest';
import { eventsWith } from '../../../../src/protocol/line-types.js';
import { IS_MARK } from '../../../../src/stores/postgres/db/migrations.js';

it('the index of items that tell turns apart has the events that the one list of types says', () => {
  const indexed = [...IS_MARK.matchAll(/'(\w+)'/g)].map(([, name]) => name);
  expect(indexed.sort()).toEqual([...eventsWith('start', 'complete', 'abort', 'userMessage', 'rollback')].sort());
});
