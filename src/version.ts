import { readFileSync } from 'node:fs';
import { asObject, asString, parseJson } from './protocol/json.js';

const manifest = asObject(parseJson(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));

/** The version of this program. */
export const VERSION = asString(manifest?.['version']) ?? 'unknown';
