/**
 * What must hold of an estate once nobody is at work on it any more, beyond what its files say by themselves: `verify`
 * proves it, and one more run leaves it alone. Both in this process, on the program's own code: what the program was
 * made to survive happens to real processes, and none is needed to look at what they left.
 */
import { afterAll, beforeAll, expect, vi } from 'vitest';
import { readBack } from '../../actors/parquet/read-back.ts';
import { openStore } from '../../actors/store/index.ts';
import { findChains } from '../../actors/verify/chains.ts';
import { verifyChain, verifyEraLinks } from '../../actors/verify/verify-chain.ts';
import { runInProcess } from './in-process.ts';
import { everything, expectWhole, type Reference } from './outcome.ts';
import type { Scene } from './program.ts';

/** For suites with runs in this process: fails them where XState warns of anything but what is known. */
export function expectNoWarnings(): void {
  beforeAll(() => {
    // XState's development build says so when the last era's own end reaches a supervisor that is over already.
    vi.spyOn(console, 'warn').mockImplementation((text) => {
      if (!/^Event "xstate\.done\.actor\.era:/.test(String(text))) throw new Error(String(text));
    });
  });
  afterAll(() => {
    vi.restoreAllMocks();
  });
}

/** As `verify` does, without its process: every row of every partition, and the links between eras. */
export async function expectVerified(scene: Scene): Promise<void> {
  const { signal } = new AbortController();
  const reports: Parameters<typeof verifyEraLinks>[0][number][] = [];
  for (const { chain, store } of await findChains(scene.data)) {
    const report = await verifyChain(openStore(store), store, chain, {
      sample: { take: 1, of: 1, offset: 0 },
      from: null,
      to: null,
      signatures: scene.looksAtSignatures,
      copies: null,
      rows: null,
      parallel: 1,
      signal,
      readBack: (task) => readBack(task, signal, () => {}),
      onPartition: () => {},
    });
    expect(report.findings).toEqual([]);
    expect(report.partitions).toBeGreaterThan(0);
    expect(report.read).toBe(report.partitions);
    reports.push({ report, chain });
  }
  expect(reports.length).toBeGreaterThan(0);
  expect(verifyEraLinks(reports)).toEqual([]);
}

/** One more run has nothing to do and does nothing. */
async function expectLeftAlone(scene: Scene): Promise<void> {
  const before = everything(scene);
  const summary = await runInProcess(scene);
  expect(summary.eras.map(({ failure }) => failure)).toEqual(summary.eras.map(() => null));
  expect(summary.outcome).toBe('done');
  expect(everything(scene)).toEqual(before);
}

/** Whole, proved, and left alone by one more run. */
export async function expectSettled(scene: Scene, reference: Reference, facts: { kept: boolean }): Promise<void> {
  expectWhole(scene, reference, facts);
  await expectVerified(scene);
  await expectLeftAlone(scene);
}
