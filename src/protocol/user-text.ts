import { asArray, asObject, asString, type JsonObject } from './json.js';

const REQUEST_MARKER = '## My request for Codex:';

/** What a person asked: the text after the first request marker, if there is one, trimmed. Never cut. */
function requestText(text: string): string {
  const at = text.indexOf(REQUEST_MARKER);
  return (at === -1 ? text : text.slice(at + REQUEST_MARKER.length)).trim();
}

/** What the first user message says of a thread. A message of images alone makes a label, but no title. */
export interface UserText {
  readonly text: string;
  readonly isLabel: boolean;
}

/**
 * The user's words in an event_msg payload: legacy `user_message`, or a paginated `item_completed` UserMessage.
 * Raw response items of role user never count: they carry context and instructions (docs/codex-home.md, Titles).
 */
export function parseUserText(event: JsonObject): UserText | undefined {
  if (event['type'] === 'user_message') {
    const images = length(event['images']) + length(event['local_images']);
    const audio = length(event['audio']) + length(event['local_audio']);
    return userText(asString(event['message']) ?? '', images, audio);
  }
  const item = event['type'] === 'item_completed' ? asObject(event['item']) : undefined;
  if (item?.['type'] !== 'UserMessage') return undefined;
  const parts = (asArray(item['content']) ?? []).map(asObject);
  const ofType = (pattern: RegExp) => parts.filter((part) => pattern.test(asString(part?.['type']) ?? ''));
  const text = ofType(/^text$/i).map((part) => asString(part?.['text']) ?? '');
  return userText(text.join(''), ofType(/image/i).length, ofType(/audio/i).length);
}

function userText(message: string, images: number, audio: number): UserText | undefined {
  const text = requestText(message);
  if (text !== '') return { text, isLabel: false };
  if (images > 0) return { text: '[Image]', isLabel: true };
  if (audio > 0) return { text: '[Audio]', isLabel: true };
  return undefined;
}

function length(value: unknown): number {
  return asArray(value)?.length ?? 0;
}
