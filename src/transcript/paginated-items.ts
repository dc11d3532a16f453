import { asArray, asObject, asString, type JsonObject, jsonText } from '../protocol/json.js';
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

/**
 * The item of an `item_completed` event. Its `type` is PascalCase in the rollout and camelCase for readers; a type
 * that is not known here is kept with its raw JSON (docs/codex-home.md, Items).
 */
export function itemFromCompleted(item: JsonObject): ItemDraft | undefined {
  const stored = asString(item['type']);
  if (stored === undefined) return undefined;
  const type = stored.slice(0, 1).toLowerCase() + stored.slice(1);
  const shape = (Object.hasOwn(SHAPES, type) ? SHAPES[type] : undefined) ?? rawItem;
  return { type, itemId: asString(item['id']), ...shape(item) };
}

type Shape = (item: JsonObject) => Pick<ItemDraft, 'fields' | 'body'>;

const SHAPES: Readonly<Record<string, Shape>> = {
  userMessage: (item) => messageContent(item),
  agentMessage: (item) => ({
    fields: shortFields({ phase: item['phase'] }),
    body: textBody('text', asString(item['text']) ?? joinTexts(item['content'])),
  }),
  reasoning: (item) => ({
    body: outputBody('text', [...texts(item['summary_text']), ...texts(item['raw_content'])].join('\n\n')),
  }),
  commandExecution: (item) => ({
    fields: shortFields({
      command: shellCommand(item['command']),
      cwd: directoryPath(item['cwd']),
      source: camelCase(item['source']),
      status: camelCase(item['status']),
      exitCode: item['exit_code'],
      durationMs: durationMs(item['duration']),
    }),
    body: outputBody('aggregatedOutput', asString(item['aggregated_output'])),
  }),
  fileChange: (item) => {
    const { fields, body } = fileChanges(item['changes']);
    return { fields: { ...fields, ...shortFields({ status: camelCase(item['status']) }) }, body };
  },
  mcpToolCall: (item) => ({
    fields: shortFields({
      server: item['server'],
      tool: item['tool'],
      status: camelCase(item['status']),
      arguments: item['arguments'],
      error: asOutputText(asObject(item['error'])?.['message'] ?? item['error']),
      durationMs: durationMs(item['duration']),
    }),
    body: outputBody('result', resultText(item['result'])),
  }),
  dynamicToolCall: (item) => ({
    fields: shortFields({
      namespace: item['namespace'],
      tool: item['tool'],
      status: camelCase(item['status']),
      arguments: item['arguments'],
      success: item['success'],
      durationMs: durationMs(item['duration']),
    }),
    body: outputBody('contentItems', resultText(item['content_items'])),
  }),
  collabAgentToolCall: (item) => ({
    fields: shortFields({
      tool: camelCase(item['tool']),
      status: camelCase(item['status']),
      senderThreadId: item['sender_thread_id'],
      receiverThreadIds: item['receiver_thread_ids'],
      model: item['model'],
      reasoningEffort: item['reasoning_effort'],
      agentsStates: agentsStates(asObject(item['agents_states'])),
    }),
    body: textBody('prompt', asString(item['prompt'])),
  }),
  subAgentActivity: (item) => ({
    fields: shortFields({
      kind: item['kind'],
      agentThreadId: item['agent_thread_id'],
      agentPath: item['agent_path'],
      model: item['model'],
      reasoningEffort: item['reasoning_effort'],
    }),
  }),
  plan: (item) => ({ body: textBody('text', asString(item['text'])) }),
  functionCallOutput: (item) => ({
    fields: shortFields({ name: item['name'], namespace: item['namespace'] }),
    body: outputBody('output', asOutputText(item['output'])),
  }),
  webSearch: (item) => ({ fields: shortFields({ query: item['query'], action: item['action'] }) }),
  imageView: (item) => ({ fields: shortFields({ path: item['path'] }) }),
  imageGeneration: (item) => ({
    fields: shortFields({
      status: camelCase(item['status']),
      revisedPrompt: item['revised_prompt'],
      savedPath: item['saved_path'],
    }),
  }),
  enteredReviewMode: (item) => ({ fields: shortFields({ review: item['review'] }) }),
  exitedReviewMode: (item) => ({ body: textBody('review', asOutputText(item['review'])) }),
  contextCompaction: () => ({}),
};

function rawItem(item: JsonObject): Pick<ItemDraft, 'fields' | 'body'> {
  return { body: outputBody('raw', jsonText(item)) };
}

/** The text of a user message, and what came with it: images, audio, skills, mentions. */
function messageContent(item: JsonObject): Pick<ItemDraft, 'fields' | 'body'> {
  const parts = (asArray(item['content']) ?? []).map((part) => asObject(part) ?? {});
  const isText = (part: JsonObject) => part['type'] === 'text' || part['type'] === 'Text';
  const attachments = parts.filter((part) => !isText(part)).map(attachment);
  return {
    fields: shortFields({ attachments: attachments.length > 0 ? attachments : undefined }),
    body: textBody('text', joinTexts(parts.filter(isText))),
  };
}

function attachment(part: JsonObject): Record<string, unknown> {
  const { type, ...rest } = part;
  const fields = Object.entries(rest).map(([key, value]) => [
    key,
    typeof value === 'string' ? shortText(value) : value,
  ]);
  return { type: camelCase(type), ...Object.fromEntries(fields) };
}

function agentsStates(states: JsonObject | undefined): Record<string, unknown> | undefined {
  if (!states) return undefined;
  const entries = Object.entries(states).map(([id, state]) => [id, camelCase(state) ?? state]);
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function joinTexts(parts: unknown): string {
  return texts(parts).join('');
}

function texts(parts: unknown): string[] {
  const list = asArray(parts) ?? (parts === undefined ? [] : [parts]);
  return list.map((part) => asString(part) ?? asString(asObject(part)?.['text']) ?? '').filter((text) => text !== '');
}
