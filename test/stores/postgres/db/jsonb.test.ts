import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fromJsonb, toJsonb, toText } from '../../../../src/stores/postgres/db/jsonb.js';
import { openDb } from '../../../support/postgres-store.js';

it('any value comes back from jsonb as it went in, but for what is no character', async () => {
  const db = openDb();
  const texts = fc.string({
    unit: fc.oneof(fc.constantFrom('\0', '\uFDD0', '0', '1', '\\', '\u{1F389}'), fc.string()),
  });
  const values = fc.dictionary(texts, fc.oneof(texts, fc.integer(), fc.boolean(), fc.constant(null), fc.array(texts)));
  await fc.assert(
    fc.asyncProperty(values, async (value) => {
      const [row] = await db.query('SELECT $1::jsonb AS value', [toJsonb(value)]);
      // vitest's toEqual takes an own key `__proto__` for the prototype.
      assert.deepStrictEqual(row?.['value'], JSON.parse(JSON.stringify(value)));
    }),
    { numRuns: 200, examples: [[JSON.parse('{"__proto__":[]}')], [JSON.parse('{"__proto__":["\\u0000"]}')]] },
  );
});

it('half a character becomes the sign for what cannot be shown', () => {
  expect(fromJsonb(toJsonb({ text: 'a\ud800b' }))).toEqual({ text: 'a\uFFFDb' });
  expect(toText('a\0b')).toBe('a\uFFFDb');
});
