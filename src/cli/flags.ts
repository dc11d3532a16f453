import path from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import type { LocalStoreOptions, PostgresStoreOptions, StoreOptions } from '../app/store-options.js';
import { cutText } from '../protocol/cut-text.js';
import { withHome } from '../protocol/home-path.js';

export interface ServeOptions {
  readonly store: StoreOptions;
  /** Of a home. */
  readonly backfillWaitMs: number;
  /** Of a home. */
  readonly durability: 'flush' | 'fsync';
  /** Loaded threads that nobody writes to are closed after this, milliseconds; 0: never. */
  readonly idleMs: number;
}

/** A copy from a home to a database, or back. */
export interface TransferOptions {
  readonly home: LocalStoreOptions;
  readonly database: PostgresStoreOptions;
  readonly dryRun: boolean;
  readonly json: boolean;
}

export type Command =
  | { readonly kind: 'serve'; readonly options: ServeOptions }
  | { readonly kind: 'backfill'; readonly options: LocalStoreOptions; readonly json: boolean }
  | { readonly kind: 'import'; readonly transfer: TransferOptions }
  | { readonly kind: 'export'; readonly transfer: TransferOptions }
  | {
      readonly kind: 'list';
      readonly options: StoreOptions;
      readonly json: boolean;
      readonly search: string | undefined;
      readonly limit: number;
      readonly includeArchived: boolean;
    }
  | {
      readonly kind: 'show';
      readonly options: StoreOptions;
      readonly json: boolean;
      readonly thread: string;
      readonly turns: number;
    }
  | {
      readonly kind: 'doctor';
      readonly options: LocalStoreOptions;
      readonly json: boolean;
      readonly installationId: string | undefined;
    }
  | { readonly kind: 'help' }
  | { readonly kind: 'version' }
  | { readonly kind: 'usageError'; readonly message: string };

export const USAGE = `threadkeeper: an MCP server for the coding-agent threads in a Codex home or a PostgreSQL

Usage: threadkeeper [command] [options]

Without a command it speaks MCP on stdin and stdout; an assistant starts it (see the README
for the configuration of each client).

Commands:
  list                    print the newest threads
                            --search <text>   only those whose name or first message has it
                            --limit <n>       how many (default 20)
                            --archived        archived ones too
  show <id or name>       print one thread
                            --turns <n>       with how many of its last turns (default 5)
  import                  copy all threads of a home to a PostgreSQL; those that are there as they
                          are here, or were changed there, are left alone
                            --from <directory>   the Codex home (default: as --home)
                            --dry-run         only say what would be copied
  export                  write all threads of a PostgreSQL into a home, as rollouts that Codex
                          reads; a thread that is there is left alone
                            --to <directory>     the Codex home; made if it is not there
                            --dry-run         only say what would be written
  doctor                  compare rollouts, rows, names and edges; exit code 1 when some disagree
                            --installation-id <id>   show this one, do not read the file
  backfill                fill threadkeeper's own state DB, where Codex has none

Options:
  --home <directory>         the Codex home (default: $CODEX_HOME, else ~/.codex)
  --sqlite-home <directory>  where Codex keeps its SQLite files (default: $CODEX_SQLITE_HOME,
                          else sqlite_home in config.toml, else the home)
  --no-state-db           open no state DB, serve from the rollout files alone
  --store <url>           no home but a PostgreSQL, postgres://user:password@host/database (default:
                          $THREADKEEPER_STORE, where others do not see it in the list of processes)
  --schema <name>         where in the database (default threadkeeper)
  --lease <s>             others may write a thread so many seconds after its server died (default 30)
  --read-only             offer only the tools that change nothing, make no state DB
  --backfill-wait <s>     serve without a state DB that is not filled after so many seconds (default 30)
  --close-idle <s>        unlock a loaded thread that nobody writes to for so many seconds (default 600; 0: never)
  --durability <what>     flush: an append survives the end of the program (default);
                          fsync: it survives a power cut too (a PostgreSQL decides for itself)
  --json                  print JSON (list, show, import, export, doctor, backfill)
  -h, --help              print this text
  -v, --version           print the version
`;

const HELP_FLAGS = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'v' },
} as const;

