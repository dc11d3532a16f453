import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROJECT } from '../support/mcp-client.js';
import { TestHome } from '../support/test-home.js';

const run = promisify(execFile);
const LONG = { timeout: 180_000 };

/** An empty directory with the packed tarball installed, as a program that uses the library has it. */
let directory: string;

const npm = async (args: readonly string[], cwd: string) =>
  await run('npm', [...args, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], { cwd });

const inDirectory = async (command: string, args: readonly string[]) =>
  await run(path.join(directory, 'node_modules/.bin', command), args, { cwd: directory });

const example = async (name: string, ...args: readonly string[]) =>
  await run(process.execPath, [path.join('examples', name), ...args], { cwd: directory });

beforeAll(async () => {
  directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-package-'));
  const { stdout } = await npm(['pack', '--pack-destination', directory], PROJECT);
  writeFileSync(path.join(directory, 'package.json'), JSON.stringify({ private: true, type: 'module' }));
  const tarball = path.join(directory, stdout.trim().split('\n').at(-1) ?? '');
  const tools = ['typescript', 'vitest', '@types/node'].map((name) => `${name}@${versionOf(name)}`);
  await npm(['install', tarball, ...tools], directory);
  cpSync(path.join(PROJECT, 'examples'), path.join(directory, 'examples'), { recursive: true });
}, 240_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function versionOf(name: string): string {
  const { version } = process.getBuiltinModule('node:module').createRequire(import.meta.url)(`${name}/package.json`);
  return version;
}

describe('the package', () => {
  it('brings no tests, no sources and no install scripts', LONG, () => {
    const installed = path.join(directory, 'node_modules/threadkeeper');
    expect(readdirSync(installed).sort()).toEqual(
      expect.arrayContaining(['README.md', 'dist', 'docs', 'examples', 'package.json']),
    );
    for (const name of ['src', 'test', 'bench', 'scripts']) expect(readdirSync(installed)).not.toContain(name);
  });

  it('types every example', LONG, async () => {
    await inDirectory('tsc', ['--project', 'examples']);
  });

  it('runs its program', LONG, async () => {
    expect((await inDirectory('threadkeeper', ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe('the examples', () => {
  it('record a conversation, which a list then shows and archives', LONG, async () => {
    const home = new TestHome();
    const recorded = await example('record-conversation.ts', home.root);
    const id = recorded.stdout.match(/recorded (\S+)/)?.[1] ?? 'none';
    const named = await example('list-and-archive.ts', home.root, directory);
    expect(named.stdout).toBe('');
    const { id: unnamed } = home.rollout({ turns: [['an unnamed question', 'a']] });
    const look = await example('list-and-archive.ts', home.root, '/home/dev/project');
    expect(look.stdout).toContain(`${unnamed} an unnamed question`);
    expect(look.stdout).toContain('would archive: 1');
    const archived = await example('list-and-archive.ts', home.root, '/home/dev/project', '--yes');
    expect(archived.stdout).toContain('archived: 1, failed: 0');
    const shown = await inDirectory('threadkeeper', ['show', id, '--home', home.root]);
    expect(shown.stdout).toContain('Eight.');
  });

  it('serve the tools from inside a program', LONG, async () => {
    const child = run(process.execPath, ['examples/embed-server.ts'], { cwd: directory });
    const request = (id: number, method: string, params: object) =>
      `${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`;
    child.child.stdin?.write(
      request(1, 'initialize', {
        protocolVersion: '2025-06-18',
        capabilities: {},
        clientInfo: { name: 'test', version: '1' },
      }),
    );
    child.child.stdin?.write(`${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' })}\n`);
    child.child.stdin?.write(
      request(2, 'tools/call', { name: 'start_thread', arguments: { cwd: '/work', name: 'N' } }),
    );
    child.child.stdin?.end(request(3, 'tools/call', { name: 'list_threads', arguments: {} }));
    const { stdout, stderr } = await child;
    expect(stdout).toContain('\\"name\\":\\"N\\"');
    expect(stdout).toContain('"id":3');
    expect(stderr).toContain('created');
  });

  it('pass the contract suite of readers with a store of their own', LONG, async () => {
    const { stdout } = await inDirectory('vitest', ['run', 'examples/read-only-store']);
    expect(stdout).toMatch(/\d\d passed/);
  });
});
