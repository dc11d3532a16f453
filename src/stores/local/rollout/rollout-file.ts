import type { RolloutFileName } from './rollout-file-name.js';

/** A rollout file as its name and place tell it. */
export interface RolloutFile extends RolloutFileName {
  readonly path: string;
  readonly isArchived: boolean;
}
