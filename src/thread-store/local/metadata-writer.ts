import { conflict, invalidRequest, ThreadkeeperError, unsupported, writeFailure } from '../../protocol/errors.js';
import type { GitInfo } from '../../protocol/session-meta.js';
import { type GitPatch, presentFields, type ThreadMetadataPatch } from '../../protocol/thread-patch.js';
import { appendSlimMeta, type SlimMetaChange } from '../../rollout/rollout-append.js';
import type { RolloutSummary } from '../../rollout/summary-cache.js';
import { acquireWriterLock, type WriterLock } from '../../rollout/writer-lock.js';
import type { RowChanges, ThreadRow } from '../../state/thread-rows.js';
import type { LocalHome } from './local-home.js';
import { rowOwnName } from './stored-thread.js';
import { historyModeOf, type ResolvedThread } from './thread-resolver.js';

/** Fields that need no state DB: the name has the name index, the others the rollout. */
const KEPT_IN_FILES: ReadonlySet<string> = new Set(['name', 'gitInfo', 'memoryMode']);

/** Everything one patch comes to, worked out before anything is written. */
interface Plan {
  readonly changes: RowChanges;
  /** The row to make where the state DB has none. */
  readonly newRow: RowChanges | undefined;
  readonly slim: SlimMetaChange | undefined;
  /** For the name index: '' clears. */
  readonly indexName: string | undefined;
}

/**
 * Puts each field of a patch where the local format keeps it (docs/codex-home.md, Where metadata is kept): the row,
 * the rollout, the name index. All or nothing: the row first, in one transaction; if a file cannot be written after
 * it, the row is put back.
 */
export class MetadataWriter {
  readonly #local: LocalHome;

  constructor(local: LocalHome) {
    this.#local = local;
  }

  /** Applies a patch that is not empty; returns what could not be kept as well as it should. */
  async write(thread: ResolvedThread, patch: ThreadMetadataPatch): Promise<string[]> {
    const fields = presentFields(patch);
    this.#validate(thread, fields);
    const plan = await this.#plan(thread, fields);
    const warnings: string[] = [];
    let lock: WriterLock | undefined;
    if (plan.slim) {
      try {
        lock = await acquireWriterLock(this.#local.home, thread.threadId);
      } catch (error) {
        if (!this.#mayStayInRow(thread, error)) throw writeFailure('taking the writer lock', error);
        warnings.push(
          'Another program is writing this thread, so git and memory mode were kept in the state DB only and would be ' +
            'lost with it. Repeat the call when the thread is closed there.',
        );
      }
    }
    try {
      await this.#apply(thread, plan, lock !== undefined);
    } finally {
      await lock?.release();
    }
    return warnings;
  }

  /** As with Codex, a thread that is open elsewhere can still be patched where its row is the place that counts. */
  #mayStayInRow(thread: ResolvedThread, error: unknown): boolean {
    const isHeld = error instanceof ThreadkeeperError && error.code === 'conflict';
    return isHeld && this.#local.rows !== undefined && historyModeOf(thread) === 'paginated';
  }

  #validate(thread: ResolvedThread, fields: ThreadMetadataPatch): void {
    if (!this.#local.rows) {
      const lost = Object.keys(fields).filter((key) => !KEPT_IN_FILES.has(key));
      if (lost.length > 0) {
        throw unsupported(
          `${lost.join(', ')} cannot be kept without a state DB`,
          'Nothing was changed. Start Codex once: it makes the DB.',
        );
      }
    }
    if (fields.historyMode === 'legacy' && historyModeOf(thread) === 'paginated') {
      throw invalidRequest('a paginated thread cannot become legacy', 'Leave historyMode out.');
    }
    if (fields.rolloutPath !== undefined && this.#local.home.localPath(fields.rolloutPath) === undefined) {
      throw invalidRequest('rolloutPath lies outside the home', 'Give a path below the home.');
    }
    const touchesRollout = fields.gitInfo !== undefined || fields.memoryMode !== undefined;
    const unknownMode = thread.meta?.unknownHistoryMode;
    if (touchesRollout && (!thread.meta || unknownMode !== undefined)) {
      throw unsupported(
        thread.meta ? `this thread has an unknown history mode (${unknownMode})` : 'the rollout has no session_meta',
        'Its rollout cannot be appended to safely, so git and memory mode cannot be set. A name can.',
      );
    }
    if (touchesRollout && thread.file.isCompressed) {
      throw unsupported(
        'the rollout of this thread is compressed (.jsonl.zst) and cannot be appended to',
        'Nothing was changed. Resume the thread once in Codex, which unpacks it, then call again.',
      );
    }
  }

