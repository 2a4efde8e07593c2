/**
 * State that is lost, stale, corrupt or ahead (S12, S14, S29), and a finished job run again (S26): Bronze itself tells
 * where things stand.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  attestedIn,
  dataFile,
  eventFile,
  filesIn,
  grid,
  namesIn,
  readJson,
  sealedIn,
  sha256Hex,
} from '../support/estate.ts';
import { sampleScene } from '../support/lakes.ts';
import type { Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';

const HEADS = 'pas-chain-heads.json';
const CHECKPOINT = 'checkpoint_sample_whole_v1.json';
const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');

/** Copied up to ledger 59 of 127. */
let half: Scene;
let whole: Scene;
beforeAll(async () => {
  half = await sampleScene();
  expect((await half.run({ args: ['--to', '59'] })).code).toBe(0);
  whole = half.copy();
  expect((await whole.run()).code).toBe(0);
});

/** The rest is copied, once, into the same chain, with copies and checkpoint as they should be. */
async function completes(scene: Scene): Promise<void> {
  const chain = chainOf(scene);
  const before = filesIn(chain);
  const outcome = await scene.run();
  expect(outcome.code, outcome.stderr).toBe(0);
  expect(outcome.summary?.eras[0]).toMatchObject({ next_ledger: 128, partitions: 7 });
  expect(filesIn(chain)).toMatchObject(before);
  expect(sealedIn(chain)).toEqual(grid(2, 127, 10));
  expect(attestedIn(chain)).toEqual(grid(2, 127, 10));
  const head = readJson(eventFile(chain, 12)).chain.event_hash;
  expect(readJson(scene.backup, HEADS)['sample/whole/v1']).toBe(head);
  for (const [i, label] of grid(2, 127, 10).entries()) {
    expect(readJson(scene.backup, `sample_whole_v1_${label}.json`)).toEqual(readJson(eventFile(chain, i)));
  }
  expect(readJson(scene.state, CHECKPOINT)).toMatchObject({
    era_id: 'whole',
    last_committed_ledger: 127,
    last_committed_partition: {
      start: 120,
      end: 127,
      checksum: `sha256:${sha256Hex(readFileSync(dataFile(chain, '120-127')))}`,
    },
  });
  expect((await scene.verify('--events', scene.backup)).code).toBe(0);
}

describe('S12: the chain-head file or the backup folder', () => {
  it('lost: the whole folder', async () => {
    const scene = half.copy();
    scene.lose('pas-backup');
    await completes(scene);
  });

  it('lost: one copy', async () => {
    const scene = half.copy();
    rmSync(join(scene.backup, 'sample_whole_v1_20-29.json'));
    await completes(scene);
  });

  it('lost: the heads', async () => {
    const scene = half.copy();
    rmSync(join(scene.backup, HEADS));
    await completes(scene);
  });

  it('stale: the head of an event before', async () => {
    const scene = half.copy();
    const stale = readJson(eventFile(chainOf(scene), 1)).chain.event_hash;
    writeFileSync(join(scene.backup, HEADS), JSON.stringify({ 'sample/whole/v1': stale, 'sample/other/v1': 'kept' }));
    await completes(scene);
    expect(readJson(scene.backup, HEADS)['sample/other/v1']).toBe('kept');
  });
});

describe('S14: the checkpoint', () => {
  const broken: Record<string, (file: string) => void> = {
    lost: (file) => rmSync(file),
    empty: (file) => writeFileSync(file, ''),
    corrupt: (file) => writeFileSync(file, readFileSync(file, 'utf8').slice(0, 40)),
    'of another era': (file) => writeFileSync(file, JSON.stringify({ ...readJson(file), era_id: 'other' })),
    'behind storage': (file) =>
      writeFileSync(
        file,
        JSON.stringify({
          ...readJson(file),
          last_committed_ledger: 19,
          last_committed_partition: {
            start: 10,
            end: 19,
            checksum: `sha256:${sha256Hex(readFileSync(dataFile(chainOf(half), '10-19')))}`,
          },
        }),
      ),
    'a folder': (file) => {
      rmSync(file);
      mkdirSync(file);
    },
  };

  it.each(Object.keys(broken).filter((kind) => kind !== 'a folder'))('%s', async (kind) => {
    const scene = half.copy();
    broken[kind]?.(join(scene.state, CHECKPOINT));
    await completes(scene);
  });

  it('a folder in its place: a clear error, nothing skipped, and the next run goes on', async () => {
    const scene = half.copy();
    broken['a folder']?.(join(scene.state, CHECKPOINT));
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'STATE_IO' });
    rmSync(join(scene.state, CHECKPOINT), { recursive: true });
    const after = await scene.run();
    expect(after.code).toBe(0);
    expect(attestedIn(chainOf(scene))).toEqual(grid(2, 127, 10));
    await expectVerified(scene);
  });

  it('switched off: no file, the right place all the same', async () => {
    const scene = half.copy();
    scene.lose('state');
    scene.change({ checkpoint: { enabled: false } });
    expect((await scene.run()).summary?.eras[0]).toMatchObject({ next_ledger: 128, partitions: 7 });
    expect(namesIn(scene.state)).not.toContain(CHECKPOINT);
  });
});

describe('S29: the state folder is lost while Bronze is full', () => {
  it('in the middle: the same chain goes on', async () => {
    const scene = half.copy();
    scene.lose('state');
    await completes(scene);
  });

  it('on a new machine, with nothing but the storage', async () => {
    const scene = half.copy();
    const there = scene.elsewhere();
    const before = filesIn(chainOf(scene));
    const outcome = await there.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary?.eras[0]).toMatchObject({ next_ledger: 128, partitions: 7 });
    expect(filesIn(chainOf(scene))).toMatchObject(before);
    expect(attestedIn(chainOf(scene))).toEqual(grid(2, 127, 10));
    expect(readJson(there.state, CHECKPOINT)).toMatchObject({
      copier_id: 'copier-elsewhere',
      last_committed_ledger: 127,
    });
    expect((await scene.verify('--events', there.backup)).code).toBe(0);
  });
});

describe('S26: a finished job run again', () => {
  it.each([
    ['as it is', []],
    ['without its checkpoint', [join('state', CHECKPOINT)]],
    ['without the state folder', ['state']],
    ['without state and backup folder', ['state', 'pas-backup']],
  ] as const)('%s: exits 0, writes nothing to Bronze, reads nothing of the lake', async (_, lost) => {
    const scene = whole.copy();
    scene.lose(...lost);
    const before = filesIn(scene.data);
    // The lake is not even there any more.
    const outcome = await scene.run({ settings: { source: { local_path: join(scene.root, 'moved-away') } } });
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary).toMatchObject({ status: 'done' });
    expect(outcome.summary?.eras[0]).toMatchObject({ next_ledger: 128, partitions: 0, ledgers: 0, source_bytes: 0 });
    expect(filesIn(scene.data)).toEqual(before);
    expect(readJson(scene.state, CHECKPOINT)).toMatchObject({ last_committed_ledger: 127 });
    expect(namesIn(scene.backup)).toHaveLength(14);
  });

  it('--to behind what is copied: nothing to do', async () => {
    const scene = half.copy();
    const before = filesIn(scene.data);
    const outcome = await scene.run({ args: ['--to', '15'] });
    expect(outcome).toMatchObject({ code: 0, summary: { status: 'done' } });
    expect(filesIn(scene.data)).toEqual(before);
  });
});
