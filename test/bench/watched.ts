/**
 * A copy by the program as it is shipped, watched while it runs: resident size and open descriptors; and, where that is
 * asked for, killed.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RunReport } from '../../runtime/summary.ts';
import { residentBytes } from '../support/resident.ts';
import { MAIN } from './lake.ts';
import { median } from './record.ts';

/** Every 100 ms; MB = 10^6 bytes. */
export interface Sample {
  readonly rssMB: number;
  readonly descriptors: number;
}

/** Null where the process has ended. */
function sampleOf(pid: number): Sample | null {
  try {
    const descriptors = readdirSync(`/proc/${pid}/fd`).length;
    const resident = residentBytes(pid);
    return resident === 0 ? null : { rssMB: resident / 1e6, descriptors };
  } catch {
    return null;
  }
}

export interface Death {
  /** After the start of the process, ms. */
  readonly moment: number;
  readonly signal: 'SIGKILL' | 'SIGTERM';
}

export interface Run {
  /** `dead`: the signal came first. */
  readonly status: 'done' | 'drained' | 'dead';
  readonly ms: number;
  readonly samples: readonly Sample[];
}

/**
 * Runs the copier to its end, or to the death that it is to die.
 * @param limit ms; a copier that takes longer hangs.
 * @throws where it fails or hangs
 */
export function copy(dir: string, config: string, limit: number, death: Death | null = null): Promise<Run> {
  const started = performance.now();
  const summary = join(dir, 'summary.json');
  rmSync(summary, { force: true });
  const child = spawn(process.execPath, [MAIN, 'run', '--config', config, '--no-progress', '--summary', summary], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (said = (said + text).slice(-4_000)));
  const samples: Sample[] = [];
  const sampling = setInterval(() => {
    const sample = sampleOf(child.pid ?? 0);
    if (sample) samples.push(sample);
  }, 100);
  const dying = death && setTimeout(() => child.kill(death.signal), death.moment);
  let hangs = false;
  const hanging = setTimeout(() => {
    hangs = true;
    child.kill('SIGKILL');
  }, limit);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      for (const timer of [sampling, hanging, dying]) clearTimeout(timer ?? undefined);
      const ms = performance.now() - started;
      if (!hangs && death && signal === death.signal) return resolve({ status: 'dead', ms, samples });
      const status = existsSync(summary) ? (JSON.parse(readFileSync(summary, 'utf8')) as RunReport).status : null;
      const isAsked = status === 'done' || (status === 'drained' && death?.signal === 'SIGTERM');
      if (code === 0 && isAsked) return resolve({ status, ms, samples });
      const how = hangs ? `did not end within ${limit} ms` : `ended with ${code ?? signal}, ${status ?? 'no summary'}`;
      reject(new Error(`the copier ${how}: ${said}`));
    });
  });
}

/** How something developed in a process. */
export interface Level {
  /** Medians of the tenths of its samples, in order; what is flat may differ in the first, where it warms up. */
  readonly tenths: readonly number[];
  /** Of the second and of the last tenth. */
  readonly start: number;
  readonly end: number;
  /** Of all samples. */
  readonly max: number;
}

/** @param all at least ten. */
export function levelOf(all: readonly number[]): Level {
  const rounded = (value: number): number => Math.round(value * 10) / 10;
  const at = (tenth: number): number => Math.floor((all.length * tenth) / 10);
  const tenths = Array.from({ length: 10 }, (_, n) => rounded(median(all.slice(at(n), at(n + 1)))));
  return { tenths, start: tenths[1] ?? Number.NaN, end: tenths[9] ?? Number.NaN, max: rounded(Math.max(...all)) };
}
