import type { HistoryMode } from './history-mode.js';
import { asArray, asIndex, asObject, asString, type JsonObject } from './json.js';

/**
 * What a line is for the turns: it begins one, completes or aborts one, takes some back, fails the one that is open, or
 * carries an item. A `mark` shows that a turn exists, and is no item of it.
 */
export type TurnPart = 'start' | 'complete' | 'abort' | 'rollback' | 'error' | 'userMessage' | 'item' | 'mark';

/** What is known of a type of line, of event or of response item. */
export interface TypeFacts {
  /** Its part in turns; absent: no turn is made of it. */
  readonly turn?: TurnPart;
  /** In which history mode a rollout keeps it; absent: it is never written. */
  readonly kept?: 'always' | HistoryMode;
  /** True when it can say something of the thread's metadata. */
  readonly hasMetadata?: boolean;
  /** Keys without which Codex 0.169 drops the line on load (tried key by key); absent: it drops every such line. */
  readonly required?: readonly string[];
}

/** Types of lines, by `type`. `event_msg` and `response_item` are told further by the type in their payload. */
export const LINE_TYPES: Readonly<Record<string, TypeFacts>> = {
  session_meta: {
    kept: 'always',
    hasMetadata: true,
    required: ['id', 'timestamp', 'cwd', 'originator', 'cli_version'],
  },
  turn_context: {
    kept: 'always',
    hasMetadata: true,
    required: ['cwd', 'approval_policy', 'sandbox_policy', 'model'],
  },
  compacted: { kept: 'always', turn: 'mark', required: ['message'] },
  world_state: { kept: 'always', required: ['full', 'state'] },
  token_usage_record: {
    kept: 'always',
    required: [
      'thread_id',
      'turn_id',
      'session_id',
      'root_turn_id',
      'response_id',
      'usage',
      'turn_token_usage',
      'thread_token_usage',
    ],
  },
  inter_agent_communication: { kept: 'always', required: [] },
  inter_agent_communication_metadata: { kept: 'always', required: ['trigger_turn'] },
  retained_context: { kept: 'always', required: [] },
  dynamic_tools_updated: { kept: 'always', required: [] },
  security_risk_score: { kept: 'always', required: ['scores'] },
  realtime_item: { kept: 'paginated', required: [] },
};

/** Types of events, by `payload.type` of an `event_msg`. */
export const EVENT_TYPES: Readonly<Record<string, TypeFacts>> = {
  task_started: { kept: 'always', turn: 'start', hasMetadata: true, required: ['turn_id'] },
  turn_started: { kept: 'always', turn: 'start', hasMetadata: true, required: ['turn_id'] },
  task_complete: { kept: 'always', turn: 'complete', required: ['turn_id'] },
  turn_complete: { kept: 'always', turn: 'complete', required: ['turn_id'] },
  turn_aborted: { kept: 'always', turn: 'abort', required: ['reason'] },
  thread_rolled_back: { kept: 'always', turn: 'rollback', required: ['num_turns'] },
  token_count: { kept: 'always', hasMetadata: true, required: [] },
  thread_goal_updated: { kept: 'always', hasMetadata: true, required: ['goal'] },
  thread_settings_applied: { kept: 'always', hasMetadata: true, required: ['thread_settings'] },
  item_completed: { kept: 'paginated', turn: 'item', hasMetadata: true, required: ['thread_id', 'turn_id', 'item'] },
  user_message: { kept: 'legacy', turn: 'userMessage', hasMetadata: true, required: ['message'] },
  agent_message: { kept: 'legacy', turn: 'item', required: ['message'] },
  agent_reasoning: { kept: 'legacy', turn: 'item', required: ['text'] },
  agent_reasoning_raw_content: { kept: 'legacy', turn: 'item', required: ['text'] },
  patch_apply_end: {
    kept: 'legacy',
    turn: 'item',
    required: ['call_id', 'stdout', 'stderr', 'success', 'status'],
  },
  mcp_tool_call_end: { kept: 'legacy', turn: 'item', required: ['call_id', 'invocation', 'duration', 'result'] },
  web_search_end: { kept: 'legacy', turn: 'item', required: ['call_id', 'query', 'action'] },
  image_generation_end: { kept: 'legacy', turn: 'item', required: ['call_id', 'status', 'result'] },
  entered_review_mode: { kept: 'legacy', turn: 'item', required: ['target'] },
  exited_review_mode: { kept: 'legacy', turn: 'item', required: [] },
  context_compacted: { kept: 'legacy', turn: 'item', required: [] },
  sub_agent_activity: { kept: 'legacy', turn: 'item', required: [] },
  // Of older versions of Codex: 0.169 drops them, they are shown here all the same.
  error: { turn: 'error' },
  exec_command_end: { turn: 'item' },
  guardian_assessment: { turn: 'item' },
  view_image_tool_call: { turn: 'item' },
  dynamic_tool_call_response: { turn: 'item' },
  collab_agent_spawn_end: { turn: 'item' },
  collab_agent_interaction_end: { turn: 'item' },
  collab_waiting_end: { turn: 'item' },
  collab_close_end: { turn: 'item' },
  collab_resume_end: { turn: 'item' },
};

