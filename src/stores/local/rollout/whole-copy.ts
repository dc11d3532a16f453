import { strictJson } from '../../../protocol/json.js';
import { type RolloutItem, typeFirst } from '../../../protocol/rollout-item.js';
import { parseRolloutLine, type RolloutLine } from '../../../protocol/rollout-line.js';
import { TimeSlice } from '../../../protocol/time-slice.js';
import { lineText, readLines } from './line-reader.js';
import type { LineageSegment } from './lineage.js';
import { openRollout } from './rollout-bytes.js';
import { RolloutDraft } from './rollout-draft.js';

/**
 * Makes a paginated rollout of a first line and the lines of a history, which are numbered anew and speak of the new
 * thread. `segments` come oldest first; memory stays bounded by the longest line.
 */
export async function copyWhole(
  segments: readonly (LineageSegment & { readonly endByteOffset: number })[],
  first: RolloutItem,
  threadId: string,
  file: string,
): Promise<void> {
  const draft = new RolloutDraft(file);
  const slice = new TimeSlice();
  let ordinal = 0;
  const write = (line: RolloutItem & { readonly timestamp: string }) => {
    const { timestamp, type, payload, metadata } = line;
    draft.write(Buffer.from(`${strictJson({ timestamp, ordinal, type, payload: typeFirst(payload), metadata })}\n`));
    ordinal += 1;
  };
  try {
    write({ ...first, timestamp: new Date().toISOString() });
    for (const { file: source, endByteOffset } of segments) {
      const bytes = await openRollout(source.path);
      try {
        for (const raw of readLines(bytes, { end: endByteOffset, maxLineBytes: Number.POSITIVE_INFINITY })) {
          const line = parseRolloutLine(lineText(raw));
          // Skips lines that Codex could not read: it would not project them either.
          if (line && line.type !== 'session_meta') write(renamedMeta(threadId, line));
          if (slice.isOver) await slice.yield();
        }
      } finally {
        bytes.close();
      }
    }
    draft.finish();
  } finally {
    draft.close();
  }
}

function renamedMeta(threadId: string, line: RolloutLine): RolloutLine {
  if (typeof line.payload['thread_id'] !== 'string' || line.type === 'response_item') return line;
  return { ...line, payload: { ...line.payload, thread_id: threadId } };
}
