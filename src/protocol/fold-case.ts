/** Text made comparable without regard to case or to the form its accents are written in (Unicode). */
export function foldCase(text: string): string {
  return IS_ASCII.test(text) ? text.toLowerCase() : text.normalize('NFC').toUpperCase().toLowerCase();
}

/** True when one of the texts contains the needle, which is folded already. */
export function containsFolded(texts: readonly (string | undefined)[], foldedNeedle: string): boolean {
  return texts.some((text) => text !== undefined && foldCase(text).includes(foldedNeedle));
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: the whole ASCII range is meant
const IS_ASCII = /^[\x00-\x7f]*$/;
