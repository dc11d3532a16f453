import path from 'node:path';
import { internalError } from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import type { RolloutFile } from './rollout-file.js';
import { datedDirectory, newRolloutFileName, parseRolloutFileName } from './rollout-file-name.js';
import type { RolloutHome } from './rollout-home.js';

/** Where the rollout of a new thread belongs. Nothing is made. */
export function newRolloutFile(home: RolloutHome, threadId: ThreadId, now: Date): RolloutFile {
  const fileName = newRolloutFileName(threadId, now);
  const name = parseRolloutFileName(fileName);
  if (!name) throw internalError(`${fileName} is no name of a rollout`, 'The clock of this machine may be wrong.');
  return { ...name, path: path.join(home.sessions, ...datedDirectory(name.stamp), fileName), isArchived: false };
}
