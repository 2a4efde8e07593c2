/**
 * `npm run bench`: the product and the ideal loop in turn on lakes of real ledgers, medians of five, as a table and as
 * JSON. Figures are of this machine at this moment; ratios within one run are what can be compared.
 *
 *   npm run bench -- [--years 2026,2021,2018,2016] [--codecs zstd-3,zstd-1,zstd-9,snappy] [--runs 5] [--lakes DIR] [--save]
 *
 * Of each year a long run at the first codec, with one and with all threads, then shorter ones at every codec with one.
 * `--lakes`: where lakes are made and kept; otherwise they are removed. `--save` adds the figures to history.jsonl.
 * Without ../shared: the project's own sample lake (made-up ledgers of 500 bytes; no ideal loop to compare with).
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ALL_YEARS, type Lake, ledgersOf, madeLake, ROOT, realLake, SHARED, type Year } from './lake.ts';
import { product, type Ran, type Setup } from './product.ts';
import { median, record } from './record.ts';
import { stages } from './stages.ts';

/** Raw MB = 10^6 unpacked bytes. */
export interface Figures {
  readonly wallMBps: number;
  /** Raw MB per second of processor time, without the start of the program. */
  readonly cpuMBps: number;
  readonly ledgersPerSecond: number;
  /** Raw bytes per byte written. */
  readonly ratio: number;
  /** The most the kernel saw, and the median of samples while it ran. */
  readonly peakRssMB: number;
  readonly typicalRssMB: number;
}

export interface Case extends Figures {
  readonly who: string;
  readonly codec: string;
  readonly threads: number;
}

export interface LakeFigures {
  readonly lake: string;
  readonly ledgers: number;
  readonly rawMB: number;
  readonly partition: number;
  readonly cases: readonly Case[];
  /** Of the product with one worker at zstd-3, per cent of the time in which a thread worked. */
  readonly stages: Readonly<Record<string, number>>;
  /** What `plan` had said, by number of threads, as parts of what happened: 1 = exactly. */
  readonly estimate: readonly { threads: number; time: number; memory: number; bronzeBytes: number }[];
}

export interface Throughput {
  readonly runs: number;
  readonly lakes: readonly LakeFigures[];
}

