import { internalError, invalidRequest } from '../../../protocol/errors.js';
import type { HistoryMode } from '../../../protocol/history-mode.js';
import type { ThreadId } from '../../../protocol/ids.js';
import type { ListTurnsParams } from '../../../store/thread-store.js';
import { turnAfter } from '../../../store/turn-after.js';
import { LoadedLines } from '../loaded-lines.js';
import { readLinesBackward } from '../rollout/line-reader.js';
import type { Lineage } from '../rollout/lineage.js';
import { openRollout, type RolloutBytes } from '../rollout/rollout-bytes.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import { lastOrdinal } from '../rollout/rollout-recorder.js';
import { rolloutTurns } from '../turns.js';

/** Where a fork leaves the history of its source. */
export interface ForkPoint {
  readonly file: RolloutFile;
  /** The boundary between two lines of the uncompressed file. */
  readonly endByteOffset: number;
  /** The ordinal after the last one before the boundary; undefined where lines have none. */
  readonly endOrdinalExclusive: number | undefined;
}

/**
 * The place after the last turn that a fork inherits: where the next turn begins, or the end of what is whole.
 * Throws `invalid_request` when there is no such turn.
 */
export async function forkPoint(
  lineage: Lineage,
  mode: HistoryMode,
  threadId: ThreadId,
  lastTurnId: string | undefined,
): Promise<ForkPoint> {
  if (lineage.problem !== undefined) {
    throw internalError(
      `the history of this thread is not whole: ${lineage.problem}`,
      'Nothing was made. A fork would lack the same part.',
    );
  }
  const options = { mode, isLive: async () => false, loadedLines: new LoadedLines() };
  const turns = (params: ListTurnsParams) => rolloutTurns(lineage, params, options);
  const next = lastTurnId === undefined ? undefined : await turnAfter(turns, threadId, lastTurnId);
  const segment = next ? lineage.segments.find(({ file }) => file.rolloutId === next.rolloutId) : lineage.segments[0];
  if (!segment) throw internalError('a segment of the thread is missing', 'Call again; the home changed meanwhile.');
  const source = await openRollout(segment.file.path);
  try {
    const endByteOffset = next?.offset ?? lastLineEnd(source);
    const endOrdinalExclusive = mode === 'paginated' ? ordinalAfter(source, endByteOffset) : undefined;
    return { file: segment.file, endByteOffset, endOrdinalExclusive };
  } finally {
    source.close();
  }
}

/** The end of the last line with a newline: what comes after may still be in the writing. */
function lastLineEnd(source: RolloutBytes): number {
  for (const { offset, length, isTerminated } of readLinesBackward(source)) {
    return isTerminated ? offset + length + 1 : offset;
  }
  return 0;
}

function ordinalAfter(source: RolloutBytes, end: number): number {
  const ordinal = lastOrdinal(source, end);
  if (ordinal !== undefined) return ordinal + 1;
  throw invalidRequest(
    'the last line of this paginated thread has no ordinal that could be followed, so it cannot be forked',
    'Nothing was made. Codex refuses such a thread too.',
  );
}
