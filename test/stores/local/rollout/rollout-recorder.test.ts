import { closeSync, existsSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ThreadkeeperError } from '../../../../src/protocol/errors.js';
import { eventItem, type RolloutItem } from '../../../../src/protocol/rollout-item.js';
import { RolloutRecorder } from '../../../../src/stores/local/rollout/rollout-recorder.js';
import { descriptorsOf } from '../../../support/descriptors.js';
import { TestHome } from '../../../support/test-home.js';

const item = (n: number): RolloutItem => eventItem({ type: 'token_count', n });
const META: RolloutItem = { type: 'session_meta', payload: { id: 'x' } };

const linesOf = (file: string): string[] => readFileSync(file, 'utf8').split('\n');
/** The lines that parse. */
const parsed = (file: string): { ordinal?: number; type: string; payload: { n?: number } }[] =>
  linesOf(file).flatMap((line) => {
    try {
      return [JSON.parse(line)];
    } catch {
      return [];
    }
  });
const numbers = (file: string) => parsed(file).flatMap(({ payload }) => payload.n ?? []);

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof ThreadkeeperError ? error.code : String(error);
  }
  return 'none';
}

describe('a recorder of a thread without a file', () => {
  it('makes nothing on disk before there is an item to write', async () => {
    const file = path.join(new TestHome().root, 'sessions/2026/11/20/rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'legacy' }, [META]);
    await recorder.flush();
    recorder.discard();
    expect(existsSync(path.dirname(file))).toBe(false);
  });

  it('writes what a thread begins with first, once, and one line a write', async () => {
    const file = path.join(new TestHome().root, 'sessions/2026/11/20/rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'legacy' }, [META]);
    recorder.add([item(1), item(2)]);
    await recorder.flush();
    recorder.add([item(3)]);
    await recorder.flush();
    expect(parsed(file).map(({ type }) => type)).toEqual(['session_meta', 'event_msg', 'event_msg', 'event_msg']);
    expect(numbers(file)).toEqual([1, 2, 3]);
    expect(linesOf(file).at(-1)).toBe('');
    expect(parsed(file).every((line) => line.ordinal === undefined)).toBe(true);
  });

  it('makes the file on demand, without an item', async () => {
    const file = path.join(new TestHome().root, 'rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'paginated' }, [META], 7);
    recorder.materialise();
    await recorder.flush();
    recorder.add([item(1)]);
    await recorder.flush();
    expect(parsed(file).map(({ ordinal }) => ordinal)).toEqual([7, 8]);
  });

  it('never writes over a file that is there', () => {
    const file = path.join(new TestHome().root, 'rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'legacy' }, [META]);
    writeFileSync(file, 'somebody else’s\n');
    recorder.add([item(1)]);
    expect(() => recorder.write()).toThrow(/EEXIST/);
    recorder.discard();
    expect(readFileSync(file, 'utf8')).toBe('somebody else’s\n');
  });
});

describe('a line', () => {
  it('is JSON that every parser takes: halves of surrogate pairs are replaced', async () => {
    const file = path.join(new TestHome().root, 'rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'legacy' }, [META]);
    recorder.add([eventItem({ type: 'x', 'key\ud800': ['\ud800 half', '\\ud800 text', '🎉'] })]);
    await recorder.flush();
    expect(parsed(file)[1]?.payload).toEqual({ type: 'x', 'key\ufffd': ['\ufffd half', '\\ud800 text', '🎉'] });
    expect(readFileSync(file, 'utf8')).not.toMatch(/[^\\]\\ud/);
  });

  it('has its type first in the payload, where readers look for it', async () => {
    const file = path.join(new TestHome().root, 'rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'legacy' }, [META]);
    recorder.add([{ type: 'event_msg', payload: { turn_id: 't', type: 'task_started' } }]);
    await recorder.flush();
    expect(readFileSync(file, 'utf8')).toContain('"payload":{"type":"task_started","turn_id":"t"}');
  });
});

describe('a recorder of a rollout that is there', () => {
  it('writes nothing by opening it', () => {
    const home = new TestHome();
    const { file } = home.rollout({ turns: [['q', 'a']] });
    const before = readFileSync(file);
    RolloutRecorder.open({ file, mode: 'legacy' }).discard();
    expect(readFileSync(file).equals(before)).toBe(true);
  });

  it.each([
    ['a torn line', '{"timestamp":"2026-11-20T10:00:00.000Z","ty'],
    ['a whole line', `{"timestamp":"2026-11-20T10:00:00.000Z","type":"event_msg","payload":{"n":0}}`],
  ])('ends %s without a newline before it goes on', async (_, tail) => {
    const home = new TestHome();
    const { file } = home.rollout();
    writeFileSync(file, tail, { flag: 'a' });
    const before = readFileSync(file, 'utf8');
    const recorder = RolloutRecorder.open({ file, mode: 'legacy' });
    recorder.add([item(1)]);
    await recorder.flush();
    recorder.discard();
    const after = readFileSync(file, 'utf8');
    expect(after.startsWith(`${before}\n{`)).toBe(true);
    expect(numbers(file).at(-1)).toBe(1);
  });

  it('goes on after the last ordinal, whatever gaps and bad lines there are', async () => {
    const home = new TestHome();
    const { file } = home.rollout({ mode: 'paginated', firstOrdinal: 40, turns: [['q', 'a']] });
    writeFileSync(file, 'not json\n{"ordinal":"x"\n', { flag: 'a' });
    const recorder = RolloutRecorder.open({ file, mode: 'paginated' });
    recorder.add([item(1), item(2)]);
    await recorder.flush();
    recorder.discard();
    expect(parsed(file).map(({ ordinal }) => ordinal)).toEqual([40, 41, 42, 43, 44, 45, 46]);
  });

  it('refuses a paginated one whose last line has no ordinal, and a compressed one', () => {
    const home = new TestHome();
    const { file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    writeFileSync(file, `${JSON.stringify({ timestamp: 'x', type: 'event_msg', payload: {} })}\n`, { flag: 'a' });
    expect(codeOf(() => RolloutRecorder.open({ file, mode: 'paginated' }))).toBe('invalid_request');
    const packed = home.rollout({ compressed: true });
    expect(codeOf(() => RolloutRecorder.open({ file: packed.file, mode: 'legacy' }))).toBe('unsupported');
    expect(descriptorsOf(file)).toEqual([]);
  });
});

describe('a write that fails', () => {
  it('because the descriptor was closed under it is made good by the second try', async () => {
    const home = new TestHome();
    const { file } = home.rollout();
    const recorder = RolloutRecorder.open({ file, mode: 'legacy' });
    recorder.add([item(1)]);
    await recorder.flush();
    for (const fd of descriptorsOf(file)) closeSync(fd);
    recorder.add([item(2), item(3)]);
    await recorder.flush();
    recorder.discard();
    expect(numbers(file)).toEqual([1, 2, 3]);
    expect(descriptorsOf(file)).toEqual([]);
  });

  it('keeps what it could not write, and writes it once when it can', async () => {
    const home = new TestHome();
    const { file } = home.rollout();
    const recorder = RolloutRecorder.open({ file, mode: 'legacy' });
    const moved = `${file}.away`;
    for (const fd of descriptorsOf(file)) closeSync(fd);
    renameSync(file, moved);
    recorder.add([item(1), item(2)]);
    expect(() => recorder.write()).toThrow(/ENOENT/);
    recorder.add([item(3)]);
    expect(() => recorder.write()).toThrow(/ENOENT/);
    expect(recorder.pending).toBe(3);
    renameSync(moved, file);
    await recorder.flush();
    expect(recorder.pending).toBe(0);
    expect(numbers(file)).toEqual([1, 2, 3]);
  });

  it('does not go into another file that was put in its place', () => {
    const home = new TestHome();
    const { file } = home.rollout();
    const recorder = RolloutRecorder.open({ file, mode: 'legacy' });
    const keeper = home.rollout();
    rmSync(file);
    recorder.add([item(1)]);
    expect(codeOf(() => recorder.write())).toMatch(/ENOENT|conflict/);
    writeFileSync(file, readFileSync(keeper.file));
    const size = statSync(file).size;
    expect(codeOf(() => recorder.write())).toBe('conflict');
    expect(statSync(file).size).toBe(size);
  });

  it('can be taken back', async () => {
    const home = new TestHome();
    const { file } = home.rollout();
    const recorder = RolloutRecorder.open({ file, mode: 'legacy' });
    recorder.add([item(1)]);
    recorder.dropLast(1);
    recorder.add([item(2)]);
    await recorder.flush();
    expect(numbers(file)).toEqual([2]);
  });
});

describe('lines of a program that takes no lock', () => {
  it('are gone around, and the ordinals go on after theirs', async () => {
    const home = new TestHome();
    const { file } = home.rollout({ mode: 'paginated', turns: [['q', 'a']] });
    const recorder = RolloutRecorder.open({ file, mode: 'paginated' });
    recorder.add([item(1)]);
    await recorder.flush();
    const theirs = { timestamp: 'x', ordinal: 90, type: 'event_msg', payload: {} };
    writeFileSync(file, `${JSON.stringify(theirs)}\n{"torn`, { flag: 'a' });
    recorder.add([item(2)]);
    await recorder.flush();
    expect(parsed(file).map(({ ordinal }) => ordinal)).toEqual([0, 1, 2, 3, 4, 5, 90, 91]);
    expect(numbers(file)).toEqual([1, 2]);
  });
});

describe('with fsync', () => {
  it('writes the same lines', async () => {
    const file = path.join(new TestHome().root, 'sessions/2026/11/20/rollout.jsonl');
    const recorder = RolloutRecorder.lazily({ file, mode: 'legacy', durability: 'fsync' }, [META]);
    recorder.add([item(1)]);
    await recorder.flush();
    expect(numbers(file)).toEqual([1]);
    recorder.discard();
  });
});
