import { ThreadkeeperError } from '../../protocol/errors.js';
import { parseRolloutLine, type RolloutLine } from '../../protocol/rollout-line.js';
import { Breather } from '../../rollout/breather.js';
import { lineText, readLines } from '../../rollout/line-reader.js';
import type { Lineage } from '../../rollout/lineage.js';
import { openRollout } from '../../rollout/rollout-bytes.js';

/** A line is given whole, however long it is, up to what a text in memory can be. */
const LONGEST_LINE = 256 * 1024 * 1024;

/** All lines of a history that parse, oldest first, one at a time in memory. */
export async function* historyOf({ segments }: Lineage): AsyncGenerator<RolloutLine> {
  const breather = new Breather();
  for (const { file, endByteOffset } of [...segments].reverse()) {
    const bytes = await openRollout(file.path);
    try {
      for (const raw of readLines(bytes, { end: endByteOffset ?? bytes.size, maxLineBytes: LONGEST_LINE })) {
        if (raw.isCut) throw tooLong(raw.length);
        const line = parseRolloutLine(lineText(raw));
        if (line) yield line;
        if (breather.isDue(raw.length)) await breather.breathe();
      }
    } finally {
      bytes.close();
    }
  }
}

const tooLong = (bytes: number) =>
  new ThreadkeeperError(
    'resource_exhausted',
    `a line of the history has ${bytes} bytes, more than ${LONGEST_LINE}`,
    'The thread can be read in pages, but not loaded whole.',
  );
