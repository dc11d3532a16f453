import { asObject, parseJson } from '../../protocol/json.js';
import { isLoadedByCodex } from '../../protocol/line-types.js';
import { parseRolloutLine } from '../../protocol/rollout-line.js';
import { TimeSlice } from '../../protocol/time-slice.js';
import { BoundedMap } from '../../store/bounded-map.js';
import { isBlank, lineText, type RawLine, readLines } from './rollout/line-reader.js';
import type { RolloutBytes } from './rollout/rollout-bytes.js';

/** A count of the lines before a place of one rollout. */
interface Count {
  readonly offset: number;
  readonly count: number;
}

/** So many rollouts have their last count kept. */
const MAX_KNOWN = 100;

/**
 * Counts the lines that Codex loads, from which it makes the ids of implicit turns. Each line has to be parsed for that,
 * so the last count of a rollout is kept: the next page of the thread counts on from there, in either direction.
 */
export class LoadedLines {
  readonly #known = new BoundedMap<string, Count>(MAX_KNOWN);
  readonly #slice = new TimeSlice();

  /** How many come before a line's beginning. `identity` must change when lines before any place can have changed. */
  async before(bytes: RolloutBytes, identity: string, offset: number): Promise<number> {
    const known = this.#known.get(identity);
    const from = known && Math.abs(known.offset - offset) < offset ? known : { offset: 0, count: 0 };
    const between = await this.#between(bytes, Math.min(from.offset, offset), Math.max(from.offset, offset));
    const count = from.offset <= offset ? from.count + between : from.count - between;
    this.#known.set(identity, { offset, count });
    return count;
  }

  async #between(bytes: RolloutBytes, start: number, end: number): Promise<number> {
    let count = 0;
    for (const raw of readLines(bytes, { start, end })) {
      if (this.#slice.isOver) await this.#slice.yield();
      if (isCounted(raw)) count += 1;
    }
    return count;
  }
}

function isCounted(raw: RawLine): boolean {
  if (raw.isCut || isBlank(raw)) return false;
  const text = lineText(raw);
  // Of a rollout of mid-2025 Codex loads nothing: there every line counts, so that no two turns have one id.
  return isLoadedByCodex(text, asObject(parseJson(text))) || parseRolloutLine(text)?.isBare === true;
}
