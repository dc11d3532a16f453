import { cutText, sliceText } from '../protocol/cut-text.js';
import type { HistoryMode } from '../protocol/history-mode.js';
import { asNumber, asObject, asString, type JsonObject } from '../protocol/json.js';
import type { RolloutLine } from '../protocol/rollout-line.js';
import type { ItemDraft } from './item-draft.js';
import { itemOfLegacyEvent } from './legacy-items.js';
import { itemOfCompleted } from './paginated-items.js';
import type { Turn, TurnAnchor, TurnItem, TurnStatus } from './turn.js';

export interface TurnBuilderOptions {
  readonly mode: HistoryMode;
  /** False when earlier lines of the thread are not given: an item of an unknown turn then belongs to one of those. */
  readonly startsAtBeginning: boolean;
  /** The id of a turn that has none in the rollout. */
  readonly implicitTurnId: (anchor: TurnAnchor) => string;
  /** Keep the shells of turns only: where they begin and how they ended. */
  readonly withoutItems?: boolean;
  /** For one long item, which part of its text to keep. */
  readonly window?: { readonly itemId: string; readonly from: number } | undefined;
}

/** Characters of an item's long text that are kept. */
export const BODY_WINDOW = 32_000;
const MAX_ITEMS_PER_TURN = 20_000;

interface OpenTurn {
  turnId: string | undefined;
  readonly isExplicit: boolean;
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
 * id even when late, old files without them have a turn for each user message.
 */
export class TurnBuilder {
  readonly #options: TurnBuilderOptions;
  #turns: OpenTurn[] = [];
  readonly #byId = new Map<string, OpenTurn>();
  #current: OpenTurn | undefined;

  constructor(options: TurnBuilderOptions) {
    this.#options = options;
  }

  /** Takes a line into account. With `onlyKnownTurns`, only what names one of the turns made so far counts. */
  add(line: RolloutLine, anchor: TurnAnchor, onlyKnownTurns = false): void {
    if (line.type === 'compacted' && !onlyKnownTurns) this.#markCompaction(anchor);
    if (line.type !== 'event_msg') return;
    const event = line.payload;
    const turnId = asString(event['turn_id']);
    if (onlyKnownTurns && !(turnId !== undefined && this.#byId.has(turnId) && event['type'] !== 'task_started')) return;
    switch (event['type']) {
      case 'task_started':
      case 'turn_started':
        this.#start(event, anchor);
        break;
      case 'task_complete':
      case 'turn_complete':
        this.#complete(event);
        break;
      case 'turn_aborted':
        this.#abort(event);
        break;
      case 'error':
        if (this.#current) Object.assign(this.#current, { status: 'failed', error: asString(event['message']) });
        break;
      case 'thread_rolled_back':
        this.#rollBack(asNumber(event['num_turns']) ?? 0);
        break;
      default:
        this.#addItem(event, anchor);
    }
  }

  /** Turns so far, the open one included. */
  get turnCount(): number {
    return this.#turns.length;
  }

  /** A line that was too long to parse: its item is there, its text is not. */
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
  finish(isLive: boolean): Turn[] {
    const last = this.#current;
    this.#closeCurrent();
    return this.#turns.map((turn) => ({
      turnId: turn.turnId ?? this.#options.implicitTurnId(turn.anchor),
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
    const turn = this.#open(asString(event['turn_id']), true, anchor);
    turn.startedAt = milliseconds(event['started_at']);
  }

  #complete(event: JsonObject): void {
    const turn = this.#named(event) ?? this.#current;
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

  #abort(event: JsonObject): void {
    const turn = this.#named(event) ?? this.#current;
    if (!turn) return;
    turn.status = 'interrupted';
    this.#setTimes(turn, event);
  }

  #setTimes(turn: OpenTurn, event: JsonObject): void {
    turn.startedAt ??= milliseconds(event['started_at']);
    turn.completedAt = milliseconds(event['completed_at']) ?? turn.completedAt;
    turn.durationMs = asNumber(event['duration_ms']) ?? turn.durationMs;
  }

  #named(event: JsonObject): OpenTurn | undefined {
    return this.#byId.get(asString(event['turn_id']) ?? '');
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

  #addItem(event: JsonObject, anchor: TurnAnchor): void {
    const isPaginated = this.#options.mode === 'paginated';
    const completed = isPaginated && event['type'] === 'item_completed';
    const draft = completed
      ? itemOfCompleted(asObject(event['item']) ?? {})
      : isPaginated
        ? undefined
        : itemOfLegacyEvent(event);
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
      if (known) return known;
      const isLost = this.#options.mode === 'legacy' || !this.#options.startsAtBeginning;
      return isLost ? undefined : this.#open(turnId, false, anchor);
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
