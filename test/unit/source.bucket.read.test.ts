/** Reading a lake from a bucket: order, bounds and requests, whatever the sizes, the latencies and the failures. */
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BucketLake } from '../../actors/source/bucket-lake.ts';
import { fileCount, fileOf } from '../../actors/source/keys.ts';
import { SourceMeter } from '../../actors/source/meter.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { MemoryBucket } from '../support/memory-bucket.ts';
import { layoutOf } from '../support/small-lake.ts';

const never = new AbortController().signal;
const MB = 1024 * 1024;
const ADDRESS = {
  protocol: 's3',
  bucket: 'lake',
  endpoint: null,
  region: null,
  pathStyle: true,
  anonymous: false,
  requesterPays: false,
} as const;
const layout = layoutOf(1, 64_000);

let made = 0;

class Scene {
  readonly bucket = new MemoryBucket();
  readonly prefix: string;
  readonly meter = new SourceMeter();
  readonly lake: BucketLake;

  constructor() {
    made += 1;
    this.prefix = `read-${made}/`;
    this.lake = new BucketLake(
      { mode: 'bucket', address: ADDRESS, prefix: this.prefix, configured: null },
      this.bucket,
      this.meter,
    );
  }

  put(range: LedgerRange, size: (index: number) => number, suffix: (index: number) => 'zst' | 'zstd' = () => 'zst') {
    for (let i = 0; i < fileCount(layout, range); i++) {
      this.bucket.put(`${this.prefix}${fileOf(layout, range, i).stem}${suffix(i)}`, size(i));
    }
  }

  stem(ledger: number): string {
    return `${this.prefix}${fileOf(layout, { start: ledger, end: ledger }, 0).stem}`;
  }
}

async function readAll(scene: Scene, range: LedgerRange, options: { signal?: AbortSignal; stopAt?: number } = {}) {
  const { bucket, prefix, lake } = scene;
  const ledgers: number[] = [];
  let batches = 0;
  let error: unknown = null;
  try {
    for await (const batch of lake.read(layout, range, options.signal ?? never)) {
      batches += 1;
      for (const { key, named, bytes } of batch) {
        if (bytes.length !== bucket.sizes.get(`${prefix}${key}`)) throw new Error(`${key} is not whole`);
        ledgers.push(named.start);
      }
      if (options.stopAt !== undefined && ledgers.length >= options.stopAt) break;
    }
  } catch (reason) {
    error = reason;
  }
  // Nothing may be left behind, however it ended.
  expect(bucket.inFlight).toBe(0);
  return { ledgers, error, batches };
}

const upTo = (first: number, last: number): number[] => Array.from({ length: last - first + 1 }, (_, i) => first + i);

describe('requests', () => {
  it('one GET for each object, after one that finds the suffix', async () => {
    for (const suffix of ['zst', 'zstd'] as const) {
      const scene = new Scene();
      const range = { start: 2, end: 3_001 };
      scene.put(
        range,
        () => 400,
        () => suffix,
      );
      scene.bucket.latency = () => 1;
      expect((await readAll(scene, range)).ledgers).toEqual(upTo(2, 3_001));
      expect(scene.bucket.gets).toHaveLength(suffix === 'zst' ? 3_000 : 3_001);
      expect(scene.bucket.lists).toBe(0);
      expect(scene.bucket.mostInFlight).toBeGreaterThanOrEqual(128);
      // Another reader of the same lake, as the next partition is: nothing has to be learnt again.
      const again = new BucketLake(
        { mode: 'bucket', address: ADDRESS, prefix: scene.prefix, configured: null },
        scene.bucket,
        new SourceMeter(),
      );
      scene.bucket.gets.length = 0;
      for await (const _ of again.read(layout, { start: 2, end: 501 }, never));
      expect(scene.bucket.gets).toHaveLength(500);
    }
  });

  it.each([
    [400, 128],
    [150_000, 112],
    [1 * MB, 16],
    [10 * MB, 2],
    [30 * MB, 1],
  ])('of %i bytes: at most %i in flight, one GET each', async (size, most) => {
    const scene = new Scene();
    const range = { start: 2, end: size > MB ? 21 : 601 };
    scene.put(range, (i) => size - (i % 7) * Math.floor(size / 50));
    scene.bucket.latency = () => 1;
    expect((await readAll(scene, range)).ledgers).toHaveLength(range.end - 1);
    expect(scene.bucket.gets).toHaveLength(range.end - 1);
    // To a machine that is busy with others every store is far away.
    expect(scene.bucket.mostInFlight).toBeLessThanOrEqual(size === 400 ? 384 : most * 1.2);
    expect(scene.bucket.mostInFlight).toBeGreaterThanOrEqual(most * 0.8);
  });

  it('of a store that is far away, more at once while the thread waits, and never more than so many', async () => {
    const scene = new Scene();
    const range = { start: 2, end: 2_501 };
    scene.put(range, () => 400);
    scene.bucket.latency = () => 60;
    expect((await readAll(scene, range)).ledgers).toHaveLength(2_500);
    expect(scene.bucket.gets).toHaveLength(2_500);
    expect(scene.bucket.mostInFlight).toBeGreaterThan(128);
    expect(scene.bucket.mostInFlight).toBeLessThanOrEqual(384);
  });

  it('begins carefully: the first one alone', async () => {
    const scene = new Scene();
    scene.put({ start: 2, end: 100 }, () => 400);
    let alone = true;
    scene.bucket.latency = () => 2;
    scene.bucket.onGet = () => {
      if (scene.bucket.gets.length > 1 && alone) alone = false;
      if (alone) expect(scene.bucket.inFlight).toBe(1);
    };
    expect((await readAll(scene, { start: 2, end: 100 })).error).toBeNull();
  });
});

