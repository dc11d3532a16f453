/** Which home, and how it may be used: the same for every command. */
export interface LocalStoreOptions {
  /** Absolute path of the Codex home. */
  readonly home: string;
  /** Where the SQLite files are, when that was said by flag or environment. */
  readonly sqliteHome: string | undefined;
  readonly useStateDb: boolean;
  readonly readOnly: boolean;
}

/** Which database, and how it may be used. */
export interface PostgresStoreOptions {
  /** `postgres://…`, with credentials: never to be shown. */
  readonly url: string;
  readonly schema: string;
  /** How long the hold of a server that has died keeps others from writing a thread, milliseconds. */
  readonly leaseMs: number;
  readonly readOnly: boolean;
}

/** Where the threads are. */
export type StoreOptions = LocalStoreOptions | PostgresStoreOptions;
