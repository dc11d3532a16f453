import type { CreateThreadParams, StoredThread } from './thread-store.js';

/** A thread that has just been made, before anything was said in it. */
export function newThread(params: CreateThreadParams): StoredThread {
  const { threadId, sessionId, source, createdAt, metadata } = params;
  return {
    threadId,
    sessionId,
    name: undefined,
    preview: '',
    title: undefined,
    firstUserMessage: undefined,
    cwd: metadata.cwd,
    source,
    threadSource: params.threadSource,
    modelProvider: metadata.modelProvider,
    model: metadata.model,
    reasoningEffort: undefined,
    git: params.git ?? {},
    createdAt,
    updatedAt: createdAt,
    recencyAt: createdAt,
    isArchived: false,
    archivedAt: undefined,
    parentThreadId: params.parentThreadId,
    agentNickname: params.agentNickname,
    agentRole: params.agentRole,
    agentPath: params.agentPath,
    agentDepth: source.spawn?.depth,
    forkedFromId: undefined,
    tokensUsed: undefined,
    memoryMode: metadata.memoryMode,
    historyMode: params.historyMode,
    cliVersion: params.cliVersion,
    approvalMode: undefined,
    permissionProfile: undefined,
  };
}
