/** Reading values of unknown shape: each function gives undefined where the value is not of the wanted kind. */

export type JsonObject = { readonly [key: string]: unknown };

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

export function asArray(value: unknown): readonly unknown[] | undefined {
  return Array.isArray(value) ? value : undefined;
}

export function asString(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** A string with something other than white space in it. */
export function asText(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value : undefined;
}

export function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** A whole number that is not negative and that JavaScript holds exactly. */
export function asIndex(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

/** What `jsonText` gives for a value that cannot be written. */
export const TOO_DEEP = '"(nested too deeply)"';

/** JSON text that every parser takes; a value that is nested too deeply to be written is told as such. */
export function jsonText(value: unknown): string {
  try {
    return value === undefined ? '' : strictJson(value);
  } catch {
    return TOO_DEEP;
  }
}

/**
 * JSON text that every parser takes: half a surrogate pair, which JavaScript lets through and others refuse, becomes
 * U+FFFD. Throws for a value that cannot be written.
 */
export function strictJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.includes('\\ud') ? JSON.stringify(value, wellFormed) : text;
}

function wellFormed(_: string, value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  const object = asObject(value);
  return object ? Object.fromEntries(Object.entries(object).map(([key, part]) => [key.toWellFormed(), part])) : value;
}

/** The parsed value, or undefined when the text is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** True for lists and objects within each other more than so many deep. */
export function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((part) => isDeeperThan(part, depth - 1));
}
