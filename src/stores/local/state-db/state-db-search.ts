import { accessSync, constants, lstatSync, readdirSync, type Stats, statSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';
import { isResourceExhausted, readFailure, systemErrorCode } from '../../../protocol/errors.js';

/** Where Codex may keep the state DB of a home. */
export interface SqliteHomes {
  /** The directory of the index; it must exist when `isConfigured`. */
  readonly main: string;
  /** True when a flag, the environment or config.toml names `main`. */
  readonly isConfigured: boolean;
  /** Other directories in which a program of Codex keeps one. */
  readonly others: readonly string[];
  /** Why `main` may not be the right directory, if that is so. */
  readonly ambiguity?: string | undefined;
}

/** What is in a file named `state_<n>.sqlite`. */
type Content = 'codex' | 'unreadable' | 'damaged' | 'empty' | 'foreign' | 'garbage';

interface Candidate {
  readonly file: string;
  readonly directory: string;
  readonly generation: number;
  /** When the DB or its write-ahead log was last written, milliseconds. */
  readonly writtenAt: number;
  readonly content: Content;
  /** Which schema it has: Codex's migrations as the DB lists them, else its tables; undefined where that is not known. */
  readonly schema: string | undefined;
}

/** A DB that does not serve, and why. */
export interface SkippedStateDb {
  readonly file: string;
  readonly why: string;
}

export interface StateDbSearch {
  /** The DB that Codex uses; undefined when there is none. */
  readonly file: string | undefined;
  readonly others: readonly SkippedStateDb[];
  /** Why it is not certain which DB Codex uses; then none may be written. */
  readonly ambiguity: string | undefined;
}

const NAME = /^state_(\d{1,9})\.sqlite$/;

/**
 * Finds the state DB that Codex uses for a home. Codex's programs keep it in the SQLite home or in `sqlite/` of the home
 * (the desktop app); where there are several, the one last written counts, its write-ahead log included. If one is
 * Codex's, a file without its tables is skipped. So is a copy: a higher generation with the schema of a lower one.
 */
export class StateDbFinder {
  readonly #homes: SqliteHomes;
  /** What each file held, by its identity: opening every file before every write would cost too much. */
  readonly #contents = new Map<string, { identity: string; content: Content; schema: string | undefined }>();

  constructor(homes: SqliteHomes) {
    this.#homes = homes;
  }

  /** Throws `resource_exhausted` where no more files can be opened. */
  find(): StateDbSearch {
    const { main, isConfigured } = this.#homes;
    const others: SkippedStateDb[] = [];
    let ambiguity: string | undefined;
    const files: { file: string; directory: string; generation: number; stat: Stats }[] = [];
    for (const directory of new Set([main, ...this.#homes.others])) {
      const listed = namesIn(directory);
      if (listed.problem === 'ENOENT' || listed.problem === 'ENOTDIR') {
        if (directory === main && isConfigured) ambiguity ??= `the SQLite home ${directory} does not exist`;
      } else if (listed.problem !== undefined) {
        ambiguity ??= `${directory} cannot be listed (${listed.problem}), and Codex may keep its state DB there`;
      }
      for (const name of listed.names) {
        const file = path.join(directory, name);
        const stat = statOf(file);
        if (stat?.isFile()) files.push({ file, directory, generation: Number(NAME.exec(name)?.[1]), stat });
        else if (!stat && lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) {
          ambiguity ??= `${file} is a link whose target does not exist`;
        } else others.push({ file, why: 'it is no file' });
      }
    }
    const [only, ...more] = files;
    // A DB that exists decides which directory counts.
    if (!only) return { file: undefined, others, ambiguity: ambiguity ?? this.#homes.ambiguity };
    if (more.length === 0) {
      const { content } = this.#candidate(only);
      // One that is empty Codex may be about to fill; one with tables of another program it will not touch.
      if (content !== 'foreign') return { file: only.file, others, ambiguity };
      const foreign = { file: only.file, why: 'it is not a state DB of Codex' };
      return { file: undefined, others: [...others, foreign], ambiguity: ambiguity ?? this.#homes.ambiguity };
    }
    const chosen = choose(files.map((found) => this.#candidate(found)));
    return { file: chosen.file, others: [...others, ...chosen.others], ambiguity };
  }

  #candidate(found: { file: string; directory: string; generation: number; stat: Stats }): Candidate {
    const { file, directory, generation, stat } = found;
    const log = statOf(`${file}-wal`);
    const hasLog = log !== undefined && log.size > 0;
    const identity = `${stat.ino} ${stat.mtimeMs} ${stat.size > 0 || hasLog} ${isReadable(file)}`;
    let known = this.#contents.get(file);
    if (known?.identity !== identity) {
      known = { identity, ...contentOf(file, stat.size > 0 || hasLog) };
      // What a lock or a passing failure hides is looked at again.
      const isKnown = known.content === 'empty' || known.content === 'foreign' || known.schema !== undefined;
      if (isKnown) this.#contents.set(file, known);
      else this.#contents.delete(file);
    }
    const writtenAt = Math.max(stat.mtimeMs, hasLog ? log.mtimeMs : 0);
    return { file, directory, generation, writtenAt, content: known.content, schema: known.schema };
  }
}

function choose(candidates: readonly Candidate[]): { file: string | undefined; others: SkippedStateDb[] } {
  const reasons = new Map<Candidate, string>();
  const isReal = ({ content }: Candidate) => !['empty', 'foreign', 'garbage'].includes(content);
  const hasReal = candidates.some(isReal);
  for (const candidate of candidates) {
    if (hasReal && candidate.content === 'empty') reasons.set(candidate, 'it is empty');
    if (hasReal && (candidate.content === 'foreign' || candidate.content === 'garbage'))
      reasons.set(candidate, 'it is not a state DB of Codex');
    const original = candidates.find((other) => isCopy(candidate, other));
    if (original) reasons.set(candidate, `it is a copy of ${path.basename(original.file)}`);
  }
  const pool = candidates.filter((candidate) => !reasons.has(candidate));
  const [first] = [...pool].sort((a, b) => b.writtenAt - a.writtenAt || b.generation - a.generation);
  for (const candidate of pool) {
    if (candidate !== first) reasons.set(candidate, `${first?.file} was written later`);
  }
  return { file: first?.file, others: [...reasons].map(([{ file }, why]) => ({ file, why })) };
}

/** Codex 0.169 uses generation 5; of others the lowest comes first. */
const rank = ({ generation }: Candidate) => (generation === 5 ? 0 : generation);

/** Codex counts a generation up because the schema is another one: the same schema under a higher number is a copy. */
function isCopy(copy: Candidate, original: Candidate): boolean {
  return (
    copy.directory === original.directory &&
    copy !== original &&
    rank(copy) > rank(original) &&
    copy.schema !== undefined &&
    copy.schema === original.schema
  );
}

function contentOf(file: string, hasBytes: boolean): { content: Content; schema: string | undefined } {
  if (!hasBytes) return { content: 'empty', schema: undefined };
  let db: Database.Database | undefined;
  try {
    db = new Database(file, { readonly: true, fileMustExist: true, timeout: 100 });
    const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").pluck().all();
    if (tables.length === 0) return { content: 'empty', schema: undefined };
    if (tables.includes('_sqlx_migrations')) {
      const listed = db.prepare('SELECT version, hex(checksum) FROM _sqlx_migrations ORDER BY version').raw().all();
      return { content: 'codex', schema: JSON.stringify(listed) };
    }
    const columns = db.prepare("SELECT name FROM pragma_table_info('threads')").pluck().all();
    const isCodexDb = columns.includes('id') && columns.includes('rollout_path');
    if (!isCodexDb) return { content: 'foreign', schema: undefined };
    return { content: 'codex', schema: JSON.stringify(db.prepare('SELECT sql FROM sqlite_schema').pluck().all()) };
  } catch (error) {
    const code = error instanceof Database.SqliteError ? error.code : '';
    // A lock says that somebody uses it.
    if (/^SQLITE_(BUSY|LOCKED)/.test(code)) return { content: 'codex', schema: undefined };
    if (code === 'SQLITE_NOTADB') return { content: 'garbage', schema: undefined };
    return { content: /^SQLITE_CORRUPT/.test(code) ? 'damaged' : 'unreadable', schema: undefined };
  } finally {
    db?.close();
  }
}

function namesIn(directory: string): { names: readonly string[]; problem?: string } {
  try {
    return { names: readdirSync(directory).filter((name) => NAME.test(name)) };
  } catch (error) {
    if (isResourceExhausted(error)) throw readFailure(directory, error);
    return { names: [], problem: systemErrorCode(error) ?? 'unknown error' };
  }
}

function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
