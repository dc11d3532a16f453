import { asArray, parseJson } from '../protocol/json.js';

/** A cursor as clients see it: values that only the server reads, as base64url of a JSON list. */
export function encodeCursor(parts: readonly (string | number | null | undefined)[]): string {
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/** The values in a cursor; an empty list for a text that is no cursor. */
export function decodeCursor(text: string): readonly unknown[] {
  return asArray(parseJson(Buffer.from(text, 'base64url').toString())) ?? [];
}
