import { invalidRequest } from '../protocol/errors.js';
import type { HistoryMode } from '../protocol/history-mode.js';
import type { ItemHead } from '../protocol/line-head.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { Turn, TurnAnchor } from '../transcript/turn.js';
import { type BuiltTurn, type ItemWindow, TurnBuilder } from '../transcript/turn-builder.js';
import type { ListTurnsParams, TurnCursor, TurnPage } from './thread-store.js';

/** A line of a history that turns are made of. */
export interface SourceLine {
  readonly anchor: TurnAnchor;
  readonly bytes: number;
  /** The turn that its beginning names; undefined when the whole line would have to be read. */
  turnId(): string | undefined;
  /** The ids of its item, from the beginning of the line; undefined when that does not suffice. */
  readonly item: ItemHead | undefined;
  /** The whole line; undefined when it is damaged, or too long to be read. */
  read(): RolloutLine | undefined;
  /** The beginning of a line that is too long to be read. */
  readonly unparsedHead: string | undefined;
}

/** A line that begins a turn or rolls turns back, and the place before it. */
export interface TurnStart<P> {
  readonly position: P;
  /** How many turns it rolls back; 0 for a line that begins a turn. */
  readonly rolledBack: number;
}

/** A history as a store keeps it; `P` is a place between two of its lines. */
export interface TurnSource<P> {
  readonly begin: P;
  readonly end: P;
  /**
   * Calls `visit` with each line from `start` to `end` that turns are made of, oldest first, until it returns false. A line
   * can only be read during its visit. An async generator would take longer for each line than reading the line does.
   */
  forward(start: P, end: P, visit: (line: SourceLine) => boolean): Promise<void>;
  /** Lines before `end` that begin a turn or roll turns back, newest first. */
  startsBefore(end: P): AsyncIterable<TurnStart<P>>;
  /** Which of these turns some line before a place names, or with `starts` begins. */
  namedBefore(turnIds: ReadonlySet<string>, end: P, what: 'names' | 'starts'): Promise<ReadonlySet<string>>;
  /** True when it is known, without reading all of it, that no turn was ever rolled back. */
  hasNoRollbacks(): Promise<boolean>;
  /** Throws `staleCursor` when no line begins there. */
  positionOf(anchor: TurnAnchor): P;
  /** The id of a turn that has none of its own. */
  implicitTurnId(anchor: TurnAnchor): Promise<string>;
}

export interface TurnPagerOptions {
  readonly mode: HistoryMode;
  /** Asked only when the last turn is open: is somebody writing the thread? */
  readonly isLive: () => Promise<boolean>;
}

/** Lines after a page that may still belong to its turns: what was written late. */
const LATE_LINES = 20_000;
const LATE_BYTES = 16 * 1024 * 1024;
/** No turn begins before: the lines are given from the beginning of the history. */
const NOTHING: ReadonlySet<string> = new Set();

/** A page whose implicit turns have no ids yet: finding an id can require reading all earlier lines. */
interface BuiltPage {
  readonly turns: readonly BuiltTurn[];
  readonly hasMore: boolean;
}

interface BuildOptions {
  /** The last turn may be running. */
  readonly mayBeLive: boolean;
  readonly withoutItems?: boolean;
  readonly window?: ItemWindow | undefined;
  /** The turns that begin before `start`; absent: found out where it matters. */
  readonly earlier?: ReadonlySet<string>;
}

/**
 * Pages of turns from any history. Newest first costs the page: the beginnings of turns are read backwards until there
 * are enough, then that part is read forwards. Which turns there are, and where each begins, does not depend on the order
 * or the size of the page, also where lines are lost: a turn begins at its `task_started`, else at the first line that
 * names it.
 */
export class TurnPager<P> {
  readonly #source: TurnSource<P>;
  readonly #options: TurnPagerOptions;

  constructor(source: TurnSource<P>, options: TurnPagerOptions) {
    this.#source = source;
    this.#options = options;
  }

