import { spawn } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { forTerminal, jsonLine } from '../../src/cli/terminal-text.js';
import { PROJECT } from '../support/mcp-client.js';
import { runProgram } from '../support/program.js';
import { event, newId, TestHome } from '../support/test-home.js';

const MAIN = path.join(PROJECT, 'dist/main.js');

/** What a reader gets that begins to read late, and the exit code. */
async function readLate(args: readonly string[], input = '', pauseMs = 300): Promise<{ code: number; text: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.end(input);
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stdout.pause();
  const ended = new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? -1)));
  await sleep(pauseMs);
  child.stdout.resume();
  return { code: await ended, text: Buffer.concat(chunks).toString() };
}

/** A home whose list and whose one long thread are far over what a pipe holds. */
function largeHome(): { home: TestHome; id: string } {
  const home = new TestHome();
  for (let n = 0; n < 400; n += 1) home.rollout({ turns: [[`thread ${n} ${'of some length '.repeat(20)}`, 'a']] });
  const { id } = home.rollout({
    turns: Array.from({ length: 60 }, (_, n) => [`q${n}`, 'long answer '.repeat(400)] as const),
  });
  return { home, id };
}

describe('a result that is longer than a pipe holds', () => {
  it('comes whole through a pipe whose reader is slow', async () => {
    const { home, id } = largeHome();
    const flags = ['--no-state-db', '--home', home.root];
    const list = await readLate(['list', '--json', '--limit', '1000', ...flags]);
    expect([list.code, JSON.parse(list.text).threads.length]).toEqual([0, 401]);
    const shown = await readLate(['show', id, '--turns', '60', ...flags]);
    expect(shown.text.length).toBeGreaterThan(100_000);
    expect(shown.text).toContain('[userMessage] q59');
  });

  it('ends quietly when its reader goes', async () => {
    const { home } = largeHome();
    const command = `"${process.execPath}" "${MAIN}" list --limit 1000 --no-state-db --home "${home.root}"`;
    const child = spawn('bash', ['-c', `${command} | head -1; echo "\${PIPESTATUS[0]}"`]);
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (data) => {
      output.stdout += data;
    });
    child.stderr.on('data', (data) => {
      output.stderr += data;
    });
    await new Promise((resolve) => child.once('close', resolve));
    expect(output.stderr).toBe('');
    expect(output.stdout.trim().split('\n')).toEqual([expect.stringContaining('q0'), '0']);
  });

  it('reaches a client that closes stdin and then reads slowly', async () => {
    const { home, id } = largeHome();
    const call = (n: number) => ({
      jsonrpc: '2.0',
      id: n,
      method: 'tools/call',
      params: { name: 'read_thread', arguments: { threadId: id, turnLimit: 100 } },
    });
    const messages = [
      {
        jsonrpc: '2.0',
        id: 0,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
      },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      ...[1, 2, 3, 4, 5, 6, 7, 8].map(call),
    ];
    const input = messages.map((message) => `${JSON.stringify(message)}\n`).join('');
    const { code, text } = await readLate(['--home', home.root, '--no-state-db'], input, 1500);
    const answers = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect([code, answers.length]).toEqual([0, 9]);
  }, 40_000);
});

describe('what other people wrote, in a terminal', () => {
  const ESCAPES = 'clear \u001b[2J \u001b]52;c;aGk=\u0007 \u009b31m \u202e txt';

  it('shows control characters and keeps lines', () => {
    expect(forTerminal(`a\tb\r\nc ${ESCAPES}`)).toBe(
      'a\tb\nc clear \\x1b[2J \\x1b]52;c;aGk=\\x07 \\x9b31m \\u202e txt',
    );
    const line = jsonLine({ text: ESCAPES });
    expect(JSON.parse(line)).toEqual({ text: ESCAPES });
    expect(forTerminal(line)).toBe(line);
  });

  it('reaches no terminal raw: names, messages, directories, paths', async () => {
    const home = new TestHome();
    const { id } = home.rollout({
      meta: { cwd: `/home/dev/${ESCAPES}`, git: { branch: ESCAPES } },
      turns: [[ESCAPES, ESCAPES]],
    });
    home.name(home.rollout({ turns: [['q', 'a']] }).id, ESCAPES);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    const raw = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/;
    for (const args of [
      ['list'],
      ['list', '--json'],
      ['show', id],
      ['show', id, '--json'],
      ['doctor'],
      ['show', ESCAPES.replaceAll('\u0000', '')],
    ]) {
      const { stdout, stderr } = await runProgram([...args, '--home', home.root]);
      expect(stdout + stderr, args.join(' ')).not.toMatch(raw);
      expect((stdout + stderr).length).toBeGreaterThan(0);
    }
  });
});

