/**
 * What a run finds under the names that it is going to write (S9, S10, S30): it is looked at, never skipped because it
 * exists and never overwritten.
 */
import { copyFileSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  attestedIn,
  dataFile,
  eventFile,
  filesIn,
  grid,
  manifestFile,
  parquetHashes,
  readJson,
  sealedIn,
  sha256Hex,
  TABLE,
} from '../support/estate.ts';
import { makeLake, PUBNET, SMALL, sampleEra, sampleScene } from '../support/lakes.ts';
import { Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { describeShared } from '../support/shared.ts';

const LABELS = grid(2, 39, 10);
const LAST = '30-39';

let whole: Scene;
let snappy: Scene;
beforeAll(async () => {
  whole = await sampleScene(sampleEra({ ledger_end: 39 }));
  snappy = await sampleScene(sampleEra({ ledger_end: 39 }), { bronze: { compression: 'snappy' } });
  for (const scene of [whole, snappy]) expect((await scene.run()).code).toBe(0);
});

const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');

/** Takes back the last steps of the last commit. */
function takeBack(scene: Scene, ...steps: readonly ('checkpoint' | 'event' | 'manifest' | 'data')[]): void {
  const chain = chainOf(scene);
  const files = {
    checkpoint: join(scene.state, 'checkpoint_sample_whole_v1.json'),
    event: eventFile(chain, LABELS.length - 1),
    manifest: manifestFile(chain, LAST),
    data: dataFile(chain, LAST),
  };
  for (const step of steps) rmSync(files[step]);
  // A copy is written after its event, and remembers it.
  if (steps.includes('event')) scene.lose('pas-backup');
}

const DAMAGE: Record<string, (path: string) => void> = {
  empty: (path) => truncateSync(path, 0),
  cut: (path) => truncateSync(path, 3000),
  'bit-flipped': (path) => {
    const bytes = readFileSync(path);
    const at = bytes.length >> 1;
    bytes[at] = (bytes[at] as number) ^ 4;
    writeFileSync(path, bytes);
  },
};

/** Nothing of storage changes, whatever the run says. */
async function refused(scene: Scene, code: string): Promise<void> {
  const before = filesIn(scene.bronze);
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(1);
  const error = outcome.summary?.eras[0]?.error;
  expect(error).toMatchObject({ code });
  expect(`${error?.object} ${error?.message}`).toContain(LAST);
  expect(filesIn(scene.bronze)).toEqual(before);
  expect((await scene.verify()).code).toBe(3);
}

describe('S9: an existing final object', () => {
  it.each(['empty', 'cut'])('attested and %s: found by its size', async (kind) => {
    const scene = whole.copy();
    DAMAGE[kind]?.(dataFile(chainOf(scene), LAST));
    await refused(scene, 'PARTITION_DAMAGED');
  });

  it('attested and bit-flipped: run trusts what is sealed, verify finds it', async () => {
    const scene = whole.copy();
    DAMAGE['bit-flipped']?.(dataFile(chainOf(scene), LAST));
    const before = filesIn(scene.bronze);
    expect((await scene.run()).code).toBe(0);
    expect(filesIn(scene.bronze)).toEqual(before);
    const { code, stdout } = await scene.verify('--json');
    expect(code).toBe(3);
    expect(JSON.stringify(JSON.parse(stdout).findings)).toContain(LAST);
  });

  it.each(Object.keys(DAMAGE))('sealed, not attested and %s: found before it is attested', async (kind) => {
    const scene = whole.copy();
    takeBack(scene, 'checkpoint', 'event');
    DAMAGE[kind]?.(dataFile(chainOf(scene), LAST));
    await refused(scene, 'PARTITION_DAMAGED');
    expect(attestedIn(chainOf(scene))).toEqual(LABELS.slice(0, -1));
  });

  it.each(Object.keys(DAMAGE))('without manifest and %s: a conflict that names both', async (kind) => {
    const scene = whole.copy();
    takeBack(scene, 'checkpoint', 'event', 'manifest');
    DAMAGE[kind]?.(dataFile(chainOf(scene), LAST));
    await refused(scene, 'PARTITION_CONFLICT');
  });

  it('without manifest and whole: sealed after it was read', async () => {
    const scene = whole.copy();
    const chain = chainOf(scene);
    takeBack(scene, 'checkpoint', 'event', 'manifest');
    const before = filesIn(chain);
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary?.eras[0]).toMatchObject({ partitions: 0, next_ledger: 40 });
    expect(filesIn(chain)).toMatchObject(before);
    expect([sealedIn(chain), attestedIn(chain)]).toEqual([LABELS, LABELS]);
    await expectVerified(scene);
  });

  it.each([
    ['attested', []],
    ['not attested', ['checkpoint', 'event']],
  ] as const)('with a manifest for another range, %s', async (_, steps) => {
    const scene = whole.copy();
    takeBack(scene, ...steps);
    copyFileSync(manifestFile(chainOf(scene), '20-29'), manifestFile(chainOf(scene), LAST));
    await refused(scene, 'MANIFEST_INVALID');
  });

  it.each([['data'], ['manifest'], ['data', 'manifest']] as const)(
    'attested, %s gone: built again, byte by byte as attested',
    async (...steps) => {
      const scene = whole.copy();
      const before = filesIn(chainOf(scene));
      takeBack(scene, ...(steps as ('data' | 'manifest')[]));
      const outcome = await scene.run();
      expect(outcome.code, outcome.stderr).toBe(0);
      const after = filesIn(chainOf(scene));
      expect(Object.keys(after)).toEqual(Object.keys(before));
      for (const [name, { sha256 }] of Object.entries(before)) expect(after[name]?.sha256, name).toBe(sha256);
      await expectVerified(scene);
    },
  );
});

