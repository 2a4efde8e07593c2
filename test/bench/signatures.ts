/**
 * `npm run bench:signatures`: what verifying every signature costs a copy, on lakes of real ledgers that are signed anew:
 * the same copy with `checks.signatures` all and off in turn, processor time compared run by run.
 *
 *   npm run bench:signatures -- [--years 2026,2021,2018,2016] [--runs 5] [--save]
 *
 * Ledgers of 2016 and 2018 are of before protocol 14 and carry no signature.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ALL_YEARS, type Lake, ledgersOf, realLake, type Year } from './lake.ts';
import { product } from './product.ts';
import { median, record } from './record.ts';

export interface SignatureCost {
  readonly runs: number;
  readonly lakes: readonly {
    readonly year: Year;
    readonly ledgers: number;
    /** Processor time of a ledger in ms, medians. */
    readonly cpuMs: { readonly all: number; readonly off: number };
    /** Median over pairs of how much more the one with signatures takes, per cent. */
    readonly morePercent: number;
  }[];
}

const { values } = parseArgs({
  options: {
    years: { type: 'string', default: ALL_YEARS.join(',') },
    runs: { type: 'string', default: '5' },
    save: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const rounded = (value: number): number => Number(value.toPrecision(3));

async function cpuMsOf(work: string, of: Lake, signatures: 'all' | 'off'): Promise<number> {
  const ledgers = of.end + 1 - of.start;
  const setup = { threads: 1, partition: Math.ceil(ledgers / 10), codec: 'zstd-3', signatures };
  const { report } = await product(work, of, setup);
  return report.cpu_ms / ledgers;
}

async function measured(work: string, year: Year): Promise<SignatureCost['lakes'][number]> {
  const ledgers = ledgersOf(year, true);
  const of = realLake(join(work, 'lakes'), year, ledgers);
  const pairs: { all: number; off: number }[] = [];
  // In turn, so that a slower minute of the machine slows both; the first round warms caches and is not counted.
  for (let run = 0; run <= runs; run += 1) {
    const pair = { all: await cpuMsOf(work, of, 'all'), off: await cpuMsOf(work, of, 'off') };
    if (run > 0) pairs.push(pair);
  }
  return {
    year,
    ledgers,
    cpuMs: { all: rounded(median(pairs.map(({ all }) => all))), off: rounded(median(pairs.map(({ off }) => off))) },
    morePercent: rounded(median(pairs.map(({ all, off }) => (all / off - 1) * 100))),
  };
}

const work = mkdtempSync(join(tmpdir(), 'bronze-signatures-'));
try {
  const lakes: SignatureCost['lakes'][number][] = [];
  for (const year of values.years.split(',') as Year[]) {
    lakes.push(await measured(work, year));
    console.log(lakes.at(-1));
  }
  record('signatures', { runs, lakes } satisfies SignatureCost, values.save);
} finally {
  rmSync(work, { recursive: true, force: true });
}
