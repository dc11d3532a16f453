import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';

/** How the server is to run. */
export interface ServeOptions {
  /** Absolute path of the Codex home. */
  readonly home: string;
  /** Where the SQLite files are, when that was said by flag or environment. */
  readonly sqliteHome: string | undefined;
  readonly useStateDb: boolean;
  readonly readOnly: boolean;
}

export type Command =
  | { readonly kind: 'serve'; readonly options: ServeOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'usageError'; readonly message: string };

export const USAGE = `threadkeeper: an MCP server for the coding-agent threads in a Codex home

Usage: threadkeeper [options]

It speaks MCP on stdin and stdout; an assistant starts it (see the README for the configuration of each client).

Options:
  --home <folder>         the Codex home (default: $CODEX_HOME, else ~/.codex)
  --sqlite-home <folder>  where Codex keeps its SQLite files (default: $CODEX_SQLITE_HOME,
                          else sqlite_home in config.toml, else the home)
  --no-state-db           do not open Codex's state DB, serve from the rollout files alone
  --read-only             offer only the tools that change nothing
  --help                  print this text
  --version               print the version
`;

const FLAGS = {
  home: { type: 'string' },
  'sqlite-home': { type: 'string' },
  'no-state-db': { type: 'boolean' },
  'read-only': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

/** What the arguments ask for; a flag that is not known, or lacks its value, is a usage error. */
export function parseCommand(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  let values: ReturnType<typeof parse>['values'];
  try {
    values = parse(args).values;
  } catch (error) {
    return { kind: 'usageError', message: error instanceof Error ? firstSentence(error.message) : String(error) };
  }
  if (values.help) return { kind: 'help' };
  if (values.version) return { kind: 'version' };
  if (values.home === '' || values['sqlite-home'] === '') {
    return { kind: 'usageError', message: 'a folder must not be empty' };
  }
  const sqliteHome = values['sqlite-home'] ?? (env['CODEX_SQLITE_HOME'] || undefined);
  return {
    kind: 'serve',
    options: {
      home: absolute(values.home ?? (env['CODEX_HOME'] || '~/.codex')),
      sqliteHome: sqliteHome === undefined ? undefined : absolute(sqliteHome),
      useStateDb: !values['no-state-db'],
      readOnly: values['read-only'] ?? false,
    },
  };
}

function parse(args: readonly string[]) {
  return parseArgs({ args: [...args], options: FLAGS, strict: true, allowPositionals: false });
}

/** Clients start the server without a shell, so `~` is ours to expand. */
function absolute(folder: string): string {
  const expanded = folder === '~' || folder.startsWith('~/') ? path.join(os.homedir(), folder.slice(1)) : folder;
  return path.resolve(expanded);
}

function firstSentence(message: string): string {
  return message.split(/\. |\n/)[0] ?? message;
}
