/** Names of a lake (SEP-54): computed, parsed back, up to the last ledger there can be. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  areLakeNumbers,
  fileCount,
  fileOf,
  fileRange,
  MAX_LEDGER,
  objectKey,
  parseFileName,
  parseFolderName,
  partitionFolder,
  partitionRange,
  reversedHex,
} from '../../actors/source/keys.ts';

const cut = (ledgersPerFile: number, filesPerPartition: number) => ({ ledgersPerFile, filesPerPartition });

describe('keys', () => {
  it('are those that Galexie writes', () => {
    // Real names of the public lake and of a test bucket.
    expect(objectKey(cut(1, 64_000), 53_312_000, 'zstd')).toBe(
      'FCD285FF--53312000-53375999/FCD285FF--53312000.xdr.zstd',
    );
    expect(objectKey(cut(1, 1), 999, 'zstd')).toBe('FFFFFC18--999.xdr.zstd');
    expect(objectKey(cut(64, 10), 2, 'zst')).toBe('FFFFFFFF--0-639/FFFFFFFF--0-63.xdr.zst');
    expect(objectKey(cut(8, 1), 17, 'zst')).toBe('FFFFFFEF--16-23.xdr.zst');
  });

  it('hold up to ledger 4294967295', () => {
    expect(reversedHex(MAX_LEDGER)).toBe('00000000');
    expect(objectKey(cut(1, 1), MAX_LEDGER, 'zst')).toBe('00000000--4294967295.xdr.zst');
    expect(objectKey(cut(64, 1), MAX_LEDGER, 'zst')).toBe('0000003F--4294967232-4294967295.xdr.zst');
    expect(fileRange(cut(64, 1), MAX_LEDGER)).toEqual({ start: 4_294_967_232, end: MAX_LEDGER });
    expect(fileRange(cut(1000, 1), MAX_LEDGER)).toEqual({ start: 4_294_967_000, end: MAX_LEDGER });
    expect(partitionRange(cut(1, 64_000), MAX_LEDGER)).toEqual({ start: 4_294_912_000, end: 4_294_975_999 });
    const range = { start: MAX_LEDGER - 3, end: MAX_LEDGER };
    expect(fileCount(cut(1, 64_000), range)).toBe(4);
    expect(fileOf(cut(1, 64_000), range, 3)).toEqual({
      stem: '0000D7FF--4294912000-4294975999/00000000--4294967295.xdr.',
      named: { start: MAX_LEDGER, end: MAX_LEDGER },
      first: MAX_LEDGER,
    });
  });

  it('say first which ledger of a file was asked for', () => {
    const range = { start: 10, end: 30 };
    const files = Array.from({ length: fileCount(cut(8, 4), range) }, (_, i) => fileOf(cut(8, 4), range, i));
    expect(files.map((f) => [f.named.start, f.named.end, f.first])).toEqual([
      [8, 15, 10],
      [16, 23, 16],
      [24, 31, 24],
    ]);
  });

  it('are parsed back to what they were made of', () => {
    const numbers = fc.record({
      ledgersPerFile: fc.integer({ min: 1, max: 5000 }),
      filesPerPartition: fc.integer({ min: 1, max: 70_000 }),
    });
    fc.assert(
      fc.property(
        numbers,
        fc.integer({ min: 0, max: MAX_LEDGER }),
        fc.constantFrom('zst', 'zstd'),
        (n, seq, suffix) => {
          const key = objectKey(n, seq, suffix as 'zst' | 'zstd');
          const at = key.lastIndexOf('/');
          const file = parseFileName(key.slice(at + 1));
          const named = fileRange(n, seq);
          expect(file?.range.start).toBe(named.start);
          expect(Math.min(file?.range.end ?? 0, MAX_LEDGER)).toBe(named.end);
          expect([file?.single, file?.suffix]).toEqual([n.ledgersPerFile === 1, suffix]);
          expect(named.start <= seq && seq <= named.end).toBe(true);
          const folder = partitionFolder(n, seq);
          expect(key.slice(0, at + 1)).toBe(folder);
          if (folder !== '') expect(parseFolderName(folder.slice(0, -1))).toEqual(partitionRange(n, seq));
        },
      ),
    );
  });

  it('sort newest first', () => {
    const names = [2, 63_999, 64_000, 53_312_000, MAX_LEDGER].map((seq) => objectKey(cut(1, 64_000), seq, 'zst'));
    expect([...names].sort()).toEqual([...names].reverse());
  });

  it('are nothing but names: anything else is not parsed', () => {
    const strange = [
      '',
      '.config.json',
      '../FFFFFFFD--2.xdr.zst',
      'FFFFFFFD--3.xdr.zst',
      'fffffffd--2.xdr.zst',
      'FFFFFFFD--02.xdr.zst',
      'FFFFFFFD--2.xdr.zst.tmp',
      'FFFFFFFD--2.xdr.gz',
      'FFFFFFFD--2-1.xdr.zst',
      'FFFFFFFD--2-2.xdr.zst',
      'FFFFFFFF--4294967296.xdr.zst',
      'FFFFFFFD--2.xdr.zst\n',
    ];
    for (const name of strange) expect([name, parseFileName(name)]).toEqual([name, null]);
    for (const name of ['FFFFFFFF--0-63999/', 'FFFFFFFF--1-63999', 'FFFFFFFF--0', '..']) {
      expect([name, parseFolderName(name)]).toEqual([name, null]);
    }
  });

  it('need numbers that a lake can have', () => {
    for (const [a, b] of [
      [0, 1],
      [1, 0],
      [-1, 1],
      [1.5, 1],
      [Number.NaN, 1],
      [Number.POSITIVE_INFINITY, 1],
      [2 ** 31, 2 ** 31],
    ] as const) {
      expect(areLakeNumbers(cut(a, b))).toBe(false);
    }
    expect(areLakeNumbers(cut(1, 1)) && areLakeNumbers(cut(2 ** 16, 2 ** 16))).toBe(true);
  });
});
