import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { describe, expect, it, onTestFinished } from 'vitest';
import { OurServer, PROJECT, type ThreadList } from './support/mcp-client.js';
import { onlySqliteHome, openStateDb } from './support/state-db.js';
import { addRow, TestHome } from './support/test-home.js';

const MAIN = path.join(PROJECT, 'dist/main.js');

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program to its end; `act` may talk to it. */
async function run(
  args: readonly string[],
  act: (child: ReturnType<typeof spawn>) => void = (child) => child.stdin?.end(),
  options: { nodeArgs?: readonly string[]; env?: Record<string, string>; until?: RegExp } = {},
): Promise<Ended> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', ...options.env };
  const child = spawn(process.execPath, [...(options.nodeArgs ?? []), MAIN, ...args], { env, stdio: 'pipe' });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (data) => {
    stdout += data;
  });
  child.stderr.on('data', (data) => {
    stderr += data;
    if (options.until?.test(stderr)) child.stdin.end();
  });
  child.stdin.on('error', () => {});
  act(child);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, stdout, stderr };
}

const request = (id: number, method: string, params: object = {}) =>
  `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
const INITIALIZE = request(0, 'initialize', {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 't', version: '1' },
});

describe('the command line', () => {
  it('prints its usage and its version', async () => {
    const help = await run(['--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    for (const flag of ['--home', '--sqlite-home', '--no-state-db', '--read-only', '--help', '--version'])
      expect(help.stdout).toContain(flag);
    const { version } = JSON.parse(readFileSync(path.join(PROJECT, 'package.json'), 'utf8'));
    expect(await run(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n` });
  });

  it.each([[['--bogus']], [['--home']], [['--home', '']], [['positional']], [['--read-only=maybe']]])(
    'refuses %j',
    async (args) => {
      const { code, stdout, stderr } = await run(args);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toContain('--help');
    },
  );

  it('answers a Node that is too old with one line, before it loads anything native', async () => {
    const old =
      "data:text/javascript,Object.defineProperty(process,'versions',{value:{...process.versions,node:'20.20.2'}})";
    const { code, stderr } = await run([], undefined, { nodeArgs: ['--import', old] });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^threadkeeper needs Node 22 or newer, and this is Node 20\.20\.2.*\n$/);
  });
});

