// The parts of the metrics that need no machine: the rate over a minute, disks that answer late or never, the page.
import { readFileSync, type StatsFs, statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EFFECTS } from '../../runtime/metrics/blame.ts';
import { METRICS } from '../../runtime/metrics/definitions.ts';
import { Disk } from '../../runtime/metrics/disks.ts';
import { SlidingRate } from '../../runtime/metrics/rate.ts';
import { tempFolder } from '../support/bronze.ts';
import { metricsPage } from '../tools/generate-metrics-docs.ts';

describe('the rate', () => {
  const SECOND = 1_000;

  it('of the first minute is over the time that there was', () => {
    const rate = new SlidingRate(500);
    expect(rate.perSecond(500)).toBe(0);
    rate.add(10, 600);
    expect(rate.perSecond(600)).toBe(10);
    expect(rate.perSecond(5_500)).toBe(2);
    expect(rate.perSecond(20_500)).toBe(0.5);
  });

  it('of a steady stream is that of the stream, at any moment', () => {
    const rate = new SlidingRate(0);
    for (let now = 100; now <= 300 * SECOND; now += 100) {
      rate.add(5, now);
      if (now > 2 * SECOND) expect(Math.abs(rate.perSecond(now) - 50), `at ${now}`).toBeLessThan(3);
    }
  });

  it('forgets what is older than a minute, also after hours without a word', () => {
    const rate = new SlidingRate(0);
    rate.add(600, 10 * SECOND);
    expect(rate.perSecond(69 * SECOND)).toBeGreaterThan(9);
    expect(rate.perSecond(70 * SECOND)).toBe(0);
    rate.add(60, 3 * 3600 * SECOND);
    expect(rate.perSecond(3 * 3600 * SECOND + 999)).toBeCloseTo(1, 1);
    expect(rate.perSecond(4 * 3600 * SECOND)).toBe(0);
  });
});

describe('a disk', () => {
  it('says how full it is', async () => {
    const path = tempFolder();
    const { blocks, bsize } = statfsSync(path);
    const facts = await new Disk(path).facts();
    expect(facts?.size).toBe(blocks * bsize);
    expect(facts?.free).toBeGreaterThan(0);
  });

  it('that is not there says nothing', async () => {
    expect(await new Disk('/nowhere/at/all').facts()).toBeNull();
  });

  it('that hangs holds up a scrape for a second, and is asked once', async () => {
    let asked = 0;
    let answer = (_: StatsFs): void => {};
    const disk = new Disk('/hangs', () => {
      asked += 1;
      return new Promise((resolve) => {
        answer = resolve;
      });
    });
    const began = performance.now();
    expect(await Promise.all([disk.facts(), disk.facts()])).toEqual([null, null]);
    expect(performance.now() - began).toBeLessThan(5_000);
    const third = disk.facts();
    expect(asked).toBe(1);
    // It is back: those who still wait are told, and it is asked again.
    answer(statfsSync('/'));
    expect(await third).not.toBeNull();
    await sleep(0);
    void disk.facts();
    expect(asked).toBe(2);
    answer(statfsSync('/'));
  });
});

describe('docs/metrics.md', () => {
  it('is what the table says', () => {
    const page = metricsPage();
    expect(readFileSync('docs/metrics.md', 'utf8')).toBe(page);
    for (const { name } of METRICS) expect(page).toContain(`| \`${name}\` |`);
    for (const name of EFFECTS) expect(page).toContain(`\`${name}\``);
  });
});
