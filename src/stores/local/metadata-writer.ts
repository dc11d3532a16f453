import { conflict, invalidRequest, ThreadkeeperError, unsupported, writeFailure } from '../../protocol/errors.js';
import type { ThreadId } from '../../protocol/ids.js';
import { type GitInfo, isSameGit, type SessionMeta } from '../../protocol/session-meta.js';
import { PLAIN_FIELD_NAMES, PLAIN_FIELDS } from '../../store/thread-fields.js';
import { type GitPatch, presentFields, type ThreadMetadataPatch } from '../../store/thread-patch.js';
import { rowFromRollout } from './index/rollout-row.js';
import type { LiveThreads } from './live/live-threads.js';
import type { LocalHome } from './local-home.js';
import { PreviewReader } from './preview-reader.js';
import type { RolloutFile } from './rollout/rollout-file.js';
import { RolloutRecorder } from './rollout/rollout-recorder.js';
import { type MetaChange, shortMetaItem } from './rollout/session-meta-item.js';
import type { RolloutSummary } from './rollout/summary-cache.js';
import { acquireWriterLock, type WriterLock } from './rollout/writer-lock.js';
import type { RowChanges, ThreadRow } from './state-db/thread-rows.js';
import { nameInRow, threadFromFile } from './thread-from-home.js';
import { assertOwn, type ResolvedThread, resolvedHistoryMode, type ThreadResolver } from './thread-resolver.js';

/** Fields that can be set without Codex's state DB: the name has the name index, the others the rollout. */
const KEPT_IN_FILES: ReadonlySet<string> = new Set(['name', 'gitInfo', 'memoryMode']);
/** Without that DB these are the time of the file's last change. */
const FILE_TIMES: ReadonlySet<string> = new Set(['updatedAt', 'advanceRecencyAt']);

/** A rollout that is open, and known to take another line. */
interface MetaAppender {
  append(change: MetaChange): void;
  close(): void;
}

type AppendName = (threadId: ThreadId, name: string) => void;

/** A patch that is worked out, with the rollout open if it appends to it. */
interface Prepared {
  readonly thread: ResolvedThread;
  readonly plan: Plan;
  readonly appender: MetaAppender | undefined;
}

/** A patch that was written. */
export interface WrittenPatch {
  readonly thread: ResolvedThread;
  /** What could not be stored in every place that should have it. */
  readonly warnings: readonly string[];
}

/** Everything one patch comes to, worked out before anything is written. */
interface Plan {
  readonly changes: RowChanges;
  /** The row to make where the state DB has none. */
  readonly newRow: RowChanges | undefined;
  readonly metaChange: MetaChange | undefined;
  /** For the name index: '' clears. */
  readonly indexName: string | undefined;
}

/**
 * Puts each field of a patch where the local format keeps it (docs/codex-home.md, Where metadata is kept): the row,
 * the rollout, the name index. All or nothing: the locks first, then everything is looked up, checked and opened, then
 * the row is written in one transaction, then the lines; if a line cannot be written, what came before it is put back.
 */
export class MetadataWriter {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #live: LiveThreads;
  readonly #previews: PreviewReader;

  constructor(local: LocalHome, resolver: ThreadResolver, live: LiveThreads) {
    this.#local = local;
    this.#resolver = resolver;
    this.#live = live;
    this.#previews = new PreviewReader(local);
  }

  /** Applies a patch that is not empty. `thread` is as it was found; its row is the one before the change. */
  async write(threadId: ThreadId, patch: ThreadMetadataPatch): Promise<WrittenPatch> {
    try {
      return await this.#write(threadId, presentFields(patch));
    } catch (error) {
      throw writeFailure('writing to the home', error);
    }
  }

