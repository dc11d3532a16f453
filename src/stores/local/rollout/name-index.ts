import { closeSync, existsSync, fstatSync, readSync, statSync, writeSync } from 'node:fs';
import { systemErrorCode } from '../../../protocol/errors.js';
import { asThreadId, type ThreadId } from '../../../protocol/ids.js';
import { asObject, asString, parseJson, strictJson } from '../../../protocol/json.js';
import { withFileLock } from './file-lock.js';
import { lineText, readLines } from './line-reader.js';
import { openOrCreate } from './regular-file.js';
import { openPlain } from './rollout-bytes.js';
import type { RolloutHome } from './rollout-home.js';

/**
 * `session_index.jsonl`: the names of threads, append-only, shared with Codex (docs/codex-home.md, Name index).
 * The latest line of an id wins; an empty name means that the name was cleared.
 */
export class NameIndex {
  readonly #home: RolloutHome;
  #names = new Map<ThreadId, string>();
  /** How far the file has been read, and which file that was. */
  #read = { ino: -1, offset: 0, mtimeMs: 0 };
  /** Changes whenever a name may have. */
  generation = 0;
  /** Why the index cannot be read now, so that names may be missing; undefined when it can. */
  problem: string | undefined;

  constructor(home: RolloutHome) {
    this.#home = home;
  }

  /** The newest name of a thread, or undefined when it has none or it was cleared. */
  nameFor(threadId: ThreadId): string | undefined {
    this.#refresh();
    return this.#names.get(threadId) || undefined;
  }

  /** True when the index has a line for the thread, a cleared one included. */
  has(threadId: ThreadId): boolean {
    this.#refresh();
    return this.#names.has(threadId);
  }

  /** All current names by thread. */
  entries(): ReadonlyMap<ThreadId, string> {
    this.#refresh();
    return this.#names;
  }

  /**
   * Runs `action` under Codex's lock of the index, with the index open: `append` adds one line ('' clears). The index
   * is not synced to disk, as in Codex.
   */
  async locked<T>(action: (append: (threadId: ThreadId, name: string) => void) => Promise<T>): Promise<T> {
    this.#home.assertInside(this.#home.nameIndex);
    this.#home.assertInside(this.#home.nameIndexLock);
    return await withFileLock(this.#home.nameIndexLock, async () => {
      // An index that may not be written fails here, before anything else is written. A missing one is made with its
      // first line, so that a refused name leaves no file.
      let fd = existsSync(this.#home.nameIndex) ? openOrCreate(this.#home.nameIndex) : undefined;
      try {
        return await action((threadId, name) => {
          fd ??= openOrCreate(this.#home.nameIndex);
          appendLine(fd, threadId, name);
        });
      } finally {
        if (fd !== undefined) closeSync(fd);
      }
    });
  }

  /** Threads work without names, so an unreadable name index is reported in `problem` and is no error. */
  #refresh(): void {
    try {
      this.#readNews();
      this.problem = undefined;
    } catch (error) {
      this.problem = `session_index.jsonl cannot be read (${systemErrorCode(error) ?? (error instanceof Error ? error.message : 'unknown error')})`;
    }
  }

  #readNews(): void {
    const found = statSync(this.#home.nameIndex, { throwIfNoEntry: false });
    const stat = found ?? { ino: -1, size: 0, mtimeMs: 0 };
    const grew = stat.ino === this.#read.ino && stat.size >= this.#read.offset;
    if (grew && stat.mtimeMs === this.#read.mtimeMs && stat.size === this.#read.offset) return;
    if (!grew) this.#names = new Map();
    const start = grew ? this.#read.offset : 0;
    const offset = stat.ino === -1 ? 0 : this.#readFrom(start);
    this.#read = { ino: stat.ino, offset, mtimeMs: stat.mtimeMs };
    this.generation += 1;
  }

  /** Reads the terminated lines from `start` on; returns where the next one will begin. */
  #readFrom(start: number): number {
    this.#home.assertInside(this.#home.nameIndex);
    const source = openPlain(this.#home.nameIndex);
    let offset = start;
    try {
      for (const line of readLines(source, { start })) {
        if (!line.isTerminated) break;
        offset = line.offset + line.length + 1;
        const entry = asObject(parseJson(lineText(line)));
        const id = asThreadId(entry?.['id']);
        const name = asString(entry?.['thread_name']);
        if (id && name !== undefined) this.#names.set(id, name.trim());
      }
    } finally {
      source.close();
    }
    return offset;
  }
}

function appendLine(fd: number, threadId: ThreadId, name: string): void {
  const line = strictJson({ id: threadId, thread_name: name, updated_at: new Date().toISOString() });
  // The new line must not be appended to a line that a crash has cut.
  const { size } = fstatSync(fd);
  const last = Buffer.alloc(1);
  const needsNewline = size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
  writeSync(fd, `${needsNewline ? '\n' : ''}${line}\n`);
}
