/** Runs the program as it is shipped, on a lake, and says what it took. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunReport } from '../../runtime/summary.ts';
import { residentBytes } from '../support/resident.ts';
import { type Lake, MAIN } from './lake.ts';

export interface Setup {
  /** Workers and threads. */
  readonly threads: number;
  /** Ledgers. */
  readonly partition: number;
  /** `zstd-3` or `snappy`. */
  readonly codec: string;
  /** The ledgers cut into so many eras of about the same length, side by side; absent = 1. */
  readonly eras?: number;
  /** Absent = `none`; `embedded` lies in the state folder. */
  readonly catalog?: 'none' | 'embedded';
  /** Absent = `all`. */
  readonly signatures?: 'all' | 'off';
}

export interface Ran {
  readonly report: RunReport;
  /** Resident size, bytes, as it was every 50 ms while it ran. */
  readonly resident: readonly number[];
  /** What `plan --json` said before. */
  readonly plan: Plan | null;
}

export interface Plan {
  readonly eras: readonly {
    readonly estimate: {
      readonly source_bytes: number;
      readonly raw_bytes: number;
      readonly bronze_bytes: number;
      readonly seconds: number;
    } | null;
  }[];
  readonly memory_bytes: number;
  readonly memory_bytes_at_most: number;
}

/** Writes the configuration of a local copy into `dir`. */
export function configFor(dir: string, of: Lake, setup: Setup): string {
  const { threads, partition, codec, eras = 1, catalog = 'none', signatures = 'all' } = setup;
  const [compression, level] = codec.split('-');
  const startOf = (era: number): number => of.start + Math.floor(((of.end + 1 - of.start) * era) / eras);
  const config = {
    eras: Array.from({ length: eras }, (_, n) => ({
      era_id: eras === 1 ? 'bench' : `bench_${n + 1}`,
      version_label: 'v1',
      network: of.network,
      ledger_start: startOf(n),
      ledger_end: startOf(n + 1) - 1,
      partition_size: partition,
    })),
    source: { mode: 'local', local_path: of.path, network_passphrase: of.passphrase },
    storage: { backend: 'local', local_dir: join(dir, 'data') },
    bronze: { compression, ...(level === undefined ? {} : { compression_level: Number(level) }) },
    checks: { signatures },
    catalog: { backend: catalog, dir: join(dir, 'state/catalog') },
    checkpoint: { dir: join(dir, 'state') },
    pas: { backup_dir: join(dir, 'pas') },
    perf: { workers: threads, threads },
    logging: { level: 'warn' },
  };
  const file = join(dir, 'config.yaml');
  writeFileSync(file, JSON.stringify(config));
  return file;
}

export interface Ended {
  readonly stdout: string;
  readonly ms: number;
  /** Bytes. */
  readonly resident: readonly number[];
}

/** Runs a command of the program to its end. @throws where it fails */
export function command(args: readonly string[], nodeArgs: readonly string[] = []): Promise<Ended> {
  const began = performance.now();
  const child = spawn(process.execPath, [...nodeArgs, MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => (stdout += text));
  child.stderr.on('data', (text) => (stderr += text));
  const resident: number[] = [];
  const sampling = setInterval(() => resident.push(residentBytes(child.pid ?? 0)), 50);
  return new Promise((resolve, reject) => {
    child.on('close', (status) => {
      clearInterval(sampling);
      if (status === 0) resolve({ stdout, ms: performance.now() - began, resident });
      else reject(new Error(`${args.join(' ')} ended with ${status}: ${stderr}${stdout.slice(-2_000)}`));
    });
  });
}

/** One copy of a lake, into a folder below `work` that is removed afterwards. */
export async function product(work: string, of: Lake, setup: Setup, withPlan = false): Promise<Ran> {
  const dir = mkdtempSync(join(work, 'run-'));
  const file = configFor(dir, of, setup);
  const summary = join(dir, 'summary.json');
  try {
    const planned = withPlan ? await command(['plan', '--config', file, '--json']) : null;
    const { resident } = await command(['run', '--config', file, '--no-progress', '--summary', summary]);
    const report = JSON.parse(readFileSync(summary, 'utf8')) as RunReport;
    return { report, resident, plan: planned && (JSON.parse(planned.stdout) as Plan) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}