describe('S30: an orphan of another release or compression', () => {
  it('is sealed by content, under its own checksum and writer', async () => {
    const scene = snappy.copy();
    const chain = chainOf(scene);
    const old = readJson(manifestFile(chain, LAST));
    takeBack(scene, 'checkpoint', 'event', 'manifest');
    const before = parquetHashes(chain);
    scene.change({ bronze: { compression: 'zstd' } });
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(parquetHashes(chain)).toEqual(before);
    const manifest = readJson(manifestFile(chain, LAST));
    expect(manifest.tables[TABLE].checksum).toBe(`sha256:${sha256Hex(readFileSync(dataFile(chain, LAST)))}`);
    expect(manifest).toMatchObject({ ledgers: old.ledgers, writer: old.writer, tables: old.tables });
    expect(manifest.writer).not.toEqual(readJson(manifestFile(chainOf(whole), LAST)).writer);
    expect(attestedIn(chain)).toEqual(LABELS);
    await expectVerified(scene);
  });

  it('the next partitions come with the new compression, in the same chain', async () => {
    const scene = snappy.copy();
    const chain = chainOf(scene);
    scene.change({ bronze: { compression: 'none' }, eras: [sampleEra({ ledger_end: 59 })] });
    expect((await scene.run()).code).toBe(0);
    expect(attestedIn(chain)).toEqual(grid(2, 59, 10));
    await expectVerified(scene);
  });
});

describe('S10: allow_overwrite: true', () => {
  const era = sampleEra({ ledger_end: 39, allow_overwrite: true });

  it('same content and other bytes, state and events lost: nothing is overwritten, it is a no-op', async () => {
    const scene = whole.copy();
    const chain = chainOf(scene);
    rmSync(join(chain, '_audit'), { recursive: true });
    scene.lose('state', 'pas-backup');
    const before = filesIn(join(chain, TABLE));
    scene.change({ eras: [era], bronze: { compression_level: 9 } });
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary?.eras[0]).toMatchObject({ partitions: 0, next_ledger: 40 });
    expect(filesIn(join(chain, TABLE))).toEqual(before);
    expect(attestedIn(chain)).toEqual(LABELS);
    await expectVerified(scene);
  });

  it('same content and other bytes, only data left: kept and sealed as it is', async () => {
    const scene = whole.copy();
    const chain = chainOf(scene);
    rmSync(join(chain, '_audit'), { recursive: true });
    for (const label of LABELS) rmSync(manifestFile(chain, label));
    scene.lose('state', 'pas-backup');
    const before = parquetHashes(chain);
    scene.change({ eras: [era], bronze: { compression_level: 9 } });
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(parquetHashes(chain)).toEqual(before);
    await expectVerified(scene);
  });
});

describeShared('S10: other content under the same name', () => {
  const era = {
    era_id: 'e',
    version_label: 'v1',
    network: 'pubnet',
    ledger_start: 3,
    ledger_end: 29,
    partition_size: 10,
    allow_overwrite: true,
  };

  it.each([['with its manifest'], ['without its manifest']])('is kept %s, and the way out is named', async (which) => {
    const scene = new Scene(makeLake({ start: 3, count: 27, templates: SMALL }).path, era);
    const chain = scene.chain('pubnet', 'e');
    expect((await scene.run({ args: ['--to', '3'] })).code).toBe(0);
    rmSync(join(chain, '_audit'), { recursive: true });
    if (which.startsWith('without')) rmSync(manifestFile(chain, '3-9'));
    scene.lose('state', 'pas-backup');
    const before = parquetHashes(chain);
    const other = makeLake({ start: 3, count: 27, templates: [...SMALL].reverse() });
    const outcome = await scene.run({ settings: { source: { local_path: other.path } } });
    expect(outcome.code).toBe(1);
    // With its manifest it is sealed: it stays, and the lake is of another history.
    const code = which.startsWith('without') ? 'PARTITION_CONFLICT' : 'LAKE_CONTRADICTS';
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code });
    if (code === 'PARTITION_CONFLICT') {
      expect(String(outcome.summary?.eras[0]?.error?.hint)).toContain('version_label');
      expect(outcome.stderr).toContain('version_label');
    }
    expect(parquetHashes(chain)).toEqual(before);
    const beside = await scene.run({
      settings: { source: { local_path: other.path }, eras: [{ ...era, version_label: 'v2' }] },
    });
    expect(beside.code).toBe(0);
    expect(sealedIn(scene.chain('pubnet', 'e', 'v2'))).toEqual(grid(3, 29, 10));
  });

  it('real ledgers of a megabyte: an orphan cut inside its last page is a conflict', async () => {
    const scene = new Scene(makeLake({ start: 3, count: 27, templates: PUBNET.slice(0, 3) }).path, era);
    const chain = scene.chain('pubnet', 'e');
    expect((await scene.run({ args: ['--to', '3'] })).code).toBe(0);
    rmSync(join(chain, '_audit'), { recursive: true });
    rmSync(manifestFile(chain, '3-9'));
    scene.lose('state', 'pas-backup');
    const bytes = readFileSync(dataFile(chain, '3-9'));
    truncateSync(dataFile(chain, '3-9'), bytes.length - 5);
    expect((await scene.run()).summary?.eras[0]?.error).toMatchObject({ code: 'PARTITION_CONFLICT' });
    writeFileSync(dataFile(chain, '3-9'), bytes);
    expect((await scene.run()).code).toBe(0);
    await expectVerified(scene);
  });
});
