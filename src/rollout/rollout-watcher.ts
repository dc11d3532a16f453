import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';

/**
 * Says which files of some folders have been written to, without looking at every file: one OS watch a folder. Where
 * the OS cannot watch (a network file system, too many watches) it says so, and the caller has to look.
 */
export class RolloutWatcher {
  readonly #watches = new Map<string, FSWatcher>();
  readonly #unwatched = new Set<string>();
  #dirty = new Set<string>();

  /** Watches exactly these folders. A folder that is new here is dirty as a whole: it may have changed before. */
  follow(folders: Iterable<string>): void {
    const wanted = new Set(folders);
    for (const [folder, watcher] of this.#watches) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watches.delete(folder);
    }
    for (const folder of this.#unwatched) if (!wanted.has(folder)) this.#unwatched.delete(folder);
    for (const folder of wanted) if (!this.#watches.has(folder) && !this.#unwatched.has(folder)) this.#watch(folder);
  }

  /** The paths written to since the last call: files, or folders of which nothing more is known. */
  takeDirty(): ReadonlySet<string> {
    const dirty = this.#dirty;
    this.#dirty = new Set(this.#unwatched);
    return dirty;
  }

  close(): void {
    this.follow([]);
  }

  #watch(folder: string): void {
    this.#dirty.add(folder);
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        this.#dirty.add(name === null ? folder : path.join(folder, name));
      });
      watcher.on('error', () => this.#giveUp(folder));
      this.#watches.set(folder, watcher);
    } catch {
      this.#unwatched.add(folder);
    }
  }

  #giveUp(folder: string): void {
    this.#watches.get(folder)?.close();
    this.#watches.delete(folder);
    this.#unwatched.add(folder);
    this.#dirty.add(folder);
  }
}
