import { invalidRequest } from '../protocol/errors.js';
import type { HistoryMode } from '../protocol/history-mode.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { Turn, TurnAnchor } from '../transcript/turn.js';
import { TurnBuilder } from '../transcript/turn-builder.js';
import type { ListTurnsParams, TurnCursor, TurnPage } from './thread-store.js';

/** What tells turns apart, as far as it must be known to go backwards. */
export type TurnMark = 'start' | 'end' | 'userMessage' | { readonly rolledBack: number };

/** A line on its way to the turns. */
export interface SourceLine {
  readonly anchor: TurnAnchor;
  /** Absent for a line that no turn is made of. */
  readonly line?: RolloutLine | undefined;
  /** The beginning of a line that is too long to be parsed. */
  readonly unparsedHead?: string | undefined;
  readonly bytes: number;
}

/** A history as a store keeps it; `P` is a place between two of its lines. */
export interface TurnSource<P> {
  readonly begin: P;
  readonly end: P;
  /** Lines from `start` to `end`, oldest first; those that no turn is made of may be left out. */
  forward(start: P, end: P): AsyncIterable<SourceLine>;
  /** Marks before `end`, newest first, each with the place before its line. */
  marksBefore(end: P): AsyncIterable<{ readonly mark: TurnMark; readonly position: P }>;
  /** False for old files, whose turns are told by user messages alone, at least at first. */
  hasMarkedTurns(): Promise<boolean>;
  /** True when it is known, without reading all of it, that no turn was ever rolled back. */
  hasNoRollbacks(): Promise<boolean>;
  /** Throws `staleCursor` when no line begins there. */
  positionOf(anchor: TurnAnchor): P;
  /** The id of a turn that has none of its own. */
  implicitTurnId(anchor: TurnAnchor): string;
}

export interface TurnPagerOptions {
  readonly mode: HistoryMode;
  /** Asked only when the last turn is open: is somebody writing the thread? */
  readonly isLive: () => Promise<boolean>;
}

/** Lines after a page that may still belong to its turns: what was written late. */
const LATE_LINES = 200;
const LATE_BYTES = 1024 * 1024;
/** In old files without turn markers: this many messages without one are turns of their own. */
const IMPLICIT_MARGIN = 5;

/**
 * Pages of turns from any history. Newest first costs the page: the marks are read backwards until enough turns have
 * begun, then that part is read forwards to build them. Memory is bounded by the page.
 */
export class TurnPager<P> {
  readonly #source: TurnSource<P>;
  readonly #options: TurnPagerOptions;

  constructor(source: TurnSource<P>, options: TurnPagerOptions) {
    this.#source = source;
    this.#options = options;
  }

  async page(params: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    if (params.order === 'newestFirst') return await this.#newestFirst(params);
    return (await this.#source.hasNoRollbacks()) ? await this.#onward(params) : await this.#oldestFirst(params);
  }

  async #newestFirst({ limit, cursor }: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    const before = cursor && this.#source.positionOf(cursor);
    const continued = before && cursor.item !== undefined ? [await this.#oneTurn(before, cursor)] : [];
    const wanted = limit - continued.length;
    const end = before ?? this.#source.end;
    const start = await this.#backwardStart(end, wanted + 1);
    const older = await this.#build(start, end, { withLate: before !== undefined, mayBeLive: before === undefined });
    const shown = wanted > 0 ? older.slice(-wanted).reverse() : [];
    return { turns: [...continued, ...shown], hasMore: older.length > shown.length };
  }

  /** A later line can take turns back: only who has read to the end knows which there are. */
  async #oldestFirst({ limit, cursor }: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    const { begin, end: last } = this.#source;
    const shells = await this.#build(begin, last, { withoutItems: true, mayBeLive: true });
    const known = cursor ? shells.findIndex((turn) => isAt(turn.anchor, cursor)) : -1;
    if (cursor && known === -1) throw staleCursor();
    const first = cursor?.item === undefined ? known + 1 : known;
    const wanted = shells.slice(first, first + limit);
    const from = wanted[0]?.anchor;
    const next = shells[first + limit];
    if (!from) return { turns: [], hasMore: false };
    const end = next ? this.#source.positionOf(next.anchor) : last;
    const options = { withLate: next !== undefined, mayBeLive: next === undefined, window: windowOf(cursor) };
    const built = await this.#build(this.#source.positionOf(from), end, options);
    const anchors = new Set(wanted.map(({ anchor }) => anchorKey(anchor)));
    return { turns: built.filter(({ anchor }) => anchors.has(anchorKey(anchor))), hasMore: next !== undefined };
  }