  async page(params: ListTurnsParams): Promise<Omit<TurnPage, 'warnings'>> {
    const { turns, hasMore } = await this.#page(params);
    const named: Turn[] = [];
    for (const turn of turns)
      named.push({ ...turn, turnId: turn.turnId ?? (await this.#source.implicitTurnId(turn.anchor)) });
    return { turns: named, hasMore };
  }

  async #page(params: ListTurnsParams): Promise<BuiltPage> {
    if (params.order === 'newestFirst') return await this.#newestFirst(params);
    return (await this.#source.hasNoRollbacks()) ? await this.#onward(params) : await this.#oldestFirst(params);
  }

  async #newestFirst({ limit, cursor }: ListTurnsParams): Promise<BuiltPage> {
    const before = cursor && this.#source.positionOf(cursor);
    const continued = before && cursor.item !== undefined ? [await this.#oneTurn(before, cursor)] : [];
    const wanted = limit - continued.length;
    const end = before ?? this.#source.end;
    const mayBeLive = before === undefined;
    const start = await this.#findTurnsStart(end, wanted + 1);
    const older =
      start === undefined
        ? ((await this.#all(end, wanted + 1, { mayBeLive })) ?? (await this.#lastBefore(end, wanted + 1, mayBeLive)))
        : await this.#build(start, end, { mayBeLive });
    const shown = wanted > 0 ? older.slice(-wanted).reverse() : [];
    return { turns: [...continued, ...shown], hasMore: older.length > shown.length };
  }

  /** All turns before a place, read once; undefined where there are more than so many, which must not all be kept. */
  async #all(
    end: P,
    most: number,
    options: Pick<BuildOptions, 'mayBeLive' | 'window'>,
  ): Promise<BuiltTurn[] | undefined> {
    let isTooMany = false;
    const turns = await this.#buildWithEarlierTurns(this.#source.begin, options, async (builder) => {
      await this.#source.forward(this.#source.begin, end, (line) => {
        isTooMany = builder.turnCount > most;
        if (!isTooMany) feed(builder, line);
        return !isTooMany;
      });
      if (isTooMany) return false;
      if (end !== this.#source.end) await this.#feedLate(builder, end);
      return options.mayBeLive;
    });
    return isTooMany || turns.length > most ? undefined : turns;
  }

  /** The last `count` turns before `end`, for a history that must be read whole to find them. */
  async #lastBefore(end: P, count: number, mayBeLive: boolean): Promise<BuiltTurn[]> {
    const shells = await this.#build(this.#source.begin, end, { mayBeLive, withoutItems: true });
    const first = Math.max(0, shells.length - count);
    return await this.#slice(shells, first, shells.length, end, { mayBeLive });
  }

  /** Reads the whole history first, because a later line can roll turns back. */
  async #oldestFirst({ limit, cursor }: ListTurnsParams): Promise<BuiltPage> {
    const { begin, end } = this.#source;
    const whole = await this.#all(end, limit + 1, { mayBeLive: true, window: itemWindow(cursor) });
    const shells = whole ?? (await this.#build(begin, end, { withoutItems: true, mayBeLive: true }));
    const known = cursor ? shells.findIndex((turn) => isAt(turn.anchor, cursor)) : -1;
    if (cursor && known === -1) throw staleCursor();
    const first = cursor?.item === undefined ? known + 1 : known;
    const last = Math.min(shells.length, first + limit);
    if (whole) return { turns: whole.slice(first, last), hasMore: last < whole.length };
    const options = { mayBeLive: last === shells.length, window: itemWindow(cursor) };
    return { turns: await this.#slice(shells, first, last, end, options), hasMore: last < shells.length };
  }

  /** Some of the turns whose shells are known, with their items. */
  async #slice(
    shells: readonly BuiltTurn[],
    first: number,
    last: number,
    end: P,
    options: Pick<BuildOptions, 'mayBeLive' | 'window'>,
  ): Promise<BuiltTurn[]> {
    const wanted = shells.slice(first, last);
    const [from] = wanted;
    if (!from) return [];
    const next = shells[last];
    const earlier = new Set(shells.slice(0, first).flatMap(({ turnId }) => turnId ?? []));
    const to = next ? this.#source.positionOf(next.anchor) : end;
    const built = await this.#build(this.#source.positionOf(from.anchor), to, { ...options, earlier });
    const anchors = new Set(wanted.map(({ anchor }) => anchorKey(anchor)));
    return built.filter(({ anchor }) => anchors.has(anchorKey(anchor)));
  }

