/**
 * `npm run bench`: the product and the ideal loop in turn on the same lake, medians of five. Prints a table and JSON.
 * Figures are of this machine at this moment; ratios within one run are what can be compared.
 *
 *   npm run bench -- [--lake DIR --start N --end N] [--runs 5] [--partition 100]
 *
 * Without --lake: 600 real ledgers of 2026 where ../shared is there, otherwise the project's own sample lake (made-up
 * ledgers of 500 bytes: it measures system calls, not codecs, and there is no ideal loop to compare with).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { RunReport } from '../../runtime/summary.ts';
import { type Lake, MAIN, madeLake, ROOT, realLake, SHARED } from './lake.ts';

interface Figures {
  readonly wallMBps: number;
  readonly cpuMBps: number;
  readonly ledgersPerSecond: number;
  readonly rssMB: number;
}

const { values } = parseArgs({
  options: {
    lake: { type: 'string' },
    start: { type: 'string' },
    end: { type: 'string' },
    runs: { type: 'string', default: '5' },
    partition: { type: 'string', default: '100' },
  },
});
const runs = Number(values.runs);
const work = mkdtempSync(join(tmpdir(), 'bronze-bench-'));

async function lake(): Promise<Lake> {
  if (values.lake) {
    return {
      path: resolve(values.lake),
      start: Number(values.start),
      end: Number(values.end),
      network: 'pubnet',
      passphrase: '',
    };
  }
  const path = join(work, 'lake');
  return existsSync(SHARED) ? realLake(path, 600) : madeLake(path, 20_001);
}

function product(of: Lake, threads: number): Figures {
  const dir = mkdtempSync(join(work, 'run-'));
  const config = {
    eras: [
      {
        era_id: 'bench',
        version_label: 'v1',
        network: of.network,
        ledger_start: of.start,
        ledger_end: of.end,
        partition_size: Number(values.partition),
      },
    ],
    source: { mode: 'local', local_path: of.path, network_passphrase: of.passphrase },
    storage: { backend: 'local', local_dir: join(dir, 'data') },
    catalog: { backend: 'none' },
    checkpoint: { dir: join(dir, 'state') },
    pas: { backup_dir: join(dir, 'pas') },
    perf: { workers: threads, threads },
    logging: { level: 'warn' },
  };
  const file = join(dir, 'config.yaml');
  const summary = join(dir, 'summary.json');
  writeFileSync(file, JSON.stringify(config));
  const { status, stderr } = spawnSync(process.execPath, [
    MAIN,
    'run',
    '--config',
    file,
    '--no-progress',
    '--summary',
    summary,
  ]);
  if (status !== 0) throw new Error(`the run failed: ${stderr.toString()}`);
  const report = JSON.parse(readFileSync(summary, 'utf8')) as RunReport;
  const raw = report.eras.reduce((sum, era) => sum + era.raw_bytes, 0);
  const ledgers = report.eras.reduce((sum, era) => sum + era.ledgers, 0);
  rmSync(dir, { recursive: true });
  return {
    wallMBps: raw / 1e3 / report.duration_ms,
    cpuMBps: raw / 1e3 / report.cpu_ms,
    ledgersPerSecond: (ledgers / report.duration_ms) * 1e3,
    rssMB: report.peak_rss_bytes / 1e6,
  };
}

function idealLoop(of: Lake): Figures | null {
  const tool = join(SHARED, 'tools/ideal-loop.mjs');
  if (!existsSync(tool)) return null;
  const out = execFileSync(process.execPath, [tool, of.path, '--runs', '1'], { cwd: ROOT, encoding: 'utf8' });
  return JSON.parse(out) as Figures;
}

const KEYS = ['wallMBps', 'cpuMBps', 'ledgersPerSecond', 'rssMB'] as const;

function median(all: readonly Figures[]): Figures {
  const of = (key: (typeof KEYS)[number]): number => {
    const sorted = all.map((figures) => figures[key]).sort((a, b) => a - b);
    return Number((sorted[sorted.length >> 1] as number).toFixed(1));
  };
  return {
    wallMBps: of('wallMBps'),
    cpuMBps: of('cpuMBps'),
    ledgersPerSecond: of('ledgersPerSecond'),
    rssMB: of('rssMB'),
  };
}

try {
  const chosen = await lake();
  const ideal: Figures[] = [];
  const one: Figures[] = [];
  const two: Figures[] = [];
  // In turn, so that a slower minute of the machine slows all three.
  for (let run = 0; run <= runs; run++) {
    const [loop, single, pair] = [idealLoop(chosen), product(chosen, 1), product(chosen, 2)];
    if (run === 0) continue;
    if (loop) ideal.push(loop);
    one.push(single);
    two.push(pair);
  }
  const rows: [string, Figures][] = [
    ...(ideal.length > 0 ? [['ideal loop, one thread', median(ideal)] as [string, Figures]] : []),
    ['product, 1 worker, 1 thread', median(one)],
    ['product, 2 workers, 2 threads', median(two)],
  ];
  console.log(
    `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}; medians of ${runs}; raw MB = 10^6 bytes`,
  );
  for (const [name, figures] of rows) {
    console.log(
      `${name.padEnd(32)} ${figures.wallMBps} MB/s wall, ${figures.cpuMBps} MB per CPU-second, ${figures.ledgersPerSecond} ledgers/s, ${figures.rssMB} MB peak RSS`,
    );
  }
  if (ideal.length > 0) {
    console.log(
      `of the ideal loop's MB per CPU-second: ${((median(one).cpuMBps / median(ideal).cpuMBps) * 100).toFixed(0)} % with 1 worker`,
    );
  }
  console.log(JSON.stringify(Object.fromEntries(rows)));
} finally {
  rmSync(work, { recursive: true, force: true });
}