const HOME_FLAGS = {
  ...HELP_FLAGS,
  home: { type: 'string' },
  'sqlite-home': { type: 'string' },
  'no-state-db': { type: 'boolean' },
  'read-only': { type: 'boolean' },
} as const;

const DATABASE_FLAGS = {
  store: { type: 'string' },
  schema: { type: 'string' },
  lease: { type: 'string' },
} as const;

const FLAGS = { ...HOME_FLAGS, ...DATABASE_FLAGS } as const;

const JSON_FLAG = { json: { type: 'boolean' } } as const;

const TRANSFER_FLAGS = {
  ...HELP_FLAGS,
  ...DATABASE_FLAGS,
  ...JSON_FLAG,
  'sqlite-home': { type: 'string' },
  'dry-run': { type: 'boolean' },
} as const;

type CommandName = 'serve' | 'list' | 'show' | 'import' | 'export' | 'doctor' | 'backfill';

const COMMAND_FLAGS: Readonly<Record<CommandName, NonNullable<ParseArgsConfig['options']>>> = {
  serve: {
    ...FLAGS,
    'backfill-wait': { type: 'string' },
    'close-idle': { type: 'string' },
    durability: { type: 'string' },
  },
  list: {
    ...FLAGS,
    ...JSON_FLAG,
    search: { type: 'string' },
    limit: { type: 'string' },
    archived: { type: 'boolean' },
  },
  show: { ...FLAGS, ...JSON_FLAG, turns: { type: 'string' } },
  import: { ...TRANSFER_FLAGS, from: { type: 'string' } },
  export: { ...TRANSFER_FLAGS, to: { type: 'string' } },
  doctor: { ...HOME_FLAGS, ...JSON_FLAG, store: { type: 'string' }, 'installation-id': { type: 'string' } },
  backfill: { ...HOME_FLAGS, ...JSON_FLAG, store: { type: 'string' } },
};

type Values = Readonly<Record<string, unknown>>;

class UsageError extends Error {}

/** What the arguments ask for; a command or flag that is not known, or lacks its value, is a usage error. */
export function parseCommand(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const [first = ''] = args;
  const isNamed = Object.hasOwn(COMMAND_FLAGS, first) && first !== 'serve';
  if (!isNamed && first !== '' && !first.startsWith('-')) {
    const commands = Object.keys(COMMAND_FLAGS).filter((command) => command !== 'serve');
    const message = `there is no command ${JSON.stringify(withoutUrls(cutText(first, 50)))}; there are ${commands.join(', ')}`;
    return { kind: 'usageError', message };
  }
  const name: CommandName = isNamed ? (first as CommandName) : 'serve';
  try {
    return parseArguments(name, isNamed ? args.slice(1) : args, env);
  } catch (error) {
    const message = error instanceof Error ? firstSentence(error.message) : String(error);
    return { kind: 'usageError', message: withoutUrls(message) };
  }
}

function parseArguments(name: CommandName, args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const parsed = parseArgs({
    args: [...args],
    options: COMMAND_FLAGS[name],
    strict: true,
    allowPositionals: name === 'show',
  });
  const values: Values = parsed.values;
  if (values['help']) return { kind: 'help' };
  if (values['version']) return { kind: 'version' };
  if ((name === 'doctor' || name === 'backfill') && values['store'] !== undefined) {
    throw new UsageError(`${name} is for a Codex home: --store does not go with it`);
  }
  const json = values['json'] === true;
  switch (name) {
    case 'serve':
      return {
        kind: name,
        options: {
          store: storeOptions(values, env),
          backfillWaitMs: 1000 * count(values, 'backfill-wait', 30),
          idleMs: 1000 * count(values, 'close-idle', 600),
          durability: durability(values),
        },
      };
    case 'list':
      return {
        kind: name,
        options: storeOptions(values, env),
        json,
        search: text(values, 'search'),
        limit: count(values, 'limit', 20),
        includeArchived: values['archived'] === true,
      };
    case 'show': {
      const [thread, ...others] = parsed.positionals;
      if (!thread || others.length > 0) throw new UsageError('show takes one thread: its id or its exact name');
      return { kind: name, options: storeOptions(values, env), json, thread, turns: count(values, 'turns', 5) };
    }
    case 'import':
      return { kind: name, transfer: transferOptions(values, homeOptions(values, env, 'from'), env) };
    case 'export':
      if (text(values, 'to') === undefined) throw new UsageError('export needs --to <directory>');
      return { kind: name, transfer: transferOptions(values, homeOptions(values, env, 'to'), env) };
    case 'doctor':
      return {
        kind: name,
        options: homeOptions(values, env),
        json,
        installationId: text(values, 'installation-id'),
      };
    default: {
      const options = homeOptions(values, env);
      if (options.readOnly || !options.useStateDb) {
        throw new UsageError('backfill writes the state DB: neither --read-only nor --no-state-db goes with it');
      }
      return { kind: name, options, json };
    }
  }
}

