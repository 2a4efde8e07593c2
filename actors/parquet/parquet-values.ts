/**
 * Decodes the bodies of Parquet pages of required, flat columns: the encodings that this program and its predecessor
 * write, and dictionaries. Counts come from judged headers; it reads and makes no more than a page can hold.
 */

export type PhysicalType = 'INT32' | 'INT64' | 'BYTE_ARRAY';

/** The values of a page. Byte arrays are extents of `buffer`. */
export type PageValues =
  | { readonly type: 'INT32'; readonly values: Int32Array }
  | { readonly type: 'INT64'; readonly values: BigInt64Array }
  | {
      readonly type: 'BYTE_ARRAY';
      readonly buffer: Buffer;
      readonly starts: Uint32Array;
      readonly ends: Uint32Array;
    };

/** Bytes that are not what their header says. */
export class PageFault extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'PageFault';
  }
}

function exactly(found: number, expected: number): void {
  if (found !== expected) throw new PageFault(`${found} bytes of values, not ${expected}`);
}

/** Values as they are, little-endian; byte arrays behind their lengths. All of the page must be used. */
export function decodePlain(type: PhysicalType, page: Buffer, count: number): PageValues {
  if (type === 'INT32') {
    exactly(page.length, 4 * count);
    const values = new Int32Array(count);
    for (let i = 0; i < count; i += 1) values[i] = page.readInt32LE(4 * i);
    return { type, values };
  }
  if (type === 'INT64') {
    exactly(page.length, 8 * count);
    const values = new BigInt64Array(count);
    for (let i = 0; i < count; i += 1) values[i] = page.readBigInt64LE(8 * i);
    return { type, values };
  }
  if (4 * count > page.length) throw new PageFault(`${count} byte arrays in ${page.length} bytes`);
  const starts = new Uint32Array(count);
  const ends = new Uint32Array(count);
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    if (at + 4 > page.length) throw new PageFault('a length beyond the end');
    const start = at + 4;
    const end = start + page.readUInt32LE(at);
    if (end > page.length) throw new PageFault('a byte array beyond the end');
    starts[i] = start;
    ends[i] = end;
    at = end;
  }
  exactly(page.length, at);
  return { type, buffer: page, starts, ends };
}

/** Unsigned LEB128, up to 64 bits; exact up to 2^53. */
function readVarint(page: Buffer, cursor: { at: number }): number {
  let value = 0;
  for (let i = 0; i < 10; i += 1) {
    const byte = page[cursor.at];
    if (byte === undefined) break;
    cursor.at += 1;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return value;
  }
  throw new PageFault('a number without end');
}

