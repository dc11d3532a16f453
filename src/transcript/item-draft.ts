import { cutText } from '../protocol/cut-text.js';
import { asArray, asNumber, asObject, asString, type JsonObject, jsonText, TOO_DEEP } from '../protocol/json.js';

/** An item as an event tells it, before it has a place in a turn. */
export interface ItemDraft {
  readonly type: string;
  /** Absent where the event has no id of its own; the builder then makes one from the line's place. */
  readonly itemId?: string | undefined;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly body?: { readonly field: string; readonly text: string; readonly isOutput: boolean } | undefined;
}

const MAX_FIELD_CHARACTERS = 4000;
/** Changed files that are named; the diff has them all. */
const MAX_CHANGES = 100;

/** The fields that have a value; long texts are cut with a note, and inline images become their size. */
export function shortFields(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return Object.fromEntries(entries.map(([key, value]) => [key, shortValue(value)]));
}

function shortValue(value: unknown): unknown {
  if (typeof value === 'string') return shortText(value);
  if (typeof value !== 'object' || value === null) return value;
  const text = jsonText(value);
  return text.length <= MAX_FIELD_CHARACTERS && text !== TOO_DEEP ? value : shortText(text);
}

export function shortText(text: string): string {
  const dataUrl = /^data:([\w/+.-]+);/.exec(text);
  if (dataUrl && text.length > 200) return `data:${dataUrl[1]} (${text.length} characters left out)`;
  if (text.length <= MAX_FIELD_CHARACTERS) return text;
  return `${cutText(text, MAX_FIELD_CHARACTERS)}… (${text.length - MAX_FIELD_CHARACTERS} more characters)`;
}

export const textBody = (field: string, text: string | undefined) =>
  text ? { field, text, isOutput: false } : undefined;

export const outputBody = (field: string, text: string | undefined) =>
  text ? { field, text, isOutput: true } : undefined;

/** Text for a value of any shape: a string as it is, anything else as JSON. */
export function asOutputText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : jsonText(value);
}

/** What a tool answered: its texts where it has nothing but texts, else all of it as JSON. */
export function resultText(value: unknown): string | undefined {
  const { content, structuredContent } = asObject(value) ?? {};
  const parts = (asArray(content) ?? asArray(value))?.map((part) => asObject(part));
  const isAllText = parts?.every(
    (part) => /text$/i.test(asString(part?.['type']) ?? '') && asString(part?.['text']) !== undefined,
  );
  if (!parts || !isAllText || (structuredContent !== undefined && structuredContent !== null))
    return asOutputText(value);
  return parts.map((part) => asString(part?.['text'])).join('\n');
}

/** Whole milliseconds of a `{secs, nanos}` duration, or of a number of milliseconds. */
export function durationMs(value: unknown): number | undefined {
  const duration = asObject(value);
  if (!duration) return asNumber(value);
  const seconds = asNumber(duration['secs']);
  return seconds === undefined ? undefined : seconds * 1000 + Math.floor((asNumber(duration['nanos']) ?? 0) / 1e6);
}

/** A command as one line: a list of arguments is quoted for a shell where needed. */
export function shellCommand(command: unknown): string | undefined {
  const words = asArray(command);
  if (!words) return asString(command);
  return words.map((word) => shellWord(typeof word === 'string' ? word : jsonText(word))).join(' ');
}

function shellWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return word.includes("'") ? `"${word.replace(/["$`\\]/g, '\\$&')}"` : `'${word}'`;
}

/** A directory as a path: file URLs are unwrapped. */
export function directoryPath(cwd: unknown): string | undefined {
  const text = asString(cwd);
  if (!text?.startsWith('file://')) return text;
  try {
    return decodeURI(text.slice('file://'.length));
  } catch {
    return text;
  }
}

/** `unified_exec_startup` → `unifiedExecStartup`. */
export function camelCase(text: unknown): string | undefined {
  return asString(text)?.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** Changed files with their kind, and all diffs as one text; paths in order. */
export function fileChanges(value: unknown): Pick<ItemDraft, 'fields' | 'body'> {
  const changes = Object.entries(asObject(value) ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const described = changes.map(([path, raw]) => ({ path, ...fileChange(asObject(raw) ?? {}) }));
  return {
    fields: {
      changes: described.slice(0, MAX_CHANGES).map(({ path, kind, movePath }) => shortFields({ path, kind, movePath })),
      ...(described.length > MAX_CHANGES ? { moreChanges: described.length - MAX_CHANGES } : {}),
    },
    body: outputBody('diff', described.map(({ path, diff }) => `--- ${path}\n${diff}`).join('\n')),
  };
}

/** Both shapes: `{type: "add", content}` and the older `{add: {content}}`. */
function fileChange(change: JsonObject): { kind: string; movePath: string | undefined; diff: string } {
  const kind = asString(change['type']) ?? Object.keys(change)[0] ?? 'update';
  const detail = asString(change['type']) ? change : (asObject(change[kind]) ?? {});
  const diff = asString(detail['unified_diff']) ?? asString(detail['diff']) ?? asString(detail['content']) ?? '';
  return { kind, movePath: asString(detail['move_path']), diff };
}
