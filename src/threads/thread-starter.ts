import { ThreadkeeperError, unsupported } from '../protocol/errors.js';
import type { ThreadId } from '../protocol/ids.js';
import type { GitInfo } from '../protocol/session-meta.js';
import { sessionSource } from '../protocol/session-source.js';
import type { AgentGraphStore } from '../store/agent-graph-store.js';
import { newThread } from '../store/new-thread.js';
import type { CreateThreadParams, NewThreadSettings, StoredThread, ThreadStore } from '../store/thread-store.js';
import { CodexThread } from './codex-thread.js';
import { readGitInfo } from './git-info.js';
import { LiveThread, reportForkExists, type Warned } from './live-thread.js';
import { newThreadId } from './new-id.js';
import { threadSettings } from './thread-settings.js';

/** Which program makes new threads, and what it gives them. */
export interface ThreadMaker {
  readonly originator: string;
  readonly version: string;
  /** The provider that threads get which do not say. */
  readonly modelProvider: string | undefined;
}

export interface ThreadStarterParts {
  /** One for the process, shared by all. */
  readonly store: ThreadStore;
  readonly graph: AgentGraphStore;
  readonly maker: ThreadMaker;
  /** Makes a store for one thread that lives in memory alone. */
  readonly ephemeralStore: () => ThreadStore;
}

export interface StartThreadParams {
  /** Absolute. */
  readonly cwd: string;
  readonly name?: string | undefined;
  /** The model and its provider. Absent: an unknown model, and the provider of the maker. */
  readonly model?: string | undefined;
  readonly modelProvider?: string | undefined;
  /** What the user says first. */
  readonly message?: string | undefined;
  /** The thread that spawns this one. */
  readonly parentThreadId?: ThreadId | undefined;
  readonly agentRole?: string | undefined;
  readonly agentNickname?: string | undefined;
  readonly isEphemeral?: boolean | undefined;
}

export interface ForkOptions {
  /** The last turn to inherit; absent: all, and a turn that is open is cut off in the fork. */
  readonly lastTurnId?: string | undefined;
  /** Absent: that of the source. */
  readonly name?: string | undefined;
}

/** Returns the callback for new names of a thread. */
type OnNamed = (threadId: ThreadId) => (name: string | undefined) => void;

/** A thread that was started or forked, and what of it could not be done. */
export interface NewThread extends Warned {
  readonly thread: CodexThread;
  /** What is known of it without reading it. */
  readonly made: StoredThread;
}

/** Makes new threads: fresh ones, spawned ones, forks. One that cannot be made ready is let go. */
export class ThreadStarter {
  readonly #parts: ThreadStarterParts;

  constructor(parts: ThreadStarterParts) {
    this.#parts = parts;
  }

