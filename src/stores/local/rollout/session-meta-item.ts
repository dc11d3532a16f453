import type { RolloutItem } from '../../../protocol/rollout-item.js';
import type { GitInfo, SessionMeta } from '../../../protocol/session-meta.js';
import { sourceJson } from '../../../protocol/session-source.js';

/** What a short session_meta line changes: an absent key keeps what earlier lines said. */
export interface MetaChange {
  /** All parts as they are to be from now on; `{}` clears all. */
  readonly git?: GitInfo | undefined;
  readonly memoryMode?: string | undefined;
}

/** The session_meta that begins a rollout made here: everything except the instructions that Codex adds. */
export function sessionMetaItem(meta: SessionMeta): RolloutItem {
  const { historyBase: base } = meta;
  return metaItem({
    session_id: meta.sessionId ?? meta.id,
    id: meta.id,
    forked_from_id: meta.forkedFromId,
    forked_from_ordinal_exclusive: base?.endOrdinalExclusive,
    parent_thread_id: meta.parentThreadId,
    ...required(meta),
    thread_source: meta.threadSource,
    agent_nickname: meta.agentNickname,
    agent_role: meta.agentRole,
    agent_path: meta.agentPath,
    memory_mode: meta.memoryMode,
    history_base: base && {
      thread_id: base.rolloutId,
      end_ordinal_exclusive: base.endOrdinalExclusive,
      end_byte_offset: base.endByteOffset,
    },
    git: meta.git && gitPayload(meta.git),
  });
}

/**
 * A further session_meta with the required keys and what changes, but without the instructions that Codex repeats
 * (docs/codex-home.md, Short session_meta lines).
 */
export function shortMetaItem(meta: SessionMeta, { git, memoryMode }: MetaChange): RolloutItem {
  return metaItem({ id: meta.id, ...required(meta), memory_mode: memoryMode, git: git && gitPayload(git) });
}

/** The keys without which Codex does not read the line, and those whose absence would mean something else. */
function required(meta: SessionMeta): Record<string, unknown> {
  return {
    timestamp: meta.timestamp,
    cwd: meta.cwd,
    originator: meta.originator ?? '',
    cli_version: meta.cliVersion ?? '',
    source: sourceJson(meta.source),
    model_provider: meta.modelProvider,
    history_mode: meta.historyMode,
  };
}

function metaItem(keys: Record<string, unknown>): RolloutItem {
  const payload = Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined));
  return { type: 'session_meta', payload };
}

function gitPayload(git: GitInfo): Record<string, string | undefined> {
  return { commit_hash: git.sha, branch: git.branch, repository_url: git.originUrl };
}
