/** FrameDecompressor: exactly one whole frame, a checksum that holds, and memory that a made-up frame cannot fill. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import zstd from 'zstd-napi/binding.js';
import { Arena, FrameDecompressor, OBJECT_LIMIT, ZSTD_VERSION } from '../../actors/zstd.ts';
import { BronzeError } from '../../machines/errors.ts';
import { describeShared, SHARED } from '../support/shared.ts';

interface FrameOptions {
  checksum?: boolean;
  size?: boolean;
  windowLog?: number;
  level?: number;
}

function pack(bytes: Uint8Array, { checksum = true, size = false, windowLog, level = 3 }: FrameOptions = {}): Buffer {
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.compressionLevel, level);
  context.setParameter(zstd.CParameter.checksumFlag, checksum ? 1 : 0);
  context.setParameter(zstd.CParameter.contentSizeFlag, size ? 1 : 0);
  if (windowLog !== undefined) context.setParameter(zstd.CParameter.windowLog, windowLog);
  const out = Buffer.alloc(zstd.compressBound(bytes.length));
  return out.subarray(0, context.compress2(out, bytes));
}

/** A frame of a window made by streaming, so that the window is not shrunk to the content. */
function packStream(bytes: Uint8Array, windowLog: number): Buffer {
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.windowLog, windowLog);
  const out = Buffer.alloc(zstd.compressBound(bytes.length) + 64);
  const [, first] = context.compressStream2(out, bytes, zstd.EndDirective.flush);
  const [, rest] = context.compressStream2(out.subarray(first), new Uint8Array(), zstd.EndDirective.end);
  return out.subarray(0, first + rest);
}

const text = Buffer.from('one ledger after the other, '.repeat(200));
const frames = new FrameDecompressor();

function unpack(bytes: Uint8Array, decompressor = frames): Buffer {
  const arena = new Arena();
  const { start, end } = decompressor.decompressInto(arena, bytes, 'lake/object');
  return arena.bytes.subarray(start, end);
}

function failureOf(bytes: Uint8Array, decompressor = frames): BronzeError {
  const arena = new Arena(16);
  try {
    decompressor.decompressInto(arena, bytes, 'lake/object');
  } catch (error) {
    expect(error).toBeInstanceOf(BronzeError);
    expect((error as BronzeError).details.object).toBe('lake/object');
    expect(arena.used).toBe(0);
    return error as BronzeError;
  }
  throw new Error('it was accepted');
}

it('unpacks frames with and without content size and checksum', () => {
  for (const checksum of [true, false]) {
    for (const size of [true, false]) expect(unpack(pack(text, { checksum, size })).equals(text)).toBe(true);
  }
  expect(unpack(pack(new Uint8Array())).length).toBe(0);
  expect(ZSTD_VERSION).toBe('1.5.7');
});

it('appends to the arena, grows it and keeps what is in it', () => {
  const arena = new Arena(8);
  const first = frames.decompressInto(arena, pack(text), 'a');
  const big = Buffer.alloc(3_000_000, 7);
  const second = frames.decompressInto(arena, pack(big), 'b');
  expect(first).toEqual({ start: 0, end: text.length });
  expect(second).toEqual({ start: text.length, end: text.length + big.length });
  expect(arena.bytes.subarray(first.start, first.end).equals(text)).toBe(true);
  expect(arena.bytes.subarray(second.start, second.end).equals(big)).toBe(true);
  const capacity = arena.capacity;
  arena.reset(text.length);
  expect(arena.used).toBe(text.length);
  arena.reset();
  expect([arena.used, arena.capacity, arena.free]).toEqual([0, capacity, capacity]);
  expect(() => arena.reset(1)).toThrow(RangeError);
  expect(() => arena.take(capacity + 1)).toThrow(RangeError);
});

it('refuses what is not one whole frame', () => {
  const good = pack(text);
  expect(failureOf(new Uint8Array()).code).toBe('OBJECT_EMPTY');
  const refused: [string, Uint8Array, string][] = [
    ['not zstd', text, 'zstd_magic'],
    ['one byte', Uint8Array.of(0x28), 'zstd_magic'],
    ['magic only', good.subarray(0, 4), 'zstd_frame'],
    ['cut in half', good.subarray(0, good.length >> 1), 'zstd_frame'],
    ['last byte missing', good.subarray(0, -1), 'zstd_frame'],
    ['a byte after it', Buffer.concat([good, Buffer.from([0])]), 'zstd_trailing'],
    ['a second frame', Buffer.concat([good, good]), 'zstd_trailing'],
    ['a skippable frame', Buffer.from('502a4d1804000000aabbccdd', 'hex'), 'zstd_magic'],
    ['a skippable frame after it', Buffer.concat([good, Buffer.from('502a4d1800000000', 'hex')]), 'zstd_trailing'],
  ];
  for (const [name, bytes, check] of refused) {
    const failure = failureOf(bytes);
    expect([name, failure.code, failure.details.check]).toEqual([name, 'OBJECT_CORRUPT', check]);
  }
});

