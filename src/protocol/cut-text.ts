/**
 * The first `length` UTF-16 units of a text, one less where that would split a character: the one way in which texts
 * are cut, so that no half of a surrogate pair comes about.
 */
export function cutText(text: string, length: number): string {
  return sliceText(text, 0, length);
}

/** The units from `from` to `to`; where a border would split a surrogate pair the slice leaves that pair out. */
export function sliceText(text: string, from: number, to: number): string {
  const start = isInsidePair(text, from) ? from + 1 : from;
  const end = isInsidePair(text, to) ? to - 1 : to;
  return text.slice(start, Math.max(start, end));
}

function isInsidePair(text: string, at: number): boolean {
  if (at <= 0 || at >= text.length) return false;
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at);
  return before >= 0xd800 && before <= 0xdbff && after >= 0xdc00 && after <= 0xdfff;
}
