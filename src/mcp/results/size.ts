import { cutText } from '../../protocol/cut-text.js';

/** The most characters that a result may have, as compact JSON. */
export const RESULT_CHARACTERS = 30_000;
/** Kept free in a page for the cursor, the counts and the warnings. */
export const RESERVED_CHARACTERS = 2_000;

/** Characters of a value as compact JSON. */
export function jsonSize(value: unknown): number {
  return JSON.stringify(value)?.length ?? 0;
}

/** The longest beginning of a text that takes at most `size` characters as JSON; no surrogate pair is split. */
export function fitText(text: string, size: number): string {
  let low = 0;
  let high = Math.min(text.length, Math.max(0, size));
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (jsonSize(cutText(text, middle)) <= size) low = middle;
    else high = middle - 1;
  }
  return cutText(text, low);
}
