import type { StateDb } from './state-db.js';

/** Which state DB serves, and why. Everything that depends on the DB switches on `kind`; there is no other flag for it. */
export type StateDbStatus =
  /** Codex's DB: rows count, and a write goes to the row first. */
  | { readonly kind: 'codex'; readonly db: StateDb }
  /** The index: derived from the files, which are the truth. */
  | { readonly kind: 'index'; readonly db: StateDb; readonly isWritable: boolean }
  /** A DB of Codex's exists, or may exist, that cannot be used now: files are read, and writes are refused. */
  | { readonly kind: 'waiting'; readonly reason: string }
  /** No Codex keeps a DB for this home: files alone, for reading and writing. */
  | { readonly kind: 'files'; readonly reason?: string | undefined };

/** The status of a handle on an open DB. */
export function statusOver(db: StateDb): StateDbStatus {
  return db.owner === 'codex' ? { kind: 'codex', db } : { kind: 'index', db, isWritable: !db.readOnly };
}

/** The open DB of a status, if there is one. */
export function servingDb(status: StateDbStatus): StateDb | undefined {
  return status.kind === 'codex' || status.kind === 'index' ? status.db : undefined;
}
