/** The rate over the last minute and the time that is left, with a clock of the test's own. */
import { describe, expect, it } from 'vitest';
import { etaSeconds, SlidingRate } from '../../runtime/rate.ts';

describe('the rate over the last minute', () => {
  it('is 0 before anything was added, and counts from the first call', () => {
    const rate = new SlidingRate();
    expect(rate.perSecond(5_000)).toBe(0);
    rate.add(0, 10_000);
    rate.add(100, 20_000);
    expect(rate.perSecond(20_000)).toBe(10);
    expect(rate.perSecond(30_000)).toBe(5);
  });

  it('does not divide by less than a second', () => {
    const rate = new SlidingRate();
    rate.add(50, 1_000);
    expect(rate.perSecond(1_000)).toBe(50);
    expect(rate.perSecond(1_100)).toBe(50);
  });

  it('forgets what is older than a minute', () => {
    const rate = new SlidingRate();
    for (let second = 0; second < 600; second++) rate.add(second < 300 ? 1_000 : 10, second * 1_000);
    expect(rate.perSecond(600_000)).toBeCloseTo(10, 0);
    expect(rate.perSecond(661_000)).toBe(0);
  });

  it('starts anew in the same places after a pause of any length', () => {
    const rate = new SlidingRate();
    rate.add(6_000, 0);
    // The same second of the window, one and many minutes later.
    rate.add(60, 60_000);
    expect(rate.perSecond(60_500)).toBeCloseTo(60 / 59.5, 9);
    rate.add(60, 6_000_000);
    expect(rate.perSecond(6_000_500)).toBeCloseTo(60 / 59.5, 9);
  });

  it('takes back what was lost, and is never negative', () => {
    const rate = new SlidingRate();
    rate.add(100, 0);
    rate.add(-40, 5_000);
    expect(rate.perSecond(10_000)).toBe(6);
    rate.add(-100, 10_000);
    expect(rate.perSecond(10_000)).toBe(0);
  });

  it('agrees with the plain mean of a steady flow at any moment', () => {
    const rate = new SlidingRate();
    for (let ms = 0; ms <= 200_000; ms += 250) {
      rate.add(25, ms);
      if (ms > 5_000) expect(Math.abs(rate.perSecond(ms) - 100)).toBeLessThan(6);
    }
  });
});

describe('the time that is left', () => {
  it('is what is left by the rate; nothing left is 0; not moving is unknown', () => {
    expect(etaSeconds(600, 10)).toBe(60);
    expect(etaSeconds(0, 0)).toBe(0);
    expect(etaSeconds(-5, 3)).toBe(0);
    expect(etaSeconds(1, 0)).toBeNull();
  });
});
