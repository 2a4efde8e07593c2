// Disk faults at every single changing file operation of a run (S21): the first, the second, the third, … until a run has
// no operation left to fail. Once only, as a passing fault, and from there on, as a disk that stays full or read-only.
// Whatever happens, the run ends with a code, nothing half-done is visible, and the next run on a healthy disk completes.
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunSummary } from '../../machines/supervisor.ts';
import { type Cut, newCopier } from '../support/copier.ts';
import { type Fault, faultAt } from '../support/faulty-files.ts';
import { endProcess, runInProcess } from '../support/in-process.ts';
import { expectNothingHalfVisible, expectWhole, type Reference, referenceOf } from '../support/outcome.ts';
import { expectNoWarnings, expectSettled } from '../support/settled.ts';

// One partition before the boundary, two after it.
const CUT: Cut = { start: 60, end: 67, size: 4 };
const SETTINGS = { perf: { workers: 1, threads: 1, retry_attempts: 3, retry_backoff_ms: 1 } };

/** Runs of which each mostly waits for its disk. */
const AT_A_TIME = 6;

/** A disk fault may end a run with one of these and no other. */
const CODES = ['STORE_FULL', 'STORE_IO', 'STORE_DENIED', 'STATE_IO', 'STAGED_GONE'];

const ERRNOS = [
  { errno: 'ENOSPC', passing: true },
  { errno: 'EIO', passing: true },
  { errno: 'EROFS', passing: false },
  { errno: 'EACCES', passing: false },
] as const;

expectNoWarnings();

let reference: Reference;
let operations: number;

beforeAll(async () => {
  const scene = await newCopier(CUT, SETTINGS);
  const { files, state } = faultAt(Number.POSITIVE_INFINITY, 'EIO', 'once');
  expect((await runInProcess(scene, { files })).outcome).toBe('done');
  operations = state.seen;
  reference = referenceOf(scene);
  expectWhole(scene, reference, { kept: true });
});

const failuresOf = (summary: RunSummary) => summary.eras.flatMap(({ failure }) => (failure ? [failure] : []));

/** One run with one fault, and what follows. Whether the run came as far as the fault, and how it ended. */
async function strike(fault: Fault, passing: boolean): Promise<'not reached' | 'done' | 'failed'> {
  const scene = await newCopier(CUT, SETTINGS);
  const { files, state } = faultAt(fault.at, fault.errno, fault.mode);
  const summary = await runInProcess(scene, { files });
  endProcess(scene);
  const where = `${fault.errno} ${fault.mode}, operation ${fault.at}: ${state.hit ?? 'not reached'}`;
  const failures = failuresOf(summary);
  for (const failure of failures) {
    expect(CODES, `${where}: ${failure.code}: ${failure.message}`).toContain(failure.code);
    expect(failure.message, where).toContain(fault.errno);
    expect(failure.hint, where).toBeTruthy();
  }
  expect(summary.outcome, where).toBe(failures.length > 0 ? 'failed' : 'done');
  // What passes by itself is sat out.
  if (fault.mode === 'once' && passing) expect(summary.outcome, `${where}: ${failures[0]?.message}`).toBe('done');
  expectNothingHalfVisible(scene, reference);
  if (summary.outcome === 'done') {
    // Nothing that was asked for may be missing, not even a copy or a checkpoint.
    expect(referenceOf(scene).parquet, where).toEqual(reference.parquet);
  }
  const next = await runInProcess(scene);
  expect(failuresOf(next), where).toEqual([]);
  await expectSettled(scene, reference, { kept: true });
  if (state.seen <= fault.at) return 'not reached';
  return summary.outcome === 'done' ? 'done' : 'failed';
}

describe('S21: a disk fault at every changing file operation', () => {
  for (const { errno, passing } of ERRNOS) {
    for (const mode of ['once', 'from then on'] as const) {
      it(`${errno}, ${mode}`, async () => {
        const ends = { done: 0, failed: 0, 'not reached': 0 };
        let at = 0;
        const lane = async (): Promise<void> => {
          // Two eras side by side: the number of operations may vary by a few from run to run.
          while (ends['not reached'] < AT_A_TIME) ends[await strike({ at: at++, errno, mode }, passing)] += 1;
        };
        await Promise.all(Array.from({ length: AT_A_TIME }, lane));
        expect(ends.done + ends.failed).toBeGreaterThan(operations * 0.9);
        if (mode === 'from then on' || !passing) expect(ends.failed).toBeGreaterThan(operations / 2);
      }, 300_000);
    }
  }
});
