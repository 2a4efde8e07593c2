/**
 * A small copier to be killed: two neighbouring eras of the sample lake, side by side in one process, with what a run of
 * it leaves when nothing disturbs it.
 */
import { cpSync } from 'node:fs';
import { expect } from 'vitest';
import { SAMPLE_SOURCE, sampleLake } from './lakes.ts';
import { everything, expectWhole, type Reference, referenceOf } from './outcome.ts';
import { merge, type Outcome, Scene, type Settings } from './program.ts';

/** First ledger of the second era. */
const BOUNDARY = 64;

export interface Cut {
  readonly start: number;
  readonly end: number;
  readonly size: number;
}

export async function newCopier({ start, end, size }: Cut, more: Settings = {}): Promise<Scene> {
  const lake = await sampleLake();
  const common = { network: 'sample', version_label: 'v1', partition_size: size };
  return new Scene(
    lake.path,
    [
      { ...common, era_id: 'before', ledger_start: start, ledger_end: BOUNDARY - 1 },
      { ...common, era_id: 'after', ledger_start: BOUNDARY, ledger_end: end },
    ],
    merge({ source: SAMPLE_SOURCE }, more),
  );
}

/** The same copier with everything that it has on disk, in a place of its own. */
export function copyOfCopier(scene: Scene): Scene {
  const copy = new Scene('', []);
  cpSync(scene.root, copy.root, { recursive: true });
  const own = { storage: { local_dir: copy.data }, pas: { backup_dir: copy.backup }, checkpoint: { dir: copy.state } };
  copy.settings = merge(scene.settings, own);
  return copy;
}

/** For messages: how a run ended and what it said. */
export const said = ({ code, signal, stdout, stderr }: Outcome): string =>
  `code ${code}, signal ${signal}\n${stdout.slice(-4_000)}\n${stderr.slice(-2_000)}`;

/** Runs to the end; answers how many partitions it built, and of how many it only took note. */
export async function expectDone(scene: Scene): Promise<{ built: number; found: number }> {
  const run = await scene.run();
  expect(run.code, said(run)).toBe(0);
  const eras = run.summary?.eras ?? [];
  return {
    built: eras.reduce((sum, era) => sum + era.partitions, 0),
    found: eras.reduce((sum, era) => sum + era.partitions_found, 0),
  };
}

/**
 * What a run that nothing disturbs leaves; also that it proves itself, and that one more run leaves it alone. What is
 * compared with it later need not be proved by processes again.
 */
export async function undisturbed(scene: Scene): Promise<Reference> {
  await expectDone(scene);
  const reference = referenceOf(scene);
  expectWhole(scene, reference, { kept: true });
  const verdict = await scene.verify('--json');
  expect(verdict.code, said(verdict)).toBe(0);
  expect(JSON.parse(verdict.stdout)).toMatchObject({ ok: true, findings: [] });
  const before = everything(scene);
  await expectDone(scene);
  expect(everything(scene)).toEqual(before);
  return reference;
}
