import { isUtf8 } from 'node:buffer';
import type { RolloutBytes } from './rollout-bytes.js';

/**
 * One line of a rollout as bytes: those of `chunk` between `from` and `to`. They are only valid until the next line is
 * asked for. Of a line that is longer than the reader keeps (`isCut`) they are the beginning alone.
 */
export class RawLine {
  constructor(
    /** Where the line begins in the uncompressed file. */
    readonly offset: number,
    /** Bytes of the line without its newline. */
    readonly length: number,
    readonly isCut: boolean,
    /** False for a last line without a newline: it may still be in the writing. */
    readonly isTerminated: boolean,
    readonly chunk: Buffer,
    readonly from: number,
    readonly to: number,
  ) {}

  get bytes(): Buffer {
    return this.chunk.subarray(this.from, this.to);
  }
}

/** Lines longer than this are given cut: 8 MiB is far over any line that is not an inline image. */
export const MAX_LINE_BYTES = 8 * 1024 * 1024;
const CHUNK_BYTES = 64 * 1024;
const CUT_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;
const NOTHING = Buffer.alloc(0);

/** Chunks that no reader holds: a pass over 10,000 files would else leave 10,000 of them to the garbage collector. */
const spareChunks: Buffer[] = [];
const MAX_SPARE = 8;

function takeChunk(bytes: number): Buffer {
  return (bytes === CHUNK_BYTES ? spareChunks.pop() : undefined) ?? Buffer.allocUnsafeSlow(bytes);
}

function giveChunk(chunk: Buffer): void {
  if (chunk.length === CHUNK_BYTES && spareChunks.length < MAX_SPARE) spareChunks.push(chunk);
}

function keptEnd(from: number, to: number, isCut: boolean): number {
  return isCut ? Math.min(to, from + CUT_LINE_BYTES) : to;
}

interface ReadOptions {
  readonly start?: number;
  /** Exclusive; the end of the file by default. */
  readonly end?: number;
  readonly maxLineBytes?: number;
  readonly chunkBytes?: number;
}

/** The lines from `start` (a line's beginning) to `end`, oldest first, with bounded memory. Blank lines are given too. */
export function* readLines(source: RolloutBytes, options: ReadOptions = {}): Generator<RawLine> {
  const { start = 0, end = source.size, maxLineBytes = MAX_LINE_BYTES, chunkBytes = CHUNK_BYTES } = options;
  const chunk = takeChunk(chunkBytes);
  let position = start;
  let lineStart = start;
  let lineLength = 0;
  let kept: Buffer[] = [];
  let keptBytes = 0;
  const keep = (piece: Buffer) => {
    lineLength += piece.length;
    if (lineLength > maxLineBytes) {
      if (keptBytes > CUT_LINE_BYTES) kept = [Buffer.concat(kept).subarray(0, CUT_LINE_BYTES)];
      keptBytes = Math.min(keptBytes, CUT_LINE_BYTES);
      if (keptBytes >= CUT_LINE_BYTES) return;
    }
    kept.push(Buffer.from(piece));
    keptBytes += piece.length;
  };
  const line = (from: number, to: number, isTerminated: boolean): RawLine => {
    if (kept.length > 0) return longLine(chunk.subarray(from, to), isTerminated);
    const length = to - from;
    const isCut = length > maxLineBytes;
    const offset = lineStart;
    lineStart += length + 1;
    return new RawLine(offset, length, isCut, isTerminated, chunk, from, keptEnd(from, to, isCut));
  };
  /** A line that began in an earlier chunk. */
  const longLine = (tail: Buffer, isTerminated: boolean): RawLine => {
    keep(tail);
    const whole = Buffer.concat(kept);
    const isCut = lineLength > maxLineBytes;
    const result = new RawLine(lineStart, lineLength, isCut, isTerminated, whole, 0, keptEnd(0, whole.length, isCut));
    lineStart += lineLength + 1;
    lineLength = 0;
    kept = [];
    keptBytes = 0;
    return result;
  };
  try {
    while (position < end) {
      const count = source.read(chunk, position, Math.min(chunkBytes, end - position));
      if (count === 0) break;
      position += count;
      const bytes = chunk.subarray(0, count);
      let from = 0;
      for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, from)) {
        yield line(from, at, true);
        from = at + 1;
      }
      if (from < count) keep(bytes.subarray(from));
    }
    if (lineLength > 0) yield line(0, 0, false);
  } finally {
    giveChunk(chunk);
  }
}

