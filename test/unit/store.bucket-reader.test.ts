// Reading an object in a bucket through a bounded cache: the bytes are right, requests are few, memory is bounded, and
// what failed is asked for again.
import { describe, expect, it } from 'vitest';
import type { Bucket, ObjectFacts } from '../../actors/remote/bucket.ts';
import { bucketReader, READER_CHUNK } from '../../actors/store/bucket-reader.ts';
import { BronzeError } from '../../machines/errors.ts';

const SIZE = 10 * READER_CHUNK + 12_345;

const CONTENT = Buffer.allocUnsafe(SIZE);
for (let at = 0; at < SIZE; at++) CONTENT[at] = at * 31 + (at >> 12) * 7;
const bytesOf = (offset: number, length: number): Buffer => CONTENT.subarray(offset, offset + length);

function bucketOf(size = SIZE) {
  const facts: ObjectFacts = { key: 'k', size, version: '7', modifiedMs: null };
  const requests: { offset: number; length: number }[] = [];
  const state = { underWay: 0, most: 0, fails: new Set<number>() };
  const bucket: Pick<Bucket, 'range'> = {
    async range(of, offset, length, signal) {
      expect(of).toBe(facts);
      requests.push({ offset, length });
      state.most = Math.max(state.most, ++state.underWay);
      await new Promise((resolve) => setImmediate(resolve));
      state.underWay -= 1;
      if (state.fails.delete(offset)) throw new BronzeError('STORE_IO', 'no answer came');
      if (signal?.aborted) throw new BronzeError('CANCELLED', 'the work was cancelled');
      return bytesOf(offset, length);
    },
  };
  return { bucket: bucket as Bucket, facts, requests, state };
}

describe('a reader of an object in a bucket', () => {
  it('gives any part, cut at the end', async () => {
    const { bucket, facts } = bucketOf();
    const reader = bucketReader(bucket, facts);
    const parts = [
      [0, 4],
      [SIZE - 8, 8],
      [SIZE - 8, 100],
      [READER_CHUNK - 3, 6],
      [READER_CHUNK, READER_CHUNK],
      [5, 2 * READER_CHUNK + 9],
    ] as const;
    for (const [offset, length] of parts) {
      const expected = bytesOf(offset, Math.min(length, SIZE - offset));
      expect(Buffer.compare(await reader.read(offset, length), expected), `${offset}`).toBe(0);
    }
    expect(await reader.read(SIZE, 10)).toHaveLength(0);
    expect(await reader.read(SIZE + 10, 10)).toHaveLength(0);
    expect(await reader.read(3, 0)).toHaveLength(0);
    await reader.close();
    await reader.close();
  });

  it('asks for each chunk once where windows go forwards, one chunk ahead', async () => {
    const { bucket, facts, requests, state } = bucketOf();
    const reader = bucketReader(bucket, facts);
    const window = 65_536;
    for (let at = 0; at < SIZE; at += window) await reader.read(at, window);
    const chunks = Math.ceil(SIZE / READER_CHUNK);
    expect(requests).toHaveLength(chunks);
    expect(requests.map(({ offset }) => offset)).toEqual([...Array(chunks).keys()].map((n) => n * READER_CHUNK));
    expect(state.most).toBe(1);
    await reader.close();
  });

  it('keeps what it was near: the ends of a file, then its pages', async () => {
    const { bucket, facts, requests } = bucketOf();
    const reader = bucketReader(bucket, facts);
    for (let n = 0; n < 20; n++) {
      await reader.read(0, 4);
      await reader.read(SIZE - 8, 8);
      await reader.read(3 * READER_CHUNK + n, 100);
    }
    expect(requests).toHaveLength(3);
  });

  it('serves many at once one after the other, each rightly', async () => {
    const { bucket, facts, state } = bucketOf();
    const reader = bucketReader(bucket, facts);
    const offsets = [...Array(40).keys()].map((n) => (n * 7_919_993) % (SIZE - 10));
    const found = await Promise.all(offsets.map((offset) => reader.read(offset, 10)));
    expect(found.map((bytes) => Buffer.from(bytes))).toEqual(offsets.map((offset) => bytesOf(offset, 10)));
    // The one that is read, and the one ahead.
    expect(state.most).toBeLessThanOrEqual(2);
  });

  it('fails as the bucket does, and is none the worse for it', async () => {
    const { bucket, facts, state, requests } = bucketOf();
    const reader = bucketReader(bucket, facts);
    state.fails.add(0);
    await expect(reader.read(0, 4)).rejects.toMatchObject({ code: 'STORE_IO' });
    expect(Buffer.compare(await reader.read(0, 4), bytesOf(0, 4))).toBe(0);
    // A chunk that could not be read ahead is asked for when it is wanted.
    state.fails.add(2 * READER_CHUNK);
    await reader.read(READER_CHUNK, 1);
    expect(Buffer.compare(await reader.read(2 * READER_CHUNK, 9), bytesOf(2 * READER_CHUNK, 9))).toBe(0);
    expect(requests.filter(({ offset }) => offset === 2 * READER_CHUNK)).toHaveLength(2);
  });

  it('ends with its signal, and with being closed', async () => {
    const { bucket, facts } = bucketOf();
    const stop = new AbortController();
    const reader = bucketReader(bucket, facts, stop.signal);
    await reader.read(0, 4);
    stop.abort();
    await expect(reader.read(READER_CHUNK, 4)).rejects.toMatchObject({ code: 'CANCELLED' });
    await reader.close();
    await expect(reader.read(0, 4)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  it('reads an empty object without a request', async () => {
    const { bucket, facts, requests } = bucketOf(0);
    const reader = bucketReader(bucket, facts);
    expect(await reader.read(0, 10)).toHaveLength(0);
    expect(requests).toEqual([]);
  });
});
