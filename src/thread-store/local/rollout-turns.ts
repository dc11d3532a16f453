import { internalError } from '../../protocol/errors.js';
import { asNumber } from '../../protocol/json.js';
import { parseRolloutLine, type RolloutLine } from '../../protocol/rollout-line.js';
import { Breather } from '../../rollout/breather.js';
import {
  hasInvalidUtf8,
  isBlank,
  linePrefix,
  lineText,
  type RawLine,
  readLines,
  readLinesBackward,
} from '../../rollout/line-reader.js';
import type { Lineage } from '../../rollout/lineage.js';
import { openRollout, type RolloutBytes } from '../../rollout/rollout-bytes.js';
import type { RolloutFile } from '../../rollout/rollout-catalog.js';
import type { TurnAnchor } from '../../transcript/turn.js';
import type { ListTurnsParams, TurnPage } from '../thread-store.js';
import {
  type SourceLine,
  staleCursor,
  type TurnMark,
  TurnPager,
  type TurnPagerOptions,
  type TurnSource,
} from '../turn-pager.js';

/** A page of a thread's turns, read from its rollout files. */
export async function rolloutTurns(
  lineage: Lineage,
  params: ListTurnsParams,
  options: TurnPagerOptions,
): Promise<TurnPage> {
  const source = await RolloutTurnSource.open(lineage);
  try {
    const page = await new TurnPager(source, options).page(params);
    return { ...page, warnings: source.warnings() };
  } finally {
    source.close();
  }
}

/** A thread's segment, open. */
interface OpenSegment {
  readonly file: RolloutFile;
  readonly bytes: RolloutBytes;
  readonly end: number;
}

/** A place between two lines: the segment, counted from the oldest, and the bytes before it. */
interface Position {
  readonly segment: number;
  readonly offset: number;
}

const MARKER_SCAN_LINES = 300;

/** Lines that no turn is made of; told by their beginning, see `IRRELEVANT` of the metadata. */
const NOT_A_TURN_LINE =
  /"type":"(?:response_item|turn_context|world_state|token_usage_record|session_meta|inter_agent_communication)|"payload":\{"type":"(?:token_count|thread_settings_applied|thread_goal_updated)"/;
