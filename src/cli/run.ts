import { Console } from 'node:console';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { lookOnlyOptions, type OpenOptions, openThreadkeeper } from '../app/open.js';
import type { LocalThreadkeeper, OpenLocalOptions } from '../app/open-local.js';
import type { StoreOptions } from '../app/store-options.js';
import type { Threadkeeper } from '../app/threadkeeper.js';
import { ThreadkeeperError } from '../protocol/errors.js';
import { VERSION } from '../version.js';
import { doctor } from './commands/doctor.js';
import { list } from './commands/list.js';
import { show } from './commands/show.js';
import { parseCommand, type ServeOptions, USAGE } from './flags.js';
import { endQuietlyWithoutReader } from './output.js';
import { progressOn } from './progress.js';
import { forTerminal, jsonLine } from './terminal-text.js';

const warn = (message: string) => process.stderr.write(forTerminal(`threadkeeper: ${message}\n`));
const print = (text: string) => process.stdout.write(forTerminal(text));

/** Runs the program; returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const command = parseCommand(args, process.env);
  if (command.kind !== 'serve') endQuietlyWithoutReader(process.stdout);
  switch (command.kind) {
    case 'help':
      print(USAGE);
      return 0;
    case 'version':
      print(`${VERSION}\n`);
      return 0;
    case 'usageError':
      warn(`${command.message}\nTry: threadkeeper --help`);
      return 2;
    case 'serve':
      return await serve(command.options);
    case 'list':
      return await once(openThreadkeeper(lookOnly(command.options), warn), async ({ manager }) =>
        print(await list(manager, command)),
      );
    case 'show':
      return await once(openThreadkeeper(lookOnly(command.options), warn), async ({ manager }) =>
        print(await show(manager, command)),
      );
    case 'backfill':
      return await once(openHome({ ...command.options, indexUse: 'create', ...waitForever() }), (parts) =>
        reportBackfill(parts, command.json),
      );
    case 'import':
    case 'export':
      return await reporting(async () => {
        const commands = await import('./commands/transfer.js');
        const onProgress = progressOn(process.stderr, 'copying threads');
        const action = command.kind === 'import' ? commands.importCommand : commands.exportCommand;
        const { report, isComplete } = await action({ ...command.transfer, onProgress, warn });
        print(report);
        return isComplete ? 0 : 1;
      });
    case 'doctor': {
      const { installationId } = command;
      return await once(openHome({ ...lookOnlyOptions(command.options), installationId }), async (parts) => {
        const { report, isHealthy } = await doctor(parts, command);
        print(report);
        return isHealthy;
      });
    }
    default:
      return command satisfies never;
  }
}

/** For a command that only looks. */
function lookOnly(options: StoreOptions): OpenOptions {
  return 'url' in options ? { ...options, readOnly: true } : lookOnlyOptions(options);
}

async function openHome(options: OpenLocalOptions): Promise<LocalThreadkeeper> {
  const { openLocal } = await import('../app/open-local.js');
  return await openLocal(options, warn);
}

function waitForever(): Pick<OpenLocalOptions, 'backfillWaitMs' | 'onBackfillProgress'> {
  return { backfillWaitMs: 2 ** 31 - 1, onBackfillProgress: progressOn(process.stderr, 'indexing rollouts') };
}

/** Runs one command; an error is a message and exit code 1, as is a command that answers false. */
async function once<T extends { close(): Promise<void> }>(
  opening: Promise<T>,
  action: (parts: T) => Promise<unknown>,
): Promise<number> {
  return await reporting(async () => {
    const parts = await opening;
    try {
      return (await action(parts)) === false ? 1 : 0;
    } finally {
      await parts.close();
    }
  });
}

/** An error that says what to do is said to the person, with exit code 1. */
async function reporting(action: () => Promise<number>): Promise<number> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    warn(`${error.message}\n${error.hint}`);
    return 1;
  }
}

