import { asThreadId, type ThreadId } from '../protocol/ids.js';
import { type LineFacts, readLineFacts } from '../protocol/line-facts.js';
import type { RolloutItem } from '../protocol/rollout-item.js';
import { parseRolloutTime } from '../protocol/rollout-line.js';
import { parseSessionMeta, type SessionMeta } from '../protocol/session-meta.js';
import { mergePatches, presentFields, type ThreadMetadataPatch } from '../store/thread-patch.js';
import type { CreateThreadParams, StoredThread } from '../store/thread-store.js';

/** When only the time of the last change is new, it is told this often, milliseconds. */
const TOUCH_MS = 5000;

/** A patch on its way to the store; `applied` is to be given its generation. */
export interface PendingPatch {
  readonly patch: ThreadMetadataPatch;
  readonly generation: number;
}

/**
 * What appended items mean for a thread's metadata (docs/codex-home.md, From lines to metadata). It gathers a patch,
 * which stays until the store has taken it. The first message makes preview, title and first message once: what the
 * thread had before is never overwritten by a later one.
 */
export class ThreadMetadataSync {
  readonly #threadId: ThreadId;
  readonly #known: { cwd: boolean; preview: boolean; title: boolean; firstUserMessage: boolean };
  #pending: ThreadMetadataPatch;
  /** Nothing is sent before the first append: without history there is no row. */
  #isDeferred = true;
  #isOnlyTouch = false;
  #generation = 0;
  #lastTouch = 0;

  private constructor(threadId: ThreadId, known: Partial<StoredThread>, pending: ThreadMetadataPatch) {
    this.#threadId = threadId;
    this.#pending = presentFields(pending);
    this.#known = {
      cwd: Boolean(known.cwd),
      preview: Boolean(known.preview),
      title: Boolean(known.title),
      firstUserMessage: Boolean(known.firstUserMessage),
    };
  }

  /** For a thread that was just made: what it was made with is pending. */
  static ofNew(params: CreateThreadParams): ThreadMetadataSync {
    const { metadata, git, createdAt } = params;
    return new ThreadMetadataSync(
      params.threadId,
      { cwd: metadata.cwd },
      {
        modelProvider: metadata.modelProvider,
        model: metadata.model,
        createdAt,
        updatedAt: createdAt,
        source: params.source.stored,
        threadSource: params.threadSource ?? null,
        agentNickname: params.agentNickname ?? null,
        agentRole: params.agentRole ?? null,
        agentPath: params.agentPath ?? null,
        cwd: metadata.cwd,
        cliVersion: params.cliVersion,
        gitInfo: git && { sha: git.sha ?? null, branch: git.branch ?? null, originUrl: git.originUrl ?? null },
        memoryMode: metadata.memoryMode,
      },
    );
  }

  /** For a fork: as a new thread, with the preview that its inherited history gives it. */
  static ofFork(params: CreateThreadParams, thread: StoredThread): ThreadMetadataSync {
    const sync = ThreadMetadataSync.ofNew(params);
    for (const field of ['preview', 'title', 'firstUserMessage'] as const)
      sync.#once(field, thread[field] || undefined);
    if (thread.preview) sync.#add({ preview: thread.preview });
    return sync;
  }

  /** For a thread with a history, whose metadata the store knows. */
  static ofStored(thread: StoredThread): ThreadMetadataSync {
    return new ThreadMetadataSync(thread.threadId, thread, {});
  }

  /** Takes a batch of items into account that went into the history at this time. */
  observe(items: readonly RolloutItem[], now: number): void {
    if (items.length === 0) return;
    const said = items.map((item) => this.#patchOf(item, now)).reduce(mergePatches, {});
    const hasChanges = Object.keys(said).length > 0;
    const wasEmpty = Object.keys(this.#pending).length === 0;
    this.#isOnlyTouch = !hasChanges && (wasEmpty || this.#isOnlyTouch);
    this.#isDeferred = false;
    this.#add({ ...said, updatedAt: now });
  }

  /** The thread was made durable without an item: the deferred patch may be sent. */
  release(): void {
    this.#isDeferred = false;
  }

  /** The patch to send now. Without a barrier, a new `updatedAt` alone is sent only every `TOUCH_MS`. */
  pending(now: number, isBarrier = false): PendingPatch | undefined {
    if (this.#isDeferred || Object.keys(this.#pending).length === 0) return undefined;
    if (this.#isOnlyTouch && !isBarrier && now - this.#lastTouch < TOUCH_MS) return undefined;
    return { patch: this.#pending, generation: this.#generation };
  }

  /** The store has taken the patch; what came in meanwhile stays pending. */
  applied({ patch, generation }: PendingPatch): void {
    if (patch.updatedAt !== undefined) this.#lastTouch = Math.max(this.#lastTouch, patch.updatedAt);
    if (generation !== this.#generation) return;
    this.#pending = {};
    this.#isOnlyTouch = false;
  }

  #add(patch: ThreadMetadataPatch): void {
    this.#pending = mergePatches(this.#pending, patch);
    this.#generation += 1;
  }

  #patchOf(item: RolloutItem, now: number): ThreadMetadataPatch {
    if (item.type !== 'session_meta') return this.#patchFromFacts(readLineFacts(item), now);
    const meta = parseSessionMeta({ ...item, timestamp: new Date(now).toISOString(), ordinal: undefined });
    // Those of other threads came with copied history.
    return meta && asThreadId(meta.id) === this.#threadId ? this.#patchFromMeta(meta) : {};
  }

  #patchFromMeta(meta: SessionMeta): ThreadMetadataPatch {
    if (meta.cwd) this.#known.cwd = true;
    const { git, memoryMode } = meta;
    return presentFields({
      createdAt: parseRolloutTime(meta.timestamp),
      source: meta.source.stored,
      threadSource: meta.threadSource,
      agentNickname: meta.agentNickname,
      agentRole: meta.agentRole,
      agentPath: meta.agentPath,
      modelProvider: meta.modelProvider,
      cliVersion: meta.cliVersion || undefined,
      cwd: meta.cwd || undefined,
      gitInfo: git && { sha: git.sha ?? null, branch: git.branch ?? null, originUrl: git.originUrl ?? null },
      memoryMode: memoryMode === 'enabled' || memoryMode === 'disabled' ? memoryMode : undefined,
    });
  }

  #patchFromFacts(facts: LineFacts, now: number): ThreadMetadataPatch {
    const { firstCwd, goal, userText, startsTurn, ...plain } = facts;
    const cwd = plain.cwd ?? (this.#known.cwd ? undefined : firstCwd);
    if (cwd !== undefined) this.#known.cwd = true;
    const patch = { ...plain, cwd, advanceRecencyAt: startsTurn ? now : undefined };
    const text = userText?.text ?? goal;
    return presentFields({
      ...patch,
      preview: this.#once('preview', text),
      firstUserMessage: this.#once('firstUserMessage', userText?.text),
      title: this.#once('title', userText?.isLabel ? undefined : userText?.text),
    });
  }

  #once(field: 'preview' | 'title' | 'firstUserMessage', text: string | undefined): string | undefined {
    if (text === undefined || this.#known[field]) return undefined;
    this.#known[field] = true;
    return text;
  }
}