const TURN_START = /"payload":\{"type":"(?:task_started|turn_started)"/;
const TURN_END = /"payload":\{"type":"(?:task_complete|turn_complete|turn_aborted)"/;
const USER_MESSAGE = /"payload":\{"type":"user_message"/;
const ROLLBACK = /"payload":\{"type":"thread_rolled_back"/;

/** The rollout files of a thread as one history. */
class RolloutTurnSource implements TurnSource<Position> {
  readonly begin: Position = { segment: 0, offset: 0 };
  readonly #lineage: Lineage;
  readonly #segments: readonly OpenSegment[];
  readonly #breather = new Breather();
  /** The last count of lines: turns are asked for in order, so that the next one goes on from there. */
  #counted = { rolloutId: '', offset: 0, count: 0 };
  #badLines = 0;
  #invalidUtf8 = 0;

  private constructor(lineage: Lineage, segments: readonly OpenSegment[]) {
    this.#lineage = lineage;
    this.#segments = segments;
  }

  static async open(lineage: Lineage): Promise<RolloutTurnSource> {
    const segments: OpenSegment[] = [];
    const source = new RolloutTurnSource(lineage, segments);
    try {
      for (const { file, endByteOffset } of [...lineage.segments].reverse()) {
        const bytes = await openRollout(file.path);
        segments.push({ file, bytes, end: Math.min(endByteOffset ?? bytes.size, bytes.size) });
      }
      return source;
    } catch (error) {
      source.close();
      throw error;
    }
  }

  get end(): Position {
    const segment = this.#segments.length - 1;
    return { segment, offset: this.#segment(segment).end };
  }

  async *forward(start: Position, end: Position): AsyncGenerator<SourceLine> {
    for (let index = start.segment; index <= end.segment; index += 1) {
      const segment = this.#segment(index);
      const from = index === start.segment ? start.offset : 0;
      const to = index === end.segment ? end.offset : segment.end;
      for (const raw of readLines(segment.bytes, { start: from, end: to })) {
        if (this.#breather.isDue(raw.length)) await this.#breather.breathe();
        yield this.#lineOf(raw, segment.file.rolloutId);
      }
    }
  }

  async *marksBefore(end: Position): AsyncGenerator<{ mark: TurnMark; position: Position }> {
    for (let index = end.segment; index >= 0; index -= 1) {
      const segment = this.#segment(index);
      const to = index === end.segment ? end.offset : segment.end;
      for (const raw of readLinesBackward(segment.bytes, { end: to })) {
        if (this.#breather.isDue(raw.length)) await this.#breather.breathe();
        const mark = this.#markOf(raw);
        if (mark !== undefined) yield { mark, position: this.#at(index, raw.offset) };
      }
    }
  }

  async hasMarkedTurns(): Promise<boolean> {
    let seen = 0;
    for (const raw of readLines(this.#segment(0).bytes, { end: this.#segment(0).end })) {
      const prefix = linePrefix(raw);
      if (TURN_START.test(prefix)) return true;
      seen += 1;
      if (USER_MESSAGE.test(prefix) || seen > MARKER_SCAN_LINES) return false;
    }
    return true;
  }

  async hasNoRollbacks(): Promise<boolean> {
    return false;
  }

  positionOf(anchor: TurnAnchor): Position {
    const segment = this.#segments.findIndex(({ file }) => file.rolloutId === anchor.rolloutId);
    const open = this.#segments[segment];
    if (!open || anchor.offset < 0 || anchor.offset >= open.end) throw staleCursor();
    const before = Buffer.alloc(1);
    const isLineStart = anchor.offset === 0 || (open.bytes.read(before, anchor.offset - 1) === 1 && before[0] === 0x0a);
    if (!isLineStart) throw staleCursor();
    return this.#at(segment, anchor.offset);
  }

  /** `rollout-<how many lines come before>`, blank ones not counted, as Codex has it. */
  implicitTurnId(anchor: TurnAnchor): string {
    return `rollout-${this.#lineIndex(anchor)}`;
  }

  warnings(): string[] {
    const warnings: string[] = [];
    if (this.#lineage.problem) warnings.push(`Earlier history is missing: ${this.#lineage.problem}.`);
    if (this.#badLines > 0) warnings.push(`${this.#badLines} unreadable lines were skipped.`);
    if (this.#invalidUtf8 > 0) warnings.push(`${this.#invalidUtf8} lines hold invalid UTF-8, shown as U+FFFD.`);
    return warnings;
  }

  close(): void {
    for (const { bytes } of this.#segments) bytes.close();
  }

  #at(segment: number, offset: number): Position {
    return segment === 0 && offset === 0 ? this.begin : { segment, offset };
  }

  #lineOf(raw: RawLine, rolloutId: string): SourceLine {
    const found = { anchor: { rolloutId, offset: raw.offset }, bytes: raw.length };
    if (isBlank(raw) || NOT_A_TURN_LINE.test(linePrefix(raw))) return found;
    if (raw.isCut) return { ...found, unparsedHead: linePrefix(raw, 4096) };
    return { ...found, line: this.#parse(raw) };
  }

  #markOf(raw: RawLine): TurnMark | undefined {
    const prefix = linePrefix(raw);
    if (TURN_START.test(prefix)) return 'start';
    if (TURN_END.test(prefix)) return 'end';
    if (USER_MESSAGE.test(prefix)) return 'userMessage';
    if (!ROLLBACK.test(prefix)) return undefined;
    return { rolledBack: asNumber(this.#parse(raw)?.payload['num_turns']) ?? 0 };
  }

  #parse(raw: RawLine): RolloutLine | undefined {
    if (hasInvalidUtf8(raw)) this.#invalidUtf8 += 1;
    const line = parseRolloutLine(lineText(raw));
    if (!line) this.#badLines += 1;
    return line;
  }

  #segment(index: number): OpenSegment {
    const segment = this.#segments[index];
    if (!segment) throw internalError('a segment of the thread is missing', 'Call again; the home changed meanwhile.');
    return segment;
  }

  #lineIndex(anchor: TurnAnchor): number {
    const segment = this.#segments.find(({ file }) => file.rolloutId === anchor.rolloutId);
    if (!segment) return 0;
    const known = this.#counted;
    const from =
      known.rolloutId === anchor.rolloutId && known.offset <= anchor.offset ? known : { offset: 0, count: 0 };
    let { count } = from;
    for (const raw of readLines(segment.bytes, { start: from.offset, end: anchor.offset }))
      if (!isBlank(raw)) count += 1;
    this.#counted = { rolloutId: anchor.rolloutId, offset: anchor.offset, count };
    return count;
  }
}
