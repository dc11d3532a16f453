import {
  EVENT_TYPES,
  LINE_TYPES,
  type LineType,
  RESPONSE_ITEM_TYPES,
  type TypeFacts,
  typeFacts,
} from './line-types.js';

/** The types that the beginning of a line tells. */
export interface LineHead extends LineType {
  /** What is known of the type; undefined for a type that is not known. */
  readonly facts: TypeFacts | undefined;
}

const HEAD =
  /^\{\s*"timestamp"\s*:\s*"[^"\\]*"\s*,\s*(?:"ordinal"\s*:\s*\d+\s*,\s*)?"type"\s*:\s*"(\w+)"\s*,\s*"payload"\s*:\s*\{\s*(?:"type"\s*:\s*"(\w+)")?/;

/**
 * What the beginning of a line tells, without parsing it: undefined for a line that is laid out in another way, which has
 * to be parsed. The rest of the line may still be damaged.
 */
export function readLineHead(prefix: string): LineHead | undefined {
  const match = HEAD.exec(prefix);
  const type = match?.[1];
  if (type === undefined) return undefined;
  const payloadType = match?.[2];
  const hasPayloadTypes = type === 'event_msg' || type === 'response_item';
  if (hasPayloadTypes && payloadType === undefined) return undefined;
  return { type, payloadType, facts: typeFacts({ type, payloadType }) };
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACE = 0x7d;
const SPACE = 0x20;
const DELETE = 0x7f;
const ZERO = 0x30;
const NINE = 0x39;

const TIMESTAMP = Buffer.from('{"timestamp":"');
const ORDINAL = Buffer.from(',"ordinal":');
const TYPE = Buffer.from(',"type":"');
const PAYLOAD = Buffer.from(',"payload":{');
const PAYLOAD_TYPE = Buffer.from(',"payload":{"type":"');
const MESSAGE = Buffer.from(',"message":"');
const THREAD_ID = Buffer.from(',"thread_id":"');
const TURN_ID = Buffer.from(',"turn_id":"');
const TURN_ID_KEY = '"turn_id"';
const ITEM_TYPE = Buffer.from(',"item":{"type":"');
const ITEM_ID = Buffer.from(',"id":"');

/** Enough of a line to tell its type where it is not laid out as Codex does. */
const HEAD_BYTES = 200;

/** The ids of the item that a line carries. A legacy message names none: it belongs to the open turn. */
export type ItemHead =
  | { readonly turnId: string; readonly itemId: string }
  | { readonly turnId?: undefined; readonly itemId?: undefined };

const MESSAGE_WITHOUT_ID: ItemHead = {};

/**
 * Reads the beginnings of lines as bytes. Making a string of each line and matching it takes longer than reading the file.
 * This class knows the layout that Codex writes, which has no spaces; it gives any other layout to `readLineHead`.
 */
export class HeadReader {
  #bytes: Buffer = Buffer.alloc(0);
  #to = 0;
  /** The types of the last line when it is an event or response item in Codex's layout; else undefined. */
  #fastHead: LineHead | undefined;
  /** The place after the type of that event. */
  #end = -1;
  #lastTurnId = '';
  #lastTurnIdBytes: Buffer = Buffer.alloc(0);

  /** The types that a line's beginning tells; undefined where the whole line has to be parsed. */
  head(bytes: Buffer, from: number, to: number): LineHead | undefined {
    this.#bytes = bytes;
    this.#to = to;
    return this.#readFast(from) ?? readLineHead(bytes.toString('latin1', from, Math.min(to, from + HEAD_BYTES)));
  }

  /** The ids of the item in the last line, read from its beginning; undefined when that does not suffice. */
  item(): ItemHead | undefined {
    if (this.#bytes[this.#to - 1] !== BRACE) return undefined;
    switch (this.#fastHead?.payloadType) {
      case 'agent_message':
        return this.#isMessage(this.#skipWord(MESSAGE, this.#end)) ? MESSAGE_WITHOUT_ID : undefined;
      case 'item_completed':
        return this.#completedItem();
      default:
        return undefined;
    }
  }

  #completedItem(): ItemHead | undefined {
    const turnFrom = this.#skipWord(TURN_ID, this.#skipString(this.#skipWord(THREAD_ID, this.#end)));
    const turnTo = this.#findStringEnd(turnFrom);
    const idFrom = this.#skipWord(
      ITEM_ID,
      this.#skipString(this.#skipWord(ITEM_TYPE, turnTo === -1 ? -1 : turnTo + 1)),
    );
    const idTo = this.#findStringEnd(idFrom);
    if (idTo === -1) return undefined;
    return { turnId: this.#turnId(turnFrom, turnTo), itemId: this.#bytes.toString('utf8', idFrom, idTo) };
  }

  /** True when the message is certainly an item of the open turn: its text is not blank, and it names no turn. */
  #isMessage(textFrom: number): boolean {
    const first = textFrom === -1 ? SPACE : (this.#bytes[textFrom] ?? SPACE);
    const isVisible = first > SPACE && first < DELETE && first !== QUOTE && first !== BACKSLASH;
    return isVisible && !this.#bytes.subarray(textFrom, this.#to).includes(TURN_ID_KEY);
  }

  #readFast(from: number): LineHead | undefined {
    this.#fastHead = undefined;
    const afterTime = this.#skipString(this.#skipWord(TIMESTAMP, from));
    const typeFrom = this.#skipWord(TYPE, this.#skipOrdinal(afterTime));
    const typeTo = this.#findStringEnd(typeFrom);
    if (typeTo === -1) return undefined;
    const types = LINES.at(this.#bytes, typeFrom, typeTo);
    if (!types) return undefined;
    if (!(types instanceof WordTable)) return this.#skipWord(PAYLOAD, typeTo + 1) === -1 ? undefined : types;
    const payloadFrom = this.#skipWord(PAYLOAD_TYPE, typeTo + 1);
    const payloadTo = this.#findStringEnd(payloadFrom);
    const head = payloadTo === -1 ? undefined : types.at(this.#bytes, payloadFrom, payloadTo);
    this.#fastHead = head;
    this.#end = payloadTo + 1;
    return head;
  }

  #skipOrdinal(at: number): number {
    let next = this.#skipWord(ORDINAL, at);
    if (next === -1) return at;
    for (; next < this.#to; next += 1) {
      const byte = this.#bytes[next] ?? 0;
      if (byte < ZERO || byte > NINE) return next;
    }
    return -1;
  }

  /** The offset after `word` when the bytes at `at` are that word; else -1. */
  #skipWord(word: Buffer, at: number): number {
    if (at === -1 || at + word.length > this.#to) return -1;
    return isWordAt(word, this.#bytes, at, at + word.length) ? at + word.length : -1;
  }

  /** The offset after the closing quote of a string whose text begins at `at`; -1 when not found. */
  #skipString(at: number): number {
    const end = this.#findStringEnd(at);
    return end === -1 ? -1 : end + 1;
  }

  /** The quote that ends a string; -1 where it has an escape or does not end. */
  #findStringEnd(at: number): number {
    if (at === -1) return -1;
    for (let index = at; index < this.#to; index += 1) {
      const byte = this.#bytes[index];
      if (byte === QUOTE) return index;
      if (byte === BACKSLASH) return -1;
    }
    return -1;
  }

  /** Lines of one turn stand together: its id is made a string once. */
  #turnId(from: number, to: number): string {
    if (!isWordAt(this.#lastTurnIdBytes, this.#bytes, from, to)) {
      this.#lastTurnIdBytes = Buffer.from(this.#bytes.subarray(from, to));
      this.#lastTurnId = this.#lastTurnIdBytes.toString('utf8');
    }
    return this.#lastTurnId;
  }
}

