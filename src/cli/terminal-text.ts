import { strictJson } from '../protocol/json.js';

/**
 * A text as it may be printed in a terminal. Names, messages and paths come from elsewhere: what a terminal would obey
 * (control characters, among them the beginnings of escape sequences, and marks that turn the direction of a line) is
 * shown as `\x1b` or `\u202e`. Line breaks and tabs stay.
 */
export function forTerminal(text: string): string {
  return text.replaceAll('\r\n', '\n').replace(OBEYED, (character) => {
    const code = character.charCodeAt(0);
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** A value as one line of JSON that may be printed in a terminal; a parser reads back what it was. */
export function jsonLine(value: unknown): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return `${strictJson(value).replace(OBEYED, escaped)}\n`;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is meant
const OBEYED = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;
