import { z } from 'zod';
import { cutText } from '../../protocol/cut-text.js';
import type { TurnCursor } from '../../store/thread-store.js';
import type { Turn, TurnItem } from '../../transcript/turn.js';
import { fitText, jsonSize } from './size.js';
import { isoTime, present } from './thread-view.js';

/** An item: `itemId`, `type`, and the fields of that type. */
export const itemSchema = z.looseObject({
  itemId: z.string(),
  type: z.string(),
  cut: z
    .object({ field: z.string(), from: z.number(), to: z.number(), total: z.number(), rest: z.string() })
    .optional(),
});

export const turnSchema = z.object({
  turnId: z.string(),
  status: z.enum(['completed', 'interrupted', 'failed', 'inProgress']),
  startedAt: z.string().optional(),
  completedAt: z.string().optional(),
  durationMs: z.number().optional(),
  error: z.string().optional(),
  itemsBefore: z.number().optional(),
  itemsAfter: z.number().optional(),
  items: z.array(itemSchema),
});

export type ItemView = z.output<typeof itemSchema>;
export type TurnView = z.output<typeof turnSchema>;

export interface TurnViewOptions {
  readonly includeOutputs: boolean;
  /** Characters of one output that are shown at most. */
  readonly maxOutputChars: number;
  /** Characters that all turns together may take as JSON. */
  readonly budget: number;
  /** Where the page begins, when that is inside a turn. */
  readonly cursor: TurnCursor | undefined;
}

/** Turns cut to size, and where the next page goes on: undefined when everything given is shown. */
export interface TurnViews {
  readonly turns: TurnView[];
  readonly next: TurnCursor | undefined;
}

const LONGEST_ERROR = 2000;
/** No program makes ids that are longer; one that is can be damage or abuse. */
const LONGEST_ID = 200;
/** With less room than this an item is left out, not cut. */
const LEAST_TEXT = 1000;

const shortId = (id: string) => (id.length <= LONGEST_ID ? id : `${cutText(id, LONGEST_ID)}…`);

/**
 * As many turns as fit, in the given order. A page ends between turns where it can, inside a turn between items where
 * it must, and inside an item only when that item alone is too large for a page.
 */
export function turnViews(turns: readonly Turn[], options: TurnViewOptions): TurnViews {
  const views: TurnView[] = [];
  let left = options.budget;
  let previous: Turn | undefined;
  for (const turn of turns) {
    const start = previous === undefined ? (options.cursor?.item ?? 0) : 0;
    const fitted = fitTurn(turn, start, left, { ...options, isFirst: previous === undefined });
    if (!fitted) return { turns: views, next: previous && { turnId: previous.turnId, ...previous.anchor } };
    views.push(fitted.view);
    if (fitted.next) return { turns: views, next: fitted.next };
    left -= jsonSize(fitted.view) + 1;
    previous = turn;
  }
  return { turns: views, next: undefined };
}

/** The turn from its item `start` on, as far as it fits; undefined when not even its beginning does. */
function fitTurn(
  turn: Turn,
  start: number,
  budget: number,
  options: TurnViewOptions & { isFirst: boolean },
): { view: TurnView; next: TurnCursor | undefined } | undefined {
  const shell = turnShell(turn);
  const anchor = { turnId: turn.turnId, ...turn.anchor };
  const items: ItemView[] = [];
  // Room for the two counts of items that are not shown.
  let left = budget - jsonSize(shell) - 60;
  if (left < 0 && !options.isFirst) return undefined;
  let next: TurnCursor | undefined;
  for (const [index, item] of [...turn.items.entries()].slice(start)) {
    const view = itemView(item, options);
    const size = jsonSize(view) + 1;
    if (size <= left) {
      items.push(view);
      left -= size;
      continue;
    }
    if (items.length === 0 && !options.isFirst) return undefined;
    next = { ...anchor, item: index };
    if (items.length === 0) {
      const cut = cutItem(item, view, left);
      items.push(cut.view);
      next = cut.to === undefined ? { ...anchor, item: index + 1 } : { ...next, itemId: item.itemId, from: cut.to };
    }
    break;
  }
  const after = turn.items.length - start - items.length + turn.omittedItems;
  return {
    view: { ...shell, ...present({ itemsBefore: start || undefined, itemsAfter: after || undefined }), items },
    next,
  };
}

function turnShell(turn: Turn): TurnView {
  return present({
    turnId: shortId(turn.turnId),
    status: turn.status,
    startedAt: turn.startedAt === undefined ? undefined : isoTime(turn.startedAt),
    completedAt: turn.completedAt === undefined ? undefined : isoTime(turn.completedAt),
    durationMs: turn.durationMs,
    error: turn.error === undefined ? undefined : fitText(turn.error, LONGEST_ERROR),
    items: [],
  });
}

function itemView(item: TurnItem, { includeOutputs, maxOutputChars }: TurnViewOptions): ItemView {
  const { itemId, type, fields, body } = item;
  const view = { itemId, type, ...fields };
  if (!body) return view;
  if (body.isOutput && !includeOutputs) return { ...view, [`${body.field}Chars`]: body.total };
  const shown = body.isOutput ? cutText(body.text, Math.max(0, maxOutputChars - body.from)) : body.text;
  const to = body.from + shown.length;
  if (body.from === 0 && to === body.total) return { ...view, [body.field]: shown };
  const isWindowEnd = shown.length === body.text.length && to < body.total;
  const rest = to === body.total ? 'none' : isWindowEnd ? 'nextCursor' : 'raise maxOutputCharsPerItem';
  return { ...view, [body.field]: shown, cut: { field: body.field, from: body.from, to, total: body.total, rest } };
}

/** An item that is larger than a page: as much of its long text as fits, and how far that went. */
function cutItem(
  { itemId, type, body }: TurnItem,
  view: ItemView,
  size: number,
): { view: ItemView; to: number | undefined } {
  const shown = body && view[body.field];
  const leftOut = {
    itemId: shortId(itemId),
    type: shortId(type),
    leftOut: `${jsonSize(view)} characters, more than a page holds`,
  };
  if (!body || typeof shown !== 'string') return { view: leftOut, to: undefined };
  const cut = { field: body.field, from: body.from, to: body.total, total: body.total, rest: 'nextCursor' };
  const room = size - jsonSize({ ...view, [body.field]: '', cut }) - 1;
  if (room < LEAST_TEXT) return { view: leftOut, to: undefined };
  const text = fitText(shown, room);
  const to = body.from + text.length;
  return { view: { ...view, [body.field]: text, cut: { ...cut, to } }, to };
}
