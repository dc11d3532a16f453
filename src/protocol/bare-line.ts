import { asThreadId } from './ids.js';
import { asArray, asObject, asString, type JsonObject } from './json.js';
import { RESPONSE_ITEM_TYPES } from './line-types.js';

/**
 * Lines of rollouts of mid-2025 had no envelope: a first line `{id, timestamp, instructions, git?}`, response items as
 * they are, and `{record_type: "state"}` between them. Codex 0.169 reads none of these; here they are read.
 */
export interface BareLine {
  readonly type: 'session_meta' | 'response_item' | 'record_state';
  readonly timestamp: string;
  readonly payload: JsonObject;
}

/** The line in a value without an envelope; undefined for any other value. */
export function bareLine(value: JsonObject): BareLine | undefined {
  if ('payload' in value) return undefined;
  const timestamp = asString(value['timestamp']) ?? '';
  const type = asString(value['type']);
  if (type !== undefined) {
    const isItem = Object.hasOwn(RESPONSE_ITEM_TYPES, type);
    return isItem ? { type: 'response_item', timestamp, payload: value } : undefined;
  }
  if (asString(value['record_type']) !== undefined) return { type: 'record_state', timestamp, payload: value };
  const isMeta = asThreadId(value['id']) !== undefined && timestamp !== '';
  return isMeta ? { type: 'session_meta', timestamp, payload: { cwd: '', ...value } } : undefined;
}

/** What the program said to the model in the place of a user: no person's words. */
const CONTEXT = /^\s*<(?:environment_context|user_instructions|permissions|skills|turn_aborted|system)\b/i;

/** The texts of a bare message, joined; undefined where it is no message of a person or the agent. */
export function bareMessage(
  item: JsonObject,
): { readonly role: 'user' | 'assistant'; readonly text: string } | undefined {
  const { role } = item;
  if (item['type'] !== 'message' || (role !== 'user' && role !== 'assistant')) return undefined;
  const text = textOf(item);
  return text === '' || (role === 'user' && CONTEXT.test(text)) ? undefined : { role, text };
}

/** The directory that an environment context names. */
export function bareCwd(item: JsonObject): string | undefined {
  if (item['type'] !== 'message' || item['role'] !== 'user') return undefined;
  const text = textOf(item);
  if (!/^\s*<environment_context>/.test(text)) return undefined;
  return (/<cwd>([^<]+)<\/cwd>/.exec(text) ?? /^\s*Current working directory: (.+)$/m.exec(text))?.[1]?.trim();
}

function textOf(item: JsonObject): string {
  const parts = asArray(item['content'])?.map((part) => asString(asObject(part)?.['text']) ?? '') ?? [];
  return parts.filter((part) => part !== '').join('\n');
}
