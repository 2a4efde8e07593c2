/** The head of a lake in a bucket: what it costs in requests, and that thrift never changes the answer. */
import { describe, expect, it } from 'vitest';
import { BucketLake } from '../../actors/source/bucket-lake.ts';
import { fileRange, type LakeNumbers, objectKey } from '../../actors/source/keys.ts';
import { SourceMeter } from '../../actors/source/meter.ts';
import { MemoryBucket } from '../support/memory-bucket.ts';
import { layoutOf } from '../support/small-lake.ts';

const never = new AbortController().signal;
const ADDRESS = {
  protocol: 's3',
  bucket: 'lake',
  endpoint: null,
  region: null,
  pathStyle: true,
  anonymous: false,
  requesterPays: false,
} as const;

let made = 0;

interface Scene {
  readonly bucket: MemoryBucket;
  readonly prefix: string;
  /** As a process that has just started. */
  open(): BucketLake;
  put(from: number, to: number): void;
  take(ledger: number): void;
}

function scene(n: LakeNumbers): Scene {
  const bucket = new MemoryBucket();
  made += 1;
  const prefix = `lake-${made}/`;
  const key = (ledger: number): string => `${prefix}${objectKey(n, ledger, 'zst')}`;
  bucket.put(`${prefix}.config.json`);
  return {
    bucket,
    prefix,
    open: () =>
      new BucketLake({ mode: 'bucket', address: ADDRESS, prefix, configured: null }, bucket, new SourceMeter()),
    put: (from, to) => {
      for (let at = fileRange(n, from).start; at <= to; at += n.ledgersPerFile) bucket.put(key(at));
    },
    take: (ledger) => bucket.delete(key(ledger)),
  };
}

const CUTS: readonly LakeNumbers[] = [
  { ledgersPerFile: 1, filesPerPartition: 64_000 },
  { ledgersPerFile: 1, filesPerPartition: 16 },
  { ledgersPerFile: 64, filesPerPartition: 1 },
  { ledgersPerFile: 8, filesPerPartition: 10 },
];

/** What a look at the head finds, and how many requests it costs. */
async function cost<T>(bucket: MemoryBucket, look: () => Promise<T>): Promise<{ found: T; requests: number }> {
  const before = bucket.lists;
  const found = await look();
  return { found, requests: bucket.lists - before };
}

