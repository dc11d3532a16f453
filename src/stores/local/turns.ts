import { internalError } from '../../protocol/errors.js';
import { asNumber, asString } from '../../protocol/json.js';
import { HeadReader } from '../../protocol/line-head.js';
import { type TurnPart, typeFacts } from '../../protocol/line-types.js';
import { parseRolloutLine, type RolloutLine } from '../../protocol/rollout-line.js';
import { TimeSlice } from '../../protocol/time-slice.js';
import type { ListTurnsParams, TurnPage } from '../../store/thread-store.js';
import {
  type SourceLine,
  staleCursor,
  TurnPager,
  type TurnPagerOptions,
  type TurnSource,
  type TurnStart,
} from '../../store/turn-pager.js';
import type { TurnAnchor } from '../../transcript/turn.js';
import type { LoadedLines } from './loaded-lines.js';
import {
  hasInvalidUtf8,
  isBlank,
  linePrefix,
  lineText,
  type RawLine,
  readLines,
  readLinesBackward,
} from './rollout/line-reader.js';
import type { Lineage } from './rollout/lineage.js';
import { statOf } from './rollout/regular-file.js';
import { openRollout, type RolloutBytes } from './rollout/rollout-bytes.js';
import type { RolloutFile } from './rollout/rollout-file.js';

/** A page of a thread's turns, read from its rollout files. */
export async function rolloutTurns(
  lineage: Lineage,
  params: ListTurnsParams,
  options: TurnPagerOptions & { readonly loadedLines: LoadedLines },
): Promise<TurnPage> {
  const source = await RolloutTurnSource.open(lineage, options.loadedLines);
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
  /** Changes when the file does. */
  readonly identity: string;
  readonly end: number;
}

/** A place between two lines: the segment, counted from the oldest, and the bytes before it. */
interface Position {
  readonly segment: number;
  readonly offset: number;
}

/** Enough to tell which turn and item it names. */
const NAMES_BYTES = 600;
const TURN_ID = /"turn_id"\s*:\s*"([^"\\]*)"/;

/** The part of a line in turns, as its beginning tells it; `unknown` where only the whole line does. */
type Part = TurnPart | 'none' | 'unknown';

const BEGINNINGS: ReadonlySet<Part> = new Set<Part>(['start', 'rollback', 'unknown']);
const STARTS: ReadonlySet<Part> = new Set<Part>(['start', 'unknown']);

/** The rollout files of a thread as one history. */
class RolloutTurnSource implements TurnSource<Position> {
  readonly begin: Position = { segment: 0, offset: 0 };
  readonly #lineage: Lineage;
  readonly #segments: readonly OpenSegment[];
  readonly #slice = new TimeSlice();
  readonly #heads = new HeadReader();
  /** Places of lines: a page may read one twice. */
  readonly #badLines = new Set<string>();
  readonly #invalidUtf8 = new Set<string>();

  private constructor(
    lineage: Lineage,
    segments: readonly OpenSegment[],
    private readonly loadedLines: LoadedLines,
  ) {
    this.#lineage = lineage;
    this.#segments = segments;
  }

