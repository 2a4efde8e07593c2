// S20, on a lake in a bucket behind a proxy: an unbounded era waits for a hole that fills later and for a file that is only
// half written, gets over a store in trouble, and commits whole partitions only. On Ceph and on the double of GCS.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { grid, parquetHashes, sealedIn } from '../support/estate.ts';
import { startFaultProxy } from '../support/fault-proxy.ts';
import { startGcsDouble } from '../support/gcs-double.ts';
import { objectOf, sampleEra, sampleLake, sampleScene } from '../support/lakes.ts';
import { environmentFor, LAKE_PREFIX, newBucket, type RemoteKind, sourceIn } from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';

/** Long enough for several polls of the head. */
const A_WHILE_MS = 700;

async function follow(kind: RemoteKind, list: string): Promise<void> {
  const { path } = await sampleLake();
  const whole = await sampleScene(sampleEra({ ledger_end: 49 }));
  expect((await whole.run()).code).toBe(0);

  const bucket = await newBucket(kind);
  const proxy = await startFaultProxy(kind.protocol === 's3' ? kind.server.endpoint : kind.double.url);
  const behind: RemoteKind = { ...kind, url: proxy.url };
  const read = (ledger: number): Buffer => readFileSync(join(path, objectOf(path, ledger)));
  const put = async (from: number, to: number, bytes: (ledger: number) => Buffer = read): Promise<void> => {
    for (let ledger = from; ledger <= to; ledger++) {
      await bucket.put(`${LAKE_PREFIX}/${objectOf(path, ledger)}`, bytes(ledger));
    }
  };
  await bucket.put(`${LAKE_PREFIX}/.config.json`, readFileSync(join(path, '.config.json')));
  await put(2, 35);

  const scene = await sampleScene(sampleEra({ ledger_end: 0 }));
  scene.change({ source: { ...sourceIn(behind, bucket.name), poll_interval_ms: 50 } });
  Object.assign(scene.environment, environmentFor(behind));
  const chain = scene.chain('sample', 'whole');
  const running = scene.start('run');
  const committed = (first: number): Promise<void> =>
    running.untilLogged(
      (line) => line.msg === 'partition committed' && line.ledger_start === first,
      `the commit of ${first}`,
    );
  await committed(20);
  // A hole with later ledgers behind it, and a store that is in trouble for a while.
  await put(36, 37);
  await put(39, 45);
  proxy.rules.push({
    operation: list,
    nth: [1, 4],
    fault: { kind: 'answer', status: 503, headers: { 'retry-after': '0' }, body: '' },
  });
  await sleep(A_WHILE_MS);
  expect(sealedIn(chain)).toEqual(grid(2, 29, 10));
  // It fills, with a file that is only half there at first.
  await put(38, 38, (ledger) => read(ledger).subarray(0, 100));
  await running.untilLogged((line) => line.msg === 'attempt failed', 'a file that cannot be read');
  expect(sealedIn(chain)).toEqual(grid(2, 29, 10));
  await put(38, 38);
  await committed(30);
  await put(46, 49);
  await committed(40);
  running.kill('SIGTERM');
  const outcome = await running.done;
  await proxy.close();
  expect(outcome.code, said(outcome)).toBe(0);
  expect(outcome.summary).toMatchObject({ status: 'drained', eras: [{ next_ledger: 50 }] });
  expect(parquetHashes(chain)).toEqual(parquetHashes(whole.chain('sample', 'whole')));
}

describeServer('ceph', 'S20: the head of a lake in a bucket', (server) => {
  it('is followed, whatever it looks like in the meantime', () => follow({ protocol: 's3', server }, 'ListObjectsV2'));
});

describe('double of GCS: S20: the head of a lake in a bucket', () => {
  it('is followed, whatever it looks like in the meantime', async () => {
    const double = await startGcsDouble();
    try {
      await follow({ protocol: 'gcs', double }, 'objects.list');
    } finally {
      await double.close();
    }
  });
});
