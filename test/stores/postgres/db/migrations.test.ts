import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { eventsWith } from '../../../../src/protocol/line-types.js';
import { IS_MARK } from '../../../../src/stores/postgres/db/indexed.js';
import { MIGRATIONS } from '../../../../src/stores/postgres/db/migrations/index.js';

const DIRECTORY = new URL('../../../../src/stores/postgres/db/migrations/', import.meta.url);

/** Released migrations by their content. A database that ran one is as that text made it: it must never change. */
const FROZEN = {
  '0001-threads-items-edges': '550c9f974b6d66aa',
  '0002-count-changes': '98f4ad91c7ec90ff',
  '0003-cwd-keys': '00cdbfcc1135b666',
};

describe('the migrations', () => {
  it('are the files of their directory, in order', () => {
    const files = readdirSync(DIRECTORY).filter((name) => /^\d{4}-/.test(name));
    expect(MIGRATIONS.map(({ name }) => `${name}.ts`)).toEqual(files.sort());
  });

  it('are frozen', () => {
    const hashes = MIGRATIONS.map(({ name }) => {
      const text = readFileSync(new URL(`${name}.ts`, DIRECTORY));
      return [name, createHash('sha256').update(text).digest('hex').slice(0, 16)];
    });
    expect(Object.fromEntries(hashes)).toMatchObject(FROZEN);
  });
});

describe('the index of items that mark turns', () => {
  it('knows the events that the one list of types says', () => {
    const indexed = [...IS_MARK.matchAll(/'(\w+)'/g)].map(([, name]) => name);
    expect(indexed.sort()).toEqual([...eventsWith('start', 'complete', 'abort', 'userMessage', 'rollback')].sort());
  });
});