/** What has a meaning for a home alone. */
const OF_HOMES = ['home', 'sqlite-home', 'no-state-db', 'backfill-wait', 'durability'];
const OF_DATABASES = ['schema', 'lease'];

/** The database that a flag names, else a home that one names, else the database that the environment names. */
function storeOptions(values: Values, env: NodeJS.ProcessEnv): StoreOptions {
  const url = text(values, 'store') ?? (values['home'] === undefined ? env['THREADKEEPER_STORE'] : undefined);
  if (!url) {
    const [lost] = OF_DATABASES.filter((flag) => values[flag] !== undefined);
    if (lost !== undefined) throw new UsageError(`--${lost} is of a database, which --store names`);
    return homeOptions(values, env);
  }
  const [other] = OF_HOMES.filter((flag) => values[flag] !== undefined);
  if (other !== undefined) throw new UsageError(`--${other} is of a Codex home and does not go with --store`);
  return databaseOptions(values, url);
}

function transferOptions(values: Values, home: LocalStoreOptions, env: NodeJS.ProcessEnv): TransferOptions {
  const url = text(values, 'store') ?? env['THREADKEEPER_STORE'];
  if (!url) throw new UsageError('--store <url> is needed, or THREADKEEPER_STORE in the environment');
  return {
    home,
    database: databaseOptions(values, url),
    dryRun: values['dry-run'] === true,
    json: values['json'] === true,
  };
}

function databaseOptions(values: Values, url: string): PostgresStoreOptions {
  const leaseMs = 1000 * count(values, 'lease', 30);
  if (leaseMs < 1000) throw new UsageError('--lease must be at least 1');
  return {
    url,
    schema: text(values, 'schema') ?? 'threadkeeper',
    leaseMs,
    readOnly: values['read-only'] === true,
  };
}

function homeOptions(values: Values, env: NodeJS.ProcessEnv, flag = 'home'): LocalStoreOptions {
  const home = text(values, flag) ?? (env['CODEX_HOME'] || '~/.codex');
  const sqliteHome = text(values, 'sqlite-home') ?? (env['CODEX_SQLITE_HOME'] || undefined);
  // npm changes the directory for its scripts; a relative path is meant from where the person stands.
  const base = env['npm_lifecycle_event'] ? env['INIT_CWD'] : undefined;
  return {
    home: absolute(home, base),
    sqliteHome: sqliteHome === undefined ? undefined : absolute(sqliteHome, base),
    useStateDb: values['no-state-db'] !== true,
    readOnly: values['read-only'] === true,
  };
}

function text(values: Values, name: string): string | undefined {
  const value = values[name];
  if (value === '') throw new UsageError(`--${name} must not be empty`);
  return typeof value === 'string' ? value : undefined;
}

function count(values: Values, name: string, otherwise: number): number {
  const value = text(values, name);
  if (value === undefined) return otherwise;
  if (!/^\d{1,6}$/.test(value)) throw new UsageError(`--${name} must be a whole number`);
  return Number(value);
}

function durability(values: Values): ServeOptions['durability'] {
  const value = text(values, 'durability') ?? 'flush';
  if (value !== 'flush' && value !== 'fsync') throw new UsageError('--durability must be flush or fsync');
  return value;
}

/** Clients start the server without a shell, so `~` is ours to expand. */
function absolute(directory: string, base: string | undefined): string {
  return path.resolve(base ?? process.cwd(), withHome(directory));
}

function firstSentence(message: string): string {
  return message.split(/\. |\n/)[0] ?? message;
}

/** What was typed wrong may hold the URL of a store, and that a password. */
function withoutUrls(message: string): string {
  return message.replace(/[a-z+.-]*:\/\/\S*/gi, '…');
}
