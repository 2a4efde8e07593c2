/**
 * What every adapter of LakeSource must keep, said through the port alone: keys follow from sequences, objects come
 * whole, in ledger order and each once, what is missing is named, an error is never "missing".
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { mapBounded } from '../../actors/bounded.ts';
import type { LakeLayout, LakeObject, LakeSource } from '../../actors/ports/source.ts';
import { fileCount, fileOf, objectKey } from '../../actors/source/keys.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';

/** One place where a lake may lie, empty at first. */
export interface LakeUnderTest {
  put(key: string, bytes: Uint8Array): void | Promise<void>;
  /** Opens the lake as a process that has just started; `configured` are numbers for a lake that says none. */
  source(configured?: { readonly ledgersPerFile: number; readonly filesPerPartition: number }): LakeSource;
  /** A place where every call fails although everything may be there. */
  unreadable(): LakeSource;
}

type Numbers = Pick<LakeLayout, 'ledgersPerFile' | 'filesPerPartition'>;

const never = new AbortController().signal;
const PASSPHRASE = 'Test SDF Network ; September 2015';

const configOf = (n: Numbers): Uint8Array =>
  Buffer.from(
    JSON.stringify({
      networkPassphrase: PASSPHRASE,
      version: '1.0',
      compression: 'zstd',
      ledgersPerBatch: n.ledgersPerFile,
      batchesPerPartition: n.filesPerPartition,
    }),
  );

/** No adapter looks into an object: any bytes will do. `size` in bytes. */
const contentOf = (key: string, size: number): Buffer => Buffer.alloc(size, `${key}|`);

const sizeOf = (index: number): number => 300 + ((index * 7919) % 900);

async function fill(
  lake: LakeUnderTest,
  n: Numbers,
  range: LedgerRange,
  options: { size?: (index: number) => number; suffix?: (index: number) => 'zst' | 'zstd'; config?: boolean } = {},
): Promise<Map<string, Buffer>> {
  const { size = sizeOf, suffix = () => 'zst', config = true } = options;
  const objects = new Map<string, Buffer>();
  for (let index = 0; index < fileCount(n, range); index++) {
    const key = objectKey(n, fileOf(n, range, index).first, suffix(index));
    objects.set(key, contentOf(key, size(index)));
  }
  await mapBounded([...objects], 16, async ([key, bytes]) => lake.put(key, bytes));
  if (config) await lake.put('.config.json', configOf(n));
  return objects;
}

interface Read {
  readonly keys: string[];
  readonly named: LedgerRange[];
  readonly bytes: Buffer[];
  readonly failure: BronzeError | null;
}

async function readAll(source: LakeSource, layout: LakeLayout, range: LedgerRange, signal = never): Promise<Read> {
  const read = { keys: [] as string[], named: [] as LedgerRange[], bytes: [] as Buffer[] };
  try {
    for await (const batch of source.read(layout, range, signal)) {
      // Bytes are valid until the next batch is asked for, and not longer.
      for (const object of batch) {
        read.keys.push(object.key);
        read.named.push(object.named);
        read.bytes.push(Buffer.from(object.bytes));
      }
    }
  } catch (error) {
    if (!(error instanceof BronzeError)) throw error;
    return { ...read, failure: error };
  }
  return { ...read, failure: null };
}

function expectWhole(read: Read, objects: ReadonlyMap<string, Buffer>): void {
  expect(read.failure).toBeNull();
  expect(read.keys).toEqual([...objects.keys()]);
  expect(read.bytes.map((bytes, n) => Buffer.compare(bytes, objects.get(read.keys[n] as string) as Buffer))).toEqual(
    read.keys.map(() => 0),
  );
}

async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (error instanceof BronzeError) return error;
  throw error;
}

const CUTS: readonly Numbers[] = [
  { ledgersPerFile: 1, filesPerPartition: 64_000 },
  { ledgersPerFile: 1, filesPerPartition: 16 },
  { ledgersPerFile: 64, filesPerPartition: 1 },
  { ledgersPerFile: 8, filesPerPartition: 10 },
];

