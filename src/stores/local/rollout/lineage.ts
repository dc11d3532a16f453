import { statSync } from 'node:fs';
import { systemErrorCode } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { ownMeta } from './owner-meta.js';
import type { RolloutCatalog } from './rollout-catalog.js';
import type { RolloutFile } from './rollout-file.js';

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
