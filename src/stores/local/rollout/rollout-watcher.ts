import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';

interface Watch {
  readonly ino: number;
  readonly watcher: FSWatcher;
}

/**
 * Says which files of some folders have been written to, without looking at every file: one OS watch a folder. Where
 * the OS cannot watch (a network file system, too many watches) it says so, and the caller has to look.
 */
export class RolloutWatcher {
  readonly #watches = new Map<string, Watch>();
  readonly #unwatched = new Set<string>();
  #dirty = new Set<string>();

  /**
   * Watches exactly these folders, given with their inodes. One that is new here, or was made again, is dirty as a
   * whole: it may have changed before.
   */
  follow(folders: ReadonlyMap<string, number>): void {
    for (const [folder, { ino, watcher }] of this.#watches) {
      if (folders.get(folder) === ino) continue;
      watcher.close();
      this.#watches.delete(folder);
    }
    for (const folder of this.#unwatched) if (!folders.has(folder)) this.#unwatched.delete(folder);
    for (const [folder, ino] of folders) {
      if (!this.#watches.has(folder) && !this.#unwatched.has(folder)) this.#watch(folder, ino);
    }
  }

  /** The paths written to since the last call: files, or folders of which nothing more is known. */
  takeDirty(): ReadonlySet<string> {
    const dirty = this.#dirty;
    this.#dirty = new Set(this.#unwatched);
    return dirty;
  }

  /** What was taken could not be dealt with: the next call gives it again. */
  giveBack(dirty: ReadonlySet<string>): void {
    for (const file of dirty) this.#dirty.add(file);
  }

  close(): void {
    this.follow(new Map());
  }

  #watch(folder: string, ino: number): void {
    this.#dirty.add(folder);
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        this.#dirty.add(name === null ? folder : path.join(folder, name));
      });
      watcher.on('error', () => this.#giveUp(folder));
      this.#watches.set(folder, { ino, watcher });
    } catch {
      this.#unwatched.add(folder);
    }
  }

  #giveUp(folder: string): void {
    this.#watches.get(folder)?.watcher.close();
    this.#watches.delete(folder);
    this.#unwatched.add(folder);
    this.#dirty.add(folder);
  }
}
