import type { ThreadId } from '../protocol/ids.js';
import { parseRolloutLine, type RolloutLine } from '../protocol/rollout-line.js';
import { sessionSource } from '../protocol/session-source.js';
import type { StoredThread } from '../store/thread-store.js';
import { newId, type RolloutSpec, rolloutText, spawnedBy } from './seed-rollout.js';

/** A thread as the contract suite wants it to be in a store. */
export interface Seed {
  readonly id: ThreadId;
  readonly mode: 'legacy' | 'paginated';
  readonly at: string;
  readonly cwd: string;
  readonly source: string;
  readonly provider: string;
  readonly branch: string | undefined;
  readonly archived: boolean;
  readonly name: string | undefined;
  readonly parent: ThreadId | undefined;
  readonly turns: readonly (readonly [string, string])[];
}

export function seed(fields: Partial<Seed> = {}): Seed {
  return {
    id: newId(),
    mode: 'legacy',
    at: '2026-11-20T10:00:00.000Z',
    cwd: '/home/dev/project',
    source: 'cli',
    provider: 'mock',
    branch: undefined,
    archived: false,
    name: undefined,
    parent: undefined,
    turns: [['first question', 'first answer']],
    ...fields,
  };
}

/** The seed as a rollout. */
export function rolloutFromSeed({
  id,
  mode,
  at,
  cwd,
  source,
  provider,
  branch,
  archived,
  parent,
  turns,
}: Seed): RolloutSpec {
  const git = branch === undefined ? {} : { git: { branch } };
  const spawn = parent === undefined ? {} : spawnedBy(parent);
  return { id, mode, at, archived, turns, meta: { cwd, source, model_provider: provider, ...git, ...spawn } };
}

/** The lines of the seed's history. */
export function linesFromSeed(entry: Seed): RolloutLine[] {
  const text = rolloutText({ ...rolloutFromSeed(entry), id: entry.id, at: entry.at });
  return text.split('\n').flatMap((line) => parseRolloutLine(line) ?? []);
}

/** The seed as a store tells it. */
export function threadFromSeed(entry: Seed): StoredThread {
  const time = Date.parse(entry.at);
  const firstMessage = entry.turns[0]?.[0];
  const meta = rolloutFromSeed(entry).meta ?? {};
  const source = sessionSource(meta['source']);
  return {
    threadId: entry.id,
    sessionId: entry.id,
    name: entry.name,
    preview: firstMessage ?? '',
    title: firstMessage,
    firstUserMessage: firstMessage,
    cwd: entry.cwd,
    source,
    threadSource: undefined,
    modelProvider: entry.provider,
    model: undefined,
    reasoningEffort: undefined,
    git: { sha: undefined, branch: entry.branch, originUrl: undefined },
    createdAt: time,
    updatedAt: time,
    recencyAt: time,
    isArchived: entry.archived,
    archivedAt: entry.archived ? time : undefined,
    parentThreadId: entry.parent,
    agentNickname: source.spawn?.agentNickname,
    agentRole: source.spawn?.agentRole,
    agentPath: undefined,
    agentDepth: source.spawn?.depth,
    forkedFromId: undefined,
    tokensUsed: undefined,
    memoryMode: 'enabled',
    historyMode: entry.mode,
    cliVersion: '0.169.0',
    approvalMode: undefined,
    permissionProfile: undefined,
  };
}