it('refuses a wrong checksum and every single flipped bit', () => {
  const good = pack(text);
  const wrong = Buffer.from(good);
  wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1;
  expect(failureOf(wrong).code).toBe('OBJECT_CORRUPT');
  for (let bit = 0; bit < good.length * 8; bit += 1) {
    const bytes = Buffer.from(good);
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
    let out: Buffer;
    try {
      out = unpack(bytes);
    } catch (error) {
      expect(['OBJECT_CORRUPT', 'OBJECT_TOO_LARGE']).toContain((error as BronzeError).code);
      continue;
    }
    // A bit that says nothing about the content (a larger window, say) may pass; the content may not differ.
    expect(out.equals(text)).toBe(true);
  }
});

it('takes windows up to 8 MiB and refuses larger ones and dictionaries', () => {
  expect(unpack(packStream(text, 23)).equals(text)).toBe(true);
  expect(failureOf(packStream(text, 24)).details.check).toBe('zstd_window');
  const context = new zstd.CCtx();
  const dictionary = Buffer.from(pack(text));
  dictionary[4] = (dictionary[4] as number) | 1;
  expect(failureOf(dictionary).details.check).toBe('zstd_dictionary');
  // A raw dictionary leaves no id in the frame: what refers to it cannot be found then.
  const raw = createHash('shake256', { outputLength: 1000 }).update('dictionary').digest();
  const out = Buffer.alloc(2000);
  const size = context.compressUsingDict(out, Buffer.from(raw), raw, 3);
  expect(size).toBeLessThan(500);
  expect(failureOf(out.subarray(0, size)).code).toBe('OBJECT_CORRUPT');
});

it('stops at its limit, whatever a frame says about itself', () => {
  const limited = new FrameDecompressor(100_000);
  expect(unpack(pack(Buffer.alloc(100_000)), limited).length).toBe(100_000);
  for (const size of [true, false]) {
    expect(failureOf(pack(Buffer.alloc(100_001), { size }), limited).code).toBe('OBJECT_TOO_LARGE');
  }
  // 300 MB of zeros in a few kilobytes.
  const before = process.memoryUsage().arrayBuffers;
  const failure = failureOf(pack(Buffer.alloc(300_000_000), { level: 1 }));
  expect([failure.code, failure.retryable]).toEqual(['OBJECT_TOO_LARGE', false]);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * OBJECT_LIMIT);
  // A size of 2^62 that nothing stands behind.
  const lying = Buffer.from('28b52ffde00000000000000040010000', 'hex');
  expect(failureOf(lying).code).toBe('OBJECT_TOO_LARGE');
});

it('ends where a frame holds more than it says, also in an arena without room', () => {
  const lying = pack(text, { size: true });
  expect(unpack(lying).equals(text)).toBe(true);
  // The content size of 5,600 stands in two bytes behind the descriptor, less 256.
  expect(lying.readUInt16LE(5)).toBe(text.length - 256);
  lying.writeUInt16LE(0, 5);
  for (const arena of [new Arena(0), new Arena(1), new Arena()]) {
    expect(() => frames.decompressInto(arena, lying, 'lake/object')).toThrow(BronzeError);
    expect(arena.used).toBe(0);
  }
  const zero = Buffer.from('28b52ffd2000a100000200000002000000000000000100000002000000', 'hex');
  expect(() => frames.decompressInto(new Arena(0), zero, 'lake/object')).toThrow(/more than 0 bytes/);
});

describeShared('real objects of lakes', () => {
  it('are unpacked, checksum included', () => {
    const folder = join(SHARED, 'ledgers/lake-files');
    const objects = readdirSync(folder).filter((name) => name.endsWith('.zstd'));
    expect(objects.length).toBeGreaterThan(3);
    for (const name of objects) {
      const bytes = readFileSync(join(folder, name));
      const raw = unpack(bytes);
      expect([raw.readUInt32BE(0), raw.readUInt32BE(8)]).toEqual([raw.readUInt32BE(4), 1]);
      expect(() => unpack(bytes.subarray(0, -1))).toThrow(BronzeError);
    }
  });
});