export function sourceConformance(name: string, make: () => LakeUnderTest | Promise<LakeUnderTest>): void {
  describe(`${name}: a lake`, () => {
    let lake: LakeUnderTest;
    beforeEach(async () => {
      lake = await make();
    });

    describe('open', () => {
      it.each(CUTS)('reads $ledgersPerFile a file, $filesPerPartition files a partition from the lake', async (n) => {
        await fill(lake, n, { start: 2, end: 9 });
        const layout = await lake.source().open(never);
        expect(layout).toMatchObject({ ...n, networkPassphrase: PASSPHRASE, origin: 'lake' });
      });

      it('takes the configured numbers where the lake says none, and believes the lake where it does', async () => {
        const n = { ledgersPerFile: 1, filesPerPartition: 64 };
        await fill(lake, n, { start: 2, end: 9 }, { config: false });
        const configured = await lake.source(n).open(never);
        expect(configured).toMatchObject({ ...n, networkPassphrase: null, origin: 'configuration' });
        await lake.put('.config.json', configOf(n));
        expect(await lake.source({ ledgersPerFile: 8, filesPerPartition: 10 }).open(never)).toMatchObject({
          ...n,
          origin: 'lake',
        });
      });

      it('says what is wrong with a lake that is none, or whose numbers cannot be used', async () => {
        expect((await failureOf(lake.source().open(never))).code).toBe('LAKE_NOT_FOUND');
        for (const bad of ['', '[]', '{"compression":"gzip"}', '{"ledgersPerBatch":0}']) {
          const other = await make();
          await other.put('.config.json', Buffer.from(bad));
          expect(await failureOf(other.source().open(never))).toMatchObject({
            code: 'LAKE_CONFIG_INVALID',
            retryable: false,
          });
        }
      });

      it('has a name without credentials', () => {
        expect(lake.source().uri).toMatch(/^[a-z0-9]+:\/\/[^@]*$/);
      });
    });

    describe('read', () => {
      it.each(CUTS)('gives the objects of a range, whole, in order, each once: %o', async (n) => {
        const all: LedgerRange = { start: 2, end: 400 };
        const objects = await fill(lake, n, all);
        const source = lake.source();
        const layout = await source.open(never);
        const read = await readAll(source, layout, all);
        expectWhole(read, objects);
        expect(read.named.every(({ start }, i) => i === 0 || start === (read.named[i - 1]?.end as number) + 1)).toBe(
          true,
        );
        expect(read.named[0]?.start).toBeLessThanOrEqual(2);
        expect(read.named.at(-1)?.end).toBeGreaterThanOrEqual(400);
      });

      it('touches only the objects that hold the range', async () => {
        const n = { ledgersPerFile: 8, filesPerPartition: 10 };
        await fill(lake, n, { start: 64, end: 95 });
        const source = lake.source();
        const layout = await source.open(never);
        const inside = await readAll(source, layout, { start: 75, end: 77 });
        expect(inside.failure).toBeNull();
        expect(inside.named).toEqual([{ start: 72, end: 79 }]);
        const across = await readAll(source, layout, { start: 79, end: 80 });
        expect(across.named).toEqual([
          { start: 72, end: 79 },
          { start: 80, end: 87 },
        ]);
      });

      it('keeps the order where small and large objects take turns', async () => {
        const sizes = [500, 300_000, 400, 2_000_000, 1, 80_000, 70_000, 60_000, 900, 1_500_000];
        const range = { start: 2, end: 61 };
        const n = { ledgersPerFile: 1, filesPerPartition: 64_000 };
        const objects = await fill(lake, n, range, { size: (index) => sizes[index % sizes.length] as number });
        const source = lake.source();
        expectWhole(await readAll(source, await source.open(never), range), objects);
      });

      it('takes either suffix for any object', async () => {
        const range = { start: 2, end: 41 };
        const n = { ledgersPerFile: 1, filesPerPartition: 16 };
        const objects = await fill(lake, n, range, { suffix: (index) => (index % 3 === 0 ? 'zstd' : 'zst') });
        const source = lake.source();
        expectWhole(await readAll(source, await source.open(never), range), objects);
      });

      it.each([400, 200_000])('names the first ledger that is missing, after all before it: %i bytes', async (size) => {
        const n = { ledgersPerFile: 8, filesPerPartition: 10 };
        const before = await fill(lake, n, { start: 8, end: 87 }, { size: () => size });
        await fill(lake, n, { start: 96, end: 127 }, { size: () => size });
        const source = lake.source();
        const layout = await source.open(never);
        const read = await readAll(source, layout, { start: 10, end: 120 });
        expect(read.keys).toEqual([...before.keys()]);
        expect(read.failure).toMatchObject({ code: 'LEDGER_MISSING', retryable: false, details: { ledger: 88 } });
        const inside = await readAll(source, layout, { start: 91, end: 120 });
        expect(inside.keys).toEqual([]);
        expect(inside.failure).toMatchObject({ code: 'LEDGER_MISSING', details: { ledger: 91 } });
      });

      it('serves several readers at once, and one who stops early', async () => {
        const n = { ledgersPerFile: 1, filesPerPartition: 64 };
        const objects = await fill(lake, n, { start: 2, end: 301 });
        const source = lake.source();
        const layout = await source.open(never);
        const taken: LakeObject[] = [];
        for await (const batch of source.read(layout, { start: 2, end: 301 }, never)) {
          taken.push(...batch);
          break;
        }
        expect(taken.length).toBeGreaterThan(0);
        const both = await Promise.all([
          readAll(source, layout, { start: 2, end: 301 }),
          readAll(source, layout, { start: 102, end: 201 }),
        ]);
        expectWhole(both[0], objects);
        expect(both[1].named.map(({ start }) => start)).toEqual(Array.from({ length: 100 }, (_, i) => 102 + i));
      });

      it('is CANCELLED when the work is, before it starts and in the middle', async () => {
        const n = { ledgersPerFile: 1, filesPerPartition: 64 };
        await fill(lake, n, { start: 2, end: 1_001 });
        const source = lake.source();
        const layout = await source.open(never);
        const before = await readAll(source, layout, { start: 2, end: 1_001 }, AbortSignal.abort());
        expect(before).toMatchObject({ keys: [], failure: { code: 'CANCELLED' } });
        const controller = new AbortController();
        const seen: string[] = [];
        const reading = (async () => {
          for await (const batch of source.read(layout, { start: 2, end: 1_001 }, controller.signal)) {
            seen.push(...batch.map(({ key }) => key));
            controller.abort();
          }
        })();
        expect((await failureOf(reading)).code).toBe('CANCELLED');
        expect(seen.length).toBeLessThan(1_000);
        expect((await failureOf(source.open(AbortSignal.abort()))).code).toBe('CANCELLED');
      });

      it('tells an error from a ledger that is missing', async () => {
        const n = { ledgersPerFile: 1, filesPerPartition: 64 };
        await fill(lake, n, { start: 2, end: 9 });
        const layout = await lake.source().open(never);
        const broken = lake.unreadable();
        const read = await readAll(broken, layout, { start: 2, end: 9 });
        expect(read.failure?.code).toMatch(/^SOURCE_/);
        expect((await failureOf(broken.open(never))).code).toMatch(/^SOURCE_/);
        expect((await failureOf(broken.head(layout, 2, never))).code).toMatch(/^SOURCE_/);
      });
    });

    describe('head', () => {
      it.each(CUTS)('is the newest object, the run ends before the first hole: %o', async (n) => {
        const size = n.ledgersPerFile;
        const first = size * 10;
        await fill(lake, n, { start: first, end: first + 5 * size - 1 });
        await fill(lake, n, { start: first + 7 * size, end: first + 8 * size - 1 });
        const source = lake.source();
        const layout = await source.open(never);
        expect(await source.head(layout, first, never)).toEqual({
          head: first + 8 * size - 1,
          contiguousTo: first + 5 * size - 1,
          holeAt: first + 5 * size,
        });
        await fill(lake, n, { start: first + 5 * size, end: first + 7 * size - 1 });
        const whole = { head: first + 8 * size - 1, contiguousTo: first + 8 * size - 1, holeAt: null };
        expect(await source.head(layout, first, never)).toEqual(whole);
        expect(await lake.source().head(layout, first + size, never)).toEqual(whole);
      });

      it('says that nothing is there: no object at all, and none from here on', async () => {
        const n = { ledgersPerFile: 8, filesPerPartition: 10 };
        await lake.put('.config.json', configOf(n));
        const source = lake.source();
        const layout = await source.open(never);
        expect(await source.head(layout, 10, never)).toEqual({ head: null, contiguousTo: 9, holeAt: null });
        await fill(lake, n, { start: 80, end: 159 });
        expect(await source.head(layout, 160, never)).toEqual({ head: 159, contiguousTo: 159, holeAt: null });
        expect(await source.head(layout, 40, never)).toEqual({ head: 159, contiguousTo: 39, holeAt: 40 });
      });

      it('may stop where the run is long enough, and then knows of no hole', async () => {
        const n = { ledgersPerFile: 1, filesPerPartition: 16 };
        await fill(lake, n, { start: 2, end: 40 });
        await fill(lake, n, { start: 50, end: 60 });
        const source = lake.source();
        const layout = await source.open(never);
        for (const enough of [0, 20]) {
          const { head, contiguousTo, holeAt } = await source.head(layout, 2, never, enough);
          expect([head, contiguousTo >= 1 + enough, contiguousTo <= 40]).toEqual([60, true, true]);
          expect([null, 41]).toContain(holeAt);
        }
        expect(await source.head(layout, 2, never)).toEqual({ head: 60, contiguousTo: 40, holeAt: 41 });
      });

      it('sees what comes after it was asked, again and again', async () => {
        const n = { ledgersPerFile: 1, filesPerPartition: 16 };
        await lake.put('.config.json', configOf(n));
        const source = lake.source();
        const layout = await source.open(never);
        for (let last = 14; last < 20; last++) {
          await fill(lake, n, { start: last === 14 ? 2 : last, end: last }, { config: false });
          expect(await source.head(layout, 2, never)).toEqual({ head: last, contiguousTo: last, holeAt: null });
        }
      });
    });
  });
}
