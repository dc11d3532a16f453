import { describe, expect, it } from 'vitest';
import { datedDirectory, parseRolloutFileName } from '../../../../src/stores/local/rollout/rollout-file-name.js';

const ID = '01a202bc-835c-7d62-97e8-6e10eb889189';
const RID = '01a202bd-3d8c-7162-9034-9d068f54fb1a';

describe('parseRolloutFileName', () => {
  it('takes an ordinary name apart: the rollout id is the thread id', () => {
    expect(parseRolloutFileName(`rollout-2026-11-22T10-11-26-${ID}.jsonl`)).toMatchObject({
      threadId: ID,
      rolloutId: ID,
      isCompressed: false,
      createdAt: Date.UTC(2026, 10, 22, 10, 11, 26),
    });
  });

  it('takes the name of a reverted segment apart', () => {
    expect(parseRolloutFileName(`rollout-2026-11-22T10-11-26-${ID}_${RID}.jsonl.zst`)).toMatchObject({
      threadId: ID,
      rolloutId: RID,
      isCompressed: true,
    });
  });

  it.each([
    'rollout-2026-11-22T10-11-26-not-a-uuid.jsonl',
    `rollout-2026-11-22T10-11-26-${ID}.jsonl.tmp`,
    `rollout-2026-11-22T10-11-26-${ID}.json`,
    `rollout-compress-2026-11-22T10-11-26-${ID}.jsonl`,
    `rollout-2026-11-22T10-11-26-${ID}_.jsonl`,
    `rollout-2026-11-22T10-11-26-${ID}_${RID}_${RID}.jsonl`,
    `rollout-2026-13-45T99-11-26-${ID}`,
    `session-2026-11-22T10-11-26-${ID}.jsonl`,
    '',
  ])('does not take %s for a rollout', (name) => {
    expect(parseRolloutFileName(name)).toBeUndefined();
  });
});

describe('datedDirectory', () => {
  it('is the date in the name, as written', () => {
    const name = parseRolloutFileName(`rollout-2026-01-02T23-59-59-${ID}.jsonl`);
    expect(name && datedDirectory(name.stamp)).toEqual(['2026', '01', '02']);
  });
});
