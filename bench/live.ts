import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { AppServer, startMock, writeConfig } from '../test/interop/rig/with-codex.mjs';
import type { ThreadReading } from '../test/support/mcp-client.js';
import { OurProcess } from './our-client.js';

/** How fast items are appended, in how many calls. */
export interface AppendRate {
  readonly name: string;
  readonly items: number;
  readonly calls: number;
  readonly itemsPerSecond: number;
  /** Milliseconds of a call. */
  readonly p50: number;
  readonly p99: number;
  readonly wrong: number;
}

export interface ResumeOfBig {
  readonly megabytes: number;
  /** Median milliseconds, and the growth of the peak memory in MB; -1 where it failed. */
  readonly codex: { readonly ms: number; readonly peakMB: number };
  readonly ours: { readonly ms: number; readonly peakMB: number };
}

const ITEMS = 10_000;
const MEGABYTES = 100;
const ROUNDS = 5;

/** Appends to one thread through the tool, one by one and in batches, and counts what came to be there. */
export async function benchAppend(): Promise<AppendRate[]> {
  const rates: AppendRate[] = [];
  for (const [name, size, flags] of [
    ['one by one', 1, []],
    ['in batches of 100', 100, []],
    ['one by one, fsync', 1, ['--durability', 'fsync']],
  ] as const) {
    rates.push(await withHome((home) => appendRate(home, name, size, flags)));
  }
  return rates;
}

async function appendRate(home: string, name: string, size: number, flags: readonly string[]): Promise<AppendRate> {
  // With Codex's DB, so that rows are written too.
  await withCodex(home, async () => {});
  const ours = new OurProcess(home, flags);
  await ours.init();
  const { thread } = await ours.call<ThreadReading>('start_thread', { cwd: home, message: 'go' });
  const { threadId } = thread;
  const total = flags.length > 0 ? ITEMS / 10 : ITEMS;
  const times: number[] = [];
  const started = performance.now();
  for (let n = 0; n < total; n += size) {
    const items = Array.from({ length: size }, (_, k) => ({
      type: 'agentMessage',
      text: `item ${n + k} ${'x'.repeat(200)}`,
    }));
    const before = performance.now();
    await ours.call('append_to_thread', { threadId, items });
    times.push(performance.now() - before);
  }
  const seconds = (performance.now() - started) / 1000;
  await ours.stop();
  const found = readFileSync(fileOf(home, threadId), 'utf8').match(/"agent_message","message":"item \d+ /g) ?? [];
  const different = new Set(found).size;
  times.sort((a, b) => a - b);
  const at = (share: number) => times[Math.floor(times.length * share)] ?? 0;
  return {
    name,
    items: total,
    calls: times.length,
    itemsPerSecond: total / seconds,
    p50: at(0.5),
    p99: at(0.99),
    wrong: total - different + (found.length - different),
  };
}

/** The first append to a cold thread of 100 MB beside Codex's `thread/resume` of it. */
export async function benchResume(): Promise<ResumeOfBig> {
  return await withHome(async (home) => {
    const id = '01a20000-0000-7000-8000-00000000b160';
    writeBigThread(home, id);
    const codex = await withCodex(home, async (server) => {
      const params = { threadId: id };
      return await timed(
        () => server.memory(),
        () => server.send('thread/resume', params),
        () => server.send('thread/unsubscribe', params),
      );
    });
    const ours = new OurProcess(home);
    await ours.init();
    const items = [{ type: 'agentMessage', text: 'on it goes' }];
    const result = await timed(
      () => ours.memory(),
      () => ours.call('append_to_thread', { threadId: id, items }),
      () => ours.call('close_thread', { threadId: id }),
    );
    await ours.stop();
    return { megabytes: MEGABYTES, codex, ours: result };
  });
}

async function timed(
  memory: () => { peakMB: number } | null,
  open: () => Promise<unknown>,
  close: () => Promise<unknown>,
): Promise<{ ms: number; peakMB: number }> {
  const before = memory()?.peakMB ?? 0;
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const started = performance.now();
    try {
      await open();
    } catch (error) {
      console.error(`  ${error instanceof Error ? error.message.slice(0, 200) : error}`);
      return { ms: -1, peakMB: -1 };
    }
    times.push(performance.now() - started);
    await close();
  }
  times.sort((a, b) => a - b);
  return { ms: times[Math.floor(ROUNDS / 2)] ?? 0, peakMB: (memory()?.peakMB ?? 0) - before };
}