/** Known words, found by their bytes. Of two words with one hash the first is not found; `readLineHead` then finds it. */
class WordTable<T> {
  readonly #words = new Map<number, { readonly bytes: Buffer; readonly value: T }>();

  constructor(words: Iterable<readonly [string, T]>) {
    for (const [word, value] of words) {
      const bytes = Buffer.from(word);
      this.#words.set(hash(bytes, 0, bytes.length), { bytes, value });
    }
  }

  at(bytes: Buffer, from: number, to: number): T | undefined {
    const known = this.#words.get(hash(bytes, from, to));
    return known && isWordAt(known.bytes, bytes, from, to) ? known.value : undefined;
  }
}

/** A loop, because calling `Buffer.compare` takes longer for words this short. */
function isWordAt(word: Buffer, bytes: Buffer, from: number, to: number): boolean {
  if (word.length !== to - from) return false;
  for (let index = 0; index < word.length; index += 1) if (bytes[from + index] !== word[index]) return false;
  return true;
}

function hash(bytes: Buffer, from: number, to: number): number {
  let value = 0;
  for (let index = from; index < to; index += 1) value = (value * 31 + (bytes[index] ?? 0)) | 0;
  return value;
}

function payloads(type: string, types: Readonly<Record<string, TypeFacts>>): WordTable<LineHead> {
  return new WordTable(
    Object.entries(types).map(([payloadType, facts]) => [payloadType, { type, payloadType, facts }]),
  );
}

const LINES = new WordTable<LineHead | WordTable<LineHead>>([
  ...Object.entries(LINE_TYPES).map(([type, facts]) => [type, { type, payloadType: undefined, facts }] as const),
  ['event_msg', payloads('event_msg', EVENT_TYPES)],
  ['response_item', payloads('response_item', RESPONSE_ITEM_TYPES)],
]);