describe('the process', () => {
  it('answers what was asked before stdin closed, then ends, its stdout all protocol', async () => {
    const home = new TestHome();
    home.rollout({ turns: [['q', 'a']] });
    const { code, stdout, stderr } = await run(['--home', home.root], (child) => {
      const list = request(1, 'tools/call', { name: 'list_threads', arguments: {} });
      const start = request(2, 'tools/call', { name: 'start_thread', arguments: { cwd: '/w', message: 'Hi' } });
      child.stdin?.end(`${INITIALIZE}${list}${start}`);
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const messages = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(messages.map(({ id }) => id).sort()).toEqual([0, 1, 2]);
    expect(messages.find(({ id }) => id === 1).result.structuredContent).toHaveProperty('total');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('ends on %s', async (signal) => {
    const home = new TestHome();
    const { code } = await run(['--home', home.root], (child) => {
      child.stdin?.write(INITIALIZE);
      child.stdout?.once('data', () => child.kill(signal));
    });
    expect(code).toBe(0);
  });

  it.each(['stdin', 'SIGTERM', 'SIGINT'] as const)(
    'ends on %s while it still waits for its index, long before that wait is over',
    async (how) => {
      const home = new TestHome();
      home.rollout({ turns: [['q', 'a']] });
      (await openStateDb({ homes: onlySqliteHome(home.root), readOnly: false, indexUse: 'create' })).stateDb?.close();
      const holder = new Database(path.join(home.root, 'threadkeeper.sqlite'));
      onTestFinished(() => void holder.close());
      holder.exec('BEGIN IMMEDIATE');
      // The wait is ten minutes, the time of this test twenty seconds.
      const { code } = await run(['--home', home.root, '--backfill-wait', '600'], (child) => {
        child.stdin?.write(`${INITIALIZE}${request(1, 'tools/call', { name: 'list_threads', arguments: {} })}`);
        child.stdout?.once('data', () => (how === 'stdin' ? child.stdin?.end() : child.kill(how)));
      });
      expect(code).toBe(0);
    },
    20_000,
  );

  it('writes what was appended and lets go of its locks when it ends', async () => {
    const home = new TestHome();
    const { id, file } = home.rollout({ turns: [['q', 'a']] });
    const append = {
      name: 'append_to_thread',
      arguments: { threadId: id, items: [{ type: 'userMessage', text: 'last' }] },
    };
    const { code } = await run(['--home', home.root], (child) => {
      child.stdin?.end(`${INITIALIZE}${request(1, 'tools/call', append)}`);
    });
    expect(code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('"message":"last"');
    expect(readdirSync(path.join(home.root, 'thread-writer-locks'))).toEqual(['.coordination.lock']);
  });

  it('says on stderr how far the index of a large home is', async () => {
    const home = new TestHome();
    for (let n = 0; n < 400; n += 1) home.rollout({ turns: [['q', 'a']] });
    // A clock that runs fast, so that two seconds between two lines pass.
    const fast = 'data:text/javascript,let t=Date.now();Date.now=()=>(t+=500)';
    const { stderr } = await run(['--home', home.root], (child) => child.stdin?.write(INITIALIZE), {
      nodeArgs: ['--import', fast],
      until: /indexing rollouts, \d+ of 400/,
    });
    expect(stderr).toMatch(/^threadkeeper: indexing rollouts, \d+ of 400$/m);
  });

  it('survives garbage on stdin', async () => {
    const home = new TestHome();
    const { code, stdout } = await run(['--home', home.root], (child) => {
      child.stdin?.end(`garbage\n{"jsonrpc":"2.0"}\n[]\n\n${'x'.repeat(100_000)}\n${INITIALIZE}`);
    });
    expect(code).toBe(0);
    const answers = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(answers.some(({ id, result }) => id === 0 && result)).toBe(true);
  });

  it('serves a home that does not exist as an empty one, and says so, and the home when it appears', async () => {
    const parent = new TestHome();
    const missing = path.join(parent.root, 'later');
    const server = await new OurServer(missing).start();
    expect(await server.call('list_threads', {})).toMatchObject({
      total: 0,
      warnings: [expect.stringContaining(`The home ${missing} does not exist yet`)],
    });
    expect(readdirSync(parent.root)).toEqual(['sessions']);
    const other = new TestHome();
    other.rollout();
    renameSync(other.root, missing);
    expect((await server.call<ThreadList>('list_threads', {})).total).toBe(1);
    await server.stop();
  });

  it('takes home and SQLite home from flags, environment and config.toml', async () => {
    const home = new TestHome();
    const elsewhere = new TestHome();
    const { id, file } = home.rollout();
    addRow(elsewhere.stateDb(), { id, rollout_path: file, title: 'named in the DB' });
    const nameSeen = async (flags: string[], env: Record<string, string>) => {
      const server = await new OurServer(home.root, flags, env).start();
      const { threads } = await server.call<ThreadList>('list_threads', {});
      await server.stop();
      return threads[0]?.name;
    };
    expect(await nameSeen([], {})).toBeUndefined();
    expect(await nameSeen(['--sqlite-home', elsewhere.root], {})).toBe('named in the DB');
    expect(await nameSeen([], { CODEX_SQLITE_HOME: elsewhere.root })).toBe('named in the DB');
    writeFileSync(path.join(home.root, 'config.toml'), `sqlite_home = ${JSON.stringify(elsewhere.root)}\n`);
    expect(await nameSeen([], {})).toBe('named in the DB');
    expect(await nameSeen(['--no-state-db'], {})).toBeUndefined();
    mkdirSync(path.join(home.root, 'empty'));
    expect(await nameSeen(['--sqlite-home', path.join(home.root, 'empty')], {})).toBeUndefined();
  });

  it('says on stderr why it has no state DB', async () => {
    const home = new TestHome();
    writeFileSync(path.join(home.root, 'state_5.sqlite'), 'garbage '.repeat(1000));
    const { stderr, code } = await run(['--home', home.root], (child) => child.stdin?.end(INITIALIZE));
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /^threadkeeper: serving from the rollout files, and changing no thread, without the state DB: \S+state_5\.sqlite: .*\n$/,
    );
  });

  it('tells a person in a terminal what it serves and how to attach it', async () => {
    const home = new TestHome();
    home.rollout();
    home.rollout({ archived: true });
    const terminal = spawn('script', ['-qec', `${process.execPath} ${MAIN} --home ${home.root}`, '/dev/null'], {
      stdio: 'pipe',
    });
    let text = '';
    const greeted = new Promise<void>((resolve) => {
      terminal.stdout.on('data', (data) => {
        text += data;
        if (text.includes('Ctrl+C')) resolve();
      });
    });
    await greeted;
    terminal.stdin.write('\u0003');
    await new Promise((resolve) => terminal.once('close', resolve));
    expect(text).toContain(home.root);
    expect(text).toContain('2 threads, 1 of them archived');
    expect(text).toContain('claude mcp add');
  });
});

describe('mcp.json', () => {
  it('starts the server from the checkout, whatever Node comes first', async () => {
    const { mcpServers } = JSON.parse(readFileSync(path.join(PROJECT, 'mcp.json'), 'utf8'));
    const { command, args } = mcpServers.threadkeeper;
    const home = new TestHome();
    home.rollout();
    // As an assistant would start it: without this test's PATH, which has Node 24 first.
    const PATH = (process.env['PATH'] ?? '')
      .split(':')
      .filter((directory) => !directory.includes('node_modules'))
      .join(':');
    const env = { ...process.env, PATH };
    const child = spawn(command, [...args, '--home', home.root], {
      cwd: PROJECT,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stdin.end(`${INITIALIZE}${request(1, 'tools/call', { name: 'list_threads', arguments: {} })}`);
    await new Promise((resolve) => child.once('close', resolve));
    const messages = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(messages[1].result.structuredContent.total).toBe(1);
  });
});
