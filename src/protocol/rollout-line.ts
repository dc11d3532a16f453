import { bareLine } from './bare-line.js';
import { asNumber, asObject, asString, parseJson } from './json.js';
import type { RolloutItem } from './rollout-item.js';

/**
 * One line of a rollout: `{timestamp, ordinal?, type, payload, metadata?}` (docs/codex-home.md, Lines).
 * `type` is kept as text: a type that this version does not know is no error.
 */
export interface RolloutLine extends RolloutItem {
  /** As written; normally UTC with three fractional digits, other forms exist. */
  readonly timestamp: string;
  /** Only in paginated rollouts. */
  readonly ordinal: number | undefined;
  /** True for a line of a rollout of mid-2025, which had no envelope (bare-line.ts). */
  readonly isBare?: boolean | undefined;
}

/** The line in `text`, or undefined when it is not an object with a timestamp, a type and an object payload, nor a bare line. */
export function parseRolloutLine(text: string): RolloutLine | undefined {
  const value = asObject(parseJson(text));
  const timestamp = asString(value?.['timestamp']);
  const type = asString(value?.['type']);
  const payload = asObject(value?.['payload']);
  if (timestamp === undefined || type === undefined || payload === undefined) {
    const bare = value && bareLine(value);
    return bare && { ...bare, ordinal: undefined, isBare: true };
  }
  const metadata = asObject(value?.['metadata']);
  return { timestamp, ordinal: asNumber(value?.['ordinal']), type, payload, metadata };
}

/** Milliseconds since the epoch of a rollout time: RFC 3339, or `YYYY-MM-DDThh-mm-ss` read as UTC; else undefined. */
export function parseRolloutTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const old = /^(\d{4}-\d{2}-\d{2}T)(\d{2})-(\d{2})-(\d{2})$/.exec(text);
  const time = Date.parse(old ? `${old[1]}${old[2]}:${old[3]}:${old[4]}Z` : text);
  return Number.isNaN(time) ? undefined : time;
}
