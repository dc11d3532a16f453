import {
  appendFailure,
  conflict,
  invalidRequest,
  ThreadkeeperError,
  threadNotFound,
  unsupported,
  writeFailure,
} from '../../../protocol/errors.js';
import type { ThreadId } from '../../../protocol/ids.js';
import { keptItems, type RolloutItem } from '../../../protocol/rollout-item.js';
import type { SessionMeta } from '../../../protocol/session-meta.js';
import { newThread } from '../../../store/new-thread.js';
import type { CreateThreadParams, ForkThreadParams, StoredThread } from '../../../store/thread-store.js';
import type { LocalHome } from '../local-home.js';
import { type Lineage, type LineageSegment, resolveLineage } from '../rollout/lineage.js';
import { newRolloutFile } from '../rollout/new-rollout.js';
import { openRollout } from '../rollout/rollout-bytes.js';
import { copyRollout } from '../rollout/rollout-copy.js';
import type { RolloutFile } from '../rollout/rollout-file.js';
import { type Durability, RolloutRecorder } from '../rollout/rollout-recorder.js';
import { sessionMetaItem } from '../rollout/session-meta-item.js';
import { copyWhole } from '../rollout/whole-copy.js';
import { acquireWriterLock, type WriterLock } from '../rollout/writer-lock.js';
import { assertOwn, type ResolvedThread, resolvedHistoryMode, type ThreadResolver } from '../thread-resolver.js';
import { type ForkPoint, forkPoint } from './fork-point.js';

/** A thread that this process has open for writing, under Codex's writer lock. */
export interface OpenThread {
  readonly meta: SessionMeta;
  readonly file: RolloutFile;
  readonly recorder: RolloutRecorder;
  readonly lock: WriterLock;
  /** The thread as it was made, for as long as it has no file. */
  readonly made: StoredThread | undefined;
}

/** The live threads of one home: who is open for writing here, and what is appended to them. */
export class LiveThreads {
  readonly #local: LocalHome;
  readonly #resolver: ThreadResolver;
  readonly #durability: Durability | undefined;
  readonly #open = new Map<ThreadId, OpenThread>();

  constructor(local: LocalHome, resolver: ThreadResolver, durability: Durability | undefined) {
    this.#local = local;
    this.#resolver = resolver;
    this.#durability = durability;
  }

  get(threadId: ThreadId): OpenThread | undefined {
    return this.#open.get(threadId);
  }

  /** The thread, if it is live here and has no file yet. */
  unwritten(threadId: ThreadId): StoredThread | undefined {
    const open = this.#open.get(threadId);
    return open?.recorder.isMaterialised === false ? open.made : undefined;
  }

  async create(params: CreateThreadParams): Promise<void> {
    const { threadId } = params;
    this.#local.home.makeIfMissing();
    this.#local.catalog.refresh();
    if (this.#local.catalog.filesFor(threadId).length > 0)
      throw conflict(`thread ${threadId} exists`, 'Take another id.');
    const file = newRolloutFile(this.#local.home, threadId, new Date(params.createdAt));
    this.#local.home.assertInside(file.path);
    const meta = metaOf(params);
    await this.#opening(threadId, async () => ({
      meta,
      file,
      recorder: RolloutRecorder.lazily(this.#recorderOptions(file, meta), [sessionMetaItem(meta)]),
      made: newThread(params),
    }));
  }

