// A run over a bucket in which something stands already (S9), that loses what is staged (S32), loses answers (S8), or is in
// trouble (S18): on Ceph and on the double of GCS.
import { cpSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { attestedIn, grid, parquetHashes } from '../support/estate.ts';
import { type Fault, type FaultProxy, type FaultRule, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import type { Scene } from '../support/program.ts';
import { type RemoteKind, type RemoteScene, remoteScene } from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';
import { expectVerified } from '../support/settled.ts';

const LABELS = grid(2, 39, 10);
const LAST = '30-39';
const CHAIN = 'bronze/sample/whole/v1';
const KEYS = {
  data: `${CHAIN}/ledgers_lcm_raw/range=${LAST}/part-${LAST}.parquet`,
  manifest: `${CHAIN}/ledgers_lcm_raw/range=${LAST}/_manifest.json`,
  event: `${CHAIN}/_audit/${String(LABELS.length - 1).padStart(10, '0')}.json`,
} as const;

const DAMAGE: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  empty: () => Buffer.alloc(0),
  cut: (bytes) => bytes.subarray(0, 3000),
  'bit-flipped': (bytes) => {
    const copy = Buffer.from(bytes);
    const at = copy.length >> 1;
    copy[at] = (copy[at] as number) ^ 4;
    return copy;
  },
};

/** Requests that change something of this chain; not those of the probe at the start, which is no write of Bronze. */
const WRITES: Readonly<Record<RemoteKind['protocol'], readonly Omit<FaultRule, 'fault'>[]>> = {
  s3: ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'].map((operation) => ({
    operation,
    path: /whole/,
  })),
  gcs: [
    { operation: 'objects.insert', query: { name: /whole/ } },
    { operation: 'uploads.start', query: { name: /whole/ } },
    { operation: 'uploads.put' },
    { operation: 'objects.rewrite', path: /whole/ },
    { operation: 'objects.delete', path: /whole/ },
  ],
};

