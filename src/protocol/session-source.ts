import { asThreadId, type ThreadId } from './ids.js';
import { asNumber, asObject, asString, asText, type JsonObject, jsonText, parseJson } from './json.js';

/** Where a thread came from, as the tools name it. */
export const SOURCE_KINDS = ['cli', 'vscode', 'exec', 'mcp', 'subagent', 'custom', 'internal', 'unknown'] as const;
export type SourceKind = (typeof SOURCE_KINDS)[number];

/** What a spawned sub-agent's source says of its parent. */
export interface ThreadSpawn {
  readonly parentThreadId: ThreadId;
  readonly depth: number | undefined;
  readonly agentPath: string | undefined;
  readonly agentNickname: string | undefined;
  readonly agentRole: string | undefined;
}

/**
 * A session source: a bare string, or an object with one key (docs/codex-home.md, session_meta).
 * `stored` is the text that Codex keeps in its `source` column: a string bare, anything else as compact JSON.
 */
export interface SessionSource {
  readonly kind: SourceKind;
  readonly stored: string;
  readonly spawn: ThreadSpawn | undefined;
  /** What a thread does that Codex itself made: `review`, `compact`, `memory_consolidation`, `guardian`… */
  readonly role: string | undefined;
}

const BARE: ReadonlySet<string> = new Set(['cli', 'vscode', 'exec', 'mcp']);
const KEYED: ReadonlySet<string> = new Set(['subagent', 'custom', 'internal']);

/** The source in a rollout's `source` key; absent means `vscode`, as in Codex. Never throws. */
export function sessionSource(value: unknown): SessionSource {
  if (value === undefined || value === null) return bare('vscode');
  const text = asString(value);
  if (text !== undefined) {
    return bare(text);
  }
  const object = asObject(value);
  const key = Object.keys(object ?? {}).find((name) => KEYED.has(name));
  return {
    kind: (key as SourceKind | undefined) ?? 'unknown',
    stored: jsonText(value),
    spawn: threadSpawn(asObject(asObject(object?.['subagent'])?.['thread_spawn'])),
    role: parseRole(object),
  };
}

function bare(text: string): SessionSource {
  return { kind: BARE.has(text) ? (text as SourceKind) : 'unknown', stored: text, spawn: undefined, role: undefined };
}

/** `{subagent: "review"}`, `{subagent: {other: "guardian"}}`, `{internal: "memory_consolidation"}`. */
function parseRole(source: JsonObject | undefined): string | undefined {
  const { subagent, internal } = source ?? {};
  return asText(subagent) ?? asText(asObject(subagent)?.['other']) ?? asText(internal);
}

/** The source in the text of a `source` column. */
export function storedSessionSource(text: string): SessionSource {
  return sessionSource(text.startsWith('{') ? (parseJson(text) ?? text) : text);
}

function threadSpawn(spawn: JsonObject | undefined): ThreadSpawn | undefined {
  const parentThreadId = asThreadId(spawn?.['parent_thread_id']);
  if (spawn === undefined || parentThreadId === undefined) return undefined;
  return {
    parentThreadId,
    depth: asNumber(spawn['depth']),
    agentPath: asString(spawn['agent_path']),
    agentNickname: asString(spawn['agent_nickname']),
    agentRole: asString(spawn['agent_role']),
  };
}

/** The source as a session_meta holds it. */
export function sourceJson({ stored }: SessionSource): unknown {
  return stored.startsWith('{') ? parseJson(stored) : stored;
}
