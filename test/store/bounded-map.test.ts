import { expect, it } from 'vitest';
import { BoundedMap } from '../../src/store/bounded-map.js';

it('keeps at most its limit, and lets go of what was set first', () => {
  const map = new BoundedMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.set('c', 4);
  expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([3, undefined, 4]);
});
