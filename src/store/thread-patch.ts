import type { HistoryMode } from '../protocol/history-mode.js';
import type { PlainFieldPatch } from './thread-fields.js';

/** A git patch: absent keeps, null clears, a string sets. */
export interface GitPatch {
  readonly sha?: string | null | undefined;
  readonly branch?: string | null | undefined;
  readonly originUrl?: string | null | undefined;
}

/**
 * One change of a thread's metadata. An absent key keeps the field; null clears it, where the type allows it. Times are milliseconds since the epoch.
 */
export interface ThreadMetadataPatch extends Omit<PlainFieldPatch, 'memoryMode'> {
  readonly name?: string | null | undefined;
  readonly gitInfo?: GitPatch | undefined;
  readonly memoryMode?: 'enabled' | 'disabled' | undefined;
  readonly preview?: string | undefined;
  readonly createdAt?: number | undefined;
  readonly updatedAt?: number | undefined;
  /** At least this; recency never moves back. */
  readonly advanceRecencyAt?: number | undefined;
  /** In the stored form: a bare string or compact JSON. */
  readonly source?: string | undefined;
  readonly rolloutPath?: string | undefined;
  readonly historyMode?: HistoryMode | undefined;
}

/** The patch without its absent keys; a git patch that changes nothing is left out. */
export function presentFields(patch: ThreadMetadataPatch): ThreadMetadataPatch {
  const present = Object.entries(patch).filter(([, value]) => value !== undefined);
  const fields: ThreadMetadataPatch = Object.fromEntries(present);
  if (fields.gitInfo === undefined) return fields;
  const git = Object.fromEntries(Object.entries(fields.gitInfo).filter(([, value]) => value !== undefined));
  const { gitInfo: _, ...rest } = fields;
  return Object.keys(git).length === 0 ? rest : { ...rest, gitInfo: git };
}

export function isEmptyPatch(patch: ThreadMetadataPatch): boolean {
  return Object.keys(presentFields(patch)).length === 0;
}

/** Both patches as one: what `next` holds wins, clears included; git is merged part by part. */
export function mergePatches(first: ThreadMetadataPatch, next: ThreadMetadataPatch): ThreadMetadataPatch {
  const before = presentFields(first);
  const after = presentFields(next);
  const gitInfo = before.gitInfo || after.gitInfo ? { ...before.gitInfo, ...after.gitInfo } : undefined;
  return presentFields({ ...before, ...after, gitInfo });
}
