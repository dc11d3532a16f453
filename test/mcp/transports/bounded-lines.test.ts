import { expect, it } from 'vitest';
import { BoundedLines, type DroppedLine } from '../../../src/mcp/transports/bounded-lines.js';

const LONG = 'x'.repeat(9 * 1024 * 1024);

async function through(text: string, pieces = 1): Promise<{ passed: string; dropped: DroppedLine[] }> {
  const dropped: DroppedLine[] = [];
  const lines = new BoundedLines((line) => dropped.push(line));
  const size = Math.ceil(text.length / pieces);
  for (let at = 0; at < text.length; at += size) lines.write(text.slice(at, at + size));
  lines.end();
  let passed = '';
  for await (const chunk of lines) passed += String(chunk);
  return { passed, dropped };
}

it('a request that is too long is dropped, the others pass, and its id is found at either end', async () => {
  const first = JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'm', params: { text: LONG, id: 9 } });
  const last = JSON.stringify({ method: 'm', params: { id: 9, text: LONG }, jsonrpc: '2.0', id: 'a-b' });
  const none = JSON.stringify({ method: 'm', params: { text: LONG, more: { id: 9 } } });
  const { passed, dropped } = await through(`{"id":1}\n${first}\n{"id":2}\n${last}\n${none}\n{"id":3}\n`, 333);
  expect(passed).toBe('{"id":1}\n{"id":2}\n{"id":3}\n');
  expect(dropped.map(({ id }) => id)).toEqual([7, 'a-b', null]);
  expect(dropped[0]?.bytes).toBe(first.length + 1);
});
