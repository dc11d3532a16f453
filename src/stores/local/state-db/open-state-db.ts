import { accessSync, constants, existsSync, lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { systemErrorCode } from '../../../protocol/errors.js';
import { retry } from '../../../store/retry.js';
import { INDEX_SCHEMA_VERSION, migrateIndex } from './index-schema.js';
import { StateDb, sqliteMessage } from './state-db.js';
import type { SqliteHomes } from './state-db-search.js';

/** What opening a DB came to: a handle, or the reason why there is none. */
export interface StateDbOpening {
  readonly stateDb: StateDb | undefined;
  /** Why there is no handle, or not the one that would be wanted; undefined when all is well or there is no DB file. */
  readonly problem: string | undefined;
  /** True when the index was damaged and has been replaced by a new one. */
  readonly isRemade?: boolean | undefined;
}

export interface StateDbConfig {
  readonly homes: SqliteHomes;
  readonly readOnly: boolean;
  /** Where Codex has no DB: whether the index is created, only used when it exists, or neither. */
  readonly indexUse: 'create' | 'existing' | 'never';
  /** How long a write waits for another program's lock, milliseconds. */
  readonly busyTimeoutMs?: number | undefined;
}

export const INDEX_FILE = 'threadkeeper.sqlite';
const NO_SHARED_MEMORY = `${INDEX_FILE}: this file system has no shared memory for it, as network file systems (give --sqlite-home a local directory)`;

/** Codex's DB: used when its columns can be and its backfill is complete, and never created, migrated or repaired. */
export async function openCodexStateDb(
  file: string,
  { readOnly, busyTimeoutMs }: Pick<StateDbConfig, 'readOnly' | 'busyTimeoutMs'>,
): Promise<StateDbOpening> {
  return await usable(file, () => new StateDb(file, { owner: 'codex', readOnly, busyTimeoutMs }));
}

/** The handle, if the file can serve. */
async function usable(file: string, open: () => StateDb): Promise<StateDbOpening> {
  let stateDb: StateDb | undefined;
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
    return { stateDb: undefined, problem: `${path.basename(file)} is no file` };
  }
  try {
    accessSync(file, constants.R_OK);
    stateDb = open();
    const opened = stateDb;
    const problem = await opened.read(() => opened.unusableBecause());
    if (problem === undefined) return { stateDb, problem };
    stateDb.close();
    return { stateDb: undefined, problem: `${file}: ${problem}` };
  } catch (error) {
    stateDb?.close();
    const code = systemErrorCode(error);
    const isDenied = code === 'EACCES' || code === 'EPERM';
    return {
      stateDb: undefined,
      problem: `${file}: ${isDenied ? `it may not be read (${code})` : sqliteMessage(error)}`,
    };
  }
}

/**
 * Opens the index, whatever Codex has. It is created and migrated as the configuration allows, and replaced when it
 * is damaged.
 */
export async function openIndex(config: StateDbConfig): Promise<StateDbOpening> {
  const { homes, indexUse, busyTimeoutMs } = config;
  const sqliteHome = homes.main;
  const file = indexFile(sqliteHome);
  const exists = existsSync(file);
  const mayCreate = indexUse === 'create' && !config.readOnly && isDirectory(sqliteHome);
  if (indexUse === 'never' || (!exists && !mayCreate)) return { stateDb: undefined, problem: undefined };
  if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) {
    return { stateDb: undefined, problem: `${INDEX_FILE} is a link, which is not followed` };
  }
  const prepared: Prepared = mayCreate ? await prepareIndex(file) : { isUnusable: false, problem: undefined };
  const { problem, isRemade } = prepared;
  if (prepared.isUnusable) return { stateDb: undefined, problem };
  const readOnly = config.readOnly || (problem !== undefined && !isRemade);
  const opening = await usable(file, () => new StateDb(file, { owner: 'threadkeeper', readOnly, busyTimeoutMs }));
  return { ...opening, problem: opening.problem ?? problem, isRemade };
}

interface Prepared {
  readonly isUnusable: boolean;
  readonly problem: string | undefined;
  readonly isRemade?: boolean;
}

/** Makes and migrates our file; a damaged one is moved aside first. A file of a newer version is left as it is. */
async function prepareIndex(file: string): Promise<Prepared> {
  const found = statSync(file, { throwIfNoEntry: false })?.ino;
  try {
    return await retryWhileBusy(() => migrated(file));
  } catch (error) {
    const code = error instanceof Database.SqliteError ? error.code : '';
    if (!/^SQLITE_(CORRUPT|NOTADB|ERROR$)/.test(code)) {
      return { isUnusable: true, problem: `${INDEX_FILE}: ${sqliteMessage(error)}` };
    }
  }
  try {
    const aside = `${file}.damaged-${new Date().toISOString().replaceAll(/[:.]/g, '-')}`;
    // Another process may have made it anew already.
    const isStillThere = statSync(file, { throwIfNoEntry: false })?.ino === found;
    for (const suffix of isStillThere ? ['', '-wal', '-shm'] : []) {
      if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
    }
    const made = await retryWhileBusy(() => migrated(file));
    if (made.isUnusable) return made;
    const problem = `${INDEX_FILE} was damaged and moved to ${path.basename(aside)}; it is being made anew`;
    return { isUnusable: false, problem, isRemade: true };
  } catch (error) {
    return {
      isUnusable: true,
      problem: `${INDEX_FILE} is damaged and could not be made anew: ${sqliteMessage(error)}`,
    };
  }
}

/** SQLite does not wait for others that turn the same new file into WAL mode at this moment: that is tried again. */
async function retryWhileBusy<T>(open: () => T): Promise<T> {
  return await retry(open, {
    isTransient: (error) => error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY'),
    forMs: WAIT_MS,
    firstPauseMs: 25,
    longestPauseMs: 25,
  });
}

const WAIT_MS = 5000;

function migrated(file: string): { isUnusable: boolean; problem: string | undefined } {
  const isNew = !existsSync(file);
  try {
    return openAndMigrate(file, isNew);
  } catch (error) {
    const code = error instanceof Database.SqliteError ? error.code : '';
    if (!code.startsWith('SQLITE_IOERR_SHM')) throw error;
    if (isNew) for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
    return { isUnusable: true, problem: NO_SHARED_MEMORY };
  }
}

function openAndMigrate(file: string, isNew: boolean): { isUnusable: boolean; problem: string | undefined } {
  if (!isNew && !statSync(file).isFile()) return { isUnusable: true, problem: `${INDEX_FILE} is no file` };
  const db = new Database(file, { timeout: 100 });
  try {
    if (!isNew && db.pragma('quick_check(1)', { simple: true }) !== 'ok')
      throw new Database.SqliteError('damaged', 'SQLITE_CORRUPT');
    if (db.pragma('journal_mode = WAL', { simple: true }) !== 'wal') {
      db.close();
      if (isNew) rmSync(file, { force: true });
      return { isUnusable: true, problem: NO_SHARED_MEMORY };
    }
    const version = migrateIndex(db);
    const isNewer = version > INDEX_SCHEMA_VERSION;
    const problem = isNewer
      ? `${INDEX_FILE} was made by a newer threadkeeper (schema ${version}): it is used read-only`
      : undefined;
    return { isUnusable: false, problem };
  } finally {
    if (db.open) db.close();
  }
}

export function indexFile(sqliteHome: string): string {
  return path.join(sqliteHome, INDEX_FILE);
}

function isDirectory(directory: string): boolean {
  return statSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
