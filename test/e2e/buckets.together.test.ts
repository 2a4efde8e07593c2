// Two copiers with state folders of their own race on one chain in a bucket (S7, S31): one set of objects, one chain, right
// content, on a store that fences (Ceph), on one that keeps its conditions (moto) and on the double of GCS. A copier may
// lose a race in the open; the next run finishes.
import { describe, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { attestedIn, grid, parquetHashes, partitionsOf, rowsIn, sha256Hex } from '../support/estate.ts';
import { startGcsDouble } from '../support/gcs-double.ts';
import { sampleEra, sampleLedgers, sampleScene } from '../support/lakes.ts';
import { type RemoteKind, remoteScene } from '../support/remote-scene.ts';
import { describeServers } from '../support/servers.ts';

async function race(kind: RemoteKind, size: number): Promise<void> {
  const era = sampleEra({ partition_size: size });
  const alone = await sampleScene(era);
  expect((await alone.run()).code).toBe(0);
  const here = await remoteScene(kind, await sampleScene(era));
  const there = here.elsewhere();
  const outcomes = await Promise.all([here.run(), there.run()]);
  for (const outcome of outcomes) expect([0, 1], said(outcome)).toContain(outcome.code);
  // Whoever lost only had to be told.
  for (const scene of [here, there]) {
    const again = await scene.run();
    expect(again.code, said(again)).toBe(0);
  }
  await here.look();
  const chain = here.chain('sample', 'whole');
  const labels = grid(2, 127, size);
  expect(partitionsOf(chain)).toEqual(labels.map((label) => ({ label, state: 'sealed' })));
  expect(attestedIn(chain)).toEqual(labels);
  expect((await rowsIn(chain)).map((row) => row.recomputed_sha256)).toEqual(sampleLedgers().map(sha256Hex));
  expect(parquetHashes(chain)).toEqual(parquetHashes(alone.chain('sample', 'whole')));
  expect(await here.leftovers()).toEqual([]);
  for (const scene of [here, there]) {
    const verdict = await scene.verify('--events', scene.backup);
    expect(verdict.code, said(verdict)).toBe(0);
  }
}

describeServers('S7: two copiers race', (server) => {
  it.each([7, 21])('partitions of %i', (size) => race({ protocol: 's3', server }, size));
});

describe('double of GCS: S7: two copiers race', () => {
  it.each([7, 21])('partitions of %i', async (size) => {
    const double = await startGcsDouble();
    try {
      await race({ protocol: 'gcs', double }, size);
    } finally {
      await double.close();
    }
  });
});
