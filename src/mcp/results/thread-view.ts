import { z } from 'zod';
import { cutText } from '../../protocol/cut-text.js';
import { SOURCE_KINDS } from '../../protocol/session-source.js';
import type { StoredThread } from '../../store/thread-store.js';
import { fitText, jsonSize } from './size.js';

const text = () => z.string().optional();

/** A thread as the tools show it: what is null, empty or unknown is left out. Times are ISO 8601, UTC. */
export const threadSchema = z.object({
  threadId: z.string(),
  name: text(),
  preview: text(),
  cwd: text(),
  source: z.enum(SOURCE_KINDS),
  modelProvider: text(),
  model: text(),
  git: z.object({ sha: text(), branch: text(), originUrl: text() }).optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
  recencyAt: z.string(),
  archived: z.literal(true).optional(),
  archivedAt: text(),
  parentThreadId: text(),
  agent: z.object({ nickname: text(), role: text(), path: text(), depth: z.number().optional() }).optional(),
  forkedFromThreadId: text(),
  tokensUsed: z.number().optional(),
  memoryMode: text(),
  status: z.literal('loaded').optional(),
});

export type ThreadView = z.output<typeof threadSchema>;

export const LIST_PREVIEW = 200;
/** A preview can be a whole pasted file; the turns hold the rest. */
export const READ_PREVIEW = 2000;
/** No field of metadata needs more; a longer one is damage or abuse. */
const LONGEST_FIELD = 4096;

export interface ThreadViewOptions {
  /** True when the thread is live in this process. */
  readonly isLoaded: boolean;
  readonly previewLength?: number;
}

export function threadView(
  thread: StoredThread,
  { isLoaded, previewLength = READ_PREVIEW }: ThreadViewOptions,
): ThreadView {
  const { git, isArchived } = thread;
  return present({
    threadId: thread.threadId,
    name: short(thread.name, 1000),
    preview: short(thread.preview, previewLength),
    cwd: short(thread.cwd),
    source: thread.source.kind,
    modelProvider: short(thread.modelProvider, 200),
    model: short(thread.model, 200),
    git: nonEmpty(
      present({ sha: short(git.sha, 200), branch: short(git.branch, 500), originUrl: short(git.originUrl, 1000) }),
    ),
    createdAt: isoTime(thread.createdAt),
    updatedAt: isoTime(thread.updatedAt),
    recencyAt: isoTime(thread.recencyAt),
    archived: isArchived ? true : undefined,
    archivedAt: isArchived && thread.archivedAt !== undefined ? isoTime(thread.archivedAt) : undefined,
    parentThreadId: thread.parentThreadId,
    agent: nonEmpty(
      present({
        nickname: short(thread.agentNickname, 200),
        role: short(thread.agentRole, 200),
        path: short(thread.agentPath, 1000),
        depth: thread.agentDepth,
      }),
    ),
    forkedFromThreadId: thread.forkedFromId,
    tokensUsed: thread.tokensUsed || undefined,
    memoryMode: thread.memoryMode === 'enabled' ? undefined : thread.memoryMode,
    status: isLoaded ? 'loaded' : undefined,
  });
}

/** ISO 8601 with milliseconds; a time that no calendar has is shown as the epoch. */
export function isoTime(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? new Date(0).toISOString() : date.toISOString();
}

/** The object without its absent and empty fields. */
export function present<T extends object>(fields: T): T {
  const kept = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
  return Object.fromEntries(kept) as T;
}

function nonEmpty<T extends object>(fields: T): T | undefined {
  return Object.keys(fields).length > 0 ? fields : undefined;
}

function short(value: string | undefined, length = LONGEST_FIELD): string | undefined {
  // Control characters take six characters as JSON.
  if (value === undefined || (value.length <= length && jsonSize(value) <= 2 * length)) return value;
  return `${fitText(cutText(value, length - 1), 2 * length - 3)}…`;
}