/** Zigzag of a varint. Lengths and their deltas are far below 2^53; anything else fails a bound later. */
function readZigzag(page: Buffer, cursor: { at: number }): number {
  const value = readVarint(page, cursor);
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** DELTA_BINARY_PACKED int32 (parquet-format, Encodings.md): blocks of miniblocks of bit-packed deltas. */
function decodeDeltas(page: Buffer, cursor: { at: number }, count: number): Float64Array {
  const blockSize = readVarint(page, cursor);
  const miniblocks = readVarint(page, cursor);
  const total = readVarint(page, cursor);
  const perMiniblock = blockSize / miniblocks;
  if (total !== count) throw new PageFault(`${total} values, not ${count}`);
  if (!Number.isInteger(perMiniblock) || perMiniblock % 8 !== 0 || perMiniblock < 8 || blockSize > 65_536) {
    throw new PageFault(`blocks of ${blockSize} in ${miniblocks}`);
  }
  const values = new Float64Array(count);
  let value = readZigzag(page, cursor);
  let made = 0;
  if (count > 0) values[made++] = value;
  while (made < count) {
    const minDelta = readZigzag(page, cursor);
    const widths = page.subarray(cursor.at, cursor.at + miniblocks);
    if (widths.length < miniblocks) throw new PageFault('it ends in a block');
    cursor.at += miniblocks;
    for (let m = 0; m < miniblocks && made < count; m += 1) {
      const width = widths[m] as number;
      if (width > 32) throw new PageFault(`deltas of ${width} bits`);
      const bytes = (perMiniblock / 8) * width;
      if (cursor.at + bytes > page.length) throw new PageFault('it ends in a miniblock');
      for (let i = 0; i < perMiniblock && made < count; i += 1) {
        value += minDelta + readBits(page, cursor.at, i * width, width);
        values[made++] = value;
      }
      cursor.at += bytes;
    }
  }
  return values;
}

/** `width` bits, at most 32, from bit `bit` after `base`; the lowest first. */
function readBits(page: Buffer, base: number, bit: number, width: number): number {
  let value = 0;
  let have = 0;
  let at = base + (bit >> 3);
  let skip = bit & 7;
  while (have < width) {
    value += ((page[at] as number) >> skip) * 2 ** have;
    have += 8 - skip;
    skip = 0;
    at += 1;
  }
  return value % 2 ** width;
}

/** DELTA_LENGTH_BYTE_ARRAY: all lengths, delta-encoded, then all bytes. */
export function decodeDeltaLength(page: Buffer, count: number): PageValues {
  const cursor = { at: 0 };
  const lengths = decodeDeltas(page, cursor, count);
  const starts = new Uint32Array(count);
  const ends = new Uint32Array(count);
  let at = cursor.at;
  for (let i = 0; i < count; i += 1) {
    const length = lengths[i] as number;
    if (length < 0 || at + length > page.length) throw new PageFault(`a byte array of ${length} bytes at ${at}`);
    starts[i] = at;
    at += length;
    ends[i] = at;
  }
  exactly(page.length, at);
  return { type: 'BYTE_ARRAY', buffer: page, starts, ends };
}

/** RLE_DICTIONARY: the bit width, then runs of repeated or bit-packed places in the dictionary. */
function decodeIndices(page: Buffer, count: number): Uint32Array {
  const indices = new Uint32Array(count);
  const width = page[0] ?? 33;
  if (width > 32) throw new PageFault(`dictionary places of ${width} bits`);
  const cursor = { at: 1 };
  let made = 0;
  while (made < count) {
    const header = readVarint(page, cursor);
    if (header % 2 === 1) {
      const groups = (header - 1) / 2;
      if (groups === 0 || cursor.at + groups * width > page.length) throw new PageFault('a run beyond the end');
      const end = Math.min(count, made + groups * 8);
      for (let bit = 0; made < end; bit += width) indices[made++] = readBits(page, cursor.at, bit, width);
      cursor.at += groups * width;
    } else {
      const bytes = (width + 7) >> 3;
      const run = header / 2;
      if (run === 0 || run > count - made || cursor.at + bytes > page.length)
        throw new PageFault('a run beyond the end');
      indices.fill(bytes === 0 ? 0 : page.readUIntLE(cursor.at, bytes), made, made + run);
      cursor.at += bytes;
      made += run;
    }
  }
  return indices;
}

/** The values that the places in a page name. */
export function decodeDictionary(dictionary: PageValues, page: Buffer, count: number): PageValues {
  const indices = decodeIndices(page, count);
  const size = dictionary.type === 'BYTE_ARRAY' ? dictionary.starts.length : dictionary.values.length;
  for (const index of indices) if (index >= size) throw new PageFault(`place ${index} of a dictionary of ${size}`);
  if (dictionary.type === 'BYTE_ARRAY') {
    const starts = indices.map((i) => dictionary.starts[i] as number);
    const ends = indices.map((i) => dictionary.ends[i] as number);
    return { type: 'BYTE_ARRAY', buffer: dictionary.buffer, starts, ends };
  }
  if (dictionary.type === 'INT32') {
    return { type: 'INT32', values: Int32Array.from(indices, (i) => dictionary.values[i] as number) };
  }
  return { type: 'INT64', values: BigInt64Array.from([...indices], (i) => dictionary.values[i] as bigint) };
}