describe('order and bounds', () => {
  it('hold for any sizes and latencies', async () => {
    const KB = 1024;
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            size: fc.oneof(
              { weight: 6, arbitrary: fc.integer({ min: 1, max: 2 * KB }) },
              { weight: 2, arbitrary: fc.integer({ min: 100 * KB, max: 300 * KB }) },
              { weight: 1, arbitrary: fc.integer({ min: 2 * MB, max: 12 * MB }) },
              { weight: 1, arbitrary: fc.constant(40 * MB) },
            ),
            ms: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 4 })),
            suffix: fc.constantFrom('zst' as const, 'zst' as const, 'zst' as const, 'zstd' as const),
          }),
          { minLength: 1, maxLength: 120 },
        ),
        async (objects) => {
          const scene = new Scene();
          const range = { start: 2, end: 1 + objects.length };
          const at = <K extends 'size' | 'ms' | 'suffix'>(i: number, key: K) =>
            (objects[i] as (typeof objects)[0])[key];
          scene.put(
            range,
            (i) => at(i, 'size'),
            (i) => at(i, 'suffix'),
          );
          const indexOf = (key: string): number => Number(/--(\d+)\.xdr/.exec(key)?.[1]) - 2;
          scene.bucket.latency = (key) => at(indexOf(key), 'ms');
          let most = 0;
          let released = 0;
          let longest = 0;
          const sizes = objects.map(({ size }) => size);
          // All that was or is being received, but for what the consumer has given back by asking on.
          const measure = (): void => {
            most = Math.max(most, scene.bucket.delivered - released + scene.bucket.bodies);
          };
          scene.bucket.onGet = measure;
          const seen: number[] = [];
          for await (const batch of scene.lake.read(layout, range, never)) {
            seen.push(...batch.map(({ named }) => named.start));
            longest = Math.max(longest, batch.length);
            measure();
            if (seen.length % 3 === 0) await turn();
            measure();
            released += batch.reduce((sum, { bytes }) => sum + bytes.length, 0);
          }
          expect(seen).toEqual(upTo(2, range.end));
          expect(scene.bucket.inFlight).toBe(0);
          expect(scene.bucket.mostInFlight).toBeLessThanOrEqual(128);
          expect(most).toBeLessThanOrEqual(32 * MB + Math.max(...sizes));
          expect(longest).toBeLessThanOrEqual(256);
        },
      ),
      {
        numRuns: 60,
        examples: [
          // A batch that ends with an object of 40 MB, and another such is next.
          [
            [2 * MB, 1_967, 40 * MB, 40 * MB, 33].map((size, i) => ({
              size,
              ms: i === 3 ? 1 : 0,
              suffix: 'zst' as const,
            })),
          ],
          // What is too large for any company arrives before the one whose turn it is.
          [[1, 40 * MB, 40 * MB].map((size, i) => ({ size, ms: i % 2 === 0 ? 0 : 20, suffix: 'zst' as const }))],
        ],
      },
    );
  });

  it('many small answers make few batches', async () => {
    const scene = new Scene();
    const range = { start: 2, end: 4_001 };
    scene.put(range, () => 400);
    const read = await readAll(scene, range);
    expect(read.ledgers).toHaveLength(4_000);
    expect(read.batches).toBeLessThan(400);
  });

  it('what is large after many that are small waits for room, and is read once there is', async () => {
    const scene = new Scene();
    const range = { start: 2, end: 1_001 };
    scene.put(range, (i) => (i < 500 ? 400 : i < 560 ? 4 * MB : 400));
    scene.bucket.latency = () => 1;
    let most = 0;
    scene.bucket.onGet = () => {
      most = Math.max(most, scene.bucket.bodies);
    };
    expect((await readAll(scene, range)).ledgers).toHaveLength(1_000);
    expect(most).toBeLessThanOrEqual(36 * MB);
    // Those that were in flight when sizes changed, and no others.
    expect(scene.bucket.gets.length).toBeLessThanOrEqual(1_000 + 60);
  });

  it('an answer that does not come holds up no more than may be held', async () => {
    const scene = new Scene();
    const range = { start: 2, end: 20_001 };
    scene.put(range, () => 1);
    const slow = scene.stem(40);
    scene.bucket.latency = (key) => (key.startsWith(slow) ? 150 : 0);
    expect((await readAll(scene, range)).ledgers).toHaveLength(20_000);
    expect(scene.bucket.gets.indexOf(`${slow}zst`)).toBeLessThan(200);
  });
});