  /** Opens a thread for writing; returns it as it was found. */
  async resume(threadId: ThreadId): Promise<ResolvedThread> {
    // An unknown thread takes no lock.
    let thread = await this.#resolver.resolve(threadId);
    await this.#opening(threadId, async () => {
      thread = await this.#resolver.readingAgain(thread, async (found) => found);
      assertOwn(thread);
      const { file, meta } = thread;
      if (file.isArchived) {
        throw conflict(`thread ${threadId} is archived`, 'Bring it back with unarchive_thread, then call again.');
      }
      if (!meta || meta.unwritableBecause !== undefined) {
        throw unsupported(
          `this thread cannot be continued: ${meta?.unwritableBecause ?? 'its rollout has no session_meta'}`,
          'It can be read, named and archived. Start a new thread to continue from it.',
        );
      }
      const recorder = RolloutRecorder.open(this.#recorderOptions(file, meta));
      return { meta, file, recorder, made: undefined };
    });
    return thread;
  }

  async fork({ sourceThreadId, lastTurnId, thread, warn = () => {} }: ForkThreadParams): Promise<void> {
    if (this.unwritten(sourceThreadId)) {
      throw conflict(`thread ${sourceThreadId} has no history yet`, 'Append to it first; there is nothing to fork.');
    }
    const { home, catalog } = this.#local;
    const { threadId } = thread;
    await this.#opening(threadId, () =>
      this.#resolver.reading(sourceThreadId, async (source) => {
        catalog.refresh();
        const unreadable = source.meta ? source.meta.unwritableBecause : 'its rollout has no session_meta';
        if (unreadable !== undefined)
          throw unsupported(
            `thread ${sourceThreadId} cannot be forked: ${unreadable}`,
            'Codex could not read the fork. Start a new thread to continue from it.',
          );
        const mode = resolvedHistoryMode(source);
        const lineage = await resolveLineage(source.file, catalog, sourceThreadId);
        const point = await forkPoint(lineage, mode, sourceThreadId, lastTurnId);
        const file = newRolloutFile(home, threadId, new Date(thread.createdAt));
        home.assertInside(file.path);
        const { endOrdinalExclusive, endByteOffset } = point;
        const base = { rolloutId: point.file.rolloutId, endOrdinalExclusive: endOrdinalExclusive ?? 0, endByteOffset };
        const inherited = inheritedSegments(lineage, point);
        const isShown = inherited.every(
          (segment) => this.#local.bytesShownByCodex(segment.file.rolloutId) >= segment.endByteOffset,
        );
        const isSmall = inherited.reduce((sum, segment) => sum + segment.endByteOffset, 0) <= LARGEST_COPY;
        // Codex shows the turns of a base as far as it has read it. Only a resume in Codex reads on.
        const isBased = mode === 'paginated' && (isShown || !isSmall);
        const meta: SessionMeta = {
          ...metaOf({ ...thread, historyMode: mode }),
          forkedFromId: sourceThreadId,
          historyBase: isBased ? base : undefined,
        };
        const recorder = isBased
          ? this.#basedOn(file, meta, base.endOrdinalExclusive)
          : mode === 'paginated'
            ? await this.#copiedWhole(inherited, file, meta)
            : await this.#copiedFrom(point.file, endByteOffset, file, meta);
        catalog.made(file);
        if (isBased && !isShown) warn(baseNotShown(sourceThreadId));
        return { meta, file, recorder, made: undefined };
      }),
    );
  }

  /** Appends what the policy keeps. What cannot be written waits in the recorder. */
  async append(threadId: ThreadId, items: readonly RolloutItem[]): Promise<void> {
    const open = this.#open.get(threadId);
    const kept = keptItems(items, open?.meta.historyMode ?? 'legacy');
    if (kept.length === 0) return;
    const { recorder } = open ?? this.#notLive(threadId);
    recorder.add(kept);
    try {
      await this.#flush(threadId);
    } catch (error) {
      const known = writeFailure(`appending to thread ${threadId}`, error);
      if (known.code === 'conflict') throw known;
      throw appendFailure(known, recorder.pending);
    }
  }

  async persist(threadId: ThreadId): Promise<void> {
    (this.#open.get(threadId) ?? this.#notLive(threadId)).recorder.materialise();
    await this.flush(threadId);
  }

  async flush(threadId: ThreadId): Promise<void> {
    await this.#flush(threadId).catch((error: unknown) => {
      throw writeFailure(`writing thread ${threadId}`, error);
    });
  }

  async shutdown(threadId: ThreadId): Promise<void> {
    const open = this.#open.get(threadId) ?? this.#notLive(threadId);
    await this.flush(threadId);
    await this.#close(threadId, open);
  }

  async discard(threadId: ThreadId): Promise<void> {
    const open = this.#open.get(threadId);
    if (open) await this.#close(threadId, open);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((threadId) => this.discard(threadId)));
  }

  async #flush(threadId: ThreadId): Promise<void> {
    const open = this.#open.get(threadId) ?? this.#notLive(threadId);
    const { recorder, file } = open;
    const isNew = !recorder.isMaterialised;
    try {
      await recorder.flush();
    } catch (error) {
      // The file is another one now: this writer can do nothing with it.
      if (error instanceof ThreadkeeperError && error.code === 'conflict') await this.#close(threadId, open);
      throw error;
    } finally {
      if (isNew && recorder.isMaterialised) this.#local.catalog.made(file);
    }
  }

  async #close(threadId: ThreadId, { recorder, lock }: OpenThread): Promise<void> {
    this.#open.delete(threadId);
    this.#resolver.unsetLive(threadId);
    recorder.discard();
    await lock.release();
  }

  /** Takes the writer lock, then opens; when that fails the lock goes again. */
  async #opening(threadId: ThreadId, open: () => Promise<Omit<OpenThread, 'lock'>>): Promise<void> {
    if (this.#open.has(threadId)) throw conflict(`thread ${threadId} is loaded here already`, 'Use it as it is.');
    const lock = await acquireWriterLock(this.#local.home, threadId, 'lasting').catch((error: unknown) => {
      throw writeFailure('taking the writer lock', error);
    });
    try {
      const { file, meta, ...rest } = await open();
      this.#open.set(threadId, { ...rest, file, meta, lock });
      this.#resolver.setLive(threadId, { file, meta });
    } catch (error) {
      await lock.release();
      throw writeFailure(`opening thread ${threadId}`, error);
    }
  }

  #basedOn(file: RolloutFile, meta: SessionMeta, firstOrdinal: number): RolloutRecorder {
    const recorder = RolloutRecorder.lazily(this.#recorderOptions(file, meta), [sessionMetaItem(meta)], firstOrdinal);
    recorder.materialise();
    try {
      recorder.write();
    } catch (error) {
      recorder.discard();
      throw error;
    }
    return recorder;
  }

  async #copiedFrom(source: RolloutFile, end: number, file: RolloutFile, meta: SessionMeta): Promise<RolloutRecorder> {
    const bytes = await openRollout(source.path);
    try {
      await copyRollout(bytes, end, sessionMetaItem(meta), file.path);
    } finally {
      bytes.close();
    }
    return RolloutRecorder.open(this.#recorderOptions(file, meta));
  }

  async #copiedWhole(inherited: readonly Inherited[], file: RolloutFile, meta: SessionMeta): Promise<RolloutRecorder> {
    await copyWhole(inherited, sessionMetaItem(meta), meta.id, file.path);
    return RolloutRecorder.open(this.#recorderOptions(file, meta));
  }

  #recorderOptions({ path: file }: RolloutFile, { historyMode: mode }: SessionMeta) {
    return { file, mode, durability: this.#durability, mayCreate: () => this.#assertMakeable(file) };
  }

  /** A home that was removed is not made again, nor a link followed that was put into it meanwhile. */
  #assertMakeable(file: string): void {
    const { home } = this.#local;
    if (!home.exists) throw conflict(`the home ${home.root} is gone`, 'Nothing was written; the thread is closed.');
    home.assertInside(file);
  }

  #notLive(threadId: ThreadId): never {
    throw threadNotFound(threadId, 'It is not loaded for writing here: resume it first.');
  }
}