async function reportBackfill(
  { backfilled, stateDb, indexProblem, manager, library }: LocalThreadkeeper,
  json: boolean,
): Promise<boolean> {
  const summary = await backfilled;
  const { status } = stateDb;
  // A list brings what was filled before in line with the files, and tells what is left out.
  const query = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 1 } as const;
  const { total, warnings } = stateDb.db ? await manager.listThreads(query) : { total: 0, warnings: [] };
  const problem = ('reason' in status ? status.reason : undefined) ?? indexProblem;
  if (json) print(jsonLine({ stateDb: stateDb.db?.file, problem, ...summary, warnings }));
  else if (status.kind === 'codex') print(`Codex has a state DB here (${status.db.file}); there is nothing to fill.\n`);
  else if (status.kind === 'index') {
    const { indexed = 0, unreadable = [] } = summary ?? {};
    const done = `${indexed} threads indexed, ${unreadable.length} rollouts unreadable`;
    print(`${done}; ${total} threads are listed from ${status.db.file}\n`);
    for (const warning of warnings) print(`note: ${warning}\n`);
  } else {
    const reason = problem ?? library.home.absence ?? 'the home cannot be written';
    warn(`no index was filled: ${reason}`);
  }
  return stateDb.db !== undefined;
}

async function serve(options: ServeOptions): Promise<number> {
  // stdout carries the protocol: whatever a library prints goes to stderr.
  globalThis.console = new Console(process.stderr, process.stderr);
  process.on('uncaughtException', (error) => warn(`unforeseen: ${error.stack ?? error.message}`));
  process.on('unhandledRejection', (error) => warn(`unforeseen: ${error instanceof Error ? error.stack : error}`));
  return await reporting(async () => {
    const starting = openThreadkeeper(servedParts(options), warn);
    // A home may take its time; a database is not asked yet, and settings that are wrong are told at once.
    if (process.stdin.isTTY || 'url' in options.store) await starting;
    if (process.stdin.isTTY) await greet(await starting, options.store);
    const { readOnly } = options.store;
    // The protocol takes half of the start: commands that do not speak it do without.
    const { serveStdio } = await import('../mcp/transports/stdio.js');
    if (!readOnly) starting.then((parts) => parts.repair()).catch((error: Error) => warn(error.message));
    const manager = starting.then((parts) => parts.manager);
    await serveStdio({ manager, readOnly, version: VERSION, log: warn });
    // What still starts then (a backfill, another program's lock) is as safe to be cut short as by a kill.
    await Promise.race([starting.then((parts) => parts.close()), sleep(END_MS)]);
    return 0;
  });
}

function servedParts({ store, ...options }: ServeOptions): OpenOptions {
  const onBackfillProgress = progressOn(process.stderr, 'indexing rollouts');
  return 'url' in store
    ? { ...store, idleMs: options.idleMs }
    : { ...store, ...options, indexUse: 'create', onBackfillProgress };
}

/** The program is gone a second after its client: calls that run get most of it, and this is the rest. */
const END_MS = 250;

/** For the person who started it in a terminal: what is served, and that an assistant is wanted on the other side. */
async function greet({ manager }: Threadkeeper, store: StoreOptions): Promise<void> {
  const filter = { archived: 'include' } as const;
  const threads = await manager
    .listThreads({ filter, sortBy: 'updatedAt', order: 'desc', limit: 1 })
    .then(({ total, counts }) => {
      const archived = counts.reduce((sum, entry) => sum + (entry.isArchived ? entry.count : 0), 0);
      return `${total} threads, ${archived} of them archived`;
    })
    .catch((error: unknown) => `threads cannot be listed: ${error instanceof Error ? error.message : error}`);
  // This very program on this very Node: true wherever it was installed.
  const main = fileURLToPath(new URL('../main.js', import.meta.url));
  const flags = flagsToShow(process.argv.slice(2));
  // A client does not start it with the environment of this terminal.
  const named = 'home' in store && process.env['CODEX_HOME'] && !flags.includes('--home') ? ['--home', store.home] : [];
  const command = ['--', process.execPath, main, ...named, ...flags].join(' ');
  const env = 'url' in store ? '--env THREADKEEPER_STORE="$THREADKEEPER_STORE" ' : '';
  const greeting =
    `threadkeeper ${VERSION} serves ${manager.capabilities.description}: ${threads}.\n` +
    'It waits for an MCP client on stdin. To attach it:\n' +
    `  Claude Code:  claude mcp add threadkeeper ${env}${command}\n` +
    `  Codex:        codex mcp add threadkeeper ${env}${command}\n` +
    'Other clients: see the README. Press Ctrl+C to stop.\n';
  process.stderr.write(forTerminal(greeting));
}

/** The flags without the URL of a store, which holds a password: that belongs into the environment. */
function flagsToShow(args: readonly string[]): string[] {
  return args.filter((arg, index) => !arg.startsWith('--store') && args[index - 1] !== '--store');
}
