import { describe, expect, it } from 'vitest';
import { foldCase } from '../../src/protocol/fold-case.js';
import { asThreadId, parseThreadId } from '../../src/protocol/ids.js';
import { parseRolloutLine, parseRolloutTime } from '../../src/protocol/rollout-line.js';
import { sessionSource, storedSessionSource } from '../../src/protocol/session-source.js';
import { parseUserText } from '../../src/protocol/user-text.js';
import { isEmptyPatch, mergePatches, presentFields } from '../../src/store/thread-patch.js';

describe('a metadata patch', () => {
  it('tells absent from cleared', () => {
    expect(presentFields({ name: null, model: undefined, gitInfo: { sha: undefined, branch: null } })).toEqual({
      name: null,
      gitInfo: { branch: null },
    });
    expect(isEmptyPatch({ name: undefined, gitInfo: {} })).toBe(true);
    expect(isEmptyPatch({ name: null })).toBe(false);
  });

  it('is merged so that the later one wins, clears included, git part by part', () => {
    const first = { name: 'one', memoryMode: 'enabled', gitInfo: { sha: 'a', branch: 'b' } } as const;
    const next = { name: null, gitInfo: { sha: null, originUrl: 'u' } } as const;
    expect(mergePatches(first, next)).toEqual({
      name: null,
      memoryMode: 'enabled',
      gitInfo: { sha: null, branch: 'b', originUrl: 'u' },
    });
    expect(mergePatches(first, {})).toEqual(first);
  });
});

describe('a thread id', () => {
  it('is a UUID of any version, in lower case', () => {
    expect(parseThreadId(' 01A202BC-7049-7093-9231-5A69DEB1E62A ')).toBe('01a202bc-7049-7093-9231-5a69deb1e62a');
    expect(asThreadId('00000000-0000-0000-0000-000000000000')).toBeDefined();
    for (const bad of [
      '',
      'x',
      '01a202bc70497093923 15a69deb1e62a',
      '01a202bc-7049-7093-9231-5a69deb1e62a/..',
      7,
      null,
    ]) {
      expect(asThreadId(bad)).toBeUndefined();
    }
  });
});

describe('a session source', () => {
  it.each([
    ['cli', 'cli', 'cli'],
    ['mcp', 'mcp', 'mcp'],
    ['brand-new', 'unknown', 'brand-new'],
    [undefined, 'vscode', 'vscode'],
    [{ custom: 'x' }, 'custom', '{"custom":"x"}'],
    [{ subagent: 'review' }, 'subagent', '{"subagent":"review"}'],
    [{ other: 1 }, 'unknown', '{"other":1}'],
    [7, 'unknown', '7'],
  ])('%j is %s', (value, kind, stored) => {
    expect(sessionSource(value)).toMatchObject({ kind, stored });
    expect(storedSessionSource(stored).kind).toBe(kind);
  });

  it('of a spawned agent names its parent', () => {
    const parent = '01a202bc-7049-7093-9231-5a69deb1e62a';
    const value = {
      subagent: {
        thread_spawn: {
          parent_thread_id: parent,
          depth: 2,
          agent_path: '/root/a',
          agent_nickname: null,
          agent_role: 'worker',
        },
      },
    };
    expect(sessionSource(value).spawn).toEqual({
      parentThreadId: parent,
      depth: 2,
      agentPath: '/root/a',
      agentNickname: undefined,
      agentRole: 'worker',
    });
  });
});

describe('a rollout line', () => {
  it('is kept whatever its type, and is none without timestamp, type and payload', () => {
    expect(parseRolloutLine('{"timestamp":"t","type":"brand_new","payload":{"a":1},"extra":2}')).toMatchObject({
      type: 'brand_new',
      payload: { a: 1 },
    });
    for (const bad of [
      '',
      'x',
      '[]',
      '{}',
      '{"timestamp":"t","type":"x"}',
      '{"timestamp":1,"type":"x","payload":{}}',
      '{"timestamp":"t","type":"x","payload":[]}',
    ]) {
      expect(parseRolloutLine(bad)).toBeUndefined();
    }
  });

  it('has a time in one of three forms', () => {
    const time = Date.UTC(2026, 10, 22, 10, 11, 26);
    expect(parseRolloutTime('2026-11-22T10:11:26.000Z')).toBe(time);
    expect(parseRolloutTime('2026-11-22T10-11-26')).toBe(time);
    expect(parseRolloutTime('2026-11-22T12:11:26+02:00')).toBe(time);
    expect(parseRolloutTime('yesterday')).toBeUndefined();
  });
});

describe('what a person asked', () => {
  const said = (message: string, more = {}) => parseUserText({ type: 'user_message', message, ...more });

  it('is the text, or what comes after the request marker', () => {
    expect(said('  hello ')?.text).toBe('hello');
    expect(said('# Context\n## My request for Codex:\n fix it\n## My request for Codex: twice')?.text).toBe(
      'fix it\n## My request for Codex: twice',
    );
  });

  it('is a label for images and sounds alone, and nothing for blank text', () => {
    expect(said('', { images: ['x'] })).toEqual({ text: '[Image]', isLabel: true });
    expect(said(' ', { local_audio: ['x'] })).toEqual({ text: '[Audio]', isLabel: true });
    expect(said('  ')).toBeUndefined();
  });

  it('comes from paginated items too, and never from raw response items', () => {
    const item = {
      type: 'UserMessage',
      content: [
        { type: 'text', text: 'a' },
        { type: 'image', image_url: 'x' },
        { type: 'text', text: 'b' },
      ],
    };
    expect(parseUserText({ type: 'item_completed', item })?.text).toBe('ab');
    expect(
      parseUserText({ type: 'message', role: 'user', content: [{ type: 'input_text', text: 'context' }] }),
    ).toBeUndefined();
  });
});

describe('foldCase', () => {
  it('makes texts equal that differ in case or in how accents are written', () => {
    for (const [a, b] of [
      ['ÄRGER', 'ärger'],
      ['Straße', 'STRASSE'],
      ['ПРИВЕТ', 'привет'],
      ['é', 'e\u0301'],
    ] as const) {
      expect(foldCase(a)).toBe(foldCase(b));
    }
  });
});