describe.each(CUTS)('$ledgersPerFile ledgers a file, $filesPerPartition files a partition', (n) => {
  const layout = layoutOf(n.ledgersPerFile, n.filesPerPartition);
  const size = n.ledgersPerFile;
  const last = 5_000 * size - 1;

  it('a poll near the head costs one request, however large the lake is', async () => {
    const { bucket, open, put } = scene(n);
    put(2, last);
    const lake = open();
    const from = last - 500 * size;
    expect((await cost(bucket, () => lake.head(layout, from, never))).requests).toBe(1);
    for (let poll = 1; poll <= 20; poll++) {
      const now = last + poll * size;
      put(last + 1, now);
      expect(await cost(bucket, () => lake.head(layout, from, never))).toEqual({
        found: { head: now, contiguousTo: now, holeAt: null },
        requests: 1,
      });
    }
    expect(bucket.gets).toEqual([]);
  });

  it('the whole run costs a request for each thousand files, and is not listed again', async () => {
    const { bucket, open, put } = scene(n);
    put(2, last);
    const lake = open();
    const found = { head: last, contiguousTo: last, holeAt: null };
    const first = await cost(bucket, () => lake.head(layout, 2, never));
    expect(first.found).toEqual(found);
    expect([5, 6]).toContain(first.requests);
    expect(await cost(bucket, () => lake.head(layout, 2, never))).toEqual({ found, requests: 1 });
    expect(await cost(bucket, () => lake.head(layout, last + 1, never))).toEqual({ found, requests: 1 });
  });

  it('who has enough pays no more: the head alone, or the next thousand files as well', async () => {
    const { bucket, open, put } = scene(n);
    put(2, last);
    const alone = await cost(bucket, () => open().head(layout, 2, never, 0));
    expect([alone.found.head, alone.found.holeAt, alone.requests]).toEqual([last, null, 1]);
    const next = await cost(bucket, () => open().head(layout, 2, never, 900 * size));
    expect(next.found).toMatchObject({ head: last, holeAt: null });
    expect(next.found.contiguousTo).toBeGreaterThanOrEqual(900 * size);
    expect(next.requests).toBe(2);
  });

  it('waiting for a hole costs two requests a poll', async () => {
    const { bucket, open, put, take } = scene(n);
    put(2, last);
    const hole = 100 * size;
    take(hole);
    const lake = open();
    const found = { head: last, contiguousTo: hole - 1, holeAt: hole };
    for (let poll = 0; poll < 3; poll++) {
      expect(await cost(bucket, () => lake.head(layout, 2, never))).toEqual({ found, requests: 2 });
    }
    put(hole, hole);
    expect(await lake.head(layout, 2, never)).toEqual({ head: last, contiguousTo: last, holeAt: null });
  });

  it('answers as one who reads every name, whatever is missing and however pages fall', async () => {
    // Deterministic, and different for every round.
    let seed = 7 + size;
    const chance = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return Math.floor((seed / 2 ** 31) * below);
    };
    for (let round = 0; round < 60; round++) {
      const { bucket, open, put, take, prefix } = scene(n);
      bucket.pageSize = 1 + chance(60);
      const files = 1 + chance(400);
      const first = chance(300);
      put(Math.max(2, first * size), (first + files) * size - 1);
      for (let holes = chance(4); holes > 0; holes--) take((first + chance(files)) * size);
      for (const stray of ['0-foreign/a', 'FFFF/x', 'zz/1', 'note.txt', 'FFFFFFFF--0-63999/']) {
        bucket.put(`${prefix}${stray}`);
      }
      const keys = new Set([...bucket.sizes.keys()]);
      const isThere = (file: number): boolean => keys.has(`${prefix}${objectKey(n, Math.max(2, file * size), 'zst')}`);
      const present = Array.from({ length: first + files }, (_, file) => file).filter(isThere);
      const head = present.length === 0 ? null : (present.at(-1) as number) * size + size - 1;
      const from = Math.max(2, (first + chance(files)) * size + chance(size));
      let file = Math.floor(from / size);
      while (isThere(file)) file += 1;
      const contiguousTo = Math.max(from, file * size) - 1;
      const holeAt = head !== null && head > contiguousTo ? contiguousTo + 1 : null;
      const lake = open();
      expect(await lake.head(layout, from, never)).toEqual({ head, contiguousTo, holeAt });
      expect(await lake.head(layout, from, never)).toEqual({ head, contiguousTo, holeAt });
    }
  });
});

it('a foreign folder before the lake costs one request, not its length', async () => {
  const n = { ledgersPerFile: 1, filesPerPartition: 64 };
  const { bucket, open, put, prefix } = scene(n);
  put(2, 500);
  for (let i = 0; i < 8_000; i++) bucket.put(`${prefix}0-backup/${String(i).padStart(6, '0')}`);
  const lake = open();
  const { found, requests } = await cost(bucket, () => lake.head(layoutOf(1, 64), 2, never));
  expect(found).toEqual({ head: 500, contiguousTo: 500, holeAt: null });
  expect(requests).toBe(2);
});

it('the end of all sequences is no ledger like another', async () => {
  const n = { ledgersPerFile: 1, filesPerPartition: 64_000 };
  const { open, put } = scene(n);
  put(4_294_967_290, 4_294_967_295);
  const lake = open();
  const whole = { head: 4_294_967_295, contiguousTo: 4_294_967_295, holeAt: null };
  expect(await lake.head(layoutOf(1, 64_000), 4_294_967_290, never)).toEqual(whole);
  expect(await lake.head(layoutOf(1, 64_000), 4_294_967_290, never)).toEqual(whole);
});

it('a lake without .config.json is cut from a page of names, not from all', async () => {
  const n = { ledgersPerFile: 1, filesPerPartition: 16 };
  const { bucket, open, put, prefix } = scene(n);
  put(2, 20_000);
  bucket.delete(`${prefix}.config.json`);
  expect(await open().open(never)).toMatchObject({ ...n, origin: 'listing' });
  expect([bucket.lists, bucket.gets.length]).toEqual([2, 1]);
});