/** Types of response items, by `payload.type` of a `response_item`. Turns are made of them in rollouts of mid-2025 alone. */
export const RESPONSE_ITEM_TYPES: Readonly<Record<string, TypeFacts>> = {
  message: { kept: 'always', required: ['role', 'content'] },
  agent_message: { kept: 'always', required: ['author', 'recipient', 'content'] },
  reasoning: { kept: 'always', required: ['summary'] },
  function_call: { kept: 'always', required: ['name', 'arguments', 'call_id'] },
  function_call_output: { kept: 'always', required: ['output'] },
  custom_tool_call: { kept: 'always', required: ['call_id', 'name', 'input'] },
  custom_tool_call_output: { kept: 'always', required: ['call_id', 'output'] },
  local_shell_call: { kept: 'always', required: ['status', 'action'] },
  tool_search_call: { kept: 'always', required: ['execution', 'arguments'] },
  tool_search_output: { kept: 'always', required: ['status', 'execution', 'tools'] },
  web_search_call: { kept: 'always', required: [] },
  image_generation_call: { kept: 'always', required: ['status', 'result'] },
  compaction: { kept: 'always', required: ['encrypted_content'] },
  compaction_summary: { kept: 'always', required: ['encrypted_content'] },
  context_compaction: { kept: 'always', required: [] },
  configuration_update: { kept: 'always', required: [] },
  additional_tools: { kept: 'always', required: ['tools'] },
  ghost_snapshot: { kept: 'always' },
  // Never written, and dropped where an older version wrote them.
  compaction_trigger: {},
  other: {},
};

/** The type of a line, and the type in its payload where that begins with one. */
export interface LineType {
  readonly type: string;
  readonly payloadType: string | undefined;
}

/** What is known of a line's type; undefined for a type that is not known. */
export function typeFacts({ type, payloadType = '' }: LineType): TypeFacts | undefined {
  if (type === 'event_msg') return own(EVENT_TYPES, payloadType);
  return type === 'response_item' ? own(RESPONSE_ITEM_TYPES, payloadType) : own(LINE_TYPES, type);
}

function own(types: Readonly<Record<string, TypeFacts>>, name: string): TypeFacts | undefined {
  return Object.hasOwn(types, name) ? types[name] : undefined;
}

/** The names of the event types with a part in turns. */
export function eventsWith(...parts: readonly TurnPart[]): string[] {
  return Object.entries(EVENT_TYPES)
    .filter(([, { turn }]) => turn !== undefined && parts.includes(turn))
    .map(([name]) => name);
}

/** The names of the line types and of the event types that no turn is made of. */
export function typesWithoutTurns(): { lines: string[]; events: string[] } {
  const without = (types: Readonly<Record<string, TypeFacts>>) =>
    Object.keys(types).filter((name) => types[name]?.turn === undefined);
  return { lines: ['response_item', ...without(LINE_TYPES)], events: without(EVENT_TYPES) };
}

/** The content parts of messages that Codex knows. */
const CONTENT_PARTS: ReadonlySet<unknown> = new Set([
  'input_text',
  'input_image',
  'input_audio',
  'output_text',
  'encrypted_content',
]);

/**
 * True for a line that Codex 0.169 loads. It drops, and does not count, a line that is no JSON, lacks a key, has a type
 * that it does not know, or holds half a surrogate pair. The ids of implicit turns count the lines that are left.
 */
export function isLoadedByCodex(text: string, value: JsonObject | undefined): boolean {
  const type = asString(value?.['type']);
  const payload = asObject(value?.['payload']);
  if (!value || type === undefined || !payload || typeof value['timestamp'] !== 'string') return false;
  if (value['ordinal'] !== undefined && asIndex(value['ordinal']) === undefined) return false;
  const facts = typeFacts({ type, payloadType: asString(payload['type']) });
  if (!facts?.required?.every((key) => payload[key] !== undefined)) return false;
  if (type === 'response_item' && !isSoundResponseItem(payload)) return false;
  return !/\\ud/i.test(text) || isWellFormed(value);
}

function isSoundResponseItem(payload: JsonObject): boolean {
  switch (payload['type']) {
    case 'message':
      return asArray(payload['content'])?.every((part) => CONTENT_PARTS.has(asObject(part)?.['type'])) ?? false;
    case 'function_call_output':
    case 'custom_tool_call_output':
      return typeof payload['output'] === 'string' || Array.isArray(payload['output']);
    default:
      return true;
  }
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, part]) => key.isWellFormed() && isWellFormed(part));
}