const IDEAL = join(SHARED, 'tools/ideal-loop.mjs');
const { values } = parseArgs({
  options: {
    years: { type: 'string', default: ALL_YEARS.join(',') },
    codecs: { type: 'string', default: 'zstd-3,zstd-1,zstd-9,snappy' },
    runs: { type: 'string', default: '5' },
    lakes: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const most = Math.max(2, availableParallelism());

function idealLoop(of: Lake, codec: string): Figures | null {
  if (!existsSync(IDEAL) || !codec.startsWith('zstd-')) return null;
  const level = codec.slice('zstd-'.length);
  const out = execFileSync(process.execPath, [IDEAL, of.path, '--runs', '1', '--level', level], { cwd: ROOT });
  const said = JSON.parse(out.toString());
  return { ...said, peakRssMB: said.rssMB, typicalRssMB: said.rssMB };
}

function figuresOf({ report, resident }: Ran): Figures {
  const sum = (key: 'raw_bytes' | 'ledgers' | 'bronze_bytes'): number =>
    report.eras.reduce((total, era) => total + era[key], 0);
  return {
    wallMBps: sum('raw_bytes') / 1e3 / report.duration_ms,
    cpuMBps: sum('raw_bytes') / 1e3 / report.cpu_ms,
    ledgersPerSecond: (sum('ledgers') / report.duration_ms) * 1e3,
    ratio: sum('raw_bytes') / sum('bronze_bytes'),
    peakRssMB: report.peak_rss_bytes / 1e6,
    typicalRssMB: median(resident) / 1e6,
  };
}

/** How the plan's estimate compares with what happened. */
function estimateOf({ report, plan }: Ran, { threads }: Setup): LakeFigures['estimate'][number] | null {
  const era = report.eras[0];
  const guess = plan?.eras[0]?.estimate;
  if (!plan || !guess || !era) return null;
  return {
    threads,
    time: guess.seconds / (report.duration_ms / 1e3),
    memory: plan.memory_bytes / report.peak_rss_bytes,
    bronzeBytes: guess.bronze_bytes / era.bronze_bytes,
  };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

function medians(all: readonly Figures[]): Figures {
  const of = (key: keyof Figures): number => rounded(median(all.map((figures) => figures[key])));
  return {
    wallMBps: of('wallMBps'),
    cpuMBps: of('cpuMBps'),
    ledgersPerSecond: of('ledgersPerSecond'),
    ratio: of('ratio'),
    peakRssMB: of('peakRssMB'),
    typicalRssMB: of('typicalRssMB'),
  };
}

/** `lanes`: numbers of threads, for the first codec; the others are measured with one. */
async function measure(
  work: string,
  name: string,
  of: Lake,
  codecs: readonly string[],
  lanes: readonly number[],
): Promise<LakeFigures> {
  const ledgers = of.end - of.start + 1;
  const partition = Math.ceil(ledgers / 30);
  const seen = new Map<string, { head: Pick<Case, 'who' | 'codec' | 'threads'>; all: Figures[] }>();
  const see = (who: string, codec: string, threads: number, figures: Figures | null): void => {
    if (figures === null) return;
    const key = `${who} ${codec} ${threads}`;
    const one = seen.get(key) ?? { head: { who, codec, threads }, all: [] };
    one.all.push(figures);
    seen.set(key, one);
  };
  const estimates: LakeFigures['estimate'][number][] = [];
  let rawMB = 0;
  // In turn, so that a slower minute of the machine slows all of them; the first round warms caches and is not counted.
  for (let run = 0; run <= runs; run++) {
    for (const codec of codecs) {
      if (run === 0 && codec !== codecs[0]) continue;
      const ideal = idealLoop(of, codec);
      if (run > 0) see('ideal loop', codec, 1, ideal);
      for (const threads of codec === codecs[0] ? lanes : [1]) {
        const setup = { threads, partition, codec };
        const ran = await product(work, of, setup, codec === codecs[0]);
        rawMB = (ran.report.eras[0]?.raw_bytes ?? 0) / 1e6;
        if (run === 0) continue;
        see('Bronze Copier', codec, threads, figuresOf(ran));
        const estimate = estimateOf(ran, setup);
        if (estimate) estimates.push(estimate);
      }
    }
    process.stderr.write(`${name}: ${run} of ${runs}\n`);
  }
  const cases = [...seen.values()].map(({ head, all }) => ({ ...head, ...medians(all) }));
  const estimate = lanes.map((threads) => {
    const own = estimates.filter((one) => one.threads === threads);
    const of = (key: 'time' | 'memory' | 'bronzeBytes'): number => rounded(median(own.map((one) => one[key])));
    return { threads, time: of('time'), memory: of('memory'), bronzeBytes: of('bronzeBytes') };
  });
  return {
    lake: name,
    ledgers,
    rawMB: rounded(rawMB),
    partition,
    cases,
    stages: await stages(work, of, { threads: 1, partition, codec: codecs[0] ?? 'zstd-3' }),
    estimate,
  };
}

function print({ lake, cases, stages: shares, estimate }: LakeFigures): void {
  for (const one of cases) {
    const ideal = cases.find(({ who, codec }) => who === 'ideal loop' && codec === one.codec);
    const part =
      ideal && one !== ideal ? `, ${((100 * one.cpuMBps) / ideal.cpuMBps).toFixed(0)} % of the ideal loop` : '';
    console.log(
      `${lake} ${one.who}, ${one.codec}, ${one.threads}: ${one.wallMBps} MB/s wall, ${one.cpuMBps} MB per CPU-second${part}, ` +
        `${one.ledgersPerSecond} ledgers/s, ${one.ratio}x, ${one.peakRssMB} MB peak RSS (${one.typicalRssMB} mostly)`,
    );
  }
  console.log(
    `${lake} stages: ${Object.entries(shares)
      .map(([name, share]) => `${name} ${share} %`)
      .join(', ')}`,
  );
  for (const one of estimate) {
    console.log(
      `${lake} plan, ${one.threads}: ${one.time} of the time, ${one.memory} of the memory, ${one.bronzeBytes} of the bytes`,
    );
  }
}

const work = mkdtempSync(join(tmpdir(), 'bronze-bench-'));
try {
  const lakes = resolve(values.lakes ?? join(work, 'lakes'));
  mkdirSync(lakes, { recursive: true });
  const codecs = values.codecs.split(',');
  const done: LakeFigures[] = [];
  if (existsSync(SHARED)) {
    const years = values.years.split(',') as Year[];
    for (const few of [false, true]) {
      for (const year of years) {
        const of = realLake(lakes, year, ledgersOf(year, few));
        done.push(await measure(work, year, of, few ? codecs : codecs.slice(0, 1), few ? [1] : [1, most]));
        print(done.at(-1) as LakeFigures);
      }
    }
  } else {
    done.push(await measure(work, 'sample', await madeLake(join(lakes, 'sample'), 20_001), codecs, [1, most]));
    print(done[0] as LakeFigures);
  }
  record('throughput', { runs, lakes: done } satisfies Throughput, values.save);
} finally {
  rmSync(work, { recursive: true, force: true });
}
