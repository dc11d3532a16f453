import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { withToolTable } from '../scripts/tool-table.js';
import { PROJECT } from './support/mcp-client.js';

it('the table of tools in the README is the one that the definitions give (npm run docs)', () => {
  const readme = readFileSync(path.join(PROJECT, 'README.md'), 'utf8');
  expect(withToolTable(readme)).toBe(readme);
});
