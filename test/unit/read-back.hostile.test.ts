/**
 * Reading back what was damaged by chance or made to harm: every changed byte is found or changes no row, and no file
 * makes the process crash, hang or fill its memory.
 */
import { beforeAll, describe, expect, it } from 'vitest';
import { buildPartition } from '../../actors/parquet/build-partition.ts';
import {
  decodeDeltaLength,
  decodeDictionary,
  decodePlain,
  PageFault,
  type PageValues,
} from '../../actors/parquet/parquet-values.ts';
import { readBack } from '../../actors/parquet/read-back.ts';
import type { ReadBackAnswer, ReadBackTask } from '../../actors/parquet/spec.ts';
import { checkStruct, ThriftFault } from '../../actors/parquet/thrift-guard.ts';
import { BronzeError } from '../../machines/errors.ts';
import { objectStore } from '../support/object-store.ts';
import { rewrite, rowsOf } from '../support/rewritten.ts';
import {
  ALL_CHECKS,
  buildTask,
  CHAIN,
  layoutOf,
  MemoryLake,
  MemoryStaging,
  madeLedgers,
} from '../support/small-lake.ts';

const never = new AbortController().signal;
const RANGE = { start: 2, end: 4 };
const TASK: ReadBackTask = {
  kind: 'readback',
  depth: 'rows',
  chain: CHAIN,
  range: RANGE,
  store: { backend: 'local', root: '/nowhere', prefix: '' },
  key: 'part-2-4.parquet',
  columns: 2,
  checks: ALL_CHECKS,
};

const back = (bytes: Uint8Array): Promise<ReadBackAnswer> => readBack(TASK, never, () => undefined, objectStore(bytes));

/** True where the file was found damaged; else its rows must be those of the whole one. */
async function isDamaged(bytes: Uint8Array): Promise<boolean> {
  try {
    const answer = await back(bytes);
    expect(answer.rows?.ledgers).toEqual(whole.rows?.ledgers);
    expect(answer.data.checksum).not.toBe(whole.data.checksum);
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(BronzeError);
    expect((error as BronzeError).code).toBe('PARTITION_DAMAGED');
    return true;
  }
}

let bytes: Buffer;
let whole: ReadBackAnswer;
beforeAll(async () => {
  const lake = new MemoryLake(madeLedgers(RANGE), layoutOf(1));
  const writer = new MemoryStaging();
  await buildPartition(buildTask(RANGE, lake.layout), {
    source: lake,
    writer,
    signal: never,
    onProgress: () => undefined,
  });
  bytes = writer.bytes;
  whole = await back(bytes);
});

/** Repeatable numbers from 0 to 1. */
function randoms(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

describe('a damaged file', () => {
  it('with any one byte changed', async () => {
    const dice = randoms(1);
    let found = 0;
    for (let at = 0; at < bytes.length; at += 1) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ (1 << Math.floor(dice() * 8));
      if (await isDamaged(changed)) found += 1;
    }
    // What is left are bits that zstd does not use, and what the manifest says as well: the versions of the writer.
    expect(found / bytes.length).toBeGreaterThan(0.97);
  });

  it('cut anywhere, or with bytes before or after it', async () => {
    for (let length = 0; length < bytes.length; length += 13) {
      expect(await isDamaged(bytes.subarray(0, length))).toBe(true);
      expect(await isDamaged(bytes.subarray(length + 1))).toBe(true);
    }
    expect(await isDamaged(Buffer.concat([bytes, Buffer.from('PAR1')]))).toBe(true);
    expect(await isDamaged(Buffer.concat([Buffer.from('PAR1'), bytes]))).toBe(true);
  });

  it('with stretches zeroed, repeated, or exchanged for noise', async () => {
    const dice = randoms(7);
    for (let round = 0; round < 400; round += 1) {
      const changed = Buffer.from(bytes);
      const at = Math.floor(dice() * bytes.length);
      const length = 1 + Math.floor(dice() * 64);
      if (round % 3 === 0) changed.fill(0, at, at + length);
      else if (round % 3 === 1) changed.copy(changed, at, Math.floor(dice() * bytes.length), bytes.length);
      else for (let i = at; i < at + length && i < bytes.length; i += 1) changed[i] = dice() * 256;
      if (!changed.equals(bytes)) await isDamaged(changed);
    }
  });

  it('written by others, with bytes changed in plain pages, dictionaries and deltas', async () => {
    const rows = await rowsOf(bytes);
    const dice = randoms(3);
    for (const options of [
      { codec: 'UNCOMPRESSED', encoding: 'RLE_DICTIONARY' },
      { codec: 'UNCOMPRESSED', encoding: 'DELTA_LENGTH_BYTE_ARRAY' },
      { codec: 'SNAPPY', encoding: 'PLAIN' },
    ] as const) {
      const other = rewrite(rows, options);
      for (let round = 0; round < 600; round += 1) {
        const changed = Buffer.from(other);
        const at = Math.floor(dice() * other.length);
        changed[at] = (changed[at] as number) ^ (1 << Math.floor(dice() * 8));
        await isDamaged(changed);
      }
    }
  });
});

/** The file with another footer. */
function withFooter(footer: Buffer): Buffer {
  const tail = Buffer.alloc(8, 'PAR1PAR1');
  tail.writeUInt32LE(footer.length);
  return Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(64), footer, tail]);
}

