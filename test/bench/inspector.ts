/**
 * What watching costs: the same two-era copy without the inspector, with one client that reads everything, and without
 * again, in turn; medians of the rounds' ratios. Small partitions are the worst case: the most events between actors for
 * the least copying. Wall and processor time are the program's own, from start to end of the copy; the client is this
 * process and shares the processors. Prints a table and JSON.
 *
 *   npm run build && npm run tools && node build/test/bench/inspector.js [--runs 9] [--partition 10] [--last 6001]
 *
 * With --real: 2400 (--count) real ledgers of 2026, where ../shared is there.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { WebSocket } from 'ws';
import type { RunReport } from '../../runtime/summary.ts';
import { type Lake, MAIN, madeLake, realLake } from './lake.ts';
import { median } from './record.ts';

interface Figures {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly rssMB: number;
  readonly frames: number;
  readonly skipped: number;
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '9' },
    partition: { type: 'string', default: '10' },
    last: { type: 'string', default: '6001' },
    count: { type: 'string', default: '2400' },
    real: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const work = mkdtempSync(join(tmpdir(), 'bronze-bench-'));

const SKIPPED = /"type":"inspector\.skipped","frames":(\d+)/;

/** Reads all that comes and keeps nothing. */
function follow(url: string, seen: { frames: number; skipped: number }): Promise<unknown> {
  const client = new WebSocket(url);
  client.on('message', (data: Buffer) => {
    seen.frames += 1;
    const skipped = data.length < 400 ? SKIPPED.exec(data.toString()) : null;
    if (skipped) seen.skipped += Number(skipped[1]);
  });
  return once(client, 'close');
}

async function copy(of: Lake, isWatched: boolean): Promise<Figures> {
  const dir = mkdtempSync(join(work, 'run-'));
  const middle = (of.start + of.end) >> 1;
  const era = (era_id: string, ledger_start: number, ledger_end: number) => ({
    era_id,
    version_label: 'v1',
    network: of.network,
    ledger_start,
    ledger_end,
    partition_size: Number(values.partition),
  });
  const config = {
    eras: [era('one', of.start, middle), era('two', middle + 1, of.end)],
    source: { mode: 'local', local_path: of.path, network_passphrase: of.passphrase },
    storage: { backend: 'local', local_dir: join(dir, 'data') },
    catalog: { backend: 'none' },
    checkpoint: { dir: join(dir, 'state') },
    pas: { backup_dir: join(dir, 'pas') },
    perf: { workers: 8, threads: 2 },
    // The address is a line at this level; so is every partition, in both cases.
    logging: { level: 'info' },
  };
  const file = join(dir, 'config.yaml');
  const summary = join(dir, 'summary.json');
  writeFileSync(file, JSON.stringify(config));
  const args = [MAIN, 'run', '--config', file, '--no-progress', '--summary', summary];
  const child = spawn(process.execPath, [...args, ...(isWatched ? ['--inspect=0'] : [])], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const seen = { frames: 0, skipped: 0 };
  let followed: Promise<unknown> | null = null;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const url = isWatched && !followed ? /"url":"http(:[^"]+)"/.exec(text)?.[1] : undefined;
    if (url) followed = follow(`ws${url}`, seen);
  });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 || (isWatched && !followed)) throw new Error(`the run ended with ${code}`);
  await followed;
  const report = JSON.parse(readFileSync(summary, 'utf8')) as RunReport;
  rmSync(dir, { recursive: true });
  return { wallMs: report.duration_ms, cpuMs: report.cpu_ms, rssMB: report.peak_rss_bytes / 1e6, ...seen };
}

/** `again` is what `off` is: both are what `on` is compared with, and how far they are apart is the machine's own noise. */
const SIDES = ['off', 'on', 'again'] as const;
type Side = (typeof SIDES)[number];

try {
  const path = join(work, 'lake');
  const chosen = values.real ? realLake(work, '2026', Number(values.count)) : await madeLake(path, Number(values.last));
  const rounds: Record<Side, Figures>[] = [];
  // In turn, and each first in every third round, so that a slower minute of the machine slows all.
  for (let run = 0; run <= runs; run++) {
    const round: Partial<Record<Side, Figures>> = {};
    for (let i = 0; i < SIDES.length; i++) {
      const side = SIDES[(run + i) % SIDES.length] as Side;
      round[side] = await copy(chosen, side === 'on');
    }
    if (run > 0) rounds.push(round as Record<Side, Figures>);
  }
  const of = (side: Side, key: keyof Figures): number => median(rounds.map((round) => round[side][key]));
  const percent = (ratios: readonly number[]): number => Number(((median(ratios) - 1) * 100).toFixed(2));
  const change = (key: 'wallMs' | 'cpuMs'): number =>
    percent(rounds.map(({ off, on, again }) => (2 * on[key]) / (off[key] + again[key])));
  const noise = (key: 'wallMs' | 'cpuMs'): number => percent(rounds.map(({ off, again }) => again[key] / off[key]));
  const result = {
    partitions: Math.ceil((chosen.end - chosen.start + 1) / Number(values.partition)),
    ...Object.fromEntries(
      SIDES.map((side) => [side, { wallMs: of(side, 'wallMs'), cpuMs: of(side, 'cpuMs'), rssMB: of(side, 'rssMB') }]),
    ),
    frames: of('on', 'frames'),
    skipped: of('on', 'skipped'),
    changePercent: { wall: change('wallMs'), cpu: change('cpuMs') },
    noisePercent: { wall: noise('wallMs'), cpu: noise('cpuMs') },
  };
  console.log(
    `${cpus()[0]?.model ?? 'unknown'}, ${cpus().length} cores, Node ${process.version}; medians of ${runs} rounds`,
  );
  for (const side of SIDES) {
    const [wallMs, cpuMs, rssMB] = [of(side, 'wallMs'), of(side, 'cpuMs'), of(side, 'rssMB')];
    console.log(
      `inspector ${(side === 'on' ? 'on' : 'off').padEnd(4)} ${wallMs.toFixed(0)} ms wall, ${cpuMs.toFixed(0)} ms CPU, ${rssMB.toFixed(0)} MB peak RSS`,
    );
  }
  const { changePercent, noisePercent, frames, skipped } = result;
  console.log(
    `change: ${changePercent.wall} % wall, ${changePercent.cpu} % CPU (off against off: ${noisePercent.wall} %, ${noisePercent.cpu} %); ${frames} frames, ${skipped} skipped`,
  );
  console.log(JSON.stringify(result));
} finally {
  rmSync(work, { recursive: true, force: true });
}
