/** Which Codex home, and how it may be used. */
export interface LocalStoreOptions {
  readonly kind: 'local';
  /** Absolute path of the Codex home. */
  readonly home: string;
  /** The directory of Codex's SQLite files, where a flag or the environment names it. */
  readonly sqliteHome: string | undefined;
  /** False opens no state DB: the rollout files alone serve. */
  readonly useStateDb: boolean;
  readonly readOnly: boolean;
}

/** Which PostgreSQL database, and how it may be used. */
export interface PostgresStoreOptions {
  readonly kind: 'postgres';
  /** `postgres://…`, with credentials: it must not be shown. */
  readonly url: string;
  /** The schema of the tables in that database. */
  readonly schema: string;
  /** How long the threads that a server had loaded stay locked after it has died, milliseconds. */
  readonly leaseMs: number;
  readonly readOnly: boolean;
}

/** What a PostgreSQL is opened with where nothing else is said. */
export const POSTGRES_DEFAULTS = { schema: 'threadkeeper', leaseMs: 30_000 } as const;

/** Which store serves. */
export type StoreOptions = LocalStoreOptions | PostgresStoreOptions;
