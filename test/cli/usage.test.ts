import { describe, expect, it } from 'vitest';
import { commandTable, flagTable } from '../../scripts/cli-tables.js';
import { COMMANDS, FLAG_LIST } from '../../src/cli/flags.js';
import { usage } from '../../src/cli/usage.js';

describe('usage', () => {
  it('names every command and every flag once', () => {
    const text = usage();
    for (const name of Object.keys(COMMANDS).filter((name) => name !== 'serve')) {
      expect(text).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    }
    for (const [flag, { of }] of FLAG_LIST) {
      const lines = text.split('\n').filter((line) => new RegExp(`^ +(-\\w, )?--${flag}( |$)`).test(line));
      expect([flag, lines.length]).toEqual([flag, flag === 'dry-run' ? of.length : 1]);
    }
  });

  it('fits a terminal of 100 columns', () => {
    expect(
      usage()
        .split('\n')
        .filter((line) => line.length > 100),
    ).toEqual([]);
  });
});

describe('the tables of the docs', () => {
  it('name every flag', () => {
    const tables = commandTable() + flagTable();
    for (const [flag] of FLAG_LIST) expect(tables).toContain(`--${flag}`);
  });
});
