/**
 * `npm run bench:estate`: the commands that an operator waits for, on an estate of as many partitions as full pubnet has.
 * They are made by the program itself, of two made-up ledgers each, with the embedded catalog: that takes minutes.
 *
 *   npm run bench:estate -- [--partitions 6000] [--runs 3] [--keep DIR] [--save]
 *
 * `--keep`: where the estate is made, and found again the next time.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { madeLake } from './lake.ts';
import { command, configFor } from './product.ts';
import { median, record } from './record.ts';

export interface Estate {
  readonly partitions: number;
  /** What making it took, seconds. */
  readonly madeIn: number | null;
  readonly commands: readonly { readonly name: string; readonly seconds: number; readonly peakRssMB: number }[];
}

const { values } = parseArgs({
  options: {
    partitions: { type: 'string', default: '6000' },
    runs: { type: 'string', default: '3' },
    keep: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});
const LEDGERS_EACH = 2;
const partitions = Number(values.partitions);
const work = values.keep ? resolve(values.keep) : mkdtempSync(join(tmpdir(), 'bronze-estate-'));

try {
  mkdirSync(work, { recursive: true });
  const of = await madeLake(join(work, 'lake'), partitions * LEDGERS_EACH + 1);
  const known = existsSync(join(work, 'config.yaml'));
  const file = configFor(work, of, { threads: 2, partition: LEDGERS_EACH, codec: 'zstd-3', catalog: 'embedded' });
  const run = ['run', '--config', file, '--no-progress'];
  const made = await command(run);
  const commands: [string, string[]][] = [
    ['--help', ['--help']],
    ['run, finished', run],
    ['status', ['status', '--config', file]],
    ['plan', ['plan', '--config', file]],
    ['verify --sample 1/100', ['verify', '--config', file, '--sample', '1/100']],
    ['reconcile', ['reconcile', '--config', file]],
  ];
  const measured: Estate['commands'][number][] = [];
  for (const [name, args] of commands) {
    const all = [];
    for (let n = 0; n < Number(values.runs); n++) all.push(await command(args));
    measured.push({
      name,
      seconds: Number((median(all.map(({ ms }) => ms)) / 1e3).toFixed(2)),
      peakRssMB: Math.round(Math.max(...all.flatMap(({ resident }) => resident)) / 1e6),
    });
    console.log(measured.at(-1));
  }
  const madeIn = known ? null : Math.round(made.ms / 1e3);
  record('estate', { partitions, madeIn, commands: measured } satisfies Estate, values.save);
} finally {
  if (!values.keep) rmSync(work, { recursive: true, force: true });
}