  async #write(threadId: ThreadId, fields: ThreadMetadataPatch): Promise<WrittenPatch> {
    const isLive = this.#live.get(threadId) !== undefined;
    const needsNames = fields.name !== undefined;
    if (!needsNames && (isLive || !touchesRollout(fields))) {
      const prepared = await this.#resolver.reading(threadId, (thread) => this.#prepare(thread, fields, isLive));
      return { thread: await this.#apply(prepared, undefined), warnings: [] };
    }
    // An unknown thread, or a patch that cannot be, takes no lock.
    const found = await this.#resolver.reading(threadId, async (thread) => {
      await this.#validate(thread, fields);
      return thread;
    });
    const { lock, warnings } = isLive ? { lock: undefined, warnings: [] } : await this.#lockFor(found, fields);
    try {
      const write = async (appendName?: AppendName) => {
        // Under the locks nobody else changes what the plan is made of; before them somebody may have.
        const prepare = (thread: ResolvedThread) => this.#prepare(thread, fields, isLive || lock !== undefined);
        return await this.#apply(await this.#resolver.readingAgain(found, prepare), appendName);
      };
      return { thread: await (needsNames ? this.#local.names.locked(write) : write()), warnings };
    } finally {
      await lock?.release();
    }
  }

  /** The writer lock that a patch of the rollout needs. */
  async #lockFor(
    found: ResolvedThread,
    fields: ThreadMetadataPatch,
  ): Promise<{ lock?: WriterLock; warnings: string[] }> {
    if (!touchesRollout(fields)) return { warnings: [] };
    try {
      return { lock: await acquireWriterLock(this.#local.home, found.threadId), warnings: [] };
    } catch (error) {
      if (!this.#mayStayInRow(found, error)) throw writeFailure('taking the writer lock', error);
      const warning =
        'Another program is writing this thread, so git and memory mode were kept in the state DB only and would be ' +
        'lost with it. Repeat the call when the thread is closed there.';
      return { warnings: [warning] };
    }
  }

  /** Works the patch out, and opens what it appends to. Writes nothing. */
  async #prepare(thread: ResolvedThread, fields: ThreadMetadataPatch, mayAppend: boolean): Promise<Prepared> {
    await this.#validate(thread, fields);
    const plan = await this.#plan(thread, fields);
    const isAppended = plan.metaChange !== undefined && mayAppend;
    return { thread, plan, appender: isAppended && thread.meta ? this.#appender(thread.file, thread.meta) : undefined };
  }

  /** A thread that is live here is appended to by the recorder that it has. */
  #appender(file: RolloutFile, meta: SessionMeta): MetaAppender {
    const open = this.#live.get(meta.id);
    const recorder = open?.recorder ?? RolloutRecorder.open({ file: file.path, mode: meta.historyMode });
    return {
      append(change) {
        // The items that the recorder has queued are written first.
        recorder.write();
        recorder.add([shortMetaItem(open?.meta ?? meta, change)]);
        try {
          recorder.write();
        } catch (error) {
          recorder.dropLast(1);
          throw error;
        }
      },
      close: () => (open ? undefined : recorder.discard()),
    };
  }

  /** As with Codex, a thread that is open elsewhere can still be patched where its row is the place that counts. */
  #mayStayInRow(thread: ResolvedThread, error: unknown): boolean {
    const isHeld = error instanceof ThreadkeeperError && error.code === 'conflict';
    return isHeld && this.#local.status.kind === 'codex' && resolvedHistoryMode(thread) === 'paginated';
  }

  async #validate(thread: ResolvedThread, fields: ThreadMetadataPatch): Promise<void> {
    assertOwn(thread);
    if (this.#local.status.kind !== 'codex') {
      const lost = await this.#fieldsNotInFile(thread, fields);
      if (lost.length > 0) {
        throw unsupported(
          `${lost.join(', ')} cannot be kept without Codex’s state DB: the rollout says otherwise`,
          'Nothing was changed. Start Codex once: it makes the DB.',
        );
      }
    }
    if (fields.historyMode === 'legacy' && resolvedHistoryMode(thread) === 'paginated') {
      throw invalidRequest('a paginated thread cannot become legacy', 'Leave historyMode out.');
    }
    if (fields.rolloutPath !== undefined && this.#local.home.localPath(fields.rolloutPath) === undefined) {
      throw invalidRequest('rolloutPath lies outside the home', 'Give a path below the home.');
    }
    const isForRollout = touchesRollout(fields);
    const unwritable = thread.meta ? thread.meta.unwritableBecause : 'its rollout has no session_meta';
    if (isForRollout && unwritable !== undefined) {
      throw unsupported(
        `git and memory mode of this thread cannot be set: ${unwritable}`,
        'Nothing was changed. A name can be set.',
      );
    }
    if (isForRollout && thread.file.isCompressed) {
      throw unsupported(
        'the rollout of this thread is compressed (.jsonl.zst) and cannot be appended to',
        'Nothing was changed. Resume the thread once in Codex, which unpacks it, then call again.',
      );
    }
  }

  /** Fields that only the rollout can store, where they are derived from history, and whose new value the history contradicts. */
  async #fieldsNotInFile({ file, threadId }: ResolvedThread, fields: ThreadMetadataPatch): Promise<string[]> {
    const isJustWritten = this.#live.get(threadId) !== undefined;
    const keys = Object.keys(fields).filter(
      (key) => !KEPT_IN_FILES.has(key) && !(isJustWritten && FILE_TIMES.has(key)),
    );
    if (keys.length === 0) return [];
    const summary = await this.#local.summaries.full(file);
    const preview = await this.#previews.readPreview(file);
    const thread = threadFromFile(file, summary, preview, this.#local.names, threadId);
    const derived: Record<string, unknown> = { ...thread, source: thread.source.stored, rolloutPath: file.path };
    return keys.filter((key) => FILE_TIMES.has(key) || (derived[key] ?? null) !== Object(fields)[key]);
  }

  async #plan(thread: ResolvedThread, fields: ThreadMetadataPatch): Promise<Plan> {
    const { row } = thread;
    const isIndex = this.#local.status.kind === 'index';
    // A value that differs from Codex's row is new to the rollout too. Otherwise the rollout has to be read.
    const isNews = row !== undefined && !isIndex && differsFromRow(fields, row);
    const needsSummary = (touchesRollout(fields) && !isNews) || !row;
    const summary = needsSummary ? await this.#local.summaries.full(thread.file) : undefined;
    // A row of the index can lag behind the file: a patch of one part must not restore old values of the others.
    const known = row && !isIndex ? gitFromRow(row) : (summary?.metadata.git ?? {});
    const git = fields.gitInfo && patchedGit(known, fields.gitInfo);
    const firstMessage = (row ? row.firstUserMessage : summary?.metadata.fields.title) ?? '';
    const shownName = (row && nameInRow(row)) ?? this.#local.names.nameFor(thread.threadId) ?? '';
    // Our own rows are an index of the files: names are in the name index, what follows from the history is indexed.
    const { gitInfo, memoryMode } = fields;
    const columns = isIndex ? { gitInfo, memoryMode } : fields;
    const isLegacy = resolvedHistoryMode(thread) === 'legacy';
    // The title of a legacy thread is where its name is: a first message must not take its place.
    const { title, ...untitled } = columns;
    const isNamed = isLegacy && shownName !== '';
    const changes = rowChanges(isNamed ? untitled : { ...untitled, title }, git, isLegacy, firstMessage, row);
    const indexName = fields.name === undefined ? undefined : (fields.name ?? '');
    return {
      changes: onlyDifferent(changes, row),
      newRow: row || !summary ? undefined : { ...rowFromRollout(thread, summary), ...changes },
      metaChange: summary
        ? metaChange(summary, git, fields.memoryMode)
        : isNews
          ? { git, memoryMode: fields.memoryMode }
          : undefined,
      indexName:
        indexName === shownName && indexName === (this.#local.names.nameFor(thread.threadId) ?? '')
          ? undefined
          : indexName,
    };
  }

  async #apply({ thread, plan, appender }: Prepared, appendName: AppendName | undefined): Promise<ResolvedThread> {
    const { threadId } = thread;
    const nameBefore = this.#local.names.nameFor(threadId) ?? '';
    const undos: (() => unknown)[] = [];
    try {
      const undoRow = await this.#writeRow(threadId, plan);
      if (undoRow) undos.unshift(undoRow);
      if (plan.indexName !== undefined && appendName) {
        appendName(threadId, plan.indexName);
        undos.unshift(() => appendName(threadId, nameBefore));
      }
      if (plan.metaChange) appender?.append(plan.metaChange);
      return thread;
    } catch (error) {
      for (const undo of undos) await this.#undo(threadId, undo);
      throw error;
    } finally {
      appender?.close();
    }
  }

  async #undo(threadId: ThreadId, undo: () => unknown): Promise<void> {
    try {
      await undo();
    } catch (failure) {
      const reason = failure instanceof Error ? failure.message : failure;
      this.#local.warn(`thread ${threadId}: a patch that failed could not be put back (${reason})`);
    }
  }

  /** Writes the row; returns how to restore its earlier values. */
  async #writeRow(threadId: ThreadId, { changes, newRow }: Plan): Promise<(() => Promise<unknown>) | undefined> {
    if (!newRow && Object.keys(changes).length === 0) return undefined;
    const before = await this.#local.keepRow(threadId, (rows) => {
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

