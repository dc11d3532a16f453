import { Console } from 'node:console';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type BootstrapOptions, bootstrap, type Threadkeeper } from './bootstrap.js';
import { type HomeOptions, parseCommand, type ServeOptions, USAGE } from './cli.js';
import { progressOn } from './commands/backfill-progress.js';
import { doctor } from './commands/doctor.js';
import { list } from './commands/list.js';
import { show } from './commands/show.js';
import { ThreadkeeperError } from './protocol/errors.js';
import { VERSION } from './version.js';

const warn = (message: string) => process.stderr.write(`threadkeeper: ${message}\n`);
const print = (text: string) => process.stdout.write(text);

/** Runs the program; returns its exit code. */
export async function run(args: readonly string[]): Promise<number> {
  const command = parseCommand(args, process.env);
  switch (command.kind) {
    case 'help':
      print(USAGE);
      return 0;
    case 'version':
      print(`${VERSION}\n`);
      return 0;
    case 'usageError':
      process.stderr.write(`threadkeeper: ${command.message}\nTry: threadkeeper --help\n`);
      return 2;
    case 'serve':
      return await serve(command.options);
    case 'backfill':
      return await once({ ...command.options, ownStateDb: 'create', ...waitForever() }, (parts) =>
        reportBackfill(parts, command.json),
      );
    case 'list':
      return await once(lookOnly(command.options), async ({ manager }) => print(await list(manager, command)));
    case 'show':
      return await once(lookOnly(command.options), async ({ manager }) => print(await show(manager, command)));
    default: {
      const { installationId } = command;
      return await once({ ...lookOnly(command.options), installationId }, async (parts) => {
        const { report, isHealthy } = await doctor(parts, command);
        print(report);
        return isHealthy;
      });
    }
  }
}

/** A command that looks opens what is there, and never makes, migrates or fills anything. */
function lookOnly(options: HomeOptions): BootstrapOptions {
  return { ...options, readOnly: true, ownStateDb: 'existing', backfillWaitMs: 0 };
}

function waitForever(): Pick<BootstrapOptions, 'backfillWaitMs' | 'onBackfillProgress'> {
  return { backfillWaitMs: 2 ** 31 - 1, onBackfillProgress: progressOn(process.stderr) };
}

/** Runs one command; an error is a message and exit code 1, as is a command that answers false. */
async function once(options: BootstrapOptions, action: (parts: Threadkeeper) => Promise<unknown>): Promise<number> {
  const parts = await bootstrap(options, warn);
  try {
    return (await action(parts)) === false ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ThreadkeeperError)) throw error;
    process.stderr.write(`threadkeeper: ${error.message}\n${error.hint}\n`);
    return 1;
  } finally {
    await parts.close();
  }
}

async function reportBackfill(
  { backfilled, slot, stateDbProblem, manager }: Threadkeeper,
  json: boolean,
): Promise<boolean> {
  const summary = await backfilled;
  // A list brings what was filled before in line with the files, and tells what is left out.
  const query = { filter: { archived: 'include' }, sortBy: 'updatedAt', order: 'desc', limit: 1 } as const;
  const warnings = slot.current ? (await manager.listThreads(query)).warnings : [];
  const isOurs = slot.current?.owner === 'threadkeeper';
  if (json)
    print(`${JSON.stringify({ stateDb: slot.current?.file, problem: stateDbProblem, ...summary, warnings })}\n`);
  else if (slot.current && !isOurs)
    print(`Codex has a state DB here (${slot.current.file}); there is nothing to fill.\n`);
  else if (summary)
    print(
      `${summary.indexed} threads indexed, ${summary.unreadable.length} rollouts unreadable: ${slot.current?.file}\n`,
    );
  if (!json && isOurs) for (const warning of warnings) print(`note: ${warning}\n`);
  return slot.current !== undefined;
}

async function serve(options: ServeOptions): Promise<number> {
  // stdout carries the protocol: whatever a library prints goes to stderr.
  globalThis.console = new Console(process.stderr, process.stderr);
  process.on('uncaughtException', (error) => warn(`unforeseen: ${error.stack ?? error.message}`));
  process.on('unhandledRejection', (error) => warn(`unforeseen: ${error instanceof Error ? error.stack : error}`));
  const onBackfillProgress = progressOn(process.stderr);
  const starting = bootstrap({ ...options, ownStateDb: 'create', onBackfillProgress }, warn);
  if (process.stdin.isTTY) await greet(await starting);
  const manager = starting.then((parts) => parts.manager);
  // The protocol takes half of the start: commands that do not speak it do without.
  const { serveStdio } = await import('./mcp/serve-stdio.js');
  if (!options.readOnly) starting.then((parts) => parts.repair()).catch((error: Error) => warn(error.message));
  await serveStdio({ manager, readOnly: options.readOnly, version: VERSION, log: warn });
  // What still starts then (a backfill, another program's lock) is as safe to be cut short as by a kill.
  await Promise.race([starting.then((parts) => parts.close()), sleep(END_MS)]);
  return 0;
}

/** The program is gone a second after its client: calls that run get most of it, and this is the rest. */
const END_MS = 250;

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
  const main = fileURLToPath(new URL('main.js', import.meta.url));
  const command = [process.execPath, main, ...process.argv.slice(2)].join(' ');
  process.stderr.write(
    `threadkeeper ${VERSION} serves ${manager.capabilities.description}: ${threads}.\n` +
      'It waits for an MCP client on stdin. To attach it:\n' +
      `  Claude Code:  claude mcp add threadkeeper -- ${command}\n` +
      `  Codex:        codex mcp add threadkeeper -- ${command}\n` +
      'Other clients: see the README. Press Ctrl+C to stop.\n',
  );
}
