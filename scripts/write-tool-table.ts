// Writes the table of tools into the README from their definitions, so that it cannot say what is not so.
import { readFileSync, writeFileSync } from 'node:fs';
import { withToolTable } from './tool-table.js';

const README = new URL('../README.md', import.meta.url);

writeFileSync(README, withToolTable(readFileSync(README, 'utf8')));
