import { asArray, asNumber, asObject, asString, asText, type JsonObject, jsonText } from '../protocol/json.js';
import {
  asOutputText,
  camelCase,
  directoryPath,
  durationMs,
  fileChanges,
  type ItemDraft,
  outputBody,
  resultText,
  shellCommand,
  shortFields,
  shortText,
  textBody,
} from './item-draft.js';
import { itemFromCompleted } from './paginated-items.js';

/** The item that a legacy event makes, or undefined when it makes none (docs/codex-home.md, Legacy events). */
export function itemFromLegacyEvent(event: JsonObject): ItemDraft | undefined {
  const type = asString(event['type']) ?? '';
  return Object.hasOwn(SHAPES, type) ? SHAPES[type]?.(event) : undefined;
}

/** Items that a legacy file carries as `item_completed`; the others there repeat what the legacy events say. */
const COMPLETED_IN_LEGACY: ReadonlySet<string> = new Set([
  'plan',
  'hookPrompt',
  'functionCallOutput',
  'commandExecution',
  'dynamicToolCall',
  'collabAgentToolCall',
  'subAgentActivity',
  'extension',
  'sleep',
  'enteredReviewMode',
  'exitedReviewMode',
]);

const callId = (event: JsonObject) => asString(event['call_id']);

const SHAPES: Readonly<Record<string, (event: JsonObject) => ItemDraft | undefined>> = {
  user_message: (event) => ({
    type: 'userMessage',
    fields: shortFields({ attachments: attachments(event) }),
    body: textBody('text', asText(event['message'])),
  }),
  agent_message: (event) => {
    const text = asText(event['message']);
    if (text === undefined) return undefined;
    return { type: 'agentMessage', fields: shortFields({ phase: event['phase'] }), body: textBody('text', text) };
  },
  agent_reasoning: reasoning,
  agent_reasoning_raw_content: reasoning,
  exec_command_end: (event) => ({
    type: 'commandExecution',
    itemId: callId(event),
    fields: shortFields({
      command: shellCommand(event['command']),
      cwd: directoryPath(event['cwd']),
      source: camelCase(event['source']),
      status: camelCase(event['status']) ?? (event['exit_code'] === 0 ? 'completed' : 'failed'),
      exitCode: asNumber(event['exit_code']),
      durationMs: durationMs(event['duration']),
    }),
    body: outputBody('aggregatedOutput', asString(event['aggregated_output']) ?? asString(event['stdout'])),
  }),
  guardian_assessment: (event) => {
    const given = asString(event['status']) ?? '';
    const status = Object.hasOwn(GUARDIAN_STATUS, given) ? GUARDIAN_STATUS[given] : undefined;
    if (!status) return undefined;
    const fields = shortFields({ command: shellCommand(event['command']), status });
    return { type: 'commandExecution', itemId: callId(event) ?? asString(event['id']), fields };
  },
  patch_apply_end: (event) => {
    const { fields, body } = fileChanges(event['changes']);
    const status = camelCase(event['status']) ?? (event['success'] === false ? 'failed' : 'completed');
    return { type: 'fileChange', itemId: callId(event), fields: { ...fields, status }, body };
  },
  mcp_tool_call_end: (event) => {
    const invocation = asObject(event['invocation']) ?? {};
    const result = asObject(event['result']);
    const failure = result?.['Err'];
    return {
      type: 'mcpToolCall',
      itemId: callId(event),
      fields: shortFields({
        server: invocation['server'],
        tool: invocation['tool'],
        status: failure === undefined ? 'completed' : 'failed',
        arguments: invocation['arguments'],
        error: asOutputText(failure),
        durationMs: durationMs(event['duration']),
      }),
      body: outputBody('result', resultText(result?.['Ok'])),
    };
  },
  dynamic_tool_call_response: (event) => ({
    type: 'dynamicToolCall',
    itemId: callId(event),
    fields: shortFields({
      tool: event['tool'],
      arguments: event['arguments'],
      success: event['success'],
      status: event['success'] === false ? 'failed' : 'completed',
      durationMs: durationMs(event['duration']),
    }),
    body: outputBody('contentItems', resultText(event['content_items'])),
  }),
  web_search_end: (event) => ({
    type: 'webSearch',
    itemId: callId(event),
    fields: shortFields({ query: event['query'], action: event['action'] }),
  }),
  view_image_tool_call: (event) => ({
    type: 'imageView',
    itemId: callId(event),
    fields: shortFields({ path: event['path'] }),
  }),
  image_generation_end: (event) => ({
    type: 'imageGeneration',
    itemId: callId(event),
    fields: shortFields({
      status: event['status'],
      revisedPrompt: event['revised_prompt'],
      savedPath: event['saved_path'],
    }),
  }),
  collab_agent_spawn_end: (event) => collab('spawnAgent', event),
  collab_agent_interaction_end: (event) => collab('sendInput', event),
  collab_waiting_end: (event) => collab('wait', event),
  collab_close_end: (event) => collab('closeAgent', event),
  collab_resume_end: (event) => collab('resumeAgent', event),
  sub_agent_activity: (event) => ({
    type: 'subAgentActivity',
    itemId: callId(event) ?? asString(event['id']),
    fields: shortFields({
      kind: event['kind'],
      agentThreadId: event['agent_thread_id'],
      agentPath: event['agent_path'],
      model: event['model'],
    }),
  }),
  context_compacted: () => ({ type: 'contextCompaction' }),
  entered_review_mode: (event) => ({
    type: 'enteredReviewMode',
    fields: shortFields({ review: asText(event['user_facing_hint']) ?? 'Review requested.' }),
  }),
  exited_review_mode: (event) => ({
    type: 'exitedReviewMode',
    body: textBody('review', asOutputText(event['review_output'])),
  }),
  item_completed: (event) => {
    const item = itemFromCompleted(asObject(event['item']) ?? {});
    return item && COMPLETED_IN_LEGACY.has(item.type) ? item : undefined;
  },
};

const GUARDIAN_STATUS: Readonly<Record<string, string>> = {
  in_progress: 'inProgress',
  denied: 'declined',
  aborted: 'declined',
  timeout: 'failed',
};

function reasoning(event: JsonObject): ItemDraft | undefined {
  const text = asText(event['text']);
  return text === undefined ? undefined : { type: 'reasoning', body: outputBody('text', text) };
}

function collab(tool: string, event: JsonObject): ItemDraft {
  const receiver = asString(event['new_thread_id']) ?? asString(event['receiver_thread_id']);
  const failed = /error|not_?found/i.test(asOutputText(event['status']) ?? '') || (tool === 'spawnAgent' && !receiver);
  return {
    type: 'collabAgentToolCall',
    itemId: callId(event),
    fields: shortFields({
      tool,
      status: failed ? 'failed' : 'completed',
      senderThreadId: event['sender_thread_id'],
      receiverThreadIds: receiver ? [receiver] : event['receiver_thread_ids'],
    }),
    body: textBody('prompt', asString(event['prompt'])),
  };
}

/** What came with a legacy user message: image and audio URLs, and paths. */
function attachments(event: JsonObject): unknown[] | undefined {
  const all = (key: string, type: string, field: string) =>
    (asArray(event[key]) ?? []).map((value) => ({
      type,
      [field]: shortText(asString(value) ?? jsonText(value)),
    }));
  const found = [
    ...all('images', 'image', 'url'),
    ...all('local_images', 'localImage', 'path'),
    ...all('audio', 'audio', 'url'),
    ...all('local_audio', 'localAudio', 'path'),
  ];
  return found.length > 0 ? found : undefined;
}
