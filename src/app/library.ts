import path from 'node:path';
import { withHome } from '../protocol/home-path.js';
import { openThreadkeeper } from './open.js';
import { POSTGRES_DEFAULTS } from './store-options.js';
import type { Threadkeeper } from './threadkeeper.js';

export interface CommonOpenOptions {
  /** Refuses every write. Default: false. */
  readonly readOnly?: boolean;
  /** Receives messages for a person. Default: they are dropped. */
  readonly warn?: (message: string) => void;
}

export interface OpenHomeOptions extends CommonOpenOptions {
  /** The Codex home. Default: `$CODEX_HOME`, else `~/.codex`. */
  readonly home?: string;
  /** Where Codex keeps its SQLite files. Default: `$CODEX_SQLITE_HOME`, else as the home's configuration says. */
  readonly sqliteHome?: string;
}

export interface OpenDatabaseOptions extends CommonOpenOptions {
  /** `postgres://user:password@host:5432/database`. */
  readonly url: string;
  /** The schema of the tables. Default: `threadkeeper`. */
  readonly schema?: string;
}

/**
 * Opens a Codex home. Where Codex has no state DB, threadkeeper makes an index of its own, except with `readOnly`.
 * Close the result when you are done.
 */
export async function openHome(options: OpenHomeOptions = {}): Promise<Threadkeeper> {
  const { readOnly = false, warn = () => {} } = options;
  const home = absolute(options.home ?? (process.env['CODEX_HOME'] || '~/.codex'));
  // Without it Codex's DB could be missed, and what is written would not be seen there.
  const sqlite = options.sqliteHome ?? (process.env['CODEX_SQLITE_HOME'] || undefined);
  const sqliteHome = sqlite === undefined ? undefined : absolute(sqlite);
  const indexUse = readOnly ? 'existing' : 'create';
  const store = { kind: 'local', home, sqliteHome, useStateDb: true, readOnly } as const;
  return await openThreadkeeper({ ...store, indexUse }, warn);
}

/** Opens a PostgreSQL database. Nothing is asked of it before the first call. Close the result when you are done. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Threadkeeper> {
  const { warn = () => {}, readOnly = false, ...named } = options;
  return await openThreadkeeper({ ...POSTGRES_DEFAULTS, ...named, kind: 'postgres', readOnly }, warn);
}

const absolute = (directory: string) => path.resolve(withHome(directory));