function writeBigThread(home: string, id: string): void {
  const file = fileOf(home, id);
  mkdirSync(path.dirname(file), { recursive: true });
  const line = (type: string, payload: object) =>
    `${JSON.stringify({ timestamp: '2026-11-20T10:00:00.000Z', type, payload })}\n`;
  const meta = {
    id,
    session_id: id,
    timestamp: '2026-11-20T10:00:00.000Z',
    cwd: home,
    originator: 'bench',
    cli_version: '0.169.0',
    source: 'vscode',
    model_provider: 'mock',
    history_mode: 'legacy',
  };
  writeFileSync(file, line('session_meta', meta));
  const filler = 'lorem ipsum '.repeat(800);
  for (let turn = 0, size = 0; size < MEGABYTES * 1024 * 1024; turn += 1) {
    const text = [
      line('event_msg', { type: 'task_started', turn_id: `turn-${turn}`, started_at: 1_795_000_000 }),
      line('response_item', {
        type: 'message',
        role: 'user',
        content: [{ type: 'input_text', text: `question ${turn}` }],
      }),
      line('event_msg', { type: 'user_message', message: `question ${turn}` }),
      line('response_item', { type: 'function_call', name: 'shell', arguments: '{}', call_id: `call-${turn}` }),
      line('response_item', { type: 'function_call_output', call_id: `call-${turn}`, output: filler }),
      line('event_msg', { type: 'agent_message', message: `answer ${turn}` }),
      line('event_msg', { type: 'task_complete', turn_id: `turn-${turn}`, completed_at: 1_795_000_001 }),
    ].join('');
    appendFileSync(file, text);
    size += text.length;
  }
}

function fileOf(home: string, id: string): string {
  const { globSync } = process.getBuiltinModule('node:fs');
  const [found] = globSync(`sessions/*/*/*/*${id}.jsonl`, { cwd: home });
  return path.join(home, found ?? `sessions/2026/11/20/rollout-2026-11-20T10-00-00-${id}.jsonl`);
}

async function withHome<T>(action: (home: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-bench-live-'));
  const home = path.join(directory, 'codex-home');
  mkdirSync(home);
  try {
    return await action(home);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function withCodex<T>(home: string, action: (server: AppServer) => Promise<T>): Promise<T> {
  const mock = await startMock();
  writeConfig(home, mock.port);
  const server = new AppServer(home);
  try {
    await server.init();
    return await action(server);
  } finally {
    await server.stop();
    await mock.stop();
  }
}

export function liveReport(rates: readonly AppendRate[], { megabytes, codex, ours }: ResumeOfBig): string {
  const rows = rates.map(
    ({ name, items, calls, itemsPerSecond, p50, p99, wrong }) =>
      `| ${name} | ${items} | ${calls} | ${itemsPerSecond.toFixed(0)} | ${p50.toFixed(2)} / ${p99.toFixed(2)} | ${wrong} |`,
  );
  return `### Live threads

| append_to_thread | items | calls | items/s | p50 / p99 ms a call | missing or double |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

Loading a cold thread of ${megabytes} MB: Codex \`thread/resume\` ${codex.ms.toFixed(0)} ms and ${codex.peakMB.toFixed(0)} MB more memory at its peak, ours (load and append) ${ours.ms.toFixed(0)} ms and ${ours.peakMB.toFixed(0)} MB: ${(codex.ms / ours.ms).toFixed(1)}×.
`;
}
