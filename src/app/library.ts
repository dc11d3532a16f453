import os from 'node:os';
import path from 'node:path';
import { openThreadkeeper } from './open.js';
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
  const { home, readOnly = false, warn = () => {} } = options;
  const root = path.resolve(home ?? (process.env['CODEX_HOME'] || path.join(os.homedir(), '.codex')));
  const indexUse = readOnly ? 'existing' : 'create';
  const store = { kind: 'local', home: root, sqliteHome: undefined, useStateDb: true, readOnly } as const;
  return await openThreadkeeper({ ...store, indexUse }, warn);
}

/** Opens a PostgreSQL database. Nothing is asked of it before the first call. Close the result when you are done. */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Threadkeeper> {
  const { url, schema = 'threadkeeper', readOnly = false, warn = () => {} } = options;
  return await openThreadkeeper({ kind: 'postgres', url, schema, leaseMs: 30_000, readOnly }, warn);
}
