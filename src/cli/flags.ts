/** The commands and flags of the program. Parsing, `--help` and the tables of docs/cli.md are made from these tables. */

export type CommandName = 'serve' | 'list' | 'show' | 'import' | 'export' | 'doctor' | 'backfill';

interface CommandText {
  /** What follows the name on the command line. */
  readonly argument?: string;
  readonly summary: string;
}

export const COMMANDS: Readonly<Record<CommandName, CommandText>> = {
  serve: { summary: 'Speaks MCP on stdin and stdout. This is what happens without a command.' },
  list: { summary: 'Prints the newest threads.' },
  show: { argument: '<id or exact name>', summary: 'Prints one thread with its last turns.' },
  import: {
    summary:
      'Copies all threads of a Codex home into a PostgreSQL database. Run it again at any time: it copies what is new or has changed, and leaves alone what was changed in the database.',
  },
  export: {
    summary:
      'Writes all threads of a PostgreSQL database into a Codex home, as rollouts that Codex lists, reads and resumes. A thread that the home has is left alone.',
  },
  doctor: {
    summary:
      'Compares rollouts, rows, names and spawn edges, and prints what disagrees and what to do. The exit code is 1 when something disagrees, a DB could not be checked, or there is no home.',
  },
  backfill: { summary: 'Fills the index that threadkeeper keeps where Codex has no state DB.' },
};

export interface Flag {
  /** The commands that take it. */
  readonly of: readonly CommandName[];
  /** The placeholder of its value in the usage text. A flag without one takes no value. */
  readonly value?: string;
  readonly short?: string;
  /** The environment variable that is used when the flag is absent. */
  readonly environment?: string;
  readonly summary: string;
  /** For what kind of store it has a meaning; absent: for both. */
  readonly store?: 'local' | 'postgres';
}

const ALL = Object.keys(COMMANDS) as CommandName[];
const COPIES = ['import', 'export'] as const;
const READ_FROM_STORE = ['serve', 'list', 'show'] as const;
const ON_A_HOME = [...READ_FROM_STORE, 'doctor', 'backfill'] as const;

export const FLAGS = {
  search: {
    of: ['list'],
    value: '<text>',
    summary: 'Only threads whose name, title, preview or first message contains this text.',
  },
  limit: { of: ['list'], value: '<n>', summary: 'How many threads. Default: 20.' },
  archived: { of: ['list'], summary: 'Includes archived threads.' },
  turns: { of: ['show'], value: '<n>', summary: 'How many of the last turns. Default: 5.' },
  from: { of: ['import'], value: '<directory>', summary: 'The Codex home to copy. Default: as --home.' },
  to: { of: ['export'], value: '<directory>', summary: 'The Codex home to write; it is made if it does not exist.' },
  'dry-run': { of: COPIES, summary: 'Changes nothing, and prints what would be copied.' },
  'installation-id': {
    of: ['doctor'],
    value: '<id>',
    summary: 'Shows this installation id instead of the one in the home.',
  },
  home: {
    of: ON_A_HOME,
    value: '<directory>',
    environment: 'CODEX_HOME',
    summary: 'The Codex home. Default: ~/.codex.',
    store: 'local',
  },
  'sqlite-home': {
    of: ALL,
    value: '<directory>',
    environment: 'CODEX_SQLITE_HOME',
    summary:
      'Where Codex keeps its SQLite files. Default: sqlite_home in config.toml, else the home, or sqlite/ in it, where the desktop app keeps them.',
    store: 'local',
  },
  'no-state-db': {
    of: ON_A_HOME,
    summary:
      'Opens no state DB: the rollout files alone serve. Where Codex has a state DB, no thread can be changed then.',
    store: 'local',
  },
  store: {
    of: ALL,
    value: '<url>',
    environment: 'THREADKEEPER_STORE',
    summary:
      'Serves a PostgreSQL database instead of a Codex home: postgres://user:password@host:5432/database. In the environment, other users of the machine do not see it.',
  },
  schema: {
    of: [...READ_FROM_STORE, ...COPIES],
    value: '<name>',
    summary: 'The schema of the tables in that database. Default: threadkeeper.',
    store: 'postgres',
  },
  lease: {
    of: [...READ_FROM_STORE, ...COPIES],
    value: '<seconds>',
    summary: 'How long the threads that a server had loaded stay locked after it has died. Default: 30.',
    store: 'postgres',
  },
  'read-only': {
    of: ON_A_HOME,
    summary: 'Offers only the tools that change nothing, and makes no index.',
  },
  'backfill-wait': {
    of: ['serve'],
    value: '<seconds>',
    summary: 'Serves from the files when the index is not filled after this time. Default: 30.',
    store: 'local',
  },
  'close-idle': {
    of: ['serve'],
    value: '<seconds>',
    summary: 'Closes a loaded thread that nobody has written to for this long. Default: 600. 0: never.',
  },
  durability: {
    of: ['serve'],
    value: 'flush|fsync',
    summary:
      'flush: an append that was answered survives the end of the program. fsync: it survives a power cut too. Default: flush.',
    store: 'local',
  },
  json: { of: ['list', 'show', 'import', 'export', 'doctor', 'backfill'], summary: 'Prints JSON.' },
  help: { of: ALL, short: 'h', summary: 'Prints this text.' },
  version: { of: ALL, short: 'v', summary: 'Prints the version.' },
} as const satisfies Record<string, Flag>;

export type FlagName = keyof typeof FLAGS;

/** The flags with their names, in the order of the table. */
export const FLAG_LIST = Object.entries(FLAGS) as readonly (readonly [FlagName, Flag])[];
