import { cutText, sliceText } from '../protocol/cut-text.js';
import type { HistoryMode } from '../protocol/history-mode.js';
import { asNumber, asObject, asString, type JsonObject } from '../protocol/json.js';
import type { ItemHead } from '../protocol/line-head.js';
import { typeFacts } from '../protocol/line-types.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import { itemFromBareResponse } from './bare-items.js';
import type { ItemDraft } from './item-draft.js';
import { itemFromLegacyEvent } from './legacy-items.js';
import { itemFromCompleted } from './paginated-items.js';
import type { Turn, TurnAnchor, TurnItem, TurnStatus } from './turn.js';

export interface TurnBuilderOptions {
  readonly mode: HistoryMode;
  /**
   * True when a turn that no line so far has named began before the first given line. A line that names such a turn
   * is skipped. A line that names another unknown turn opens it; in legacy mode it can only end the open turn.
   */
  readonly beginsEarlier: (turnId: string) => boolean;
  /** Keep the shells of turns only: where they begin and how they ended. */
  readonly withoutItems?: boolean;
  readonly window?: ItemWindow | undefined;
}

/** For one long item, which part of its text to keep. */
export interface ItemWindow {
  readonly itemId: string;
  readonly from: number;
}

/** Characters of an item's long text that are kept. */
export const BODY_WINDOW = 32_000;
const MAX_ITEMS_PER_TURN = 20_000;

/** A turn as its lines tell it: an implicit one has no id in the rollout. */
export interface BuiltTurn extends Omit<Turn, 'turnId'> {
  readonly turnId: string | undefined;
}

interface OpenTurn {
  turnId: string | undefined;
  readonly isExplicit: boolean;
  /** False for a turn whose `task_started` has not been met. */
  hasStart: boolean;
  readonly anchor: TurnAnchor;
  readonly items: Map<string, TurnItem>;
  lastItemId: string | undefined;
  itemCount: number;
  omittedItems: number;
  status: TurnStatus;
  startedAt: number | undefined;
  completedAt: number | undefined;
  durationMs: number | undefined;
  error: string | undefined;
  hasCompaction: boolean;
}

/**
 * Turns from rollout lines, given in file order. Pure: it reads no file and knows no store. The rules are those of
 * Codex (docs/codex-home.md, Turns): `task_started` opens a turn, `task_complete` and `turn_aborted` find theirs by
 * id even when late, old files without them have a turn for each user message. Where a paginated turn's `task_started` is
 * lost, the first line that names the turn opens it.
 */
export class TurnBuilder {
  readonly #options: TurnBuilderOptions;
  #turns: OpenTurn[] = [];
  readonly #byId = new Map<string, OpenTurn>();
  #current: OpenTurn | undefined;
  /** Ids of turns that a given line named before any given line began them. */
  readonly unknownTurnIds = new Set<string>();

  constructor(options: TurnBuilderOptions) {
    this.#options = options;
  }

  /** Takes a line into account. With `onlyKnownTurns`, only what names one of the turns made so far counts. */
  add(line: RolloutLine, anchor: TurnAnchor, onlyKnownTurns = false): void {
    if (line.type === 'compacted' && !onlyKnownTurns) this.#markCompaction(anchor);
    if (line.isBare && !onlyKnownTurns) this.#addBare(line, anchor);
    if (line.type !== 'event_msg') return;
    const event = line.payload;
    const turnId = asString(event['turn_id']);
    const part = typeFacts({ type: 'event_msg', payloadType: asString(event['type']) })?.turn;
    if (onlyKnownTurns && (part === 'start' || turnId === undefined || !this.#byId.has(turnId))) return;
    switch (part) {
      case 'start':
        this.#start(event, anchor);
        break;
      case 'complete':
        this.#complete(event, anchor);
        break;
      case 'abort':
        this.#abort(event, anchor);
        break;
      case 'error':
        if (this.#current) Object.assign(this.#current, { status: 'failed', error: asString(event['message']) });
        break;
      case 'rollback':
        this.#rollBack(asNumber(event['num_turns']) ?? 0);
        break;
      case 'userMessage':
      case 'item':
        this.#addItem(line, anchor);
        break;
      default:
    }
  }

  /** A response item of a rollout of mid-2025: there, turns are made of nothing else. */
  #addBare({ type, payload }: RolloutLine, anchor: TurnAnchor): void {
    const draft = type === 'response_item' ? itemFromBareResponse(payload) : undefined;
    if (!draft) return;
    const turn = this.#turnFor(undefined, anchor, draft.type === 'userMessage');
    if (!turn) return;
    const call = draft.type === 'functionCallOutput' ? turn.items.get(draft.itemId ?? '') : undefined;
    this.#put(turn, call ? { ...draft, type: call.type, fields: { ...call.fields, ...draft.fields } } : draft, anchor);
  }

  /** True for a turn that was made. */
  knows(turnId: string): boolean {
    return this.#byId.has(turnId);
  }

  /**
   * Counts an item without reading the whole line. It does so when the turn exists, and items are not kept
   * or it has as many as are kept. False when the item has to be added. The rest of the line may be damaged: the first
   * item of an implicit turn, which decides whether there is such a turn, is never counted in this way.
   */
  counts({ turnId, itemId }: ItemHead): boolean {
    const isPaginated = this.#options.mode === 'paginated';
    if (isPaginated !== (turnId !== undefined)) return false;
    const turn = turnId === undefined ? this.#current : this.#byId.get(turnId);
    if (!turn || (!turn.isExplicit && turn.itemCount === 0)) return false;
    if (!this.#options.withoutItems) {
      if (turn.items.size < MAX_ITEMS_PER_TURN || (itemId !== undefined && turn.items.has(itemId))) return false;
      turn.omittedItems += 1;
    }
    turn.itemCount += 1;
    return true;
  }

  /** Turns so far, the open one included. */
  get turnCount(): number {
    return this.#turns.length;
  }

  /** A line that was too long to parse: it gives an item without text. */
  addUnparsed(anchor: TurnAnchor, bytes: number, head: string): void {
    if (!/"type":"event_msg"/.test(head) || !/"type":"(?:item_completed|user_message|agent_message)"/.test(head))
      return;
    const turnId = /"turn_id":"([^"]+)"/.exec(head)?.[1];
    const type =
      /"item":\{"type":"(\w+)"/.exec(head)?.[1] ??
      (/"type":"user_message"/.test(head) ? 'userMessage' : 'agentMessage');
    const itemId = /"item":\{"type":"\w+","id":"([^"]+)"/.exec(head)?.[1];
    const turn = this.#turnFor(turnId, anchor, type === 'UserMessage' || type === 'userMessage');
    const name = type.slice(0, 1).toLowerCase() + type.slice(1);
    if (turn)
      this.#put(turn, { type: name, itemId, fields: { tooLarge: `${bytes} bytes in one line; not read` } }, anchor);
  }

