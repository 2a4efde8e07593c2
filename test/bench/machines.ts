/**
 * `npm run bench:machines`: how long full history takes with so many remote workers, simulated: the machines of the program
 * itself, joined as it joins them, over effects that only last as long as they were measured to, on a clock that jumps
 * from one end to the next. It prints the table of docs/many-machines.md. No queue, lake or store is in it; what it says
 * is what order, window and sequencer make of such times.
 *
 *   npm run bench:machines -- [--workers 1,2,4] [--commits 50,200]
 */
import { parseArgs } from 'node:util';
import { FakeWorld, HOUR, specOf } from '../support/fake-eras.ts';
import { stagedPartition } from '../support/pure-values.ts';
import { makeRng } from '../support/xdr-random.ts';
import type { Throughput } from './bench.ts';
import { lastEntry } from './record.ts';

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2,4,8,16,32,64,128,256' },
    commits: { type: 'string', default: '50,200' },
  },
});

const PARTITIONS = 6_200;
const LEDGERS_EACH = 10_000;
/** Last ledger, about, that the measured lake of a year stands for. */
const YEARS = [
  ['2016', 15_000_000],
  ['2018', 27_000_000],
  ['2021', 44_000_000],
  ['2026', Number.POSITIVE_INFINITY],
] as const;
/**
 * What a worker needs beside the build, ms: from the answer of one task to the next one, and to stage the file. Measured
 * with a coordinator, a worker and Redis on one busy machine of two cores, 1,000 partitions of two ledgers.
 */
const HANDOVER_MS = 8;
/** No partition is as large as the other: each takes up to so much more or less of the measured time. */
const SPREAD = 0.2;

/** Ledgers a second of one thread, zstd-3, by year: what `npm run bench` measured last. */
function rates(): Map<string, number> {
  const measured = lastEntry<Throughput>('throughput');
  return new Map(
    (measured?.data.lakes ?? []).map(({ lake, cases }) => {
      const one = cases.find((of) => of.who === 'Bronze Copier' && of.codec === 'zstd-3' && of.threads === 1);
      return [lake, one?.ledgersPerSecond ?? Number.NaN];
    }),
  );
}

/** How long each partition takes its worker, ms; the same every time. */
function buildTimes(): number[] {
  const perSecond = rates();
  const rng = makeRng(1);
  return Array.from({ length: PARTITIONS }, (_, n) => {
    const [year] = YEARS.find(([, last]) => n * LEDGERS_EACH < last) as (typeof YEARS)[number];
    const spread = 1 + SPREAD * (rng.below(2_001) / 1_000 - 1);
    // Whole ones: the clock compares sums of them.
    return Math.round((LEDGERS_EACH / (perSecond.get(year) as number)) * 1_000 * spread) + HANDOVER_MS;
  });
}

/** Ms from the first partition to the last commit. */
async function simulate(builds: readonly number[], workers: number, commitMs: number): Promise<number> {
  const due: number[] = [];
  const grid = { size: LEDGERS_EACH, origin: 0, ledgerStart: 0, ledgerEnd: PARTITIONS * LEDGERS_EACH - 1 };
  // As docs/many-machines.md advises: one out more than there are workers, so that none waits for a task.
  const spec = specOf('era', { grid, workers: workers + 1, queueSize: 2 * (workers + 1) });
  let free = workers;
  const queue: (() => void)[] = [];
  const world: FakeWorld = new FakeWorld([spec], {
    era: (_, usual, { clock }) => {
      const last = (ms: number) =>
        new Promise<void>((resolve) => {
          due.push(clock.now() + ms);
          clock.setTimeout(resolve, ms);
        });
      return {
        buildPartition: async ({ job, retries }) => {
          if (free === 0) await new Promise<void>((resolve) => queue.push(resolve));
          else free -= 1;
          await last(builds[job.range.start / LEDGERS_EACH] as number);
          const next = queue.shift();
          if (next) next();
          else free += 1;
          return stagedPartition(job, retries);
        },
        publishPartition: async (input, tools) => {
          await last(commitMs);
          return usual.publishPartition(input, tools);
        },
      };
    },
  });
  while (world.summary === null) {
    await new Promise((resolve) => setImmediate(resolve));
    if (due.length === 0) continue;
    let at = 0;
    for (let n = 1; n < due.length; n++) if ((due[n] as number) < (due[at] as number)) at = n;
    const [next = 0] = due.splice(at, 1);
    world.clock.set(Math.max(next, world.clock.now()));
  }
  const { partitions = 0 } = world.summary.eras[0] ?? {};
  if (partitions !== PARTITIONS) throw new Error(`${partitions} partitions were committed`);
  return world.clock.now();
}

const builds = buildTimes();
const work = builds.reduce((sum, ms) => sum + ms, 0);
const commits = values.commits.split(',').map(Number);
const cell = (hours: number): string =>
  hours >= 10 ? hours.toFixed(0) : hours >= 1 ? hours.toFixed(1) : hours.toFixed(2);

console.log(`${PARTITIONS} partitions, ${cell(work / HOUR)} hours of building\n`);
console.log(`| workers |${commits.map((ms) => ` hours, commit ${ms} ms | efficiency | sequencer busy |`).join('')}`);
console.log(`|---|${commits.map(() => '---|---|---|').join('')}`);
for (const workers of values.workers.split(',').map(Number)) {
  const cells = [];
  for (const commitMs of commits) {
    const ms = await simulate(builds, workers, commitMs);
    const percent = (part: number): string => `${Math.round(100 * part)} %`;
    cells.push(cell(ms / HOUR), percent(work / workers / ms), percent((PARTITIONS * commitMs) / ms));
  }
  console.log(`| ${workers} | ${cells.join(' | ')} |`);
}
