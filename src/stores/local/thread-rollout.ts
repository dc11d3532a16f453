import type { ThreadId } from '../../protocol/ids.js';
import type { JsonObject } from '../../protocol/json.js';
import { type RolloutItem, typeFirst } from '../../protocol/rollout-item.js';
import type { RolloutLine } from '../../protocol/rollout-line.js';
import { type GitInfo, isSameGit, parseSessionMeta, type SessionMeta } from '../../protocol/session-meta.js';
import { sourceJson } from '../../protocol/session-source.js';
import type { StoredThread } from '../../store/thread-store.js';
import { sessionMetaItem, shortMetaItem } from './rollout/session-meta-item.js';

/** The cwd of a thread that has none: Codex reads no thread without one. */
export const NO_CWD = '/';

/**
 * The lines of one file that holds a thread whole: its own session_meta first, which points at no base any more, then
 * its history, inherited parts included, and last a short session_meta when git or memory mode are not what those lines
 * say. `history` is called twice, as the session_meta of a fork comes after what it inherits.
 */
export async function* threadRollout(
  thread: StoredThread,
  history: () => AsyncIterable<RolloutLine>,
): AsyncGenerator<RolloutLine> {
  const number = numbering(thread);
  const first = await ownMeta(thread.threadId, history());
  const metaValues = new MetaValues();
  const head: RolloutLine = first ?? { ...madeMeta(thread), timestamp: iso(thread.createdAt), ordinal: undefined };
  const meta = parseSessionMeta(head);
  yield number(metaValues.observe({ ...head, payload: withoutBase({ ...head.payload, ...patchedKeys(thread) }) }));
  let isFirstMet = first === undefined;
  for await (const line of history()) {
    const isMeta = line.type === 'session_meta';
    const isOwn = isMeta && line.payload['id'] === thread.threadId;
    if (isOwn && !isFirstMet) {
      isFirstMet = true;
      continue;
    }
    // A copied history brings the metas of its source along in legacy files alone.
    if (isMeta && !isOwn && thread.historyMode === 'paginated') continue;
    yield number(isOwn ? metaValues.observe({ ...line, payload: withoutBase(line.payload) }) : line);
  }
  const change = meta && metaValues.changeTo(thread);
  if (meta && change)
    yield number({ ...shortMetaItem(meta, change), timestamp: iso(thread.updatedAt), ordinal: undefined });
}

/** What the metas of a file say in the end. */
class MetaValues {
  #git: GitInfo = {};
  #memoryMode = 'enabled';

  observe(line: RolloutLine): RolloutLine {
    const meta = parseSessionMeta(line);
    this.#git = meta?.git ?? this.#git;
    this.#memoryMode = meta?.memoryMode ?? this.#memoryMode;
    return line;
  }

  changeTo({ git, memoryMode = 'enabled' }: StoredThread): { git?: GitInfo; memoryMode?: string } | undefined {
    const hasGit = isSameGit(this.#git, git);
    const isSameMode = this.#memoryMode === memoryMode;
    if (hasGit && isSameMode) return undefined;
    return { ...(hasGit ? {} : { git }), ...(isSameMode ? {} : { memoryMode }) };
  }
}

async function ownMeta(threadId: ThreadId, history: AsyncIterable<RolloutLine>): Promise<RolloutLine | undefined> {
  for await (const line of history) if (parseSessionMeta(line)?.id === threadId) return line;
  return undefined;
}

/** Numbers the lines of a paginated thread anew, and puts the keys where readers look for them first. */
function numbering({ historyMode }: StoredThread): (line: RolloutLine) => RolloutLine {
  let next = 0;
  return ({ timestamp, type, payload, metadata }) => {
    const ordinal = historyMode === 'paginated' ? next : undefined;
    next += 1;
    return { timestamp, ordinal, type, payload: typeFirst(payload), metadata };
  };
}

function withoutBase({ history_base: _, forked_from_ordinal_exclusive: __, ...payload }: JsonObject): JsonObject {
  return payload;
}

/** What a patch may have changed, and the first session_meta says. */
function patchedKeys(thread: StoredThread): JsonObject {
  const keys = {
    // Not changed, but its keys are in the order that rows have, too.
    source: sourceJson(thread.source),
    thread_source: thread.threadSource,
    agent_nickname: thread.agentNickname,
    agent_role: thread.agentRole,
    agent_path: thread.agentPath,
    model_provider: thread.modelProvider,
    history_mode: thread.historyMode === 'paginated' ? 'paginated' : undefined,
  };
  return Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined));
}

function madeMeta(thread: StoredThread): RolloutItem {
  const meta: SessionMeta = {
    id: thread.threadId,
    sessionId: thread.sessionId,
    timestamp: iso(thread.createdAt),
    cwd: thread.cwd ?? NO_CWD,
    originator: 'threadkeeper',
    cliVersion: thread.cliVersion,
    source: thread.source,
    threadSource: thread.threadSource,
    agentNickname: thread.agentNickname,
    agentRole: thread.agentRole,
    agentPath: thread.agentPath,
    modelProvider: thread.modelProvider,
    memoryMode: thread.memoryMode === 'disabled' ? 'disabled' : undefined,
    historyMode: thread.historyMode,
    unwritableBecause: undefined,
    historyBase: undefined,
    forkedFromId: thread.forkedFromId,
    parentThreadId: thread.parentThreadId,
    git: thread.git,
  };
  return sessionMetaItem(meta);
}

const iso = (time: number) => new Date(time).toISOString();
