import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutText, sliceText } from '../../src/protocol/cut-text.js';

describe('cutText', () => {
  it('splits no character', () => {
    expect(cutText('a😀b', 2)).toBe('a');
    expect(cutText('a😀b', 3)).toBe('a😀');
    expect(cutText('a😀b', 100)).toBe('a😀b');
    expect(sliceText('😀😀😀', 1, 5)).toBe('😀');
  });

  it('gives a well-formed part of a well-formed text, whatever the borders', () => {
    const text = fc.string({ unit: 'binary', maxLength: 20 });
    const border = fc.integer({ min: 0, max: 45 });
    fc.assert(
      fc.property(text, border, border, (whole, from, to) => {
        const part = sliceText(whole, from, to);
        expect(part.isWellFormed()).toBe(true);
        expect(whole).toContain(part);
        expect(part.length).toBeLessThanOrEqual(Math.max(0, to - from));
      }),
    );
  });
});