  async #plan(thread: ResolvedThread, fields: ThreadMetadataPatch): Promise<Plan> {
    const { row } = thread;
    const needsSummary = fields.gitInfo !== undefined || fields.memoryMode !== undefined || !row;
    const summary = needsSummary ? await this.#local.summaries.full(thread.file) : undefined;
    const known = row ? gitOfRow(row) : (summary?.metadata.git ?? {});
    const git = fields.gitInfo && patchedGit(known, fields.gitInfo);
    const firstMessage = row?.firstUserMessage ?? summary?.metadata.title ?? '';
    const changes = rowChanges(fields, git, historyModeOf(thread) === 'legacy', firstMessage, row);
    const shownName = (row && rowOwnName(row)) ?? this.#local.names.nameOf(thread.threadId) ?? '';
    const indexName = fields.name === undefined ? undefined : (fields.name ?? '');
    return {
      changes: onlyDifferent(changes, row),
      newRow: row || !summary ? undefined : { ...newRow(thread, summary), ...changes },
      slim: summary && slimChange(summary, git, fields.memoryMode),
      indexName:
        indexName === shownName && indexName === (this.#local.names.nameOf(thread.threadId) ?? '')
          ? undefined
          : indexName,
    };
  }

  async #apply(thread: ResolvedThread, plan: Plan, mayAppend: boolean): Promise<void> {
    const { threadId } = thread;
    let undo: (() => Promise<unknown>) | undefined;
    try {
      undo = await this.#writeRow(threadId, plan);
    } catch (error) {
      throw writeFailure('updating the state DB', error);
    }
    try {
      if (plan.slim && mayAppend && thread.meta) appendSlimMeta(thread.file, thread.meta, plan.slim);
      if (plan.indexName !== undefined) await this.#local.names.append(threadId, plan.indexName);
    } catch (error) {
      await undo?.().catch((failure: unknown) => {
        this.#local.warn(
          `thread ${threadId}: its row could not be put back (${failure instanceof Error ? failure.message : failure})`,
        );
      });
      throw writeFailure('writing to the home', error);
    }
  }

  /** Writes the row; returns how to put back what it held. */
  async #writeRow(threadId: string, { changes, newRow }: Plan): Promise<(() => Promise<unknown>) | undefined> {
    if (!newRow && Object.keys(changes).length === 0) return undefined;
    const before = await this.#local.writeRows((rows) => {
      const updated = rows.update(threadId, changes);
      if (updated !== undefined) return { isNew: false, values: updated };
      if (!newRow) throw conflict('the thread left the state DB meanwhile', 'Call again.');
      rows.insertIfAbsent(newRow);
      return { isNew: true, values: {} };
    });
    if (!before) return undefined;
    return () =>
      this.#local.writeRows((rows) => (before.isNew ? rows.delete(threadId) : rows.update(threadId, before.values)));
  }
}

function gitOfRow(row: ThreadRow): GitInfo {
  return { sha: row.gitSha, branch: row.gitBranch, originUrl: row.gitOriginUrl };
}

function patchedGit(git: GitInfo, patch: GitPatch): GitInfo {
  const part = (key: keyof GitPatch) => (patch[key] === undefined ? git[key] : (patch[key] ?? undefined));
  return { sha: part('sha'), branch: part('branch'), originUrl: part('originUrl') };
}

