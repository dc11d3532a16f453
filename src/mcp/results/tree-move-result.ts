import { z } from 'zod';
import type { ThreadId } from '../../protocol/ids.js';
import type { TreeMove } from '../../threads/tree-move.js';
import { errorBody } from './result.js';
import { jsonSize, RESERVED_CHARACTERS, RESULT_CHARACTERS } from './size.js';
import { present } from './thread-view.js';

/** What happened to a tree beside what was moved: shared by archive_thread and unarchive_thread. */
export const treeMoveOutput = {
  skipped: z.array(z.object({ threadId: z.string(), reason: z.string() })),
  failed: z.array(
    z.object({ threadId: z.string(), error: z.object({ code: z.string(), message: z.string(), hint: z.string() }) }),
  ),
  dryRun: z.boolean(),
  notShown: z.number().optional(),
  warnings: z.array(z.string()).optional(),
};

const MOST_WARNINGS = 3;

interface TreeMoveView {
  moved: string[];
  skipped: { threadId: ThreadId; reason: string }[];
  failed: { threadId: ThreadId; error: { code: string; message: string; hint: string } }[];
  notShown: number | undefined;
  warnings: string[] | undefined;
}

/** The outcome cut to the size of a result: failures first, then what moved; `notShown` counts the rest. */
export function treeMoveView(move: TreeMove): TreeMoveView {
  let left = RESULT_CHARACTERS - RESERVED_CHARACTERS;
  let notShown = 0;
  const shown = <T>(entries: readonly T[]): T[] =>
    entries.filter((entry) => {
      left -= jsonSize(entry) + 1;
      if (left < 0) notShown += 1;
      return left >= 0;
    });
  const failed = shown(move.failed.map(({ threadId, error }) => ({ threadId, error: errorBody(error) })));
  const moved = shown(move.moved);
  const skipped = shown(move.skipped);
  const warnings = shown(move.warnings.slice(0, MOST_WARNINGS));
  if (move.warnings.length > MOST_WARNINGS)
    warnings.push(`The same goes for ${move.warnings.length - MOST_WARNINGS} more threads.`);
  const shownWarnings = warnings.length > 0 ? warnings : undefined;
  return present({ moved, skipped, failed, notShown: notShown || undefined, warnings: shownWarnings });
}
