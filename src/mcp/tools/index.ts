import type { Tool } from '../define-tool.js';
import { appendToThread } from './append-to-thread.js';
import { archiveThread } from './archive-thread.js';
import { closeThread } from './close-thread.js';
import { forkThread } from './fork-thread.js';
import { listThreads } from './list-threads.js';
import { readThread } from './read-thread.js';
import { setThreadName } from './set-thread-name.js';
import { startThread } from './start-thread.js';
import { unarchiveThread } from './unarchive-thread.js';
import { updateThreadMetadata } from './update-thread-metadata.js';

/** Every tool, in the order in which they are listed. */
export const ALL_TOOLS: readonly Tool[] = [
  listThreads,
  readThread,
  setThreadName,
  updateThreadMetadata,
  archiveThread,
  unarchiveThread,
  startThread,
  appendToThread,
  forkThread,
  closeThread,
];
