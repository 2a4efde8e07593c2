// The parts of the metrics that need no machine: disks that answer late or never, the page.
import { readFileSync, type StatsFs, statfsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { EFFECTS } from '../../runtime/metrics/blame.ts';
import { METRICS } from '../../runtime/metrics/definitions.ts';
import { Disk } from '../../runtime/metrics/disks.ts';
import { metricsPage } from '../../tools/generate-metrics-docs.ts';
import { tempFolder } from '../support/bronze.ts';

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
