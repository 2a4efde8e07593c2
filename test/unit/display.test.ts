/** Widths of text in a terminal, and what may be drawn where. */
import { describe, expect, it } from 'vitest';
import { cutTo, isColourful, isDrawable, widthOf } from '../../runtime/display.ts';
import { durationText } from '../../runtime/human.ts';

describe('text in columns', () => {
  it('counts wide characters as two and combining ones as none', () => {
    expect([widthOf('era'), widthOf('時代'), widthOf('e\u0301ra'), widthOf('🚀x')]).toEqual([3, 4, 3, 3]);
  });

  it('is cut to the columns that there are, never in the middle of a wide character', () => {
    expect(cutTo('pre_p23', 7)).toBe('pre_p23');
    expect(cutTo('pre_p23', 6)).toBe('pre_p…');
    expect(cutTo('時代時代', 6)).toBe('時代…');
    expect(cutTo('時代時代', 8)).toBe('時代時代');
    for (let columns = 1; columns < 12; columns++)
      expect(widthOf(cutTo('a時b代c🚀d', columns))).toBeLessThanOrEqual(columns);
  });

  it('has no control characters of others in it', () => {
    expect(cutTo('a\x1b[2Jb\nc', 20)).toBe('a [2Jb c');
  });
});

describe('what may be drawn', () => {
  const terminal = { isTTY: true } as NodeJS.WriteStream;

  it('follows NO_COLOR (not empty) and TERM', () => {
    expect(isColourful({})).toBe(true);
    expect(isColourful({ NO_COLOR: '' })).toBe(true);
    expect(isColourful({ NO_COLOR: '0' })).toBe(false);
    expect(isColourful({ TERM: 'dumb' })).toBe(false);
    expect(isDrawable(terminal, { NO_COLOR: '1' })).toBe(true);
    expect(isDrawable(terminal, { TERM: 'dumb' })).toBe(false);
    expect(isDrawable({} as NodeJS.WriteStream, {})).toBe(false);
  });
});

describe('durations', () => {
  it('are short', () => {
    expect([0.0154, 1.24, 12.4, 89, 91, 5_399, 7_200, 200_000].map(durationText)).toEqual([
      '15 ms',
      '1.2 s',
      '12 s',
      '89 s',
      '2 min',
      '90 min',
      '2.0 h',
      '2.3 days',
    ]);
  });
});
