import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { expect, it } from 'vitest';
import { OurServer, type ThreadList, type ThreadReading } from '../support/mcp-client.js';
import { event, legacyTurn, TestHome } from '../support/test-home.js';

const GIGABYTE = 1024 ** 3;

it('a rollout of 2 GB with a line of 200 MB is listed, read and patched in bounded memory', async () => {
  const home = new TestHome();
  const { id, file } = home.rollout({ turns: [['the first question', 'x']] });
  const fd = openSync(file, 'a');
  writeSync(
    fd,
    '{"timestamp":"2026-11-20T10:00:00.000Z","type":"event_msg","payload":{"type":"agent_message","message":"',
  );
  for (let megabyte = 0; megabyte < 200; megabyte += 1) writeSync(fd, 'y'.repeat(1024 * 1024));
  writeSync(fd, '"}}\n');
  // The bulk is one hole of zeros: a line that parses as nothing, at no cost in disk space.
  ftruncateSync(fd, 2 * GIGABYTE);
  const timestamp = '2026-11-20T10:00:00.000Z';
  const lines = [
    event({ type: 'noise' }),
    ...[1, 2, 3].flatMap((n) => legacyTurn(`late-${n}`, `question ${n}`, `answer ${n}`)),
  ];
  writeSync(fd, `\n${lines.map((line) => `${JSON.stringify({ timestamp, ...line })}\n`).join('')}`);
  closeSync(fd);

  const server = await new OurServer(home.root, ['--no-state-db']).start();
  const { turns } = await server.call<ThreadReading>('read_thread', { threadId: id, turnLimit: 3 });
  expect(turns?.map(({ turnId }) => turnId)).toEqual(['late-3', 'late-2', 'late-1']);
  const { threads } = await server.call<ThreadList>('list_threads', {});
  expect(threads[0]).toMatchObject({ threadId: id, preview: 'the first question' });
  const { thread } = await server.call<ThreadReading>('update_thread_metadata', {
    threadId: id,
    gitInfo: { branch: 'b' },
  });
  expect(thread.git).toEqual({ branch: 'b' });
  const all = await server.turnsOf(id);
  expect(all.map((turn) => turn.items.length)).toEqual([2, 1, 2, 2, 2]);
  expect(all[1]?.items[0]).toMatchObject({ type: 'agentMessage', tooLarge: expect.stringContaining('not read') });
  const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))?.[1]) / 1024;
  expect(peak).toBeLessThan(300);
  await server.stop();
}, 120_000);
