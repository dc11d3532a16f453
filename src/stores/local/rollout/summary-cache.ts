import { fstatSync, type Stats, statSync } from 'node:fs';
import { TimeSlice } from '../../../protocol/time-slice.js';
import { BoundedMap } from '../../../store/bounded-map.js';
import { readLines } from './line-reader.js';
import { openToRead } from './regular-file.js';
import { openPlain, openRollout, RolloutBytes } from './rollout-bytes.js';
import type { RolloutFile } from './rollout-file.js';
import { RolloutMetadata } from './rollout-metadata.js';

/** What is known of a rollout file, and how much of it that took. */
export interface RolloutSummary {
  readonly metadata: RolloutMetadata;
  readonly size: number;
  /** Last modification, milliseconds. */
  readonly modifiedAt: number;
  /** True when every line has been seen; else only the head. */
  readonly isComplete: boolean;
}

interface Entry {
  metadata: RolloutMetadata;
  ino: number;
  size: number;
  mtimeMs: number;
  /** Where the next unseen line begins. */
  offset: number;
  /** The first bytes. They differ when the file was rewritten, and not when it only grew. */
  beginning: Buffer;
  isComplete: boolean;
}

/** Codex looks at this many lines of a file for the first user message, at most. */
const HEAD_LINES = 210;
const ALWAYS_HEAD_LINES = 10;
/** Unpacking a compressed file stops here for a head. */
const COMPRESSED_HEAD_BYTES = 512 * 1024;
const MAX_ENTRIES = 50_000;
/** Enough for the time and the id of a session_meta. */
const BEGINNING_BYTES = 256;

/**
 * Reads what rollouts say of their threads, once: an entry holds as long as the file's size, time and inode do, and a
 * file that only grew is read on from where the last look ended.
 */
export class SummaryCache {
  readonly #entries = new BoundedMap<string, Entry>(MAX_ENTRIES);
  readonly #slice = new TimeSlice();

  /** The beginning of the file: enough for lists (id, source, cwd, preview), not for what is set later on. */
  async head(file: RolloutFile): Promise<RolloutSummary> {
    return await this.#summary(file, false);
  }

  /** The whole file: also model, tokens, and git and memory mode as they were set last. */
  async full(file: RolloutFile): Promise<RolloutSummary> {
    return await this.#summary(file, true);
  }

  /** The whole file, without keeping what it said: for passes over every file of a home. */
  async once(file: RolloutFile): Promise<RolloutSummary> {
    const entry = newEntry(statSync(file.path), file);
    await this.#read(file, entry, true);
    return asSummary(entry);
  }

  async #summary(file: RolloutFile, whole: boolean): Promise<RolloutSummary> {
    const stat = statSync(file.path);
    const known = this.#entries.get(file.path);
    const isCurrent = known?.ino === stat.ino && known.size === stat.size && known.mtimeMs === stat.mtimeMs;
    if (known && isCurrent && (known.isComplete || !whole)) return asSummary(known);
    const isLonger = known?.ino === stat.ino && known.size <= stat.size && !file.isCompressed;
    const grew = isLonger && hasSameBeginning(file.path, known);
    if (known && grew && !whole && isHeadKnown(known.metadata)) {
      Object.assign(known, { size: stat.size, mtimeMs: stat.mtimeMs, isComplete: false });
      return asSummary(known);
    }
    const entry = known && grew ? known : newEntry(stat, file);
    await this.#read(file, entry, whole);
    this.#entries.set(file.path, entry);
    return asSummary(entry);
  }

  async #read(file: RolloutFile, entry: Entry, whole: boolean): Promise<void> {
    const source = file.isCompressed
      ? await openRollout(file.path, whole ? {} : { headBytes: COMPRESSED_HEAD_BYTES })
      : openForScan(file.path, entry);
    if (entry.beginning.length === 0) entry.beginning = readBeginning(source);
    try {
      for (const line of readLines(source, { start: entry.offset })) {
        if (this.#slice.isOver) await this.#slice.yield();
        if (!line.isTerminated && !isWholeJson(line.bytes)) break;
        entry.metadata.observe(line);
        entry.offset = line.offset + line.length + 1;
        if (!whole && isHeadDone(entry.metadata)) break;
      }
      entry.isComplete = whole || entry.offset >= source.size;
      // A compressed file is not read on from the middle: it is written once.
      if (file.isCompressed && !entry.isComplete) entry.size = -1;
    } finally {
      source.close();
    }
  }
}

function openForScan(file: string, entry: Entry): RolloutBytes {
  const fd = openToRead(file);
  const stat = fstatSync(fd);
  Object.assign(entry, { ino: stat.ino, size: stat.size, mtimeMs: stat.mtimeMs });
  return new RolloutBytes(fd, stat.size);
}

function newEntry(stat: Stats, file: RolloutFile): Entry {
  const { ino, size, mtimeMs } = stat;
  const metadata = new RolloutMetadata(file.threadId);
  return { metadata, ino, size, mtimeMs, offset: 0, beginning: Buffer.alloc(0), isComplete: false };
}

function readBeginning(source: RolloutBytes): Buffer {
  const bytes = Buffer.alloc(Math.min(BEGINNING_BYTES, source.size));
  return bytes.subarray(0, source.read(bytes, 0));
}

function hasSameBeginning(file: string, { beginning }: Entry): boolean {
  const source = openPlain(file);
  try {
    return readBeginning(source).subarray(0, beginning.length).equals(beginning);
  } finally {
    source.close();
  }
}

function asSummary(entry: Entry): RolloutSummary {
  const { metadata, size, mtimeMs, isComplete } = entry;
  return { metadata, size, modifiedAt: mtimeMs, isComplete };
}

function isHeadKnown(metadata: RolloutMetadata): boolean {
  return metadata.lineCount >= ALWAYS_HEAD_LINES && metadata.fields.firstUserMessage !== undefined;
}

function isHeadDone(metadata: RolloutMetadata): boolean {
  return isHeadKnown(metadata) || metadata.lineCount >= HEAD_LINES;
}

/** A last line without its newline counts when it is whole: another program may write the newline first. */
function isWholeJson(bytes: Buffer): boolean {
  return bytes.length < 1_000_000 && bytes.at(0) === 0x7b && bytes.toString('utf8').trimEnd().endsWith('}');
}
