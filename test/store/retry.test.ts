import { describe, expect, it } from 'vitest';
import { retry } from '../../src/store/retry.js';

const options = { forMs: 1000, firstPauseMs: 1, longestPauseMs: 2 };

describe('retry', () => {
  it('calls again while the error may pass', async () => {
    let calls = 0;
    const action = () => {
      calls += 1;
      if (calls < 4) throw new Error('busy');
      return 'done';
    };
    expect(await retry(action, { ...options, isTransient: () => true })).toBe('done');
    expect(calls).toBe(4);
  });

  it('throws an error that does not pass at once', async () => {
    let calls = 0;
    const action = () => {
      calls += 1;
      throw new Error('broken');
    };
    await expect(retry(action, { ...options, isTransient: () => false })).rejects.toThrow('broken');
    expect(calls).toBe(1);
  });

  it('throws the last error when the time is over', async () => {
    let calls = 0;
    const action = () => {
      calls += 1;
      throw new Error(`busy ${calls}`);
    };
    await expect(retry(action, { ...options, forMs: 5, isTransient: () => true })).rejects.toThrow(/busy \d+/);
    expect(calls).toBeGreaterThan(1);
  });
});