  /** Oldest first where no turn was ever taken back: from the cursor on, as far as the page goes. */
  async #onward({ limit, cursor }: ListTurnsParams): Promise<BuiltPage> {
    const start = cursor ? this.#source.positionOf(cursor) : this.#source.begin;
    const skipped = cursor && cursor.item === undefined ? 1 : 0;
    const turns = await this.#buildSome(start, skipped + limit + 1, itemWindow(cursor));
    if (cursor && !(turns[0] && isAt(turns[0].anchor, cursor))) throw staleCursor();
    return { turns: turns.slice(skipped, skipped + limit), hasMore: turns.length > skipped + limit };
  }

  /** The turn that begins at a position, to be continued inside. */
  async #oneTurn(start: P, cursor: TurnCursor): Promise<BuiltTurn> {
    const turns = await this.#buildSome(start, 2, itemWindow(cursor));
    const turn = turns.find(({ anchor }) => isAt(anchor, cursor));
    if (!turn) throw staleCursor();
    return turn;
  }

  /** Where the last `wanted` turns before `end` begin, without rolled-back turns; undefined when there are fewer. */
  async #findTurnsStart(end: P, wanted: number): Promise<P | undefined> {
    let needed = wanted;
    let started = 0;
    for await (const { position, rolledBack } of this.#source.startsBefore(end)) {
      if (rolledBack > 0) needed += rolledBack;
      else started += 1;
      if (started >= needed) return position;
    }
    return undefined;
  }

  /** The turns between two places, and what was written of them later. */
  async #build(start: P, end: P, options: BuildOptions): Promise<BuiltTurn[]> {
    return await this.#buildWithEarlierTurns(start, options, async (builder) => {
      await this.#source.forward(start, end, (line) => {
        feed(builder, line);
        return true;
      });
      if (end !== this.#source.end) await this.#feedLate(builder, end);
      return options.mayBeLive;
    });
  }

  /** From a place on until so many turns have begun, and what was written of them later. */
  async #buildSome(start: P, count: number, window: ItemWindow | undefined): Promise<BuiltTurn[]> {
    return await this.#buildWithEarlierTurns(start, { mayBeLive: false, window }, async (builder) => {
      const late = new LateLines();
      let isPast = false;
      await this.#source.forward(start, this.#source.end, (line) => {
        const isLate = builder.turnCount >= count;
        isPast = isLate && late.isPast(line);
        if (!isPast) feed(builder, line, isLate);
        return !isPast;
      });
      return !isPast && (builder.turnCount < count || late.isNone);
    });
  }

  /**
   * Builds turns from a place on. A line there can name a turn that no line from there on begins: one that began before,
   * or one whose beginning is lost. When such a line is met it is found out which, and the turns are built again if any
   * beginning is lost. `fill` returns whether the last turn may be running.
   */
  async #buildWithEarlierTurns(
    start: P,
    options: Omit<BuildOptions, 'mayBeLive'> & Partial<Pick<BuildOptions, 'mayBeLive'>>,
    fill: (builder: TurnBuilder) => Promise<boolean>,
  ): Promise<BuiltTurn[]> {
    const isWhole = start === this.#source.begin;
    const { earlier = isWhole ? NOTHING : undefined } = options;
    const builder = this.#builder(options, earlier);
    const mayBeLive = await fill(builder);
    const { unknownTurnIds } = builder;
    if (earlier || unknownTurnIds.size === 0) return await this.#finish(builder, mayBeLive);
    // Only in a paginated rollout a line other than its beginning makes a turn.
    const what = this.#options.mode === 'legacy' ? 'starts' : 'names';
    const before = await this.#source.namedBefore(unknownTurnIds, start, what);
    if (before.size === unknownTurnIds.size) return await this.#finish(builder, mayBeLive);
    const again = this.#builder(options, before);
    return await this.#finish(again, await fill(again));
  }

  async #finish(builder: TurnBuilder, mayBeLive: boolean): Promise<BuiltTurn[]> {
    const turns = builder.finish(true);
    const isOpen = turns.some(({ status }) => status === 'inProgress');
    return isOpen && !(mayBeLive && (await this.#options.isLive())) ? builder.finish(false) : turns;
  }

  #builder(
    { withoutItems = false, window }: Pick<BuildOptions, 'withoutItems' | 'window'>,
    earlier: ReadonlySet<string> | undefined,
  ): TurnBuilder {
    return new TurnBuilder({
      mode: this.#options.mode,
      beginsEarlier: earlier ? (turnId) => earlier.has(turnId) : () => true,
      withoutItems,
      window,
    });
  }

  async #feedLate(builder: TurnBuilder, end: P): Promise<void> {
    const late = new LateLines();
    await this.#source.forward(end, this.#source.end, (line) => {
      const isPast = late.isPast(line);
      if (!isPast) feed(builder, line, true);
      return !isPast;
    });
  }
}

/** Counts the lines after a page: what comes too long after it is not looked for. */
class LateLines {
  #lines = 0;
  #bytes = 0;

  get isNone(): boolean {
    return this.#lines === 0;
  }

  isPast({ bytes }: SourceLine): boolean {
    this.#lines += 1;
    this.#bytes += bytes;
    return this.#lines > LATE_LINES || this.#bytes > LATE_BYTES;
  }
}

/** Gives a line to the builder. With `isLate`, only what names one of the turns made so far counts. */
function feed(builder: TurnBuilder, line: SourceLine, isLate = false): void {
  const { anchor, bytes, item, unparsedHead } = line;
  const named = isLate ? line.turnId() : undefined;
  if (named !== undefined && !builder.knows(named)) return;
  if (item && (!isLate || item.turnId !== undefined) && builder.counts(item)) return;
  const whole = line.read();
  if (whole) builder.add(whole, anchor, isLate);
  else if (unparsedHead !== undefined && !isLate) builder.addUnparsed(anchor, bytes, unparsedHead);
}

function itemWindow(cursor: TurnCursor | undefined): ItemWindow | undefined {
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
    'the cursor points at a turn that no longer exists',
    'Leave the cursor out to start again from the first page.',
  );