  /** The caller sets the name, once it is known that the thread exists. */
  async start(params: StartThreadParams, parent: StoredThread | undefined, onNamed: OnNamed): Promise<NewThread> {
    const { isEphemeral = false, name, message } = params;
    if (isEphemeral && (name !== undefined || parent !== undefined)) {
      throw unsupported('an ephemeral thread has neither a name nor a parent', 'Omit name and parent, or ephemeral.');
    }
    const store = isEphemeral ? this.#parts.ephemeralStore() : this.#parts.store;
    const git = await readGitInfo(params.cwd);
    const { model, modelProvider } = params;
    const fresh = this.#newThread({ cwd: params.cwd, memoryMode: 'enabled', modelProvider, model }, git);
    const made = { ...fresh, ...(parent ? spawnSource(parent, params) : {}) };
    const created = { ...made, historyMode: store.capabilities.defaultHistoryMode };
    const live = await LiveThread.create(store, created);
    return await live.guard(async () => {
      const opening = model === undefined ? [] : [threadSettings(made)];
      const thread = await CodexThread.over(live, store, { isEphemeral, opening, onNamed: onNamed(made.threadId) });
      const warnings: string[] = [];
      if (parent) warnings.push(...(await this.#spawned(thread, parent.threadId)));
      if (message !== undefined) warnings.push(...(await firstMessage(thread, message)));
      return { thread, made: newThread(created), warnings };
    });
  }

  async fork(source: StoredThread, { lastTurnId }: ForkOptions, onNamed: OnNamed): Promise<NewThread> {
    const { store } = this.#parts;
    const git = (source.cwd === undefined ? undefined : await readGitInfo(source.cwd)) ?? source.git;
    const memoryMode = source.memoryMode === 'disabled' ? 'disabled' : 'enabled';
    const thread = this.#newThread({ cwd: source.cwd, memoryMode, modelProvider: source.modelProvider }, git);
    const forkWarnings: string[] = [];
    const warn = (warning: string) => forkWarnings.push(warning);
    const live = await LiveThread.fork(store, { sourceThreadId: source.threadId, lastTurnId, thread, warn });
    const makeReady = async () => {
      const options = { isEphemeral: false, onNamed: onNamed(thread.threadId) };
      const fork = await CodexThread.over(live, store, options);
      const { warnings } = await fork.interrupt('The turn was cut off here when this thread was forked.');
      const made = newThread({ ...thread, historyMode: source.historyMode });
      return {
        thread: fork,
        made: { ...made, forkedFromId: source.threadId },
        warnings: [...forkWarnings, ...warnings],
      };
    };
    return await reportForkExists(thread.threadId, () => live.guard(makeReady));
  }

  #newThread(settings: NewThreadSettings, git: GitInfo | undefined): Omit<CreateThreadParams, 'historyMode'> {
    const threadId = newThreadId();
    const { originator, version: cliVersion, modelProvider } = this.#parts.maker;
    return {
      threadId,
      sessionId: threadId,
      source: sessionSource('mcp'),
      threadSource: 'user',
      originator,
      cliVersion,
      createdAt: Date.now(),
      git,
      metadata: { ...settings, modelProvider: settings.modelProvider ?? modelProvider },
    };
  }

  /** A spawned thread is durable at once, as the edge to it is. */
  async #spawned(thread: CodexThread, parentThreadId: ThreadId): Promise<readonly string[]> {
    const { warnings } = await thread.persist();
    const edge = { parentThreadId, childThreadId: thread.threadId, status: 'open' } as const;
    try {
      await this.#parts.graph.upsertSpawnEdge(edge);
      return warnings;
    } catch (error) {
      if (!(error instanceof ThreadkeeperError)) throw error;
      return [...warnings, `The spawn edge is kept in the thread alone: ${error.message}.`];
    }
  }
}

function spawnSource(
  parent: StoredThread,
  { agentNickname, agentRole }: StartThreadParams,
): Pick<
  CreateThreadParams,
  'sessionId' | 'parentThreadId' | 'source' | 'threadSource' | 'agentNickname' | 'agentRole'
> {
  const spawn = {
    parent_thread_id: parent.threadId,
    depth: (parent.agentDepth ?? 0) + 1,
    agent_path: null,
    agent_nickname: agentNickname ?? null,
    agent_role: agentRole ?? null,
  };
  return {
    sessionId: parent.sessionId ?? parent.threadId,
    parentThreadId: parent.threadId,
    source: sessionSource({ subagent: { thread_spawn: spawn } }),
    threadSource: 'subagent',
    agentNickname,
    agentRole,
  };
}

/** Submits the first message. Its error says that nothing is kept: the caller discards the thread then. */
async function firstMessage(thread: CodexThread, text: string): Promise<readonly string[]> {
  try {
    return (await thread.submit([{ type: 'userMessage', text }])).warnings;
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    const hint =
      'The message is not kept. Start again when the cause is gone. If a list shows a thread without a message, archive it.';
    throw new ThreadkeeperError(
      error.code,
      `the thread could not be started, as its message cannot be written: ${error.message}`,
      hint,
      {
        cause: error,
      },
    );
  }
}
