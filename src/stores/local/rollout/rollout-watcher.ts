import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';

interface Watch {
  readonly ino: number;
  readonly watcher: FSWatcher;
}

/**
 * Reports which files of some directories were written to, without polling them: one OS watch a directory. Where
 * the OS cannot watch (a network file system, too many watches) the directory itself is always reported.
 */
export class RolloutWatcher {
  readonly #watches = new Map<string, Watch>();
  readonly #unwatched = new Set<string>();
  #dirty = new Set<string>();

  /**
   * Watches exactly these directories, given with their inodes. One that is new here, or was made again, is dirty as a
   * whole: it may have changed before.
   */
  follow(directories: ReadonlyMap<string, number>): void {
    for (const [directory, { ino, watcher }] of this.#watches) {
      if (directories.get(directory) === ino) continue;
      watcher.close();
      this.#watches.delete(directory);
    }
    for (const directory of this.#unwatched) if (!directories.has(directory)) this.#unwatched.delete(directory);
    for (const [directory, ino] of directories) {
      if (!this.#watches.has(directory) && !this.#unwatched.has(directory)) this.#watch(directory, ino);
    }
  }

  /** The paths written to since the last call: files, or directories of which nothing more is known. */
  takeDirty(): ReadonlySet<string> {
    const dirty = this.#dirty;
    this.#dirty = new Set(this.#unwatched);
    return dirty;
  }

  /** Puts back paths that could not be processed; the next `takeDirty` returns them again. */
  giveBack(dirty: ReadonlySet<string>): void {
    for (const file of dirty) this.#dirty.add(file);
  }

  close(): void {
    this.follow(new Map());
  }

  #watch(directory: string, ino: number): void {
    this.#dirty.add(directory);
    try {
      const watcher = watch(directory, { persistent: false }, (_, name) => {
        this.#dirty.add(name === null ? directory : path.join(directory, name));
      });
      watcher.on('error', () => this.#giveUp(directory));
      this.#watches.set(directory, { ino, watcher });
    } catch {
      this.#unwatched.add(directory);
    }
  }

  #giveUp(directory: string): void {
    this.#watches.get(directory)?.watcher.close();
    this.#watches.delete(directory);
    this.#unwatched.add(directory);
    this.#dirty.add(directory);
  }
}