function suite(start: () => Promise<{ kind: RemoteKind; url: string; close(): Promise<void> }>): void {
  let place: Awaited<ReturnType<typeof start>>;
  let proxy: FaultProxy;
  let local: Scene;
  let left: RemoteScene | null = null;
  const era = sampleEra({ ledger_end: 39 });

  beforeAll(async () => {
    place = await start();
    proxy = await startFaultProxy(place.url);
    local = await sampleScene(era);
    expect((await local.run()).code).toBe(0);
  });
  afterAll(async () => {
    await proxy.close();
    await place.close();
  });

  const fresh = async (url?: string): Promise<RemoteScene> =>
    remoteScene({ ...place.kind, ...(url ? { url } : {}) }, await sampleScene(era));

  async function whole(): Promise<RemoteScene> {
    const scene = await fresh();
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    return scene;
  }

  /** A whole estate that is about to be damaged: every object and the state of one that a run left, in a bucket of its own. */
  async function copyOfWhole(): Promise<RemoteScene> {
    left ??= await whole();
    const scene = await fresh();
    for (const key of await left.bucket.list()) {
      await scene.bucket.put(key, (await left.bucket.get(key)) as Buffer);
    }
    for (const folder of ['state', 'backup'] as const) cpSync(left[folder], scene[folder], { recursive: true });
    return scene;
  }

  async function expectWhole(scene: RemoteScene): Promise<void> {
    await scene.look();
    const chain = scene.chain('sample', 'whole');
    expect(parquetHashes(chain)).toEqual(parquetHashes(local.chain('sample', 'whole')));
    expect(attestedIn(chain)).toEqual(LABELS);
    expect(await scene.leftovers()).toEqual([]);
    // The picture of the bucket that was looked at; `verify` of buckets has tests of its own.
    await expectVerified(scene);
  }

  async function damage(scene: RemoteScene, kind: string): Promise<Buffer> {
    const bytes = (await scene.bucket.get(KEYS.data)) as Buffer;
    const changed = (DAMAGE[kind] as (bytes: Buffer) => Buffer)(bytes);
    await scene.bucket.put(KEYS.data, changed);
    return changed;
  }

  const errorOf = async (scene: Scene) => (await scene.run()).summary?.eras[0]?.error;

  describe('S9: an existing final object', () => {
    it.each(['empty', 'cut'])('attested and %s: found by its size', async (kind) => {
      const scene = await copyOfWhole();
      await damage(scene, kind);
      expect(await errorOf(scene)).toMatchObject({ code: 'PARTITION_DAMAGED' });
    });

    it('attested and bit-flipped: run trusts what is sealed, verify finds it', async () => {
      const scene = await copyOfWhole();
      await damage(scene, 'bit-flipped');
      expect((await scene.run()).code).toBe(0);
      const verdict = await scene.verify();
      expect(verdict.code, said(verdict)).toBe(3);
      expect(verdict.stdout).toMatch(/PARTITION_DAMAGED/);
    });

    it.each(Object.keys(DAMAGE))('without manifest and %s: a conflict, and nothing is changed', async (kind) => {
      const scene = await copyOfWhole();
      const there = await damage(scene, kind);
      for (const key of [KEYS.event, KEYS.manifest]) await scene.bucket.delete(key);
      scene.lose('state', 'pas-backup');
      expect(await errorOf(scene)).toMatchObject({ code: 'PARTITION_CONFLICT' });
      expect(await scene.bucket.get(KEYS.data)).toEqual(there);
      expect(await scene.bucket.get(KEYS.manifest)).toBeNull();
    });

    it('without manifest and whole: sealed after it was read', async () => {
      const scene = await whole();
      for (const key of [KEYS.event, KEYS.manifest]) await scene.bucket.delete(key);
      scene.lose('state', 'pas-backup');
      const run = await scene.run();
      expect(run.code, said(run)).toBe(0);
      await expectWhole(scene);
    });

    it('S12: attested and without its manifest: written again as it was, parts and all', async () => {
      const scene = await copyOfWhole();
      const manifest = await scene.bucket.get(KEYS.manifest);
      await scene.bucket.delete(KEYS.manifest);
      const run = await scene.run();
      expect(run.code, said(run)).toBe(0);
      expect(await scene.bucket.get(KEYS.manifest)).toEqual(manifest);
    });

    it('with a manifest of another partition: refused', async () => {
      const scene = await copyOfWhole();
      const other = KEYS.manifest.replaceAll(LAST, '20-29');
      await scene.bucket.delete(KEYS.event);
      await scene.bucket.put(KEYS.manifest, (await scene.bucket.get(other)) as Buffer);
      expect(await errorOf(scene)).toMatchObject({ code: 'MANIFEST_INVALID' });
    });
  });

  it('S32: what is staged vanishes while the sequencer waits: it is built again', async () => {
    const scene = await fresh(proxy.url);
    // The store no longer knows what was staged, twice.
    const operation = place.kind.protocol === 's3' ? 'CompleteMultipartUpload' : 'objects.rewrite';
    const answer: Fault =
      place.kind.protocol === 's3'
        ? {
            kind: 'answer',
            status: 404,
            headers: { 'content-type': 'application/xml' },
            body: '<?xml version="1.0"?><Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>',
          }
        : {
            kind: 'answer',
            status: 404,
            headers: { 'content-type': 'application/json' },
            body: {
              error: {
                code: 404,
                message: 'No such object',
                errors: [{ reason: 'notFound', message: 'No such object' }],
              },
            },
          };
    proxy.rules.push({ operation, nth: [3, 4], path: /whole/, fault: answer });
    const run = await scene.run();
    proxy.rules.length = 0;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary?.eras[0]?.restages).toBeGreaterThan(0);
    await expectWhole(scene);
  });

  it('S8: the first answer to every kind of write is lost: found, once, in order', async () => {
    const scene = await fresh(proxy.url);
    for (const which of WRITES[place.kind.protocol]) {
      proxy.rules.push({ ...which, nth: 1, fault: { kind: 'lose-answer' } });
    }
    const run = await scene.run();
    const lost = proxy.log.filter(({ rule }) => rule !== null).length;
    proxy.rules.length = 0;
    expect(run.code, said(run)).toBe(0);
    expect(lost).toBeGreaterThanOrEqual(4);
    await expectWhole(scene);
  });

  it('S18: two of three requests are answered by 503 for a while: it takes longer', async () => {
    const scene = await fresh(proxy.url);
    let n = 0;
    proxy.rules.push({
      path: /whole/,
      fault: () => {
        n += 1;
        return n < 45 && n % 3 !== 0
          ? { kind: 'answer', status: 503, headers: { 'retry-after': '0' }, body: 'Slow down' }
          : null;
      },
    });
    const run = await scene.run();
    proxy.rules.length = 0;
    expect(run.code, said(run)).toBe(0);
    expect(n).toBeGreaterThan(45);
    await expectWhole(scene);
  });
}

describeServer('ceph', 'a bucket in which something stands or goes wrong', (server) => {
  suite(async () => ({ kind: { protocol: 's3', server }, url: server.endpoint, close: async () => {} }));
});

describe('double of GCS: a bucket in which something stands or goes wrong', () => {
  suite(async () => {
    const double: GcsDouble = await startGcsDouble();
    return { kind: { protocol: 'gcs', double }, url: double.url, close: () => double.close() };
  });
});
