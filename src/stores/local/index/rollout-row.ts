import type { ThreadId } from '../../../protocol/ids.js';
import { parseRolloutTime } from '../../../protocol/rollout-line.js';
import type { SessionMeta } from '../../../protocol/session-meta.js';
import { PLAIN_FIELD_NAMES, PLAIN_FIELDS } from '../../../store/thread-fields.js';
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
export function rowFromRollout(
  { threadId, file, meta }: RolloutOwner,
  { metadata, modifiedAt }: Pick<RolloutSummary, 'metadata' | 'modifiedAt'>,
): RowChanges {
  const updatedAt = Math.floor(modifiedAt);
  const createdAt = parseRolloutTime(meta?.timestamp) ?? file.createdAt;
  const { agentNickname, agentRole, agentPath } = meta ?? {};
  const plain = { ...metadata.fields, agentNickname, agentRole, agentPath };
  return {
    ...Object.fromEntries(
      PLAIN_FIELD_NAMES.map((name) => [PLAIN_FIELDS[name].column, plain[name] ?? PLAIN_FIELDS[name].whenAbsent]),
    ),
    id: threadId,
    rollout_path: file.path,
    created_at: Math.floor(createdAt / 1000),
    created_at_ms: createdAt,
    updated_at: Math.floor(updatedAt / 1000),
    updated_at_ms: updatedAt,
    recency_at: Math.floor(updatedAt / 1000),
    recency_at_ms: updatedAt,
    source: meta?.source.stored ?? 'vscode',
    originator: meta?.originator ?? null,
    preview: metadata.displayPreview,
    archived: file.isArchived ? 1 : 0,
    archived_at: file.isArchived ? Math.floor(updatedAt / 1000) : null,
    git_sha: metadata.git?.sha ?? null,
    git_branch: metadata.git?.branch ?? null,
    git_origin_url: metadata.git?.originUrl ?? null,
    history_mode: meta?.historyMode ?? 'legacy',
  };
}
