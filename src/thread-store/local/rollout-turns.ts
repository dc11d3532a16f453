import { internalError, invalidRequest } from '../../protocol/errors.js';
import type { HistoryMode } from '../../protocol/history-mode.js';
import { asNumber, asString } from '../../protocol/json.js';
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
import type { Turn, TurnAnchor } from '../../transcript/turn.js';
import { TurnBuilder } from '../../transcript/turn-builder.js';
import type { ListTurnsParams, TurnCursor, TurnPage } from '../thread-store.js';

/** A thread's segment, open; `index` counts from the oldest. */
interface OpenSegment {
  readonly file: RolloutFile;
  readonly bytes: RolloutBytes;
  readonly end: number;
}

/** A place between two lines of the history. */
interface Position {
  readonly segment: number;
  readonly offset: number;
}

export interface RolloutTurnsOptions {
  readonly mode: HistoryMode;
  /** Asked only when the last turn is open: is some process writing the thread? */
  readonly isLive: () => Promise<boolean>;
}

/** Lines after a page that may still belong to its turns: what was written late. */
const LATE_LINES = 200;
const LATE_BYTES = 1024 * 1024;
/** In old files without turn markers: this many messages without one are turns of their own. */
const IMPLICIT_MARGIN = 5;
const MARKER_SCAN_LINES = 300;

/** Lines that no turn is made of; told by their beginning, see `IRRELEVANT` of the metadata. */
const NOT_A_TURN_LINE =
  /"type":"(?:response_item|turn_context|world_state|token_usage_record|session_meta|inter_agent_communication)|"payload":\{"type":"(?:token_count|thread_settings_applied|thread_goal_updated)"/;