describe('half of a surrogate pair', () => {
  const HALF = '\ud83d';
  const EMOJI = '😀';

  /** Lone halves in everything that a rollout and the name index hold, and emoji across every limit. */
  function home(): { home: TestHome; ids: string[] } {
    const made = new TestHome();
    const ids: string[] = [];
    const add = (meta: Record<string, unknown>, ...events: Record<string, unknown>[]) => {
      const { id } = made.rollout({ meta, lines: events.map(event) });
      ids.push(id);
      return id;
    };
    add({}, { type: 'user_message', message: `half ${HALF} here` }, { type: 'agent_message', message: HALF });
    add(
      { cwd: `/home/${HALF}`, git: { branch: HALF }, model_provider: HALF, agent_nickname: HALF },
      { type: 'user_message', message: 'x' },
      { type: 'exec_command_end', call_id: `c${HALF}`, command: ['echo', HALF], cwd: HALF, aggregated_output: HALF },
      { type: 'task_started', turn_id: HALF },
      { type: 'error', message: HALF },
    );
    const paginated = made.rollout({
      mode: 'paginated',
      lines: [
        event({ type: 'task_started', turn_id: 't' }),
        event({ type: 'item_completed', turn_id: 't', item: { type: 'Future', id: HALF, nested: { [HALF]: HALF } } }),
      ],
    });
    ids.push(paginated.id);
    // As programs of mid-2025 wrote: bare items, with arguments that are JSON in a string.
    const id = newId();
    const bare = [
      { id, timestamp: '2025-06-01T10:00:00.000Z', instructions: null },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: `half ${HALF}` }] },
      { type: 'function_call', name: HALF, arguments: JSON.stringify({ [HALF]: [HALF] }), call_id: 'c' },
      { type: 'function_call_output', call_id: 'c', output: HALF },
    ];
    ids.push(made.rollout({ id, raw: bare.map((line) => `${JSON.stringify(line)}\n`).join('') }).id);
    made.name(add({}, { type: 'user_message', message: 'x' }), `name ${HALF}`);
    for (const pad of ['', 'a']) {
      add(
        {},
        { type: 'user_message', message: pad + EMOJI.repeat(40_000) },
        {
          type: 'exec_command_end',
          call_id: 'c',
          command: [pad + EMOJI.repeat(3000)],
          aggregated_output: pad + EMOJI.repeat(20_000),
        },
        { type: 'agent_reasoning', text: pad + EMOJI.repeat(20_000) },
        { type: 'agent_reasoning', text: EMOJI.repeat(20_000) },
        { type: 'error', message: pad + EMOJI.repeat(3000) },
      );
    }
    return { home: made, ids };
  }

  it('is in no message of the server', async () => {
    const { home: made, ids } = home();
    const calls = [
      { name: 'list_threads', arguments: { limit: 100 } },
      { name: 'list_threads', arguments: { search: HALF } },
      { name: 'list_threads', arguments: { cwd: `/home/${HALF}` } },
      { name: 'read_thread', arguments: { threadId: HALF } },
      { name: `no_tool_${HALF}`, arguments: {} },
      { name: 'read_thread', arguments: { [HALF]: HALF } },
      ...ids.flatMap((threadId) =>
        [{}, { includeOutputs: true }, { includeOutputs: true, maxOutputCharsPerItem: 1001, order: 'oldestFirst' }].map(
          (more) => ({ name: 'read_thread', arguments: { threadId, ...more } }),
        ),
      ),
    ];
    const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } };
    const input = [
      { jsonrpc: '2.0', id: 'i', method: 'initialize', params },
      { jsonrpc: '2.0', method: 'notifications/initialized' },
      ...calls.map((call, id) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: call })),
    ];
    const text = input.map((message) => `${JSON.stringify(message)}\n`).join('');
    for (const flags of [['--no-state-db'], []]) {
      const { text: answers } = await readLate(['--home', made.root, ...flags], text, 0);
      const lines = answers.trim().split('\n');
      expect(lines).toHaveLength(calls.length + 1);
      for (const line of lines) expect(halvesIn(JSON.parse(line)), line.slice(0, 200)).toEqual([]);
    }
  }, 40_000);
});

/** Strings and keys of a JSON value that are not well-formed, those inside JSON texts included. */
function halvesIn(value: unknown): string[] {
  if (typeof value === 'string') {
    const inner = value.startsWith('{') ? halvesIn(JSON.parse(value)) : [];
    return value.isWellFormed() ? inner : [value];
  }
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => [...halvesIn(part), ...(key.isWellFormed() ? [] : [key])]);
}
