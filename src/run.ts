import { Console } from 'node:console';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bootstrap, type Threadkeeper } from './bootstrap.js';
import { parseCommand, type ServeOptions, USAGE } from './cli.js';
import { serveStdio } from './mcp/serve-stdio.js';
import { asObject, asString, parseJson } from './protocol/json.js';

const warn = (message: string) => process.stderr.write(`threadkeeper: ${message}\n`);

/** Runs the program; returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const command = parseCommand(args, process.env);
  switch (command.kind) {
    case 'help':
      process.stdout.write(USAGE);
      return 0;
    case 'version':
      process.stdout.write(`${version()}\n`);
      return 0;
    case 'usageError':
      process.stderr.write(`threadkeeper: ${command.message}\nTry: threadkeeper --help\n`);
      return 2;
    default:
      return await serve(command.options);
  }
}

async function serve(options: ServeOptions): Promise<number> {
  // stdout carries the protocol: whatever a library prints goes to stderr.
  globalThis.console = new Console(process.stderr, process.stderr);
  process.on('uncaughtException', (error) => warn(`unforeseen: ${error.stack ?? error.message}`));
  process.on('unhandledRejection', (error) => warn(`unforeseen: ${error instanceof Error ? error.stack : error}`));
  const threadkeeper = await bootstrap(options, warn);
  if (process.stdin.isTTY) await greet(threadkeeper);
  await serveStdio({ manager: threadkeeper.manager, version: version(), log: warn });
  await threadkeeper.close();
  return 0;
}

/** For the person who started it in a terminal: what is served, and that an assistant is wanted on the other side. */
async function greet({ manager }: Threadkeeper): Promise<void> {
  const filter = { archived: 'include' } as const;
  const threads = await manager
    .listThreads({ filter, sortBy: 'updatedAt', order: 'desc', limit: 1 })
    .then(({ total, counts }) => {
      const archived = counts.reduce((sum, entry) => sum + (entry.isArchived ? entry.count : 0), 0);
      return `${total} threads, ${archived} of them archived`;
    })
    .catch((error: unknown) => `threads cannot be listed: ${error instanceof Error ? error.message : error}`);
  // This very program on this very Node: true wherever it was installed.
  const command = [process.execPath, fileURLToPath(new URL('main.js', import.meta.url)), ...process.argv.slice(2)].join(
    ' ',
  );
  process.stderr.write(
    `threadkeeper ${version()} serves ${manager.capabilities.description}: ${threads}.\n` +
      'It waits for an MCP client on stdin. To attach it:\n' +
      `  Claude Code:  claude mcp add threadkeeper -- ${command}\n` +
      `  Codex:        codex mcp add threadkeeper -- ${command}\n` +
      'Other clients: see the README. Press Ctrl+C to stop.\n',
  );
}

function version(): string {
  const manifest = asObject(parseJson(readFileSync(new URL('../package.json', import.meta.url), 'utf8')));
  return asString(manifest?.['version']) ?? 'unknown';
}
