/**
 * `npm run bench:queue`: what it costs to have partitions built by another process. The same ledgers, into a folder that all
 * see: by one process with two threads, and by a coordinator and one worker with two threads over a Redis of its own.
 *
 *   npm run bench:queue -- [--year 2026] [--ledgers 3000] [--partitions 20] [--runs 3] [--lakes DIR] [--save]
 *
 * Both in turn; medians. Processor time is that of whole processes, their start and Redis' own included where it is told.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type Lake, MAIN, realLake, type Year } from './lake.ts';
import { configFor } from './product.ts';
import { median, record } from './record.ts';

export interface QueueCost {
  readonly year: string;
  readonly ledgers: number;
  readonly partitions: number;
  readonly runs: number;
  /** Seconds of processor and of time. */
  readonly alone: { readonly cpu: number; readonly wall: number };
  readonly remote: {
    readonly coordinator: number;
    readonly worker: number;
    readonly redis: number;
    readonly wall: number;
  };
}

const { values } = parseArgs({
  options: {
    year: { type: 'string', default: '2026' },
    ledgers: { type: 'string', default: '3000' },
    partitions: { type: 'string', default: '20' },
    runs: { type: 'string', default: '3' },
    lakes: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});

interface Done {
  readonly cpu: number;
  readonly wall: number;
}

/** Processor seconds of a process that still runs: user and system, in ticks of 10 ms. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Runs a process to its end. Its own report of its processor time would leave out what comes after it. */
async function ended(child: ChildProcess, what: string): Promise<Done> {
  const began = performance.now();
  let cpu = 0;
  const sampling = setInterval(() => {
    try {
      cpu = cpuOf(child.pid as number);
    } catch {
      // It has just ended.
    }
  }, 20);
  let said = '';
  child.stderr?.on('data', (text) => (said += text));
  child.stdout?.on('data', (text) => (said += text));
  const status = await new Promise((done) => child.on('close', done));
  clearInterval(sampling);
  if (status !== 0) throw new Error(`${what} ended with ${status}: ${said.slice(-2_000)}`);
  return { cpu, wall: (performance.now() - began) / 1e3 };
}

const started = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });

function configured(dir: string, of: Lake, queue: string): string {
  const partition = Math.ceil(Number(values.ledgers) / Number(values.partitions));
  const file = configFor(dir, of, { threads: 2, partition, codec: 'zstd-3' });
  const config = JSON.parse(readFileSync(file, 'utf8'));
  config.storage.shared = true;
  if (queue !== '') config.perf.queue = queue;
  writeFileSync(file, JSON.stringify(config));
  return file;
}

async function alone(work: string, of: Lake): Promise<Done> {
  const dir = mkdtempSync(join(work, 'alone-'));
  try {
    return await ended(started(['run', '--config', configured(dir, of, ''), '--no-progress']), 'run');
  } finally {
    rmSync(dir, { recursive: true });
  }
}

async function remote(work: string, of: Lake, port: number): Promise<QueueCost['remote']> {
  const dir = mkdtempSync(join(work, 'remote-'));
  const redis = spawn(
    'redis-server',
    ['--port', `${port}`, '--save', '', '--dir', dir, '--maxmemory-policy', 'noeviction'],
    {
      stdio: 'ignore',
    },
  );
  try {
    await sleep(500);
    const file = configured(dir, of, `redis://127.0.0.1:${port}`);
    const worker = started(['worker', '--config', file, '--concurrency', '2']);
    const workerEnds = ended(worker, 'worker');
    const coordinator = await ended(started(['run', '--config', file, '--no-progress']), 'run');
    worker.kill('SIGTERM');
    const { cpu } = await workerEnds;
    return { coordinator: coordinator.cpu, worker: cpu, redis: cpuOf(redis.pid as number), wall: coordinator.wall };
  } finally {
    redis.kill();
    rmSync(dir, { recursive: true });
  }
}

const work = mkdtempSync(join(tmpdir(), 'bronze-queue-'));
try {
  const lakes = resolve(values.lakes ?? join(work, 'lakes'));
  mkdirSync(lakes, { recursive: true });
  const of = realLake(lakes, values.year as Year, Number(values.ledgers));
  const here: Done[] = [];
  const there: QueueCost['remote'][] = [];
  for (let run = 0; run < Number(values.runs); run++) {
    here.push(await alone(work, of));
    there.push(await remote(work, of, 20_000 + (process.pid % 20_000)));
    console.log(here.at(-1), there.at(-1));
  }
  const mid = <T>(all: readonly T[], of: (one: T) => number): number => Number(median(all.map(of)).toFixed(2));
  const cost: QueueCost = {
    year: values.year,
    ledgers: Number(values.ledgers),
    partitions: Number(values.partitions),
    runs: Number(values.runs),
    alone: { cpu: mid(here, (one) => one.cpu), wall: mid(here, (one) => one.wall) },
    remote: {
      coordinator: mid(there, (one) => one.coordinator),
      worker: mid(there, (one) => one.worker),
      redis: mid(there, (one) => one.redis),
      wall: mid(there, (one) => one.wall),
    },
  };
  record('queue', cost, values.save);
} finally {
  rmSync(work, { recursive: true, force: true });
}