/** Git facts and memory mode are appended to the rollout as well. */
function touchesRollout({ gitInfo, memoryMode }: ThreadMetadataPatch): boolean {
  return gitInfo !== undefined || memoryMode !== undefined;
}

function gitFromRow(row: ThreadRow): GitInfo {
  return { sha: row.gitSha, branch: row.gitBranch, originUrl: row.gitOriginUrl };
}

function patchedGit(git: GitInfo, patch: GitPatch): GitInfo {
  const part = (key: keyof GitPatch) => (patch[key] === undefined ? git[key] : (patch[key] ?? undefined));
  return { sha: part('sha'), branch: part('branch'), originUrl: part('originUrl') };
}

/** True when git or memory mode of the row are to change. */
function differsFromRow({ gitInfo, memoryMode }: ThreadMetadataPatch, row: ThreadRow): boolean {
  const isOtherMode = memoryMode !== undefined && memoryMode !== row.memoryMode;
  return isOtherMode || (gitInfo !== undefined && !isSameGit(patchedGit(gitFromRow(row), gitInfo), gitFromRow(row)));
}

/** What the rollout does not say yet: a value that it ends with already is not repeated. */
function metaChange(
  { metadata }: RolloutSummary,
  git: GitInfo | undefined,
  memoryMode: string | undefined,
): MetaChange | undefined {
  const hasGit = git === undefined || isSameGit(git, metadata.git ?? {});
  const hasMode = memoryMode === undefined || memoryMode === (metadata.fields.memoryMode ?? 'enabled');
  if (hasGit && hasMode) return undefined;
  return { ...(hasGit ? {} : { git }), ...(hasMode ? {} : { memoryMode }) };
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
    fields.advanceRecencyAt === undefined ? undefined : Math.max(fields.advanceRecencyAt, row?.recencyAt ?? 0);
  const columns = {
    ...Object.fromEntries(PLAIN_FIELD_NAMES.map((field) => [PLAIN_FIELDS[field].column, fields[field]])),
    ...named,
    ...(git ? { git_sha: git.sha ?? null, git_branch: git.branch ?? null, git_origin_url: git.originUrl ?? null } : {}),
    preview: fields.preview,
    created_at: seconds(fields.createdAt),
    created_at_ms: fields.createdAt,
    updated_at: seconds(fields.updatedAt),
    updated_at_ms: fields.updatedAt,
    recency_at: seconds(recencyAt),
    recency_at_ms: recencyAt,
    source: fields.source,
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
  const stored: RowChanges = {
    git_sha: row.gitSha ?? null,
    git_branch: row.gitBranch ?? null,
    git_origin_url: row.gitOriginUrl ?? null,
    memory_mode: row.memoryMode ?? null,
    title: row.title ?? '',
    name: row.name ?? null,
  };
  return Object.fromEntries(Object.entries(changes).filter(([column, value]) => stored[column] !== value));
}