/** What the rollout does not say yet: a value that it ends with already is not repeated. */
function slimChange(
  { metadata }: RolloutSummary,
  git: GitInfo | undefined,
  memoryMode: string | undefined,
): SlimMetaChange | undefined {
  const hasGit = git === undefined || isSameGit(git, metadata.git ?? {});
  const hasMode = memoryMode === undefined || memoryMode === (metadata.memoryMode ?? 'enabled');
  if (hasGit && hasMode) return undefined;
  return { ...(hasGit ? {} : { git }), ...(hasMode ? {} : { memoryMode }) };
}

function isSameGit(a: GitInfo, b: GitInfo): boolean {
  return a.sha === b.sha && a.branch === b.branch && a.originUrl === b.originUrl;
}

/** The columns of a patch. The name of a legacy thread is its title; without one the title is the first message again. */
function rowChanges(
  fields: ThreadMetadataPatch,
  git: GitInfo | undefined,
  isLegacy: boolean,
  firstMessage: string,
  row: ThreadRow | undefined,
): RowChanges {
  const name = fields.name;
  const named = name === undefined ? {} : isLegacy ? { title: name ?? firstMessage } : { name };
  const seconds = (time: number | undefined) => (time === undefined ? undefined : Math.floor(time / 1000));
  const recencyAt =
    fields.advanceRecencyAt === undefined ? undefined : Math.max(fields.advanceRecencyAt, (row?.recencyAt ?? -1) + 1);
  const columns = {
    title: fields.title,
    ...named,
    ...(git ? { git_sha: git.sha ?? null, git_branch: git.branch ?? null, git_origin_url: git.originUrl ?? null } : {}),
    memory_mode: fields.memoryMode,
    preview: fields.preview,
    first_user_message: fields.firstUserMessage,
    model_provider: fields.modelProvider,
    model: fields.model,
    reasoning_effort: fields.reasoningEffort,
    created_at: seconds(fields.createdAt),
    created_at_ms: fields.createdAt,
    updated_at: seconds(fields.updatedAt),
    updated_at_ms: fields.updatedAt,
    recency_at: seconds(recencyAt),
    recency_at_ms: recencyAt,
    source: fields.source,
    thread_source: fields.threadSource,
    agent_nickname: fields.agentNickname,
    agent_role: fields.agentRole,
    agent_path: fields.agentPath,
    cwd: fields.cwd,
    cli_version: fields.cliVersion,
    approval_mode: fields.approvalMode,
    sandbox_policy: fields.permissionProfile,
    tokens_used: fields.tokensUsed,
    rollout_path: fields.rolloutPath,
    history_mode: fields.historyMode,
  };
  const present = Object.entries(columns).filter(
    (entry): entry is [string, string | number | null] => entry[1] !== undefined,
  );
  return Object.fromEntries(present);
}

/** Of git, memory mode and names, only what the row does not hold already; the rest is written as it is. */
function onlyDifferent(changes: RowChanges, row: ThreadRow | undefined): RowChanges {
  if (!row) return changes;
  const held: RowChanges = {
    git_sha: row.gitSha ?? null,
    git_branch: row.gitBranch ?? null,
    git_origin_url: row.gitOriginUrl ?? null,
    memory_mode: row.memoryMode ?? null,
    title: row.title,
    name: row.name ?? null,
  };
  return Object.fromEntries(Object.entries(changes).filter(([column, value]) => held[column] !== value));
}

/** A full row for a rollout that Codex has not indexed, as Codex would write it. */
function newRow({ threadId, file, meta }: ResolvedThread, { metadata, modifiedAt }: RolloutSummary): RowChanges {
  const updatedAt = Math.floor(modifiedAt);
  const createdAt = Date.parse(meta?.timestamp ?? '') || file.createdAt;
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
