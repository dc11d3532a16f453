import { appendFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { NameIndex } from '../../../../src/stores/local/rollout/name-index.js';
import { RolloutHome } from '../../../../src/stores/local/rollout/rollout-home.js';
import { newId, TestHome } from '../../../support/test-home.js';

const indexOf = (home: TestHome) => new NameIndex(new RolloutHome(home.root));

describe('NameIndex', () => {
  it('gives the name of the latest line of an id, whatever its time says', () => {
    const home = new TestHome();
    const id = newId();
    const line = (name: string, time: string) => `${JSON.stringify({ id, thread_name: name, updated_at: time })}\n`;
    writeFileSync(
      path.join(home.root, 'session_index.jsonl'),
      line('first', '2030-01-01T00:00:00Z') + line('second', '2020-01-01T00:00:00Z'),
    );
    expect(indexOf(home).nameFor(id)).toBe('second');
  });

  it('takes an empty name for none', () => {
    const home = new TestHome();
    const id = newId();
    home.name(id, 'named');
    home.name(id, '');
    expect(indexOf(home).nameFor(id)).toBeUndefined();
  });

  it('skips bad lines, carriage returns and a torn end', () => {
    const home = new TestHome();
    const id = newId();
    const good = JSON.stringify({ id, thread_name: 'good', updated_at: 'x' });
    const torn = JSON.stringify({ id, thread_name: 'torn', updated_at: 'x' });
    writeFileSync(path.join(home.root, 'session_index.jsonl'), `garbage\n\n${good}\r\n{"id":1}\n${torn}`);
    const index = indexOf(home);
    expect(index.nameFor(id)).toBe('good');
    appendFileSync(path.join(home.root, 'session_index.jsonl'), '\n');
    expect(index.nameFor(id)).toBe('torn');
  });

  it('sees what another program appends', () => {
    const home = new TestHome();
    const id = newId();
    const index = indexOf(home);
    expect(index.nameFor(id)).toBeUndefined();
    home.name(id, 'by Codex');
    expect(index.nameFor(id)).toBe('by Codex');
  });

  it('appends one line in the form that Codex writes, after ending a torn one', async () => {
    const home = new TestHome();
    const id = newId();
    writeFileSync(path.join(home.root, 'session_index.jsonl'), '{"torn');
    await indexOf(home).locked(async (append) => append(id, 'Näme'));
    const [torn, line, rest] = home.read('session_index.jsonl').split('\n');
    expect([torn, rest]).toEqual(['{"torn', '']);
    expect(JSON.parse(line ?? '')).toEqual({
      id,
      thread_name: 'Näme',
      updated_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
  });

  it('does not append through a link that leaves the home', async () => {
    const home = new TestHome();
    const outside = new TestHome();
    writeFileSync(path.join(outside.root, 'theirs'), '');
    symlinkSync(path.join(outside.root, 'theirs'), path.join(home.root, 'session_index.jsonl'));
    await expect(indexOf(home).locked(async (append) => append(newId(), 'x'))).rejects.toMatchObject({
      code: 'unsupported',
    });
    expect(outside.read('theirs')).toBe('');
  });
});
