import { pickPlainFields } from './thread-fields.js';
import type { CreateThreadParams, StoredThread } from './thread-store.js';

/** A thread that has just been made, before anything was said in it. */
export function newThread(params: CreateThreadParams): StoredThread {
  const { threadId, sessionId, source, createdAt, metadata } = params;
  return {
    ...pickPlainFields({ ...params, ...metadata }),
    threadId,
    sessionId,
    name: undefined,
    preview: '',
    source,
    git: params.git ?? {},
    createdAt,
    updatedAt: createdAt,
    recencyAt: createdAt,
    isArchived: false,
    archivedAt: undefined,
    parentThreadId: params.parentThreadId,
    agentDepth: source.spawn?.depth,
    forkedFromId: undefined,
    historyMode: params.historyMode,
  };
}
