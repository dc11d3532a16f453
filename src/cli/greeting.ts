import { fileURLToPath } from 'node:url';
import type { StoreOptions } from '../app/store-options.js';
import type { Threadkeeper } from '../app/threadkeeper.js';
import { VERSION } from '../version.js';
import { forTerminal } from './terminal-text.js';

/** For the person who started it in a terminal: what is served, and that an assistant is wanted on the other side. */
export async function greet({ manager }: Threadkeeper, store: StoreOptions): Promise<void> {
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
  const fromEnvironment = (variable: string, flag: string, value: string | undefined) =>
    value !== undefined && process.env[variable] && !flags.includes(flag) ? [flag, value] : [];
  const named =
    store.kind === 'local'
      ? [
          ...fromEnvironment('CODEX_HOME', '--home', store.home),
          ...fromEnvironment('CODEX_SQLITE_HOME', '--sqlite-home', store.sqliteHome),
        ]
      : [];
  const command = ['--', process.execPath, main, ...named, ...flags].join(' ');
  const env = store.kind === 'postgres' ? '--env THREADKEEPER_STORE="$THREADKEEPER_STORE" ' : '';
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