/** The lines that begin before `end`, newest first, reading backwards with bounded memory. */
export function* readLinesBackward(source: RolloutBytes, options: ReadOptions = {}): Generator<RawLine> {
  const { start = 0, end = source.size, maxLineBytes = MAX_LINE_BYTES, chunkBytes = CHUNK_BYTES } = options;
  let lineEnd = end;
  let isTerminated = false;
  let position = end;
  /** Pieces of the line whose beginning has not been met yet, the earliest first. */
  let pieces: Buffer[] = [];
  let pending = 0;
  const prepend = (piece: Buffer) => {
    pending += piece.length;
    // Of a line that is too long only its beginning matters, and that is met last: keep two pieces at most.
    if (pending > maxLineBytes) pieces = pieces.slice(0, 1);
    pieces.unshift(piece);
  };
  const line = (offset: number, chunk: Buffer, from: number, to: number): RawLine => {
    const length = lineEnd - offset;
    const isCut = length > maxLineBytes;
    let result: RawLine;
    if (pieces.length === 0) {
      result = new RawLine(offset, length, isCut, isTerminated, chunk, from, keptEnd(from, to, isCut));
    } else {
      prepend(chunk.subarray(from, to));
      const whole = Buffer.concat(pieces);
      result = new RawLine(offset, length, isCut, isTerminated, whole, 0, keptEnd(0, whole.length, isCut));
      pieces = [];
      pending = 0;
    }
    lineEnd = offset - 1;
    isTerminated = true;
    return result;
  };
  while (position > start) {
    const length = Math.min(chunkBytes, position - start);
    const bytes = Buffer.allocUnsafe(length);
    if (source.read(bytes, position - length, length) < length)
      throw new Error('the rollout was cut while it was read');
    const chunkStart = position - length;
    let to = length;
    for (
      let at = bytes.lastIndexOf(NEWLINE, to - 1);
      at !== -1;
      at = to > 0 ? bytes.lastIndexOf(NEWLINE, to - 1) : -1
    ) {
      const offset = chunkStart + at + 1;
      // The newline that ends the file (or the range) ends a line; nothing comes after it.
      if (offset === end && lineEnd === end && !isTerminated) {
        lineEnd = end - 1;
        isTerminated = true;
      } else {
        yield line(offset, bytes, at + 1, to);
      }
      to = at;
      if (to === 0) break;
    }
    if (to > 0) prepend(bytes.subarray(0, to));
    position = chunkStart;
  }
  if (isTerminated || lineEnd > start) yield line(start, NOTHING, 0, 0);
}

/**
 * The line's text; invalid UTF-8 becomes U+FFFD. A carriage return at the end is dropped, and what editors and crashes put
 * before a line: a byte order mark, NULs.
 */
export function lineText(line: RawLine): string {
  const text = line.chunk.toString('utf8', line.from, line.to).trimEnd();
  return BEFORE_TEXT.test(text) ? text.replace(BEFORE_TEXT, '') : text;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: NULs are what a crash leaves
const BEFORE_TEXT = /^[\u0000\ufeff\s]+/;

/** The first bytes of a line as Latin-1 text, enough for ids and types, which are ASCII. */
export function linePrefix(line: RawLine, length: number): string {
  return line.chunk.toString('latin1', line.from, Math.min(line.from + length, line.to));
}

export function isBlank(line: RawLine): boolean {
  return line.length < 16 && lineText(line) === '';
}

export function hasInvalidUtf8(line: RawLine): boolean {
  return !line.isCut && !isUtf8(line.bytes);
}
