import { statSync } from 'node:fs';
import { systemErrorCode } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import { parseRolloutLine } from '../protocol/rollout-line.js';
import { type SessionMeta, sessionMetaOf } from '../protocol/session-meta.js';
import { lineText, readLines } from './line-reader.js';
import { openRollout, type RolloutBytes } from './rollout-bytes.js';
import type { RolloutCatalog, RolloutFile } from './rollout-catalog.js';

/** One file of a thread's history and how much of it belongs to the thread. */
export interface LineageSegment {
  readonly file: RolloutFile;
  /** Bytes of the uncompressed file that count; undefined for the current file, all of which does. */
  readonly endByteOffset: number | undefined;
}

export interface Lineage {
  /** The current file first, then what it builds on. */
  readonly segments: readonly LineageSegment[];
  /** Why the history is not whole, if it is not: a base that is gone, loops, or is shorter than its cutoff. */
  readonly problem: string | undefined;
}

const MAX_SEGMENTS = 1000;
const HEAD_SCAN_LINES = 50;

/** Follows `history_base` from the current file back to where the thread began (docs/codex-home.md, Lineage). */
export async function resolveLineage(
  current: RolloutFile,
  catalog: RolloutCatalog,
  threadId: ThreadId,
): Promise<Lineage> {
  const segments: LineageSegment[] = [{ file: current, endByteOffset: undefined }];
  const seen = new Set<string>([current.rolloutId]);
  let meta = await ownMeta(current);
  while (meta?.historyBase) {
    const base = meta.historyBase;
    if (seen.has(base.rolloutId)) return { segments, problem: `history_base of ${base.rolloutId} loops` };
    const file = catalog.byRolloutId(base.rolloutId);
    if (!file || segments.length >= MAX_SEGMENTS) {
      return { segments, problem: `the base rollout ${base.rolloutId} of thread ${threadId} is missing` };
    }
    if (base.endByteOffset <= 0 || (!file.isCompressed && statSync(file.path).size < base.endByteOffset)) {
      return {
        segments,
        problem: `the base rollout ${base.rolloutId} is shorter than its cutoff ${base.endByteOffset}`,
      };
    }
    seen.add(base.rolloutId);
    segments.push({ file, endByteOffset: base.endByteOffset });
    try {
      meta = await ownMeta(file);
    } catch (error) {
      segments.pop();
      return {
        segments,
        problem: `the base rollout ${base.rolloutId} cannot be read (${systemErrorCode(error) ?? 'damaged'})`,
      };
    }
  }
  return { segments, problem: undefined };
}

/** The session_meta that owns a rollout: the first that parses among its first lines. */
export async function ownMeta(file: RolloutFile): Promise<SessionMeta | undefined> {
  const source = await openRollout(file.path, { headBytes: 512 * 1024 });
  try {
    return firstMeta(source);
  } finally {
    source.close();
  }
}

function firstMeta(source: RolloutBytes): SessionMeta | undefined {
  let seen = 0;
  for (const raw of readLines(source)) {
    const line = raw.isCut ? undefined : parseRolloutLine(lineText(raw));
    const meta = line && sessionMetaOf(line);
    if (meta) return meta;
    seen += 1;
    if (seen >= HEAD_SCAN_LINES) return undefined;
  }
  return undefined;
}