/** A history that is longer is not copied into a fork, bytes. */
const LARGEST_COPY = 64 * 1024 * 1024;

const baseNotShown = (threadId: ThreadId) =>
  `Codex shows the turns that the fork inherits as far as it has read thread ${threadId}. To let it read the rest, resume that thread in Codex once (unarchive it first if it is archived).`;

type Inherited = LineageSegment & { readonly endByteOffset: number };

/** What a fork inherits, oldest first. */
function inheritedSegments({ segments }: Lineage, point: ForkPoint): Inherited[] {
  const from = segments.findIndex(({ file }) => file.rolloutId === point.file.rolloutId);
  return segments
    .slice(from)
    .map(({ file, endByteOffset }, index) => ({
      file,
      endByteOffset: index === 0 ? point.endByteOffset : (endByteOffset ?? 0),
    }))
    .reverse();
}

function metaOf(params: CreateThreadParams): SessionMeta {
  const { metadata } = params;
  if (metadata.cwd === undefined) {
    throw invalidRequest('a thread of this store needs a cwd', 'Give the directory that the thread is about.');
  }
  return {
    id: params.threadId,
    sessionId: params.sessionId,
    timestamp: new Date(params.createdAt).toISOString(),
    cwd: metadata.cwd,
    originator: params.originator,
    cliVersion: params.cliVersion,
    source: params.source,
    threadSource: params.threadSource,
    agentNickname: params.agentNickname,
    agentRole: params.agentRole,
    agentPath: params.agentPath,
    modelProvider: metadata.modelProvider,
    memoryMode: metadata.memoryMode === 'disabled' ? 'disabled' : undefined,
    historyMode: params.historyMode,
    unwritableBecause: undefined,
    historyBase: undefined,
    forkedFromId: undefined,
    parentThreadId: params.parentThreadId,
    git: params.git,
  };
}