const TURN_START = /"payload":\{"type":"(?:task_started|turn_started)"/;
const TURN_END = /"payload":\{"type":"(?:task_complete|turn_complete|turn_aborted)"/;
const USER_MESSAGE = /"payload":\{"type":"user_message"/;
const ROLLBACK = /"payload":\{"type":"thread_rolled_back"/;

/**
 * Turns of one thread, read from its rollout files. Newest first costs the page: the file is read backwards until
 * enough turns have begun, then that part is read forwards to build them. Memory is bounded by the page.
 */
export class RolloutTurns {
  readonly #options: RolloutTurnsOptions;
  readonly #lineage: Lineage;
  readonly #breather = new Breather();
  #segments: OpenSegment[] = [];
  /** The last count of lines: turns are asked for in order, so that the next one goes on from there. */
  #counted = { rolloutId: '', offset: 0, count: 0 };
  #badLines = 0;
  #invalidUtf8 = 0;

  constructor(lineage: Lineage, options: RolloutTurnsOptions) {
    this.#lineage = lineage;
    this.#options = options;
  }

  async page(params: ListTurnsParams): Promise<TurnPage> {
    try {
      await this.#open();
      const page = params.order === 'newestFirst' ? await this.#newestFirst(params) : await this.#oldestFirst(params);
      return { ...page, warnings: this.#warnings() };
    } finally {
      for (const { bytes } of this.#segments) bytes.close();
      this.#segments = [];
    }
  }

  async #open(): Promise<void> {
    for (const { file, endByteOffset } of [...this.#lineage.segments].reverse()) {
      const bytes = await openRollout(file.path);
      this.#segments.push({ file, bytes, end: Math.min(endByteOffset ?? bytes.size, bytes.size) });
    }
  }

  async #newestFirst({ limit, cursor }: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    const before = cursor && this.#positionOf(cursor);
    const continued = before && cursor.item !== undefined ? [await this.#oneTurn(before, cursor)] : [];
    const wanted = limit - continued.length;
    const end = before ?? this.#end();
    const start = await this.#backwardStart(end, wanted + 1);
    const older = await this.#build(start, end, { withLate: before !== undefined, mayBeLive: before === undefined });
    const shown = wanted > 0 ? older.slice(-wanted).reverse() : [];
    return { turns: [...continued, ...shown], hasMore: older.length > shown.length };
  }

  async #oldestFirst({ limit, cursor }: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    const shells = await this.#build(this.#begin(), this.#end(), { withoutItems: true, mayBeLive: true });
    const known = cursor ? shells.findIndex((turn) => isAt(turn.anchor, cursor)) : -1;
    if (cursor && known === -1) throw staleCursor();
    const first = cursor?.item === undefined ? known + 1 : known;
    const wanted = shells.slice(first, first + limit);
    const from = wanted[0]?.anchor;
    const next = shells[first + limit];
    if (!from) return { turns: [], hasMore: false };
    const end = next ? this.#positionOf(next.anchor) : this.#end();
    const window = windowOf(cursor);
    const options = { withLate: next !== undefined, mayBeLive: next === undefined, window };
    const built = await this.#build(this.#positionOf(from), end, options);
    const anchors = new Set(wanted.map(({ anchor }) => anchorKey(anchor)));
    return { turns: built.filter(({ anchor }) => anchors.has(anchorKey(anchor))), hasMore: next !== undefined };
  }

  /** The turn that begins at a position, to be continued inside. */
  async #oneTurn(start: Position, cursor: TurnCursor): Promise<Turn> {
    const builder = this.#builder(start, { window: windowOf(cursor) });
    let late = 0;
    for await (const { raw, anchor } of this.#forward(start, this.#end())) {
      if (builder.turnCount < 2) this.#feed(builder, raw, anchor);
      else if (late++ < LATE_LINES) this.#feed(builder, raw, anchor, true);
      else break;
    }
    const isLive = builder.turnCount < 2 && (await this.#options.isLive());
    const turn = builder.finish(isLive).find(({ anchor }) => isAt(anchor, cursor));
    if (!turn) throw staleCursor();
    return turn;
  }

  /** Where a window must begin so that `wanted` turns begin in it, rolled back ones made up for. */
  async #backwardStart(end: Position, wanted: number): Promise<Position> {
    const isImplicit = this.#options.mode === 'legacy' && !(await this.#hasMarkersAtHead());
    let needed = wanted;
    let started = 0;
    let messages = 0;
    for await (const { raw, position } of this.#backward(end)) {
      const prefix = linePrefix(raw);
      if (ROLLBACK.test(prefix)) {
        needed += asNumber(this.#parse(raw)?.payload['num_turns']) ?? 0;
      } else if (TURN_START.test(prefix)) {
        started += 1;
        messages = 0;
      } else if (isImplicit && TURN_END.test(prefix)) {
        started += messages;
        messages = 0;
      } else if (isImplicit && USER_MESSAGE.test(prefix)) {
        messages += 1;
        if (started + messages >= needed + IMPLICIT_MARGIN) return position;
      }
      if (started >= needed && TURN_START.test(prefix)) return position;
    }
    return this.#begin();
  }

  /** Files of 2025 have no turn markers; one that begins without them has turns by user message, at least at first. */
  async #hasMarkersAtHead(): Promise<boolean> {
    let seen = 0;
    for await (const { raw } of this.#forward(this.#begin(), this.#end())) {
      const prefix = linePrefix(raw);
      if (TURN_START.test(prefix)) return true;
      seen += 1;
      if (USER_MESSAGE.test(prefix) || seen > MARKER_SCAN_LINES) return false;
    }
    return true;
  }

  async #build(
    start: Position,
    end: Position,
    options: { withLate?: boolean; mayBeLive?: boolean; withoutItems?: boolean; window?: Window | undefined },
  ): Promise<Turn[]> {
    const builder = this.#builder(start, options);
    for await (const { raw, anchor } of this.#forward(start, end)) this.#feed(builder, raw, anchor);
    if (options.withLate) await this.#feedLate(builder, end);
    const turns = builder.finish(true);
    const isOpen = turns.at(-1)?.status === 'inProgress';
    return isOpen && !(options.mayBeLive && (await this.#options.isLive())) ? builder.finish(false) : turns;
  }

  #builder(start: Position, options: { withoutItems?: boolean; window?: Window | undefined }): TurnBuilder {
    return new TurnBuilder({
      mode: this.#options.mode,
      startsAtBeginning: start.segment === 0 && start.offset === 0,
      implicitTurnId: (anchor) => `rollout-${this.#lineIndex(anchor)}`,
      withoutItems: options.withoutItems ?? false,
      window: options.window,
    });
  }

  #feed(builder: TurnBuilder, raw: RawLine, anchor: TurnAnchor, onlyKnownTurns = false): void {
    if (isBlank(raw) || NOT_A_TURN_LINE.test(linePrefix(raw))) return;
    if (raw.isCut) {
      if (!onlyKnownTurns) builder.addUnparsed(anchor, raw.length, linePrefix(raw, 4096));
      return;
    }
    const line = this.#parse(raw);
    if (line) builder.add(line, anchor, onlyKnownTurns);
  }

  async #feedLate(builder: TurnBuilder, end: Position): Promise<void> {
    let lines = 0;
    let bytes = 0;
    for await (const { raw, anchor } of this.#forward(end, this.#end())) {
      this.#feed(builder, raw, anchor, true);
      lines += 1;
      bytes += raw.length;
      if (lines >= LATE_LINES || bytes >= LATE_BYTES) return;
    }
  }

  #parse(raw: RawLine): RolloutLine | undefined {
    if (hasInvalidUtf8(raw)) this.#invalidUtf8 += 1;
    const line = parseRolloutLine(lineText(raw));
    if (!line) this.#badLines += 1;
    return line;
  }

  async *#forward(start: Position, end: Position): AsyncGenerator<{ raw: RawLine; anchor: TurnAnchor }> {
    for (let index = start.segment; index <= end.segment; index += 1) {
      const segment = this.#segment(index);
      const from = index === start.segment ? start.offset : 0;
      const to = index === end.segment ? end.offset : segment.end;
      for (const raw of readLines(segment.bytes, { start: from, end: to })) {
        if (this.#breather.isDue(raw.length)) await this.#breather.breathe();
        yield { raw, anchor: { rolloutId: segment.file.rolloutId, offset: raw.offset } };
      }
    }
  }

  async *#backward(end: Position): AsyncGenerator<{ raw: RawLine; position: Position }> {
    for (let index = end.segment; index >= 0; index -= 1) {
      const segment = this.#segment(index);
      const to = index === end.segment ? end.offset : segment.end;
      for (const raw of readLinesBackward(segment.bytes, { end: to })) {
        if (this.#breather.isDue(raw.length)) await this.#breather.breathe();
        yield { raw, position: { segment: index, offset: raw.offset } };
      }
    }
  }

  #begin(): Position {
    return { segment: 0, offset: 0 };
  }

  #end(): Position {
    const segment = this.#segments.length - 1;
    return { segment, offset: this.#segment(segment).end };
  }

  #segment(index: number): OpenSegment {
    const segment = this.#segments[index];
    if (!segment) throw internalError('a segment of the thread is missing', 'Call again; the home changed meanwhile.');
    return segment;
  }

  /** The place of an anchor. Throws `invalid_request` when no line begins there any more. */
  #positionOf(anchor: TurnAnchor): Position {
    const segment = this.#segments.findIndex(({ file }) => file.rolloutId === anchor.rolloutId);
    const open = this.#segments[segment];
    if (!open || anchor.offset < 0 || anchor.offset >= open.end) throw staleCursor();
    const before = Buffer.alloc(1);
    const isLineStart = anchor.offset === 0 || (open.bytes.read(before, anchor.offset - 1) === 1 && before[0] === 0x0a);
    if (!isLineStart) throw staleCursor();
    return { segment, offset: anchor.offset };
  }

  /** How many lines come before the anchor's, blank ones not counted: the number in the id of an implicit turn. */
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

  #warnings(): string[] {
    const warnings: string[] = [];
    if (this.#lineage.problem) warnings.push(`Earlier history is missing: ${this.#lineage.problem}.`);
    if (this.#badLines > 0) warnings.push(`${this.#badLines} unreadable lines were skipped.`);
    if (this.#invalidUtf8 > 0) warnings.push(`${this.#invalidUtf8} lines hold invalid UTF-8, shown as U+FFFD.`);
    return warnings;
  }
}

interface Window {
  readonly itemId: string;
  readonly from: number;
}

function windowOf(cursor: TurnCursor | undefined): Window | undefined {
  const itemId = asString(cursor?.itemId);
  return itemId === undefined ? undefined : { itemId, from: cursor?.from ?? 0 };
}

function isAt(anchor: TurnAnchor, cursor: TurnCursor): boolean {
  return anchor.rolloutId === cursor.rolloutId && anchor.offset === cursor.offset;
}

function anchorKey(anchor: TurnAnchor): string {
  return `${anchor.rolloutId} ${anchor.offset}`;
}

function staleCursor(): Error {
  return invalidRequest(
    'the cursor points at a turn that is no longer there',
    'Leave the cursor out to start again from the first page.',
  );
}
