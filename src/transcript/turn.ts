/** What a thread's history looks like to a reader: turns, and the items in them. */

export type TurnStatus = 'completed' | 'interrupted' | 'failed' | 'inProgress';

/** Where a turn begins: a line of a rollout file (or an index, in a store without files). */
export interface TurnAnchor {
  readonly rolloutId: string;
  readonly offset: number;
}

/** The long text of an item, kept apart from its other fields so that it can be cut or left out. */
export interface ItemBody {
  /** Under which name it is shown. */
  readonly field: string;
  readonly text: string;
  /** How many characters of the whole come before `text`. */
  readonly from: number;
  /** Characters of the whole. */
  readonly total: number;
  /** True for what a tool or the model's reasoning put out: left out unless asked for. */
  readonly isOutput: boolean;
}

/**
 * One item of a turn. `type` is a name such as `userMessage` or `commandExecution`; an unknown one is kept.
 * `fields` are the short facts of that type (docs/codex-home.md, Items).
 */
export interface TurnItem {
  readonly itemId: string;
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly body: ItemBody | undefined;
}

export interface Turn {
  readonly turnId: string;
  readonly status: TurnStatus;
  /** Milliseconds since the epoch. */
  readonly startedAt: number | undefined;
  readonly completedAt: number | undefined;
  readonly durationMs: number | undefined;
  readonly error: string | undefined;
  readonly items: readonly TurnItem[];
  /** Items that were left out because the turn holds too many. */
  readonly omittedItems: number;
  readonly anchor: TurnAnchor;
}
