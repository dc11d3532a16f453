import path from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import {
  type LocalStoreOptions,
  POSTGRES_DEFAULTS,
  type PostgresStoreOptions,
  type StoreOptions,
} from '../app/store-options.js';
import { cutText } from '../protocol/cut-text.js';
import { withHome } from '../protocol/home-path.js';
import { COMMANDS, type CommandName, FLAG_LIST, type FlagName } from './flags.js';

export interface ServeOptions {
  readonly store: StoreOptions;
  /** For a Codex home. */
  readonly backfillWaitMs: number;
  /** For a Codex home. */
  readonly durability: 'flush' | 'fsync';
  /** Loaded threads that nobody writes to are closed after this, milliseconds; 0: never. */
  readonly idleMs: number;
}

/** A copy from a Codex home to a PostgreSQL database, or back. */
export interface CopyCommandOptions {
  readonly home: LocalStoreOptions;
  readonly database: PostgresStoreOptions;
  readonly dryRun: boolean;
  readonly json: boolean;
}

export type Command =
  | { readonly kind: 'serve'; readonly options: ServeOptions }
  | { readonly kind: 'backfill'; readonly options: LocalStoreOptions; readonly json: boolean }
  | { readonly kind: 'import'; readonly copy: CopyCommandOptions }
  | { readonly kind: 'export'; readonly copy: CopyCommandOptions }
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

type Values = Readonly<Record<string, unknown>>;

class UsageError extends Error {}

