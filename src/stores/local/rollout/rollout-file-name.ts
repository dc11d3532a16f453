import { asThreadId, type ThreadId } from '../../../protocol/ids.js';
import { parseRolloutTime } from '../../../protocol/rollout-line.js';

/** What the name of a rollout file says (docs/codex-home.md, File names). */
export interface RolloutFileName {
  readonly threadId: ThreadId;
  /** The last UUID of the name: the thread id, or after a revert an id of the file's own. */
  readonly rolloutId: ThreadId;
  /** `YYYY-MM-DDThh-mm-ss`, the local time of the process that made the file. */
  readonly stamp: string;
  /** The stamp read as if it were UTC, as Codex reads it; milliseconds. */
  readonly createdAt: number;
  readonly isCompressed: boolean;
  /** False for a name with something put in by a copy or a sync program, as in `rollout-…-<id> (1).jsonl`. */
  readonly isExact: boolean;
}

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const STAMP = '\\d{4}-\\d{2}-\\d{2}T\\d{2}-\\d{2}-\\d{2}';
const EXACT = new RegExp(`^rollout-(${STAMP})-(${UUID})(?:_(${UUID}))?\\.jsonl(\\.zst)?$`, 'i');
const INEXACT = new RegExp(`^rollout-(${STAMP})?.*\\.jsonl(\\.zst)?$`);
const IDS = new RegExp(`(${UUID})(?:_(${UUID}))?`, 'i');

/** The parts of a file name, or undefined when it is not the name of a rollout as Codex gives it. */
export function parseRolloutFileName(name: string): RolloutFileName | undefined {
  const match = EXACT.exec(name);
  const threadId = asThreadId(match?.[2]);
  const rolloutId = match?.[3] === undefined ? threadId : asThreadId(match[3]);
  const stamp = match?.[1];
  const createdAt = parseRolloutTime(stamp);
  if (!threadId || !rolloutId || !stamp || createdAt === undefined) return undefined;
  return { threadId, rolloutId, stamp, createdAt, isCompressed: match?.[4] !== undefined, isExact: true };
}

/**
 * What can be told of a name that a copy, a sync program or a person made: Codex reads every `rollout-….jsonl` and lets the
 * content say which thread it is. Undefined for any other name.
 */
export function inexactRolloutName(name: string):
  | (Omit<RolloutFileName, 'threadId' | 'rolloutId'> & {
      readonly threadId: ThreadId | undefined;
      readonly rolloutId: ThreadId | undefined;
    })
  | undefined {
  const match = INEXACT.exec(name);
  if (!match) return undefined;
  const stamp = match[1] ?? '';
  const createdAt = parseRolloutTime(stamp) ?? 0;
  const ids = IDS.exec(name);
  const threadId = asThreadId(ids?.[1]);
  const rolloutId = asThreadId(ids?.[2]) ?? threadId;
  return { threadId, rolloutId, stamp, createdAt, isCompressed: match[2] !== undefined, isExact: false };
}

/** `YYYY/MM/DD` as path segments: the directory under `sessions/` where a rollout of this stamp lives. */
export function datedDirectory(stamp: string): [string, string, string] {
  return [stamp.slice(0, 4), stamp.slice(5, 7), stamp.slice(8, 10)];
}

/** The name of a new rollout, made now: its stamp is local time, as Codex writes it. */
export function newRolloutFileName(threadId: ThreadId, now: Date): string {
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000);
  return `rollout-${local.toISOString().slice(0, 19).replaceAll(':', '-')}-${threadId}.jsonl`;
}
