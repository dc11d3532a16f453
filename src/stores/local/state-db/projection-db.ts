import { statSync } from 'node:fs';
import path from 'node:path';
import Database from 'better-sqlite3';

/** Codex's projection of paginated rollouts, from which alone it shows their turns. */
const FILE = 'thread_history_1.sqlite';

/**
 * How far Codex has read paginated rollouts (docs/codex-home.md, Projection). Only a `thread/resume` in Codex reads on: what
 * another program appended since is not shown there until then. Read only; a file that cannot be read tells nothing.
 */
export class ProjectionDb {
  readonly #file: string;
  #open: { readonly db: Database.Database; readonly ino: number } | undefined;

  /** `directory` is where Codex keeps its SQLite files. */
  constructor(directory: string) {
    this.#file = path.join(directory, FILE);
  }

  /** How many bytes of a rollout Codex shows; undefined where it has not read the rollout, or that is not known. */
  bytesShown(rolloutId: string): number | undefined {
    try {
      const sql = 'SELECT next_rollout_byte_offset FROM thread_history_projection_state WHERE thread_id = ?';
      const value: unknown = this.#opened()?.prepare(sql).pluck().get(rolloutId);
      return typeof value === 'number' ? value : undefined;
    } catch {
      this.close();
      return undefined;
    }
  }

  close(): void {
    this.#open?.db.close();
    this.#open = undefined;
  }

  #opened(): Database.Database | undefined {
    const ino = statSync(this.#file, { throwIfNoEntry: false })?.ino;
    if (this.#open && this.#open.ino !== ino) this.close();
    if (ino === undefined) return undefined;
    this.#open ??= { db: new Database(this.#file, { readonly: true, fileMustExist: true, timeout: 200 }), ino };
    return this.#open.db;
  }
}
