/**
 * What benchmarks measured, kept: a line of JSON an entry in history.jsonl, the machine and the commit named, from which
 * docs/performance.md is made. Nothing is added without `--save`, so that a run on a busy machine leaves no trace.
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './lake.ts';

const HISTORY = join(ROOT, 'test/bench/history.jsonl');

export interface Entry<T = unknown> {
  /** Which benchmark. */
  readonly kind: string;
  readonly date: string;
  readonly machine: string;
  readonly node: string;
  /** Short commit; with `+` where files were changed since. */
  readonly commit: string;
  /** What was measured: benchmark by benchmark another shape. */
  readonly data: T;
}

const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();

/** As it is when a benchmark begins: what is changed while it runs is not what it measures. */
const COMMIT = git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');

/** Prints an entry as JSON and, where `save`, adds it to the history. */
export function record(kind: string, data: unknown, save: boolean): void {
  const entry: Entry = {
    kind,
    date: new Date().toISOString().slice(0, 16),
    machine: `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: process.version,
    commit: COMMIT,
    data,
  };
  console.log(JSON.stringify(entry));
  if (save) appendFileSync(HISTORY, `${JSON.stringify(entry)}\n`);
}

/** The last entry of a kind that has what is wanted, or null. */
export function lastEntry<T>(kind: string, has: (data: T) => boolean = () => true): Entry<T> | null {
  if (!existsSync(HISTORY)) return null;
  const lines = readFileSync(HISTORY, 'utf8').trim().split('\n');
  const entries = lines.map((line) => JSON.parse(line) as Entry<T>);
  return entries.findLast((entry) => entry.kind === kind && has(entry.data)) ?? null;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
