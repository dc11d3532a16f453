import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  futimesSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { conflict, systemErrorCode } from '../../../protocol/errors.js';
import { openNew, syncParentDirectory } from './regular-file.js';

const STALE_MS = 60 * 60 * 1000;

/**
 * A new rollout that has its name only when it is whole: a program that is killed meanwhile leaves a temporary file,
 * which no program takes for a rollout and a later draft sweeps away.
 */
export class RolloutDraft {
  readonly #file: string;
  readonly #temporary: string;
  readonly #fd: number;

  constructor(file: string) {
    this.#file = file;
    const directory = path.dirname(file);
    mkdirSync(directory, { recursive: true });
    sweep(directory);
    this.#temporary = path.join(directory, `.${path.basename(file)}.${randomBytes(4).toString('hex')}.tmp`);
    this.#fd = openNew(this.#temporary);
  }

  write(bytes: Buffer): void {
    for (let written = 0; written < bytes.length; ) written += writeSync(this.#fd, bytes, written);
  }

  /**
   * Gives the file its name, and its time of change (milliseconds) if that is not now. Throws `conflict` when that name
   * is taken.
   */
  finish(modifiedAt?: number): void {
    if (modifiedAt !== undefined) futimesSync(this.#fd, modifiedAt / 1000, modifiedAt / 1000);
    // Readers take a file with this name as complete, also after a power cut.
    fsyncSync(this.#fd);
    try {
      linkSync(this.#temporary, this.#file);
    } catch (error) {
      if (systemErrorCode(error) === 'EEXIST' || existsSync(this.#file)) {
        throw conflict('a rollout of that name already exists', 'Nothing was changed.', error);
      }
      // No hard links here.
      renameSync(this.#temporary, this.#file);
    }
  }

  /** As `finish`, but replaces an existing file, takes time, owner and mode as given, and syncs the directory. */
  replace({ mtimeMs: modifiedAt, mode, uid, gid }: Pick<Stats, 'mtimeMs' | 'mode' | 'uid' | 'gid'>): void {
    // Only root can set the owner.
    if (process.geteuid?.() === 0) fchownSync(this.#fd, uid, gid);
    fchmodSync(this.#fd, mode);
    futimesSync(this.#fd, modifiedAt / 1000, modifiedAt / 1000);
    fsyncSync(this.#fd);
    renameSync(this.#temporary, this.#file);
    syncParentDirectory(this.#file);
  }

  /** To be called in any case, last. */
  close(): void {
    closeSync(this.#fd);
    rmSync(this.#temporary, { force: true });
  }
}

/** Removes old temporary files that killed programs left in a directory. */
function sweep(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (!/^\.rollout-.*\.tmp$/.test(name)) continue;
    const file = path.join(directory, name);
    const { mtimeMs } = statSync(file, { throwIfNoEntry: false }) ?? { mtimeMs: Date.now() };
    if (Date.now() - mtimeMs > STALE_MS) rmSync(file, { force: true });
  }
}