  static async open(lineage: Lineage, loadedLines: LoadedLines): Promise<RolloutTurnSource> {
    const segments: OpenSegment[] = [];
    const source = new RolloutTurnSource(lineage, segments, loadedLines);
    try {
      for (const { file, endByteOffset } of [...lineage.segments].reverse()) {
        // Taken before the open: if the file is replaced in between, no count is kept under the new file's identity.
        const stat = statOf(file.path);
        const identity = `${file.path} ${stat?.ino} ${stat?.size} ${stat?.mtimeMs}`;
        const bytes = await openRollout(file.path);
        segments.push({ file, bytes, identity, end: Math.min(endByteOffset ?? bytes.size, bytes.size) });
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

  async forward(start: Position, end: Position, visit: (line: SourceLine) => boolean): Promise<void> {
    for (let index = start.segment; index <= end.segment; index += 1) {
      const segment = this.#segment(index);
      const from = index === start.segment ? start.offset : 0;
      const to = index === end.segment ? end.offset : segment.end;
      for (const raw of readLines(segment.bytes, { start: from, end: to })) {
        if (this.#slice.isOver) await this.#slice.yield();
        const part = this.#partOf(raw);
        if (part !== 'none' && !visit(this.#lineOf(raw, part, segment.file.rolloutId))) return;
      }
    }
  }

  async *startsBefore(end: Position): AsyncGenerator<TurnStart<Position>> {
    for await (const { raw, index, rolloutId } of this.#backward(end, BEGINNINGS)) {
      const line = this.#parse(raw, rolloutId);
      const turn = readTurnPart(line);
      const rolledBack = turn === 'rollback' ? Math.max(0, asNumber(line?.payload['num_turns']) ?? 0) : 0;
      if (turn === 'start' || rolledBack > 0) yield { position: this.#at(index, raw.offset), rolledBack };
    }
  }

  async namedBefore(
    turnIds: ReadonlySet<string>,
    end: Position,
    what: 'names' | 'starts',
  ): Promise<ReadonlySet<string>> {
    const named = new Set<string>();
    for await (const { raw, part, rolloutId } of this.#backward(end, what === 'starts' ? STARTS : undefined)) {
      const namedTurn = part === 'unknown' ? undefined : TURN_ID.exec(linePrefix(raw, NAMES_BYTES))?.[1];
      if (namedTurn !== undefined && !turnIds.has(namedTurn)) continue;
      const line = this.#parse(raw, rolloutId);
      const turnId = asString(line?.payload['turn_id']);
      const isMeant = what === 'names' || readTurnPart(line) === 'start';
      if (isMeant && turnId !== undefined && turnIds.has(turnId)) named.add(turnId);
      if (named.size === turnIds.size) break;
    }
    return named;
  }

  /** Lines before a place, newest first: those with one of these parts in turns, by default with any. */
  async *#backward(
    end: Position,
    parts?: ReadonlySet<Part>,
  ): AsyncGenerator<{ raw: RawLine; part: Part; index: number; rolloutId: string }> {
    for (let index = end.segment; index >= 0; index -= 1) {
      const segment = this.#segment(index);
      const to = index === end.segment ? end.offset : segment.end;
      for (const raw of readLinesBackward(segment.bytes, { end: to })) {
        if (this.#slice.isOver) await this.#slice.yield();
        const part = this.#partOf(raw);
        const isWanted = parts ? parts.has(part) : part !== 'none';
        if (isWanted) yield { raw, part, index, rolloutId: segment.file.rolloutId };
      }
    }
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

  /** `rollout-<how many lines come before>`: those that Codex loads, so that its ids are the same. */
  async implicitTurnId({ rolloutId, offset }: TurnAnchor): Promise<string> {
    const segment = this.#segments.find(({ file }) => file.rolloutId === rolloutId);
    return `rollout-${segment ? await this.loadedLines.before(segment.bytes, segment.identity, offset) : 0}`;
  }

  warnings(): string[] {
    const warnings: string[] = [];
    if (this.#lineage.problem) warnings.push(`Earlier history is missing: ${this.#lineage.problem}.`);
    const lines = ({ size }: ReadonlySet<string>) => (size === 1 ? '1 line' : `${size} lines`);
    if (this.#badLines.size > 0) warnings.push(`Left out because they could not be read: ${lines(this.#badLines)}.`);
    if (this.#invalidUtf8.size > 0) warnings.push(`Invalid UTF-8 is shown as U+FFFD in ${lines(this.#invalidUtf8)}.`);
    return warnings;
  }

  close(): void {
    for (const { bytes } of this.#segments) bytes.close();
  }

  #at(segment: number, offset: number): Position {
    return segment === 0 && offset === 0 ? this.begin : { segment, offset };
  }

  #partOf(raw: RawLine): Part {
    if (isBlank(raw)) return 'none';
    const head = this.#heads.head(raw.chunk, raw.from, raw.to);
    return head ? (head.facts?.turn ?? 'none') : 'unknown';
  }

  #lineOf(raw: RawLine, part: Part, rolloutId: string): SourceLine {
    let parsed: { readonly line: RolloutLine | undefined } | undefined;
    return {
      anchor: { rolloutId, offset: raw.offset },
      bytes: raw.length,
      turnId: () => (part === 'unknown' ? undefined : TURN_ID.exec(linePrefix(raw, NAMES_BYTES))?.[1]),
      item: part === 'item' && !raw.isCut ? this.#heads.item() : undefined,
      unparsedHead: raw.isCut ? linePrefix(raw, 4096) : undefined,
      read: () => {
        parsed ??= { line: raw.isCut ? undefined : this.#parse(raw, rolloutId) };
        return parsed.line;
      },
    };
  }

  #parse(raw: RawLine, rolloutId: string): RolloutLine | undefined {
    const place = `${rolloutId} ${raw.offset}`;
    if (hasInvalidUtf8(raw)) this.#invalidUtf8.add(place);
    const line = raw.isCut ? undefined : parseRolloutLine(lineText(raw));
    if (!line && !raw.isCut && lineText(raw) !== '') this.#badLines.add(place);
    return line;
  }

  #segment(index: number): OpenSegment {
    const segment = this.#segments[index];
    if (!segment) throw internalError('a segment of the thread is missing', 'Call again; the home changed meanwhile.');
    return segment;
  }
}

function readTurnPart(line: RolloutLine | undefined): TurnPart | undefined {
  const event = line?.type === 'event_msg' ? asString(line.payload['type']) : undefined;
  return event === undefined ? undefined : typeFacts({ type: 'event_msg', payloadType: event })?.turn;
}
