import { asObject, strictJson } from '../../../protocol/json.js';

/** Unicode keeps this character free for programs: it stands for what `jsonb` and `text` cannot hold. */
const ESCAPE = '\uFDD0';
const NUL = '\0';

/**
 * JSON text that `jsonb` takes. It refuses U+0000, which a command's output may well hold: that one is escaped, and
 * `fromJsonb` brings it back. Throws for a value that cannot be written.
 */
export function toJsonb(value: unknown): string {
  const text = strictJson(value);
  return text.includes('\\u0000') || text.includes(ESCAPE) ? strictJson(mapTexts(value, escaped)) : text;
}

/** The value in what the database gives for a `jsonb` column. */
export function fromJsonb(text: string): unknown {
  const value: unknown = JSON.parse(text);
  return text.includes(ESCAPE) ? mapTexts(value, unescaped) : value;
}

/** A text as a `text` column takes it: U+0000 becomes U+FFFD. */
export function toText(text: string): string {
  return text.includes(NUL) ? text.replaceAll(NUL, '\uFFFD') : text;
}

const escaped = (text: string) => text.replaceAll(ESCAPE, `${ESCAPE}1`).replaceAll(NUL, `${ESCAPE}0`);

const unescaped = (text: string) => text.replaceAll(`${ESCAPE}0`, NUL).replaceAll(`${ESCAPE}1`, ESCAPE);

function mapTexts(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (Array.isArray(value)) return value.map((part) => mapTexts(part, map));
  const object = asObject(value);
  if (!object) return value;
  return Object.fromEntries(Object.entries(object).map(([key, part]) => [map(key), mapTexts(part, map)]));
}
