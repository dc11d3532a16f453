import { copyFileSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { OurServer, PROJECT, type ThreadList, type ThreadReading } from '../support/mcp-client.js';
import { startPostgres } from '../support/postgres-server.js';
import { newSchema, sql } from '../support/postgres-store.js';
import { turnTlsOn } from '../support/postgres-tls.js';
import { runProgram } from '../support/program.js';

const url = inject('postgresUrl');
const { password } = new URL(url);

const say = (text: string) => [{ type: 'agentMessage', text }];

interface Serving {
  readonly flags?: readonly string[];
  readonly store?: string;
  readonly env?: Readonly<Record<string, string>>;
}

async function serving(schema: string, { flags = [], store = url, env = {} }: Serving = {}): Promise<OurServer> {
  const all = { THREADKEEPER_STORE: store, ...env };
  const server = await new OurServer(undefined, ['--schema', schema, ...flags], all).start();
  onTestFinished(() => server.stop());
  return server;
}

async function started(server: OurServer, args: object = {}): Promise<string> {
  const { thread } = await server.call<ThreadReading>('start_thread', { cwd: '/code', message: 'Hello', ...args });
  return thread.threadId;
}

async function textsOf(server: OurServer, threadId: string): Promise<unknown[]> {
  const turns = await server.turnsOf(threadId);
  return turns.flatMap(({ items }) => items.map((item) => item['text']));
}

describe('two servers on one database', () => {
  it('see what the other writes, and write one thread one at a time', async () => {
    const schema = newSchema();
    const [a, b] = [await serving(schema), await serving(schema)];
    const threadId = await started(a, { name: 'Shared' });
    expect((await b.call<ThreadList>('list_threads', { search: 'shared' })).total).toBe(1);
    const refused = await b.failure('append_to_thread', { threadId, items: say('b') });
    expect(refused).toMatchObject({ code: 'conflict', hint: expect.stringContaining('close_thread') });
    expect(await b.failure('archive_thread', { threadId })).toMatchObject({ code: 'conflict' });
    await b.call('set_thread_name', { threadId, name: 'Renamed by b' });
    await a.call('append_to_thread', { threadId, items: say('a') });
    await a.call('close_thread', { threadId });
    await b.call('append_to_thread', { threadId, items: say('b') });
    expect(await textsOf(a, threadId)).toEqual(['Hello', 'a', 'b']);
    expect((await a.call<ThreadReading>('read_thread', { threadId })).thread.name).toBe('Renamed by b');
  });

  it('do not write with a hold that ran out while the process was stopped', async () => {
    const schema = newSchema();
    const flags = ['--lease', '1'];
    const [a, b] = [await serving(schema, { flags }), await serving(schema, { flags })];
    const threadId = await started(a);
    // Renewed for longer than it lasts.
    await sleep(1500);
    expect(await b.failure('append_to_thread', { threadId, items: say('early') })).toMatchObject({ code: 'conflict' });
    process.kill(a.pid, 'SIGSTOP');
    try {
      await sleep(1500);
      await b.call('append_to_thread', { threadId, items: say('b took over') });
    } finally {
      process.kill(a.pid, 'SIGCONT');
    }
    expect(await a.failure('append_to_thread', { threadId, items: say('late') })).toMatchObject({ code: 'conflict' });
    expect(await textsOf(a, threadId)).toEqual(['Hello', 'b took over']);
    await b.call('append_to_thread', { threadId, items: say('still b') });
    await b.call('close_thread', { threadId });
    await a.call('append_to_thread', { threadId, items: say('a again') });
    expect(await textsOf(b, threadId)).toEqual(['Hello', 'b took over', 'still b', 'a again']);
    const [row] = await sql(`SELECT count(*)::int AS count FROM ${schema}.items WHERE payload::text LIKE '%late%'`);
    expect(row?.['count']).toBe(0);
  });

  it('wait no longer than the lease for a server that was killed', async () => {
    const schema = newSchema();
    const [a, b] = [await serving(schema, { flags: ['--lease', '2'] }), await serving(schema)];
    const threadId = await started(a);
    process.kill(a.pid, 'SIGKILL');
    const refused = await b.failure('append_to_thread', { threadId, items: say('b') });
    expect(refused).toMatchObject({ code: 'conflict', hint: expect.stringMatching(/again in [12] s/) });
    await sleep(2000);
    await b.call('append_to_thread', { threadId, items: say('b') });
    expect(await textsOf(b, threadId)).toEqual(['Hello', 'b']);
  });
});

describe('a server on a database', () => {
  it('makes no file anywhere', async () => {
    const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-nothing-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const server = await serving(newSchema(), { env: { HOME: directory, TMPDIR: directory, CODEX_HOME: directory } });
    const threadId = await started(server);
    await server.call('fork_thread', { threadId });
    await server.call('set_thread_name', { threadId, name: 'x' });
    await server.call('close_thread', { threadId });
    await server.call('archive_thread', { threadId });
    await server.call('list_threads', { archived: 'include' });
    const opened = readdirSync(`/proc/${server.pid}/fd`).flatMap((fd) => linkOf(server.pid, fd));
    expect(opened.filter((target) => /sqlite|jsonl/.test(target))).toEqual([]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it('that changes nothing offers only the tools that read, and makes no table', async () => {
    const schema = newSchema();
    const server = await serving(schema, { flags: ['--read-only'] });
    const { tools } = await server.client.listTools();
    expect(tools.map(({ name }) => name)).toEqual(['list_threads', 'read_thread']);
    expect(await server.failure('list_threads', {})).toMatchObject({ code: 'unsupported' });
    expect(await sql('SELECT FROM pg_namespace WHERE nspname = $1', [schema])).toEqual([]);
    await started(await serving(schema));
    expect((await server.call<ThreadList>('list_threads', {})).total).toBe(1);
  });

  it('shows its credentials nowhere', async () => {
    const server = await new OurServer(undefined, ['--store', url, '--schema', newSchema()]).start();
    onTestFinished(() => server.stop());
    const wrong = url.replace(password, 'wrong-password');
    const refused = await serving(newSchema(), { store: wrong });
    const error = await refused.failure('list_threads', {});
    expect(error).toMatchObject({ code: 'internal', message: expect.stringContaining('password') });
    const shown = [
      readFileSync(`/proc/${server.pid}/cmdline`, 'utf8'),
      JSON.stringify(error),
      refused.stderr,
      (await runProgram(['list', '--store', wrong])).stderr,
      (await runProgram(['list', '--stor', wrong])).stderr,
      (await runProgram([wrong])).stderr,
      (await runProgram(['list', '--store', wrong.replace(/:\d+\//, ':bad/')])).stderr,
      (await runProgram(['list', '--store', `${wrong}?sslmode=wrong`])).stderr,
    ].join('\n');
    expect(shown).not.toMatch(/wrong-password|postgres:\/\//);
    expect(shown).not.toContain(password);
    expect(shown).not.toContain(decodeURIComponent(password));
  });

  it('answers while the database is away, and goes on when it is back', { timeout: 60_000 }, async () => {
    const database = await startPostgres();
    onTestFinished(() => database.stop());
    const server = await serving('threadkeeper', { store: database.url });
    const threadId = await started(server);
    await database.pause();
    for (const [tool, args] of [
      ['list_threads', {}],
      ['append_to_thread', { threadId, items: say('lost') }],
    ] as const) {
      const error = await server.failure(tool, args);
      expect(error).toMatchObject({ code: 'internal', message: expect.stringContaining('cannot be reached') });
      expect(error.hint).toContain(tool === 'list_threads' ? 'PostgreSQL' : 'do not send them again');
    }
    const late = await serving('threadkeeper', { store: database.url });
    expect((await late.client.listTools()).tools).toHaveLength(10);
    expect((await late.failure('list_threads', {})).message).toContain('cannot be reached');
    await database.resume();
    expect((await late.call<ThreadList>('list_threads', {})).total).toBe(1);
    await server.call('append_to_thread', { threadId, items: say('after') });
    const texts = await textsOf(server, threadId);
    // What waited came first, as was promised.
    expect(texts).toEqual(['Hello', 'lost', 'after']);
    expect(server.stderr).not.toContain(new URL(database.url).password);
  });

  it('honours the TLS settings of the URL', { timeout: 60_000 }, async () => {
    const database = await startPostgres();
    onTestFinished(() => database.stop());
    const plain = await runProgram(['list', '--store', `${database.url}?sslmode=require`]);
    expect(plain.stderr).toContain('takes no TLS');
    const ca = path.join(mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-ca-')), 'ca.crt');
    onTestFinished(() => rmSync(path.dirname(ca), { recursive: true }));
    copyFileSync(turnTlsOn(database.directory, 'IP:127.0.0.1'), ca);
    await database.restart();
    const server = await serving('threadkeeper', { store: `${database.url}?sslmode=verify-full&sslrootcert=${ca}` });
    await started(server);
    const query = `SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'threadkeeper'`;
    expect((await sql(query, [], database.url)).map(({ ssl }) => ssl)).toContain(true);
    const listed = async (options: string) => await runProgram(['list', '--store', `${database.url}?${options}`]);
    expect((await listed('sslmode=require')).code).toBe(0);
    expect((await listed(`sslmode=verify-ca&sslrootcert=${ca}`)).code).toBe(0);
    expect((await listed('sslmode=verify-full')).stderr).toContain('certificate of the database is not trusted');
    const byName = database.url.replace('127.0.0.1', 'localhost');
    const wrongName = await runProgram(['list', '--store', `${byName}?sslmode=verify-full&sslrootcert=${ca}`]);
    expect(wrongName.stderr).toContain('certificate of the database is not trusted');
    expect((await listed('sslmode=verify-full&sslrootcert=/nowhere/ca.crt')).stderr).toContain('cannot be read');
  });
});

describe('a database of an older version', () => {
  it('gets its directories in the spelling that is compared now', async () => {
    const schema = newSchema();
    const first = await serving(schema);
    const windows = await started(first, { cwd: 'C:\\Users\\Dev\\App' });
    const accents = await started(first, { cwd: '/nowhere/cafe\u0301' });
    await first.stop();
    await sql(`UPDATE ${schema}.threads SET cwd_key = 'c:/Users/Dev/App' WHERE id = '${windows}'`);
    await sql(`UPDATE ${schema}.threads SET cwd_key = cwd WHERE id = '${accents}'`);
    await sql(`DELETE FROM ${schema}.migrations WHERE version = 3`);
    const next = await serving(schema);
    const found = async (cwd: string) =>
      (await next.call<ThreadList>('list_threads', { cwd })).threads.map(({ threadId }) => threadId);
    expect(await found('c:\\users\\dev')).toEqual([windows]);
    expect(await found('/nowhere/caf\u00e9')).toEqual([accents]);
  });
});

describe('the settings of a store', () => {
  it('are told what is wrong with them, before anything is served', async () => {
    const wrong: [string[], RegExp][] = [
      [['--store', 'mysql://h/db'], /not a PostgreSQL URL/],
      [['--store', 'postgres://h:port/db'], /cannot be understood/],
      [['--store', url, '--schema', 'A b'], /cannot be the name of the schema/],
      [['--store', url, '--schema', 'information_schema'], /cannot be the name of the schema/],
      [['export', '--store', url, '--to', '/proc/x'], /cannot be made|no threads in that schema/],
      [['--store', url, '--home', '/x'], /--home is for a Codex home/],
      [['--store', url, '--lease', '0'], /--lease must be at least 1/],
      [['--schema', 'x'], /--schema is for a database/],
      [['import', '--from', PROJECT], /--store <url> is needed/],
      [['export', '--store', url], /export needs --to/],
      [['doctor', '--store', url], /doctor works on a Codex home alone/],
    ];
    for (const [args, message] of wrong) {
      const { code, stderr } = await runProgram(args, { THREADKEEPER_STORE: '' });
      expect(stderr).toMatch(message);
      expect(code).toBeGreaterThan(0);
    }
  });
});

function linkOf(pid: number, fd: string): string[] {
  try {
    return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
  } catch {
    // Closed meanwhile.
    return [];
  }
}