describe('what goes wrong', () => {
  const range = { start: 2, end: 301 };
  const failures: [string, BronzeError][] = [
    ['denied', new BronzeError('SOURCE_DENIED', 'no')],
    ['busy', new BronzeError('SOURCE_READ', 'slow down', { retryAfterMs: 20_000 })],
    ['too large', new BronzeError('OBJECT_TOO_LARGE', 'huge')],
  ];

  it.each(failures)('%s: at every object, after all before it, and nothing is left behind', async (_name, failure) => {
    for (let ledger = range.start; ledger <= range.end; ledger += ledger < 20 ? 1 : 37) {
      const scene = new Scene();
      scene.put(range, () => 400);
      scene.bucket.latency = (key) => key.length % 3;
      scene.bucket.onGet = (key) => {
        if (key.startsWith(scene.stem(ledger))) throw failure;
      };
      const read = await readAll(scene, range);
      expect(read.ledgers).toEqual(upTo(2, ledger - 1));
      const { code, message, retryable, retryAfterMs } = failure;
      expect(read.error).toMatchObject({ code, message, retryable, retryAfterMs, details: { ledger } });
      // Never asked for under the other suffix: an error is not "not there".
      expect(scene.bucket.gets.filter((key) => key.startsWith(scene.stem(ledger)))).toHaveLength(1);
    }
  });

  it('missing: the first one is named, and both suffixes were tried', async () => {
    for (const ledger of [2, 3, 150, 301]) {
      const scene = new Scene();
      scene.put(range, () => 400);
      for (let gone = ledger; gone <= range.end; gone += 5) scene.bucket.delete(`${scene.stem(gone)}zst`);
      scene.bucket.latency = () => 1;
      const read = await readAll(scene, range);
      expect(read.ledgers).toEqual(upTo(2, ledger - 1));
      expect(read.error).toMatchObject({ code: 'LEDGER_MISSING', retryable: false, details: { ledger } });
      const tried = scene.bucket.gets.filter((key) => key.startsWith(scene.stem(ledger)));
      expect(tried.map((key) => key.slice(scene.stem(ledger).length))).toEqual(['zst', 'zstd']);
    }
  });

  it('of two failures the earlier one is told, also when it comes later', async () => {
    const scene = new Scene();
    scene.put(range, () => 400);
    scene.bucket.latency = (key) => (key.startsWith(scene.stem(50)) ? 40 : 1);
    scene.bucket.onGet = (key) => {
      for (const ledger of [50, 90]) {
        if (key.startsWith(scene.stem(ledger))) throw new BronzeError('SOURCE_READ', `at ${ledger}`);
      }
    };
    const read = await readAll(scene, range);
    expect(read.ledgers).toEqual(upTo(2, 49));
    expect(read.error).toMatchObject({ message: 'at 50' });
  });

  it('cancelled at any moment, or not wanted any more: every request has ended', async () => {
    for (let stopAt = 1; stopAt < 300; stopAt += 23) {
      const scene = new Scene();
      scene.put(range, () => 400);
      scene.bucket.latency = () => 3;
      const early = await readAll(scene, range, { stopAt });
      expect(early.error).toBeNull();
      const controller = new AbortController();
      scene.bucket.onGet = () => {
        if (scene.bucket.gets.length > 300 + stopAt) controller.abort();
      };
      const read = await readAll(scene, range, { signal: controller.signal });
      if (read.error !== null) expect(read.error).toMatchObject({ code: 'CANCELLED' });
      expect(read.ledgers).toEqual(upTo(2, 1 + read.ledgers.length));
    }
    const scene = new Scene();
    scene.put(range, () => 400);
    const before = await readAll(scene, range, { signal: AbortSignal.abort() });
    expect([before.ledgers, scene.bucket.gets, (before.error as BronzeError).code]).toEqual([[], [], 'CANCELLED']);
  });
});
