import { AppServer } from './rig/with-codex.mjs';

/** The parts of the app-server's protocol that the suite looks at. */
export interface CodexThread {
  readonly id: string;
  readonly name: string | null;
  readonly preview: string;
  readonly cwd: string;
  readonly source: string | Readonly<Record<string, unknown>>;
  readonly gitInfo: { sha: string | null; branch: string | null; originUrl: string | null } | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly recencyAt: number | null;
  readonly modelProvider: string;
  readonly model: string | null;
  readonly agentNickname: string | null;
  readonly agentRole: string | null;
  readonly parentThreadId: string | null;
  readonly forkedFromId: string | null;
  readonly path: string;
  readonly historyMode: 'legacy' | 'paginated';
}

export interface CodexItem {
  readonly type: string;
  readonly id: string;
  readonly text?: string;
  readonly content?: readonly { readonly type?: string; readonly text?: string }[];
  readonly summary?: readonly string[];
  readonly command?: string;
  readonly aggregatedOutput?: string | null;
  readonly exitCode?: number | null;
  readonly status?: string;
  readonly changes?: readonly { readonly path: string }[];
  readonly receiverThreadIds?: readonly string[];
  readonly prompt?: string | null;
}

export interface CodexTurn {
  readonly id: string;
  readonly status: string;
  readonly startedAt: number | null;
  readonly completedAt: number | null;
  readonly durationMs: number | null;
  readonly error: { readonly message: string } | null;
  readonly items: readonly CodexItem[];
}

export interface CodexAnswer {
  readonly thread: CodexThread;
  /** Its list and its read differ for legacy and reverted threads, so that either may be right, seconds. */
  readonly updatedAt: readonly number[];
  readonly isArchived: boolean;
  readonly turns: readonly CodexTurn[];
}

const ALL_SOURCE_KINDS = [
  'cli',
  'vscode',
  'exec',
  'appServer',
  'subAgent',
  'subAgentReview',
  'subAgentCompact',
  'subAgentThreadSpawn',
  'subAgentOther',
  'unknown',
];

/** What the app-server answers about every thread of a home: those in its lists, and those named in `alsoIds`. */
export async function codexAnswers(home: string, alsoIds: readonly string[]): Promise<Map<string, CodexAnswer>> {
  // The first list corrects rows and so changes the next answers: warm it up, then ask a fresh one.
  await listedThreads(home);
  const listed = await listedThreads(home);
  const ids = new Set([...listed.keys(), ...alsoIds]);
  return await withAppServer(home, async (server) => {
    const answers = new Map<string, CodexAnswer>();
    for (const id of ids) {
      const { ok } = await server.try<{ thread: CodexThread }>('thread/read', { threadId: id });
      if (!ok) continue;
      const params = { threadId: id, itemsView: 'full', sortDirection: 'asc', limit: 100 };
      const { rows } = await server.listAll<CodexTurn>('thread/turns/list', params);
      const isArchived = ok.thread.path.includes('/archived_sessions/');
      const updatedAt = [ok.thread.updatedAt, listed.get(id)?.updatedAt ?? ok.thread.updatedAt];
      answers.set(id, { thread: ok.thread, updatedAt, isArchived, turns: rows });
    }
    return answers;
  });
}

async function listedThreads(home: string): Promise<Map<string, CodexThread>> {
  return await withAppServer(home, async (server) => {
    const threads = new Map<string, CodexThread>();
    for (const archived of [false, true]) {
      const params = { archived, sourceKinds: ALL_SOURCE_KINDS, limit: 100 };
      const { rows } = await server.listAll<CodexThread>('thread/list', params);
      for (const thread of rows) threads.set(thread.id, thread);
    }
    return threads;
  });
}

export async function withAppServer<T>(home: string, action: (server: AppServer) => Promise<T>): Promise<T> {
  const server = new AppServer(home);
  try {
    await server.init();
    return await action(server);
  } finally {
    await server.stop();
  }
}

/** The source of a thread in the words of our tools. */
export function sourceKind(source: CodexThread['source']): string {
  if (typeof source !== 'string')
    return Object.keys(source)[0] === 'subAgent' ? 'subagent' : (Object.keys(source)[0] ?? '');
  return source === 'appServer' ? 'mcp' : source;
}
