import { ThreadkeeperError } from '../../protocol/errors.js';
import { parseRolloutLine, type RolloutLine } from '../../protocol/rollout-line.js';
import { TimeSlice } from '../../protocol/time-slice.js';
import { lineText, readLines } from './rollout/line-reader.js';
import type { Lineage } from './rollout/lineage.js';
import { openRollout } from './rollout/rollout-bytes.js';

/** A line is given whole, however long it is, up to what a text in memory can be. */
const LONGEST_LINE = 256 * 1024 * 1024;

/** All lines of a history that parse, oldest first, one at a time in memory; `warn` is called with what is missing. */
export async function* readHistory(
  { segments, problem }: Lineage,
  warn: (problem: string) => void = () => {},
): AsyncGenerator<RolloutLine> {
  const slice = new TimeSlice();
  let unreadable = 0;
  for (const { file, endByteOffset } of [...segments].reverse()) {
    const bytes = await openRollout(file.path);
    try {
      for (const raw of readLines(bytes, { end: endByteOffset ?? bytes.size, maxLineBytes: LONGEST_LINE })) {
        if (raw.isCut) throw tooLong(raw.length);
        const text = lineText(raw);
        const line = parseRolloutLine(text);
        if (line) yield line;
        else if (text.trim() !== '') unreadable += 1;
        if (slice.isOver) await slice.yield();
      }
    } finally {
      bytes.close();
    }
  }
  if (problem !== undefined) warn(problem);
  if (unreadable > 0) warn(`${unreadable === 1 ? '1 line' : `${unreadable} lines`} cannot be read`);
}

const tooLong = (bytes: number) =>
  new ThreadkeeperError(
    'resource_exhausted',
    `a line of the history has ${bytes} bytes, more than ${LONGEST_LINE}`,
    'The thread can be read in pages, but not loaded whole.',
  );