/** The command that the arguments name. An unknown command or flag, or a missing value, is a `usageError`. */
export function parseCommand(args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const [first = ''] = args;
  const isNamed = Object.hasOwn(COMMANDS, first) && first !== 'serve';
  if (!isNamed && first !== '' && !first.startsWith('-')) {
    const commands = Object.keys(COMMANDS).filter((command) => command !== 'serve');
    const message = `there is no command ${JSON.stringify(withoutUrls(cutText(first, 50)))}; there are ${commands.join(', ')}`;
    return { kind: 'usageError', message };
  }
  const kept = flagThatNpmKept(env);
  if (kept !== undefined) {
    const message = `npm kept --${kept} for itself: put it after a further "--", as in npm start -- --${kept}`;
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

/** Flags that npm has too: a person may have set them for npm. */
const NPM_FLAGS: ReadonlySet<FlagName> = new Set(['json', 'help', 'version']);

/**
 * A flag that npm took: `npm start --read-only` would serve every tool, and `npm start export --dry-run` would write.
 * npm passes such a flag to its scripts in the environment alone, and a `--no-x` as an `x` without a value.
 */
function flagThatNpmKept(env: NodeJS.ProcessEnv): FlagName | undefined {
  if (env['npm_lifecycle_event'] === undefined) return undefined;
  const variable = (flag: FlagName) => `npm_config_${flag.replace(/^no-/, '').replaceAll('-', '_')}`;
  return FLAG_LIST.find(([flag]) => !NPM_FLAGS.has(flag) && env[variable(flag)] !== undefined)?.[0];
}

/** The flags of a command as `parseArgs` takes them. */
function parseOptions(name: CommandName): NonNullable<ParseArgsConfig['options']> {
  return Object.fromEntries(
    FLAG_LIST.filter(([, { of }]) => of.includes(name)).map(([flag, { value, short }]) => [
      flag,
      { type: value === undefined ? 'boolean' : 'string', ...(short === undefined ? {} : { short }) } as const,
    ]),
  );
}

function parseArguments(name: CommandName, args: readonly string[], env: NodeJS.ProcessEnv): Command {
  const parsed = parseArgs({
    args: [...args],
    options: parseOptions(name),
    strict: true,
    allowPositionals: name === 'show',
  });
  const values: Values = parsed.values;
  if (values['help']) return { kind: 'help' };
  if (values['version']) return { kind: 'version' };
  if ((name === 'doctor' || name === 'backfill') && values['store'] !== undefined) {
    throw new UsageError(`${name} works on a Codex home alone, so it takes no --store`);
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
        limit: atLeastOne(values, 'limit', 20),
        includeArchived: values['archived'] === true,
      };
    case 'show': {
      const [thread, ...others] = parsed.positionals;
      if (!thread || others.length > 0) throw new UsageError('show takes one thread: its id or its exact name');
      return { kind: name, options: storeOptions(values, env), json, thread, turns: count(values, 'turns', 5) };
    }
    case 'import':
      return { kind: name, copy: copyOptions(values, localOptions(values, env, 'from'), env) };
    case 'export':
      if (text(values, 'to') === undefined) throw new UsageError('export needs --to <directory>');
      return { kind: name, copy: copyOptions(values, localOptions(values, env, 'to'), env) };
    case 'doctor':
      return {
        kind: name,
        options: localOptions(values, env),
        json,
        installationId: text(values, 'installation-id'),
      };
    default: {
      const options = localOptions(values, env);
      if (options.readOnly || !options.useStateDb) {
        throw new UsageError('backfill writes the state DB: neither --read-only nor --no-state-db goes with it');
      }
      return { kind: name, options, json };
    }
  }
}

/** The first flag that was given and means nothing for this kind of store. */
function misplacedFlag(values: Values, kind: StoreOptions['kind']): string | undefined {
  return FLAG_LIST.find(
    ([name, { store }]) => values[name] !== undefined && store !== undefined && store !== kind,
  )?.[0];
}

/** --store wins over --home, --home over THREADKEEPER_STORE, and that over CODEX_HOME. */
function storeOptions(values: Values, env: NodeJS.ProcessEnv): StoreOptions {
  const url = text(values, 'store') ?? (values['home'] === undefined ? env['THREADKEEPER_STORE'] : undefined);
  if (!url) {
    const misplaced = misplacedFlag(values, 'local');
    if (misplaced !== undefined) throw new UsageError(`--${misplaced} is for a database, and no --store names one`);
    return localOptions(values, env);
  }
  const misplaced = misplacedFlag(values, 'postgres');
  if (misplaced !== undefined) throw new UsageError(`--${misplaced} is for a Codex home, and --store names a database`);
  return postgresOptions(values, url);
}

function copyOptions(values: Values, home: LocalStoreOptions, env: NodeJS.ProcessEnv): CopyCommandOptions {
  const url = text(values, 'store') ?? env['THREADKEEPER_STORE'];
  if (!url) throw new UsageError('--store <url> is needed, or THREADKEEPER_STORE in the environment');
  return {
    home,
    database: postgresOptions(values, url),
    dryRun: values['dry-run'] === true,
    json: values['json'] === true,
  };
}

function postgresOptions(values: Values, url: string): PostgresStoreOptions {
  const leaseMs = 1000 * atLeastOne(values, 'lease', POSTGRES_DEFAULTS.leaseMs / 1000);
  return {
    kind: 'postgres',
    url,
    schema: text(values, 'schema') ?? POSTGRES_DEFAULTS.schema,
    leaseMs,
    readOnly: values['read-only'] === true,
  };
}

function localOptions(values: Values, env: NodeJS.ProcessEnv, flag = 'home'): LocalStoreOptions {
  const home = text(values, flag) ?? (env['CODEX_HOME'] || '~/.codex');
  const sqliteHome = text(values, 'sqlite-home') ?? (env['CODEX_SQLITE_HOME'] || undefined);
  // npm changes the directory for its scripts; a relative path is relative to the directory where npm was called.
  const base = env['npm_lifecycle_event'] ? env['INIT_CWD'] : undefined;
  return {
    kind: 'local',
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

function atLeastOne(values: Values, name: string, otherwise: number): number {
  const value = count(values, name, otherwise);
  if (value < 1) throw new UsageError(`--${name} must be at least 1`);
  return value;
}

function durability(values: Values): ServeOptions['durability'] {
  const value = text(values, 'durability') ?? 'flush';
  if (value !== 'flush' && value !== 'fsync') throw new UsageError('--durability must be flush or fsync');
  return value;
}

/** Clients start the server without a shell, so `~` has to be expanded here. */
function absolute(directory: string, base: string | undefined): string {
  return path.resolve(base ?? process.cwd(), withHome(directory));
}

function firstSentence(message: string): string {
  return message.split(/\. |\n/)[0] ?? message;
}

/** A mistyped argument may contain the URL of a database, and the URL a password. */
function withoutUrls(message: string): string {
  return message.replace(/[a-z+.-]*:\/\/\S*/gi, '…');
}
