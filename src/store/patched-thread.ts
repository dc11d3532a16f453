import { unsupported } from '../protocol/errors.js';
import { storedSessionSource } from '../protocol/session-source.js';
import { pickPlainFields } from './thread-fields.js';
import type { ThreadMetadataPatch } from './thread-patch.js';
import type { StoredThread } from './thread-store.js';

/** The thread with a patch applied. `rolloutPath` is ignored: it is not part of a StoredThread. */
export function patchedThread(thread: StoredThread, fields: ThreadMetadataPatch): StoredThread {
  const { gitInfo, source, advanceRecencyAt, rolloutPath: _, ...rest } = fields;
  return {
    ...thread,
    ...withoutNulls(rest),
    git: { ...thread.git, ...withoutNulls(gitInfo) },
    source: source === undefined ? thread.source : storedSessionSource(source),
    recencyAt: Math.max(thread.recencyAt, advanceRecencyAt ?? 0),
  };
}

/** A patch that sets everything a patch can set, so that a new thread becomes this one. */
export function patchFromThread(thread: StoredThread) {
  const { name, git, memoryMode, createdAt, updatedAt, recencyAt, preview } = thread;
  return {
    ...pickPlainFields(thread),
    name,
    gitInfo: { sha: git.sha ?? null, branch: git.branch ?? null, originUrl: git.originUrl ?? null },
    memoryMode: memoryMode === 'enabled' || memoryMode === 'disabled' ? memoryMode : undefined,
    preview,
    createdAt,
    updatedAt,
    advanceRecencyAt: recencyAt,
  } as const;
}

/** Of a store whose threads are no files. */
export const noRolloutPath = () =>
  unsupported(
    'this store does not keep threads as files, so they have no rollout path',
    'Nothing was changed. Leave the path out, or serve a Codex home (without --store).',
  );

/** The fields that a patch sets or clears; null, which clears, becomes undefined. */
function withoutNulls(patch: object = {}): object {
  const present = Object.entries(patch).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present.map(([key, value]) => [key, value ?? undefined]));
}