describe('a file that is made to harm', () => {
  it('with sizes that nothing stands behind', async () => {
    const million = Buffer.from('80897a', 'hex');
    const footers = [
      // A list of 2^31 - 1 structs, one of lists in lists, one of a million empty structs.
      Buffer.from('29fcffffffff0700', 'hex'),
      Buffer.from(`29${'f9ffffffff07'.repeat(40)}`, 'hex'),
      Buffer.concat([Buffer.from('29fc', 'hex'), million, Buffer.alloc(2_000_000)]),
      // A text of 4 GB, numbers and nests without end.
      Buffer.from('18ffffffff0f', 'hex'),
      Buffer.alloc(200_000, 0x16).fill(0xff, 1),
      Buffer.alloc(200_000, 0x1c),
      Buffer.alloc(200_000, 0x19),
      Buffer.from([0]),
      Buffer.alloc(0),
    ];
    const before = process.memoryUsage();
    for (const footer of footers) expect(await isDamaged(withFooter(footer))).toBe(true);
    const lying = withFooter(Buffer.from([0]));
    lying.writeUInt32LE(0xffffffff, lying.length - 8);
    expect(await isDamaged(lying)).toBe(true);
    expect(process.memoryUsage().arrayBuffers - before.arrayBuffers).toBeLessThan(64_000_000);
  });

  it('is not unpacked beyond the limit of a page', async () => {
    const rows = await rowsOf(bytes);
    // 9 MB of text in a column of labels, as a few bytes of zstd.
    const long = rows.map((row) => ({ ...row, network: 'x'.repeat(9_000_000) }));
    const bomb = rewrite(long);
    expect(bomb.length).toBeLessThan(100_000);
    await expect(back(bomb)).rejects.toThrow(/more than 8388608/);
  });
});

describe('the guard before the Thrift parser', () => {
  it('walks what is there and says where it ends', () => {
    // {1: i32 5, 2: "ab", 3: [true, false], 20: {1: double}}
    const struct = Buffer.from('150a180261621921010238' + '00', 'hex');
    expect(() => checkStruct(struct, 0, 100)).toThrow(ThriftFault);
    expect(checkStruct(Buffer.from('150a1802616200ff', 'hex'), 0, 100)).toBe(7);
    expect(() => checkStruct(Buffer.from('150a1802616200', 'hex'), 0, 1)).toThrow(/more values/);
    expect(() => checkStruct(Buffer.from('1d00', 'hex'), 0, 100)).toThrow(/not used/);
  });
});

describe('values of pages', () => {
  const texts = (values: PageValues): string[] => {
    if (values.type !== 'BYTE_ARRAY') throw new Error(values.type);
    return [...values.starts].map((start, i) => values.buffer.toString('latin1', start, values.ends[i]));
  };
  const plain = Buffer.from('0100000061' + '00000000' + '020000006263', 'hex');

  it('are exactly what their page holds', () => {
    expect(texts(decodePlain('BYTE_ARRAY', plain, 3))).toEqual(['a', '', 'bc']);
    expect(decodePlain('INT32', Buffer.from('ffffffff', 'hex'), 1)).toMatchObject({ values: Int32Array.of(-1) });
    expect(decodePlain('INT64', Buffer.from('feffffffffffffff', 'hex'), 1)).toMatchObject({
      values: BigInt64Array.of(-2n),
    });
    for (const count of [2, 4]) expect(() => decodePlain('BYTE_ARRAY', plain, count)).toThrow(PageFault);
    expect(() => decodePlain('INT32', Buffer.alloc(5), 1)).toThrow(PageFault);
    expect(() => decodePlain('INT64', Buffer.alloc(8), 2)).toThrow(PageFault);
    expect(() => decodePlain('BYTE_ARRAY', Buffer.from('ffffffff', 'hex'), 1)).toThrow(PageFault);
    expect(() => decodePlain('BYTE_ARRAY', Buffer.alloc(8), 2 ** 31 - 1)).toThrow(PageFault);
  });

  it('are found in dictionaries by runs and by bits', () => {
    const dictionary = decodePlain('BYTE_ARRAY', plain, 3);
    // Two bits wide: a run of 3 twos, then eight packed 0 1 2 0 1 2 0 1.
    const page = Buffer.from([2, 6, 2, 3, 0b00100100, 0b01001001]);
    expect(texts(decodeDictionary(dictionary, page, 8)).join()).toBe('bc,bc,bc,a,,bc,a,');
    const hostile = [
      Buffer.alloc(0),
      Buffer.from([2]),
      Buffer.from([33, 6, 2]),
      Buffer.from([2, 0, 2]),
      Buffer.from([2, 1]),
      Buffer.from([2, 6, 3]),
      Buffer.from([2, 0xfe, 0xff, 0xff, 0xff, 0x0f, 2]),
      Buffer.from([32, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (const bad of hostile) expect(() => decodeDictionary(dictionary, bad, 8)).toThrow(PageFault);
  });

  it('are bounded where lengths are deltas', () => {
    // Blocks of 128 in 4 miniblocks, 2 values, first 1, then a block: smallest delta 1, no bits.
    const page = Buffer.from('800104020202' + '00000000' + '616263', 'hex');
    expect(texts(decodeDeltaLength(page, 2))).toEqual(['a', 'bc']);
    const hostile = [
      ['', 1],
      ['800104020202' + '00000000' + '616263', 3],
      ['800100020202' + '00000000' + '616263', 2],
      ['000004020202' + '00000000' + '616263', 2],
      ['800104020202' + '21000000' + '616263', 2],
      ['8001040202ffffffffffffffff7f' + '00000000' + '616263', 2],
      ['8001040201' + '61', 1],
    ] as const;
    for (const [hex, count] of hostile) {
      expect(() => decodeDeltaLength(Buffer.from(hex, 'hex'), count)).toThrow(PageFault);
    }
  });
});
