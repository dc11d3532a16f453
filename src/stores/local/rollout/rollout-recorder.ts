import { closeSync, fstatSync, fsync, lstatSync, mkdirSync, rmSync, type Stats, writeSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { conflict, invalidRequest, ThreadkeeperError, unsupported } from '../../../protocol/errors.js';
import type { HistoryMode } from '../../../protocol/history-mode.js';
import { asIndex, asNumber, asObject, parseJson, strictJson } from '../../../protocol/json.js';
import { type RolloutItem, typeFirst } from '../../../protocol/rollout-item.js';
import { isBlank, lineText, readLinesBackward } from './line-reader.js';
import { openNew, openToAppend, syncParentDirectory } from './regular-file.js';
import { RolloutBytes } from './rollout-bytes.js';

/** What a flush promises: that a kill of the process loses nothing, or that a power cut does not either. */
export type Durability = 'flush' | 'fsync';

export interface RecorderOptions {
  readonly file: string;
  readonly mode: HistoryMode;
  readonly durability?: Durability | undefined;
  /** Throws when the file may not be made any more: its home may have changed since the thread was started. */
  readonly mayCreate?: (() => void) | undefined;
}

interface QueuedItem {
  readonly timestamp: string;
  readonly item: RolloutItem;
}

/** The line being written: its bytes, its start in the file, and how many bytes are written. */
interface CurrentLine {
  readonly bytes: Buffer;
  readonly start: number;
  readonly ordinal: number | undefined;
  written: number;
}

const NEWLINE = 0x0a;
const sync = promisify(fsync);

/**
 * Appends items to one rollout, first in first out, one line one write. Hold the thread's writer lock while it is open.
 * An item leaves the queue when its line is whole in the file: a write that fails is tried once more and then reported,
 * and the next one continues where it stopped, so that nothing is lost or written twice. An unterminated last
 * line is ended first. Nothing is ever cut off a rollout.
 */
export class RolloutRecorder {
  readonly #file: string;
  readonly #mode: HistoryMode;
  readonly #durability: Durability;
  readonly #mayCreate: () => void;
  readonly #queue: QueuedItem[] = [];
  /** What a thread without a file begins with, once it gets one. */
  #preamble: readonly RolloutItem[] = [];
  #currentLine: CurrentLine | undefined;
  #fd: number | undefined;
  #inode: number | undefined;
  /** Bytes of the file as this recorder knows it. */
  #size = 0;
  #isTerminated = true;
  #nextOrdinal: number | undefined;
  #isUnsynced = false;
  #isMadeHere = false;

  private constructor({ file, mode, durability = 'flush', mayCreate = () => {} }: RecorderOptions) {
    this.#file = file;
    this.#mode = mode;
    this.#durability = durability;
    this.#mayCreate = mayCreate;
  }

  /**
   * For a thread without a file: nothing is made on disk before there is an item to write, and then `preamble` comes
   * first. The first line of a paginated thread gets `firstOrdinal`.
   */
  static lazily(options: RecorderOptions, preamble: readonly RolloutItem[], firstOrdinal = 0): RolloutRecorder {
    const recorder = new RolloutRecorder(options);
    recorder.#preamble = preamble;
    recorder.#nextOrdinal = firstOrdinal;
    return recorder;
  }

  /**
   * Opens an existing rollout, and writes nothing yet. Throws `unsupported` for a compressed one, `invalid_request`
   * for a paginated one whose last line has no ordinal to follow.
   */
  static open(options: RecorderOptions): RolloutRecorder {
    if (options.file.endsWith('.zst')) {
      throw unsupported(
        'this thread is compressed (.jsonl.zst) and cannot be appended to',
        'Resume it once in Codex, which unpacks it, then call again.',
      );
    }
    const recorder = new RolloutRecorder(options);
    recorder.#fd = openToAppend(options.file);
    try {
      recorder.#inode = fstatSync(recorder.#fd).ino;
      recorder.#readTail(recorder.#fd);
    } catch (error) {
      recorder.discard();
      throw error;
    }
    return recorder;
  }

  /** True when the thread has a file. */
  get isMaterialised(): boolean {
    return this.#inode !== undefined;
  }

  /** Items that are not whole in the file. */
  get pending(): number {
    return this.#queue.length;
  }

  /** Queues items; `write` puts them into the file. */
  add(items: readonly RolloutItem[]): void {
    if (items.length === 0) return;
    this.materialise();
    this.#enqueue(items);
  }

  /** Makes sure that a thread without a file gets one with the next write, even without an item. */
  materialise(): void {
    this.#enqueue(this.#preamble);
    this.#preamble = [];
  }

  #enqueue(items: readonly RolloutItem[]): void {
    const timestamp = new Date().toISOString();
    for (const item of items) this.#queue.push({ timestamp, item });
  }

  /** Puts everything queued into the file. Throws what the second try failed with; the rest stays queued. */
  write(): void {
    if (this.#queue.length === 0) return;
    try {
      this.#drain();
    } catch (error) {
      // A retry does not help against these errors.
      if (error instanceof ThreadkeeperError) throw error;
      this.#reopen();
      this.#drain();
    }
  }

  /** Writes, and with `fsync` waits until the disk has it. */
  async flush(): Promise<void> {
    this.write();
    if (this.#durability !== 'fsync' || !this.#isUnsynced || this.#fd === undefined) return;
    await sync(this.#fd);
    this.#isUnsynced = false;
  }

  /**
   * Forgets the items that were queued last, as their caller was told that they failed. A line that was begun stays as a
   * torn one, which the next line ends.
   */
  dropLast(count: number): void {
    this.#queue.length = Math.max(0, this.#queue.length - count);
    if (this.#queue.length > 0 || !this.#currentLine) return;
    if (this.#currentLine.written > 0) this.#isTerminated = false;
    this.#currentLine = undefined;
  }

  /** Closes without writing what is queued. Removes a file that this recorder created and that is still empty. */
  discard(): void {
    this.#queue.length = 0;
    this.#currentLine = undefined;
    const isVoid = this.#isMadeHere && this.#size === 0 && this.#fd !== undefined && fstatOr(this.#fd)?.size === 0;
    this.#closeFile();
    if (isVoid) rmSync(this.#file, { force: true });
  }

  #drain(): void {
    const fd = this.#fd ?? this.#create();
    this.#lookForOthers(fd);
    let done = 0;
    try {
      for (const queued of this.#queue) {
        const line = this.#currentLine ?? this.#lineOf(queued);
        this.#currentLine = line;
        this.#writeLine(fd, line);
        done += 1;
      }
    } finally {
      this.#queue.splice(0, done);
    }
  }

  #writeLine(fd: number, line: CurrentLine): void {
    while (line.written < line.bytes.length) {
      const count = writeSync(fd, line.bytes, line.written);
      line.written += count;
      this.#size += count;
    }
    this.#isUnsynced = true;
    this.#currentLine = undefined;
    this.#isTerminated = true;
    if (line.ordinal !== undefined) this.#nextOrdinal = line.ordinal + 1;
  }

  #lineOf({ timestamp, item: { type, payload, metadata } }: QueuedItem): CurrentLine {
    const ordinal = this.#mode === 'paginated' ? followed(this.#nextOrdinal) : undefined;
    const text = strictJson({ timestamp, ordinal, type, payload: typeFirst(payload), metadata });
    const bytes = Buffer.from(`${this.#isTerminated ? '' : '\n'}${text}\n`);
    return { bytes, start: this.#size, ordinal, written: 0 };
  }

  /** Takes a fresh descriptor. The old one is kept until then: while it is open no other file can get its inode. */
  #reopen(): void {
    const old = this.#fd;
    if (old === undefined) return;
    const fresh = openToAppend(this.#file);
    if (fstatSync(fresh).ino !== this.#inode) {
      closeSync(fresh);
      throw isReplaced();
    }
    if (fresh !== old) this.#closeFile();
    this.#fd = fresh;
  }

  #create(): number {
    this.#mayCreate();
    mkdirSync(path.dirname(this.#file), { recursive: true });
    this.#fd = openNew(this.#file);
    this.#isMadeHere = true;
    this.#inode = fstatSync(this.#fd).ino;
    if (this.#durability === 'fsync') syncParentDirectory(this.#file);
    return this.#fd;
  }

  /**
   * Checks that the file is still the same one. After a failed write, finds how much of the line was written.
   * Lines that a program appended without the lock are never overwritten.
   */
  #lookForOthers(fd: number): void {
    const { ino, size } = fstatSync(fd);
    // The descriptor was closed elsewhere and reused. `write` reopens the file and retries.
    if (ino !== this.#inode) throw new Error('the descriptor is of another file');
    // The open file may have been moved, and another file may be in its place.
    const inPlace = lstatSync(this.#file, { throwIfNoEntry: false });
    if (inPlace?.ino !== ino || size < this.#size) throw isReplaced();
    if (size === this.#size) return;
    const line = this.#currentLine;
    if (line && isBeginningAt(fd, line, size)) {
      line.written = size - line.start;
      this.#size = size;
      return;
    }
    this.#currentLine = undefined;
    this.#readTail(fd);
  }

  /** The size, whether the last line is ended, and the ordinal that comes next. */
  #readTail(fd: number): void {
    const source = new RolloutBytes(fd, fstatSync(fd).size);
    const last = Buffer.alloc(1);
    this.#size = source.size;
    this.#isTerminated = source.size === 0 || (source.read(last, source.size - 1) === 1 && last[0] === NEWLINE);
    if (this.#mode === 'paginated') this.#nextOrdinal = followed((lastOrdinal(source) ?? Number.NaN) + 1);
  }

  #closeFile(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    // A descriptor that was closed elsewhere may belong to another file now.
    if (fstatOr(fd)?.ino === this.#inode) closeSync(fd);
  }
}

const isReplaced = () =>
  conflict(
    'the rollout of this thread was removed, moved, cut or replaced while it was open',
    'The new and the queued lines are not written. Read the thread, then call again: it is reopened if it exists.',
  );

/** Undefined for a descriptor that is closed. */
function fstatOr(fd: number): Stats | undefined {
  try {
    return fstatSync(fd);
  } catch {
    return undefined;
  }
}

/** True when the file ends with a beginning of the line, which may be the whole of it. */
function isBeginningAt(fd: number, { bytes, start }: CurrentLine, size: number): boolean {
  const length = size - start;
  if (length < 0 || length > bytes.length) return false;
  const found = Buffer.alloc(length);
  return new RolloutBytes(fd, size).read(found, start) === length && found.equals(bytes.subarray(0, length));
}

function followed(ordinal: number | undefined): number {
  const next = asIndex(ordinal);
  if (next !== undefined) return next;
  throw invalidRequest(
    'the last line of this paginated thread has no ordinal that could be followed, so nothing can be appended to it',
    'Nothing was changed. Codex refuses to resume a thread without ordinals too; a name can be set.',
  );
}

/** The ordinal of the last line that parses, before `end`. */
export function lastOrdinal(source: RolloutBytes, end = source.size): number | undefined {
  for (const line of readLinesBackward(source, { end })) {
    if (isBlank(line)) continue;
    if (line.isCut) {
      const match = /"ordinal":(\d+)/.exec(line.bytes.toString('latin1', 0, 200));
      if (match) return Number(match[1]);
    } else {
      const parsed = asObject(parseJson(lineText(line)));
      if (parsed) return asNumber(parsed['ordinal']);
    }
  }
  return undefined;
}
