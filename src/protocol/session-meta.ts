import type { HistoryMode } from './history-mode.js';
import { asThreadId, type ThreadId } from './ids.js';
import { asIndex, asObject, asString, asText, type JsonObject } from './json.js';
import type { RolloutLine } from './rollout-line.js';
import { type SessionSource, sessionSource } from './session-source.js';

/** The part of another rollout that comes before this one (docs/codex-home.md, Lineage). */
export interface HistoryBase {
  /** The id in the base file's name: its rollout id, which for an ordinary file is the thread id. */
  readonly rolloutId: string;
  readonly endOrdinalExclusive: number;
  /** A line boundary in the uncompressed base file. */
  readonly endByteOffset: number;
}

/** Git facts of a thread; each part may be missing. */
export interface GitInfo {
  readonly sha?: string | undefined;
  readonly branch?: string | undefined;
  readonly originUrl?: string | undefined;
}

/** A `session_meta` line, as far as it is used here. */
export interface SessionMeta {
  readonly id: ThreadId;
  /** The root of the tree of spawned threads; old files do not say. */
  readonly sessionId: ThreadId | undefined;
  readonly timestamp: string;
  readonly cwd: string;
  readonly originator: string | undefined;
  readonly cliVersion: string | undefined;
  readonly source: SessionSource;
  readonly threadSource: string | undefined;
  readonly agentNickname: string | undefined;
  readonly agentRole: string | undefined;
  readonly agentPath: string | undefined;
  readonly modelProvider: string | undefined;
  readonly memoryMode: string | undefined;
  readonly historyMode: HistoryMode;
  /** Why nothing may be appended to the rollout, as Codex does not read it: a history mode that it does not know, or none. */
  readonly unwritableBecause: string | undefined;
  readonly historyBase: HistoryBase | undefined;
  readonly forkedFromId: ThreadId | undefined;
  readonly parentThreadId: ThreadId | undefined;
  /** Absent when the line has no `git` key, which keeps earlier facts; `{}` clears them. */
  readonly git: GitInfo | undefined;
}

/** The session_meta in a line, or undefined when it is another line or lacks an id or a cwd (both required by Codex). */
export function parseSessionMeta(line: RolloutLine): SessionMeta | undefined {
  if (line.type !== 'session_meta') return undefined;
  const meta = line.payload;
  const id = asThreadId(meta['id']);
  const cwd = asString(meta['cwd']);
  if (id === undefined || cwd === undefined) return undefined;
  const source = sessionSource(meta['source']);
  const mode = asString(meta['history_mode']);
  return {
    id,
    sessionId: asThreadId(meta['session_id']),
    timestamp: asString(meta['timestamp']) ?? line.timestamp,
    cwd,
    originator: asString(meta['originator']),
    cliVersion: asString(meta['cli_version']),
    source,
    threadSource: asText(meta['thread_source']),
    agentNickname: asText(meta['agent_nickname']) ?? source.spawn?.agentNickname,
    agentRole: asText(meta['agent_role']) ?? asText(meta['agent_type']) ?? source.spawn?.agentRole,
    agentPath: asText(meta['agent_path']) ?? source.spawn?.agentPath,
    modelProvider: asText(meta['model_provider']),
    memoryMode: asText(meta['memory_mode']),
    historyMode: mode === 'paginated' || line.ordinal !== undefined ? 'paginated' : 'legacy',
    unwritableBecause: unwritableBecause(line, mode),
    historyBase: historyBase(asObject(meta['history_base'])),
    forkedFromId: asThreadId(meta['forked_from_id']),
    parentThreadId: asThreadId(meta['parent_thread_id']) ?? source.spawn?.parentThreadId,
    git: gitInfo(asObject(meta['git'])),
  };
}

function unwritableBecause({ isBare }: RolloutLine, mode: string | undefined): string | undefined {
  if (isBare) return 'it is a rollout of mid-2025, which Codex no longer reads';
  if (mode === undefined || mode === 'legacy' || mode === 'paginated') return undefined;
  return `it has an unknown history mode (${mode})`;
}

function historyBase(base: JsonObject | undefined): HistoryBase | undefined {
  const rolloutId = asThreadId(base?.['thread_id']);
  const endOrdinalExclusive = asIndex(base?.['end_ordinal_exclusive']);
  const endByteOffset = asIndex(base?.['end_byte_offset']);
  if (rolloutId === undefined || endOrdinalExclusive === undefined || endByteOffset === undefined) return undefined;
  return { rolloutId, endOrdinalExclusive, endByteOffset };
}

function gitInfo(git: JsonObject | undefined): GitInfo | undefined {
  if (git === undefined) return undefined;
  return {
    sha: asText(git['commit_hash']),
    branch: asText(git['branch']),
    originUrl: asText(git['repository_url']),
  };
}

export function isSameGit(a: GitInfo, b: GitInfo): boolean {
  return a.sha === b.sha && a.branch === b.branch && a.originUrl === b.originUrl;
}
