import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  hasInvalidUtf8,
  isBlank,
  lineText,
  type RawLine,
  readLines,
  readLinesBackward,
} from '../../../../src/stores/local/rollout/line-reader.js';
import { RolloutBytes } from '../../../../src/stores/local/rollout/rollout-bytes.js';

/** Counts what is read, so that a test can say how much. */
class Counted extends RolloutBytes {
  bytesRead = 0;
  largest = 0;
  override read(target: Buffer, position: number, length?: number): number {
    const count = super.read(target, position, length);
    this.bytesRead += count;
    this.largest = Math.max(this.largest, count);
    return count;
  }
}

function file(content: string | Buffer): Counted {
  const directory = mkdtempSync(path.join(os.tmpdir(), 'threadkeeper-lines-'));
  const name = path.join(directory, 'lines');
  writeFileSync(name, content);
  const fd = openSync(name, 'r');
  onTestFinished(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  return new Counted(fd, Buffer.byteLength(content));
}

/** The lines with their bytes copied: those are only valid until the next line. */
function copy(lines: Iterable<RawLine>) {
  const copies = [];
  for (const { offset, length, isCut, isTerminated, bytes } of lines) {
    copies.push({ offset, length, isCut, isTerminated, text: bytes.toString('latin1') });
  }
  return copies;
}

describe('readLines and readLinesBackward', () => {
  it.each([
    ['terminated lines', 'one\ntwo\nthree\n'],
    ['a torn last line', 'one\ntwo\nthr'],
    ['blank lines', '\n\none\n\n\ntwo\n\n'],
    ['carriage returns', 'one\r\ntwo\r\n'],
    ['one line without an end', 'one'],
    ['an empty file', ''],
    ['only a newline', '\n'],
    ['only newlines', '\n\n\n'],
    ['many scripts', 'при\n世界🎉\nx\n'],
  ])('give the same lines forwards and backwards: %s', (_, content) => {
    for (const chunkBytes of [1, 2, 3, 5, 8, 64]) {
      const forward = copy(readLines(file(content), { chunkBytes }));
      const backward = copy(readLinesBackward(file(content), { chunkBytes }));
      expect(backward.reverse()).toEqual(forward);
      const whole = Buffer.from(content).toString('latin1');
      expect(forward.map(({ text, isTerminated }) => text + (isTerminated ? '\n' : '')).join('')).toBe(whole);
    }
  });

  it('agree on random bytes in any chunk size and any limit', () => {
    let state = 7;
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return state % below;
    };
    for (let round = 0; round < 300; round += 1) {
      const content = Buffer.from(Array.from({ length: random(200) }, () => (random(6) === 0 ? 10 : 97 + random(5))));
      const options = { chunkBytes: 1 + random(40), maxLineBytes: 1 + random(60) };
      const forward = copy(readLines(file(content), options));
      const backward = copy(readLinesBackward(file(content), options)).reverse();
      // How much of the beginning of a cut line is kept depends on the chunks.
      const comparable = (lines: typeof forward) => lines.map((line) => (line.isCut ? { ...line, text: '' } : line));
      expect(comparable(backward)).toEqual(comparable(forward));
      for (const { text, offset } of [...forward, ...backward]) {
        expect(content.toString('latin1').slice(offset, offset + text.length)).toBe(text);
      }
    }
  });

  it('read between two offsets that are line beginnings', () => {
    const lines = copy(readLines(file('one\ntwo\nthree\n'), { start: 4, end: 8 }));
    expect(lines.map(({ text }) => text)).toEqual(['two']);
    expect(copy(readLinesBackward(file('one\ntwo\nthree\n'), { end: 8 })).map(({ text }) => text)).toEqual([
      'two',
      'one',
    ]);
  });

  it('keep the beginning of a line that is too long, and its whole length', () => {
    const long = `{"type":"x"${'y'.repeat(500_000)}`;
    const content = `first\n${long}\nlast\n`;
    for (const lines of [
      copy(readLines(file(content), { maxLineBytes: 100_000 })),
      copy(readLinesBackward(file(content), { maxLineBytes: 100_000 })).reverse(),
    ]) {
      expect(lines.map(({ length }) => length)).toEqual([5, long.length, 4]);
      expect(lines[1]).toMatchObject({ isCut: true, text: expect.stringMatching(/^\{"type":"x"y+$/) });
      expect(lines[1]?.text.length).toBe(64 * 1024);
      expect(lines[2]).toMatchObject({ offset: 6 + long.length + 1, isCut: false });
    }
  });

  it('read no more than asked for', () => {
    const source = file('a line of some length\n'.repeat(100_000));
    let taken = 0;
    for (const _ of readLinesBackward(source)) if (++taken === 10) break;
    expect(source.bytesRead).toBeLessThanOrEqual(64 * 1024);
    expect(source.largest).toBeLessThanOrEqual(64 * 1024);
  });
});

describe('a line', () => {
  const only = (content: string | Buffer) => {
    for (const line of readLines(file(content)))
      return { text: lineText(line), blank: isBlank(line), invalid: hasInvalidUtf8(line) };
    throw new Error('no line');
  };

  it('loses its carriage return', () => {
    expect(only('{"a":1}\r\n').text).toBe('{"a":1}');
  });

  it('shows invalid UTF-8 as U+FFFD, and says that it is there', () => {
    expect(only(Buffer.from([0x61, 0xff, 0x62]))).toEqual({ text: 'a\ufffdb', blank: false, invalid: true });
  });

  it('is blank when it holds white space only', () => {
    expect(only('  \r\n')).toMatchObject({ blank: true });
  });
});
