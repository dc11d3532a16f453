import type { ThreadId } from '../../../protocol/ids.js';
import { parseRolloutTime } from '../../../protocol/rollout-line.js';
import type { SessionMeta } from '../../../protocol/session-meta.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import type { RolloutSummary } from '../rollout/summary-cache.js';
import type { RowChanges } from '../state-db/thread-rows.js';

/** What a row is made of besides the rollout's own lines. */
interface RolloutOwner {
  readonly threadId: ThreadId;
  readonly file: RolloutFile;
  readonly meta: SessionMeta | undefined;
}

/** The row of a rollout, by the rules that Codex indexes by. */
export function rowOfRollout(
  { threadId, file, meta }: RolloutOwner,
  { metadata, modifiedAt }: Pick<RolloutSummary, 'metadata' | 'modifiedAt'>,
): RowChanges {
  const updatedAt = Math.floor(modifiedAt);
  const createdAt = parseRolloutTime(meta?.timestamp) ?? file.createdAt;
  return {
    id: threadId,
    rollout_path: file.path,
    created_at: Math.floor(createdAt / 1000),
    created_at_ms: createdAt,
    updated_at: Math.floor(updatedAt / 1000),
    updated_at_ms: updatedAt,
    recency_at: Math.floor(updatedAt / 1000),
    recency_at_ms: updatedAt,
    source: meta?.source.stored ?? 'vscode',
    thread_source: metadata.threadSource ?? null,
    originator: meta?.originator ?? null,
    model_provider: metadata.modelProvider ?? '',
    model: metadata.model ?? null,
    reasoning_effort: metadata.reasoningEffort ?? null,
    cwd: metadata.cwd,
    title: metadata.title,
    preview: metadata.displayPreview,
    first_user_message: metadata.firstUserMessage,
    sandbox_policy: metadata.permissionProfile ?? '{"type":"read-only"}',
    approval_mode: metadata.approvalMode ?? 'on-request',
    tokens_used: metadata.tokensUsed ?? 0,
    archived: file.isArchived ? 1 : 0,
    archived_at: file.isArchived ? Math.floor(updatedAt / 1000) : null,
    git_sha: metadata.git?.sha ?? null,
    git_branch: metadata.git?.branch ?? null,
    git_origin_url: metadata.git?.originUrl ?? null,
    cli_version: metadata.cliVersion ?? '',
    agent_nickname: meta?.agentNickname ?? null,
    agent_role: meta?.agentRole ?? null,
    agent_path: meta?.agentPath ?? null,
    memory_mode: metadata.memoryMode ?? 'enabled',
    history_mode: meta?.historyMode ?? 'legacy',
  };
}
