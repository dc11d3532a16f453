import { asThreadId, type ThreadId } from '../../protocol/ids.js';
import { parseRolloutTime } from '../../protocol/rollout-line.js';
import type { SessionMeta } from '../../protocol/session-meta.js';
import { sessionSource, storedSessionSource } from '../../protocol/session-source.js';
import { pickPlainFields } from '../../store/thread-fields.js';
import type { StoredThread } from '../../store/thread-store.js';
import type { NameIndex } from './rollout/name-index.js';
import type { RolloutFile } from './rollout/rollout-file.js';
import type { RolloutSummary } from './rollout/summary-cache.js';
import type { ThreadRow } from './state-db/thread-rows.js';

/** A thread as its row tells it; what rows do not keep comes from the file. */
export function threadFromRow(
  row: ThreadRow,
  file: Pick<RolloutFile, 'isArchived'>,
  meta: SessionMeta | undefined,
  names: NameIndex,
): StoredThread {
  const threadId = row.id as ThreadId;
  const source = storedSessionSource(row.source);
  return {
    ...pickPlainFields(row),
    threadId,
    sessionId: meta?.sessionId,
    name: rowOrIndexName(row, names),
    preview: row.preview,
    // The title of a legacy row is where its name is.
    title: row.historyMode === 'paginated' ? row.title : row.firstUserMessage,
    source,
    git: { sha: row.gitSha, branch: row.gitBranch, originUrl: row.gitOriginUrl },
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    recencyAt: row.recencyAt,
    isArchived: file.isArchived,
    archivedAt: file.isArchived ? row.archivedAt : undefined,
    parentThreadId: source.spawn?.parentThreadId ?? meta?.parentThreadId,
    agentNickname: row.agentNickname ?? source.spawn?.agentNickname,
    agentRole: row.agentRole ?? source.spawn?.agentRole ?? source.role,
    agentPath: row.agentPath ?? source.spawn?.agentPath,
    agentDepth: source.spawn?.depth,
    forkedFromId: meta?.forkedFromId,
    historyMode: row.historyMode === 'paginated' ? 'paginated' : 'legacy',
  };
}

/**
 * A thread as its rollout alone tells it, as Codex would build the row. `preview` is what the lineage gave; `foundAs` the
 * id that the file was found by, where its content says another.
 */
export function threadFromFile(
  file: RolloutFile,
  summary: RolloutSummary,
  preview: string,
  names: NameIndex,
  foundAs?: ThreadId,
): StoredThread {
  const { metadata, modifiedAt } = summary;
  const { meta } = metadata;
  const threadId = foundAs ?? meta?.id ?? file.threadId;
  const source = meta?.source ?? sessionSource(undefined);
  const time = Math.floor(modifiedAt);
  return {
    ...pickPlainFields(metadata.fields),
    threadId,
    sessionId: meta?.sessionId,
    name: names.nameFor(threadId),
    preview,
    source,
    git: metadata.git ?? {},
    createdAt: parseRolloutTime(meta?.timestamp) ?? file.createdAt,
    updatedAt: time,
    recencyAt: time,
    isArchived: file.isArchived,
    // Nothing in a file says when it was archived.
    archivedAt: undefined,
    parentThreadId: meta?.parentThreadId,
    agentNickname: meta?.agentNickname,
    agentRole: meta?.agentRole ?? source.role,
    agentPath: meta?.agentPath,
    agentDepth: source.spawn?.depth,
    forkedFromId: meta?.forkedFromId,
    historyMode: meta?.historyMode ?? 'legacy',
  };
}

/**
 * The name in a row: `name` of a paginated thread, of a legacy one its `title` when that is not just the first
 * message. A row without one, as after a rebuild of the DB, falls back to the name index.
 */
function rowOrIndexName(row: ThreadRow, names: NameIndex): string | undefined {
  return nameInRow(row) ?? names.nameFor(asThreadId(row.id) ?? (row.id as ThreadId));
}

/** The name that the row itself holds. */
export function nameInRow(row: ThreadRow): string | undefined {
  if (row.historyMode === 'paginated') return row.name?.trim() || undefined;
  const title = row.title?.trim();
  return title === row.firstUserMessage?.trim() ? undefined : title || undefined;
}
