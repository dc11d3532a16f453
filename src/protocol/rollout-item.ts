import type { HistoryMode } from './history-mode.js';
import type { JsonObject } from './json.js';
import { typeFacts } from './line-types.js';

/**
 * One piece of a thread's history as a program appends it: a rollout line without the time and the ordinal that the
 * store gives it (docs/codex-home.md, Lines).
 */
export interface RolloutItem {
  readonly type: string;
  readonly payload: JsonObject;
  /** What Codex writes beside the payload of response items. */
  readonly metadata?: JsonObject | undefined;
}

export const eventItem = (payload: JsonObject): RolloutItem => ({ type: 'event_msg', payload });

export const responseItem = (payload: JsonObject): RolloutItem => ({ type: 'response_item', payload });

/** Items of legacy threads that no legacy event carries. */
const KEPT_LEGACY_ITEMS: ReadonlySet<unknown> = new Set(['Plan', 'FunctionCallOutput', 'Sleep']);

/** Longer outputs of commands and MCP calls lose their middle, as in Codex; bytes. */
const LONGEST_OUTPUT = 64 * 1024;

/**
 * What of these items goes into a rollout: the policy that every store and everyone who derives metadata from history
 * shares (docs/codex-home.md, What is kept). The rest, such as deltas and warnings, leaves no trace.
 */
export function keptItems(items: readonly RolloutItem[], mode: HistoryMode): RolloutItem[] {
  return items.filter((item) => isKept(item, mode)).map((item) => (mode === 'paginated' ? shortened(item) : item));
}

function isKept({ type, payload }: RolloutItem, mode: HistoryMode): boolean {
  const payloadType = typeof payload['type'] === 'string' ? payload['type'] : undefined;
  const kept = typeFacts({ type, payloadType })?.kept;
  if (payloadType === 'item_completed' && mode === 'legacy') return isKeptLegacyItem(payload['item']);
  return kept === 'always' || kept === mode;
}

function isKeptLegacyItem(item: unknown): boolean {
  const { type, kind } = Object(item) as JsonObject;
  return KEPT_LEGACY_ITEMS.has(type) || (type === 'SubAgentActivity' && kind === 'completed');
}

function shortened(item: RolloutItem): RolloutItem {
  const completed = item.payload['item'];
  if (item.payload['type'] !== 'item_completed' || typeof completed !== 'object' || completed === null) return item;
  const { aggregated_output: output, result } = completed as JsonObject;
  const cut: Record<string, unknown> = {};
  if (typeof output === 'string') cut['aggregated_output'] = withoutMiddle(output);
  if (result !== undefined) cut['result'] = withShortTexts(result);
  return { ...item, payload: { ...item.payload, item: { ...completed, ...cut } } };
}

function withShortTexts(value: unknown): unknown {
  if (typeof value === 'string') return withoutMiddle(value);
  if (Array.isArray(value)) return value.map(withShortTexts);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, withShortTexts(part)]));
}

/** A text of at most 64 KiB as UTF-8: the middle of a longer one makes room for a note of its size. */
function withoutMiddle(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= LONGEST_OUTPUT) return text;
  const note = `\n… ${bytes.length - LONGEST_OUTPUT} bytes left out …\n`;
  const half = Math.floor((LONGEST_OUTPUT - Buffer.byteLength(note)) / 2);
  const head = bytes
    .subarray(0, half)
    .toString()
    .replace(/\uFFFD+$/, '');
  const tail = bytes
    .subarray(bytes.length - half)
    .toString()
    .replace(/^\uFFFD+/, '');
  return `${head}${note}${tail}`;
}

/** The payload with its type first, as Codex writes it: readers find the type of most lines without parsing them. */
export function typeFirst(payload: JsonObject): JsonObject {
  const { type, ...rest } = payload;
  return type === undefined ? payload : { type, ...rest };
}