  /** The turns, oldest first. `isLive` says that some process is writing the thread, so an open turn may be running. */
  finish(isLive: boolean): BuiltTurn[] {
    const last = this.#current;
    this.#closeCurrent();
    return this.#turns.map((turn) => ({
      turnId: turn.turnId,
      status: turn.status === 'inProgress' && !(isLive && turn === last) ? 'interrupted' : turn.status,
      startedAt: turn.startedAt,
      completedAt: turn.completedAt,
      durationMs: turn.durationMs,
      error: turn.error,
      items: [...turn.items.values()],
      omittedItems: turn.omittedItems,
      anchor: turn.anchor,
    }));
  }

  #start(event: JsonObject, anchor: TurnAnchor): void {
    this.#closeCurrent();
    const turnId = asString(event['turn_id']);
    const turn = this.#lostStart(turnId) ?? this.#open(turnId, true, anchor);
    turn.hasStart = true;
    turn.startedAt = milliseconds(event['started_at']);
    this.#current = turn;
  }

  /** A paginated turn that an earlier line has named already. */
  #lostStart(turnId: string | undefined): OpenTurn | undefined {
    const turn = this.#options.mode === 'paginated' ? this.#byId.get(turnId ?? '') : undefined;
    return turn?.hasStart ? undefined : turn;
  }

  #complete(event: JsonObject, anchor: TurnAnchor): void {
    const turn = this.#ended(event, anchor);
    if (!turn) return;
    if (turn.status === 'inProgress' || turn.status === 'completed') turn.status = 'completed';
    const error = asObject(event['error']);
    if (error) {
      turn.status = 'failed';
      turn.error = asString(error['message']) ?? 'unknown error';
    }
    this.#setTimes(turn, event);
    if (turn === this.#current) this.#current = undefined;
  }

  #abort(event: JsonObject, anchor: TurnAnchor): void {
    const turn = this.#ended(event, anchor);
    if (!turn) return;
    const turnId = asString(event['turn_id']);
    // An event that names an unknown turn does not end an explicit turn.
    if (turn.isExplicit && turnId !== undefined && turnId !== turn.turnId) return;
    turn.status = 'interrupted';
    this.#setTimes(turn, event);
    if (turn === this.#current) this.#current = undefined;
  }

  #setTimes(turn: OpenTurn, event: JsonObject): void {
    turn.startedAt ??= milliseconds(event['started_at']);
    turn.completedAt = milliseconds(event['completed_at']) ?? turn.completedAt;
    turn.durationMs = asNumber(event['duration_ms']) ?? turn.durationMs;
  }

  /** The turn that an event ends: the one that it names, else the one that is open. */
  #ended(event: JsonObject, anchor: TurnAnchor): OpenTurn | undefined {
    const turnId = asString(event['turn_id']);
    if (turnId === undefined) return this.#current;
    const known = this.#byId.get(turnId);
    if (known || this.#isEarlier(turnId)) return known;
    if (this.#options.mode === 'legacy') return this.#current;
    this.#closeCurrent();
    return this.#open(turnId, true, anchor);
  }

  #isEarlier(turnId: string): boolean {
    this.unknownTurnIds.add(turnId);
    return this.#options.beginsEarlier(turnId);
  }

  #rollBack(count: number): void {
    this.#closeCurrent();
    for (const turn of this.#turns.splice(Math.max(0, this.#turns.length - Math.max(0, count)))) {
      if (turn.turnId !== undefined) this.#byId.delete(turn.turnId);
    }
  }

  #markCompaction(anchor: TurnAnchor): void {
    if (this.#current) this.#current.hasCompaction = true;
    else if (this.#options.mode === 'legacy') this.#open(undefined, false, anchor).hasCompaction = true;
  }

  #addItem({ payload: event, ordinal }: RolloutLine, anchor: TurnAnchor): void {
    // A program that knew no ordinals may have appended to a paginated rollout.
    const isPaginated =
      this.#options.mode === 'paginated' && (ordinal !== undefined || event['type'] === 'item_completed');
    const completed = isPaginated && event['type'] === 'item_completed';
    const draft = completed
      ? itemFromCompleted(asObject(event['item']) ?? {})
      : isPaginated
        ? undefined
        : itemFromLegacyEvent(event);
    if (!draft) return;
    const turn = this.#turnFor(asString(event['turn_id']), anchor, draft.type === 'userMessage' && !isPaginated);
    if (!turn) return;
    const last = turn.items.get(turn.lastItemId ?? '');
    if (!isPaginated && draft.type === 'reasoning' && last?.type === 'reasoning' && turn.lastItemId !== undefined) {
      turn.items.set(turn.lastItemId, joinReasoning(last, draft));
    } else {
      this.#put(turn, draft, anchor);
    }
  }

  /** The turn that an item belongs to; a user message without an open turn begins one. */
  #turnFor(turnId: string | undefined, anchor: TurnAnchor, isUserMessage: boolean): OpenTurn | undefined {
    if (turnId !== undefined) {
      const known = this.#byId.get(turnId);
      if (known || this.#isEarlier(turnId) || this.#options.mode === 'legacy') return known;
      this.#closeCurrent();
      return this.#open(turnId, true, anchor);
    }
    const current = this.#current;
    if (!current) return this.#open(undefined, false, anchor);
    if (!isUserMessage || current.isExplicit || isOnlyCompaction(current)) return current;
    this.#closeCurrent();
    return this.#open(undefined, false, anchor);
  }

  #open(turnId: string | undefined, isExplicit: boolean, anchor: TurnAnchor): OpenTurn {
    const turn: OpenTurn = {
      turnId,
      isExplicit,
      hasStart: false,
      anchor,
      items: new Map(),
      lastItemId: undefined,
      itemCount: 0,
      omittedItems: 0,
      status: 'inProgress',
      startedAt: undefined,
      completedAt: undefined,
      durationMs: undefined,
      error: undefined,
      hasCompaction: false,
    };
    this.#turns.push(turn);
    if (turnId !== undefined) this.#byId.set(turnId, turn);
    this.#current = turn;
    return turn;
  }

  #closeCurrent(): void {
    const turn = this.#current;
    this.#current = undefined;
    if (!turn || turn.isExplicit) return;
    if (turn.status === 'inProgress') turn.status = 'completed';
    if (turn.itemCount === 0 && !turn.hasCompaction) this.#turns = this.#turns.filter((other) => other !== turn);
  }

  #put(turn: OpenTurn, draft: ItemDraft, anchor: TurnAnchor): void {
    turn.itemCount += 1;
    if (this.#options.withoutItems) return;
    const itemId = draft.itemId ?? `at-${anchor.offset}`;
    if (turn.items.size >= MAX_ITEMS_PER_TURN && !turn.items.has(itemId)) {
      turn.omittedItems += 1;
      return;
    }
    turn.items.set(itemId, { itemId, type: draft.type, fields: draft.fields ?? {}, body: this.#clip(draft, itemId) });
    turn.lastItemId = itemId;
  }

  #clip(draft: ItemDraft, itemId: string): TurnItem['body'] {
    if (!draft.body) return undefined;
    const { field, text, isOutput } = draft.body;
    const from = this.#options.window?.itemId === itemId ? Math.min(this.#options.window.from, text.length) : 0;
    return { field, text: part(text, from, from + BODY_WINDOW), from, total: text.length, isOutput };
  }
}

/** A copy: a slice would keep the whole text in memory. */
function part(text: string, from: number, to: number): string {
  return from === 0 && to >= text.length ? text : Buffer.from(sliceText(text, from, to), 'utf16le').toString('utf16le');
}

function isOnlyCompaction(turn: OpenTurn): boolean {
  return turn.hasCompaction && turn.itemCount === 0;
}

function joinReasoning(first: TurnItem, next: ItemDraft): TurnItem {
  if (!first.body || !next.body) return first;
  const text = cutText(`${first.body.text}\n\n${next.body.text}`, BODY_WINDOW);
  return { ...first, body: { ...first.body, text, total: first.body.total + 2 + next.body.text.length } };
}

/** Codex writes the times of turns in whole seconds. */
function milliseconds(seconds: unknown): number | undefined {
  const value = asNumber(seconds);
  return value === undefined ? undefined : value * 1000;
}
