import { describe, expect, it } from 'vitest';
import { HeadReader, readLineHead } from '../../src/protocol/line-head.js';
import { EVENT_TYPES, LINE_TYPES, RESPONSE_ITEM_TYPES } from '../../src/protocol/line-types.js';

const TIME = '2026-10-01T10:00:00.000Z';
const events = Object.keys(EVENT_TYPES).map((type) => ['event_msg', { type, turn_id: 't' }] as const);
const responses = Object.keys(RESPONSE_ITEM_TYPES).map((type) => ['response_item', { type, id: 'r' }] as const);
const others = Object.keys(LINE_TYPES).map((type) => [type, { id: 'x', type: 'y' }] as const);
const lines = [...events, ...responses, ...others].flatMap(([type, payload]) => [
  JSON.stringify({ timestamp: TIME, type, payload }),
  JSON.stringify({ timestamp: TIME, ordinal: 1_234_567, type, payload }),
]);

/** A head reader on one line, which stands in the middle of a chunk. */
function reading(line: string) {
  const bytes = Buffer.from(`{"timestamp":"before"\n${line}\n"after"}`);
  const from = bytes.indexOf('\n') + 1;
  const reader = new HeadReader();
  return { head: reader.head(bytes, from, from + Buffer.byteLength(line)), item: reader.item() };
}

describe('the beginning of a line, read as bytes', () => {
  it('tells the same of every known type as the pattern does', () => {
    expect(lines.length).toBeGreaterThan(100);
    for (const line of lines) {
      const { type, payloadType, facts } = readLineHead(line) ?? {};
      const hasPayloadTypes = type === 'event_msg' || type === 'response_item';
      expect(reading(line).head).toEqual({ type, payloadType: hasPayloadTypes ? payloadType : undefined, facts });
    }
  });

  it.each([
    ['with spaces', `{ "timestamp": "${TIME}", "type": "event_msg", "payload": { "type": "task_started" } }`],
    ['of a type that is not known', JSON.stringify({ timestamp: TIME, type: 'new_type', payload: { type: 'x' } })],
    ['of an event that is not known', JSON.stringify({ timestamp: TIME, type: 'event_msg', payload: { type: 'x' } })],
    ['whose keys are in another order', JSON.stringify({ type: 'event_msg', timestamp: TIME, payload: {} })],
    ['with an escape in its time', '{"timestamp":"\\u0032","type":"event_msg","payload":{"type":"task_started"}}'],
    ['that is no JSON', 'garbage'],
    ['that is empty', ''],
    ['that ends in its type', `{"timestamp":"${TIME}","type":"event_m`],
    ['that ends in its ordinal', `{"timestamp":"${TIME}","ordinal":12`],
    [
      'whose ordinal is no number',
      `{"timestamp":"${TIME}","ordinal":"1","type":"event_msg","payload":{"type":"error"}}`,
    ],
    ['without a payload', `{"timestamp":"${TIME}","type":"compacted"}`],
    ['whose payload has its type late', `{"timestamp":"${TIME}","type":"event_msg","payload":{"a":1,"type":"error"}}`],
  ])('tells of a line %s what the pattern tells', (_, line) => {
    expect(reading(line).head).toEqual(readLineHead(line));
    expect(reading(line).item).toBeUndefined();
  });

  it('does not read on after the end of the line', () => {
    for (const line of lines.slice(0, 40)) {
      for (let length = 0; length < line.length; length += 1) {
        expect(reading(line.slice(0, length)).head?.facts).toEqual(readLineHead(line.slice(0, length))?.facts);
      }
    }
  });
});

describe('the item of a line, read as bytes', () => {
  const completed = (turnId: string, id: string) =>
    JSON.stringify({
      timestamp: TIME,
      ordinal: 7,
      type: 'event_msg',
      payload: { type: 'item_completed', thread_id: 'thread', turn_id: turnId, item: { type: 'AgentMessage', id } },
    });
  const message = JSON.stringify({
    timestamp: TIME,
    type: 'event_msg',
    payload: { type: 'agent_message', message: 'm' },
  });

  it('is named with its turn', () => {
    const reader = new HeadReader();
    for (const [turnId, itemId] of [
      ['turn-1', 'a'],
      ['turn-1', 'b'],
      ['turn-2', 'ä'],
      ['turn-1', 'c'],
    ] as const) {
      const bytes = Buffer.from(completed(turnId, itemId));
      reader.head(bytes, 0, bytes.length);
      expect(reader.item()).toEqual({ turnId, itemId });
    }
  });

  it('has no names when it is a legacy message', () => {
    expect(reading(message).item).toEqual({});
    expect(reading(message.replace('agent_message', 'user_message')).item).toBeUndefined();
  });

  it('is not told of a line that was torn off', () => {
    expect(reading(completed('turn', 'item').slice(0, -1)).item).toEqual({ turnId: 'turn', itemId: 'item' });
    expect(reading(completed('turn', 'item').slice(0, -3)).item).toBeUndefined();
    expect(reading(message.slice(0, -2)).item).toBeUndefined();
  });

  it('is not told of an id with an escape, or of other events', () => {
    expect(reading(completed('turn', 'a"b')).item).toBeUndefined();
    expect(reading(JSON.stringify({ timestamp: TIME, type: 'event_msg', payload: { type: 'error' } })).item).toBe(
      undefined,
    );
  });
});