  /** Oldest first where no turn was ever taken back: from the cursor on, as far as the page goes. */
  async #onward({ limit, cursor }: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    const start = cursor ? this.#source.positionOf(cursor) : this.#source.begin;
    const skipped = cursor && cursor.item === undefined ? 1 : 0;
    const builder = this.#builder(start, { window: windowOf(cursor) });
    const isWhole = await this.#feedTurns(builder, start, skipped + limit + 1);
    const turns = await this.#finish(builder, isWhole);
    if (cursor && !(turns[0] && isAt(turns[0].anchor, cursor))) throw staleCursor();
    return { turns: turns.slice(skipped, skipped + limit), hasMore: turns.length > skipped + limit };
  }

  /** The turn that begins at a position, to be continued inside. */
  async #oneTurn(start: P, cursor: TurnCursor): Promise<Turn> {
    const builder = this.#builder(start, { window: windowOf(cursor) });
    const isWhole = await this.#feedTurns(builder, start, 2);
    const turn = (await this.#finish(builder, isWhole)).find(({ anchor }) => isAt(anchor, cursor));
    if (!turn) throw staleCursor();
    return turn;
  }

  /** Feeds from a position until so many turns have begun, and what comes late for those. True at the end of the history. */
  async #feedTurns(builder: TurnBuilder, start: P, count: number): Promise<boolean> {
    let late = 0;
    for await (const line of this.#source.forward(start, this.#source.end)) {
      if (builder.turnCount < count) feed(builder, line);
      else if (late++ < LATE_LINES) feed(builder, line, true);
      else return false;
    }
    return builder.turnCount < count || late === 0;
  }

  /** Where a window must begin so that `wanted` turns begin in it, rolled back ones made up for. */
  async #backwardStart(end: P, wanted: number): Promise<P> {
    const isImplicit = this.#options.mode === 'legacy' && !(await this.#source.hasMarkedTurns());
    let needed = wanted;
    let started = 0;
    let messages = 0;
    for await (const { mark, position } of this.#source.marksBefore(end)) {
      if (typeof mark === 'object') {
        needed += mark.rolledBack;
      } else if (mark === 'start') {
        started += 1;
        messages = 0;
        if (started >= needed) return position;
      } else if (isImplicit && mark === 'end') {
        started += messages;
        messages = 0;
      } else if (isImplicit && mark === 'userMessage') {
        messages += 1;
        if (started + messages >= needed + IMPLICIT_MARGIN) return position;
      }
    }
    return this.#source.begin;
  }

  async #build(
    start: P,
    end: P,
    options: { withLate?: boolean; mayBeLive?: boolean; withoutItems?: boolean; window?: Window | undefined },
  ): Promise<Turn[]> {
    const builder = this.#builder(start, options);
    for await (const line of this.#source.forward(start, end)) feed(builder, line);
    if (options.withLate) await this.#feedLate(builder, end);
    return await this.#finish(builder, options.mayBeLive === true);
  }

  async #finish(builder: TurnBuilder, mayBeLive: boolean): Promise<Turn[]> {
    const turns = builder.finish(true);
    const isOpen = turns.at(-1)?.status === 'inProgress';
    return isOpen && !(mayBeLive && (await this.#options.isLive())) ? builder.finish(false) : turns;
  }

  #builder(start: P, options: { withoutItems?: boolean; window?: Window | undefined }): TurnBuilder {
    return new TurnBuilder({
      mode: this.#options.mode,
      startsAtBeginning: start === this.#source.begin,
      implicitTurnId: (anchor) => this.#source.implicitTurnId(anchor),
      withoutItems: options.withoutItems ?? false,
      window: options.window,
    });
  }

  async #feedLate(builder: TurnBuilder, end: P): Promise<void> {
    let lines = 0;
    let bytes = 0;
    for await (const line of this.#source.forward(end, this.#source.end)) {
      feed(builder, line, true);
      lines += 1;
      bytes += line.bytes;
      if (lines >= LATE_LINES || bytes >= LATE_BYTES) return;
    }
  }
}

function feed(builder: TurnBuilder, { line, unparsedHead, anchor, bytes }: SourceLine, onlyKnownTurns = false): void {
  if (line) builder.add(line, anchor, onlyKnownTurns);
  else if (unparsedHead !== undefined && !onlyKnownTurns) builder.addUnparsed(anchor, bytes, unparsedHead);
}

interface Window {
  readonly itemId: string;
  readonly from: number;
}

function windowOf(cursor: TurnCursor | undefined): Window | undefined {
  return cursor?.itemId === undefined ? undefined : { itemId: cursor.itemId, from: cursor.from ?? 0 };
}

function isAt(anchor: TurnAnchor, cursor: TurnCursor): boolean {
  return anchor.rolloutId === cursor.rolloutId && anchor.offset === cursor.offset;
}

function anchorKey(anchor: TurnAnchor): string {
  return `${anchor.rolloutId} ${anchor.offset}`;
}

export const staleCursor = () =>
  invalidRequest(
    'the cursor points at a turn that is no longer there',
    'Leave the cursor out to start again from the first page.',
  );
