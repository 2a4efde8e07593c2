/**
 * Reads the columns of a row group page by page, so that memory is bounded by pages whatever the size of a row group:
 * the old program's are whole partitions. A file that is damaged or hostile ends in PARTITION_DAMAGED; it allocates
 * nothing beyond the limits here, whatever the file says, and every loop takes bytes.
 */
import { crc32 } from 'node:zlib';
import type { PageHeader } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { ByteWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { uncompressSync } from 'snappy';
import { BronzeError } from '../../machines/errors.ts';
import type { ObjectReader } from '../ports/store.ts';
import { Arena, FrameDecompressor, OBJECT_LIMIT } from '../zstd.ts';
import { damaged } from './damaged.ts';
import type { ChunkFacts, PageFacts } from './parquet-footer.ts';
import {
  decodeDeltaLength,
  decodeDictionary,
  decodePlain,
  PageFault,
  type PageValues,
  type PhysicalType,
} from './parquet-values.ts';
import { checkStruct } from './thrift-guard.ts';

/** Bytes of an unpacked page of ledgers; a page holds one ledger at least. */
export const LEDGER_PAGE_LIMIT = OBJECT_LIMIT;
/** Bytes of an unpacked page of any other column: 100,000 hashes. */
export const PAGE_LIMIT = 8 * 1024 * 1024;

/** Bytes that are read around a page header; also how much of small pages is read at once. */
const WINDOW = 64 * 1024;
/** Page headers with statistics of long values may be longer than that. */
const HEADER_LIMIT = 4 * 1024 * 1024;
const HEADER_VALUES = 1000;

/** What the cursors of a column share from row group to row group. */
export interface ColumnMemory {
  readonly name: string;
  readonly type: PhysicalType;
  /** Bytes of an unpacked page at the most. */
  readonly limit: number;
  /** Unpacks pages, up to the limit; columns may share it. */
  readonly frames: FrameDecompressor;
  /** Holds the page that is being read; of this column alone. */
  readonly arena: Arena;
}

/** Memory for columns of such pages. The window of a page's frame costs nothing: a page is unpacked as a whole. */
export function columnMemory(limit: number): (name: string, type: PhysicalType) => ColumnMemory {
  const frames = new FrameDecompressor(limit, Number.POSITIVE_INFINITY);
  return (name, type) => ({ name, type, limit, frames, arena: new Arena(0) });
}

/** One column of one row group, value by value. */
export class ColumnCursor {
  readonly #reader: ObjectReader;
  readonly #object: string;
  readonly #column: ColumnMemory;
  readonly #codec: string;
  /** Offset of the next page, and of the end of the last one. */
  #at: number;
  readonly #end: number;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;
  #dictionary: PageValues | null = null;
  #page: PageValues | null = null;
  #index = -1;
  #inPage = 0;
  /** Values of the column that no page has brought yet. */
  #left: number;
  readonly #rows: number;
  /** Bytes of all pages before compression, with their headers: as said, and as read. */
  readonly #saidRaw: number;
  #raw = 0;
  readonly #isOwn: boolean;
  /** Data pages that were read. */
  readonly pages: PageFacts[] = [];

  /** `isOwn`: page headers must be those that this program's writer writes, byte for byte. */
  constructor(
    reader: ObjectReader,
    place: ChunkFacts,
    column: ColumnMemory,
    rows: number,
    object: string,
    isOwn = false,
  ) {
    this.#reader = reader;
    this.#object = object;
    this.#column = column;
    this.#codec = place.codec;
    this.#at = place.start;
    this.#end = place.start + place.length;
    this.#left = rows;
    this.#rows = rows;
    this.#saidRaw = place.rawBytes;
    this.#isOwn = isOwn;
  }

  /** Goes to the next value; the promise is there only where a page has to be read. Values before it are gone then. */
  advance(): Promise<void> | null {
    this.#index += 1;
    return this.#index < this.#inPage ? null : this.#load();
  }

  int32(): number {
    const page = this.#page;
    if (page?.type !== 'INT32') throw new RangeError(`${this.#column.name} is not INT32`);
    return page.values[this.#index] as number;
  }

  int64(): bigint {
    const page = this.#page;
    if (page?.type !== 'INT64') throw new RangeError(`${this.#column.name} is not INT64`);
    return page.values[this.#index] as bigint;
  }

  /** Extent of the value; valid until a page is read. */
  bytes(): { readonly buffer: Buffer; readonly start: number; readonly end: number } {
    const page = this.#page;
    if (page?.type !== 'BYTE_ARRAY') throw new RangeError(`${this.#column.name} is not BYTE_ARRAY`);
    return { buffer: page.buffer, start: page.starts[this.#index] as number, end: page.ends[this.#index] as number };
  }

  /** Says that nothing of the column may be left. @throws PARTITION_DAMAGED */
  finish(): void {
    if (this.#left > 0 || this.#index + 1 < this.#inPage || this.#at !== this.#end) {
      throw this.#damage(`${this.#end - this.#at} bytes after the last value`);
    }
    if (this.#raw !== this.#saidRaw)
      throw this.#damage(`${this.#saidRaw} bytes unpacked, as it says, not ${this.#raw}`);
  }

  async #load(): Promise<void> {
    do {
      if (this.#at >= this.#end) throw this.#damage('its pages end before its values');
      const { header, bodyAt } = await this.#header();
      const length = header.compressed_page_size;
      // Thrift says the type of each value itself, so a damaged header may hold anything.
      if (!isSize(length) || !isSize(header.uncompressed_page_size) || bodyAt + length > this.#end) {
        throw this.#damage(`a page of ${String(length)} bytes at ${this.#at}`);
      }
      if (header.uncompressed_page_size > this.#column.limit) {
        throw this.#damage(`a page of ${header.uncompressed_page_size} bytes, more than ${this.#column.limit}`);
      }
      const body = await this.#bytesAt(bodyAt, length);
      const offset = this.#at;
      const firstRow = this.#rows - this.#left;
      this.#at = bodyAt + length;
      this.#raw += bodyAt - offset + header.uncompressed_page_size;
      try {
        if (header.crc !== undefined && crc32(body) !== header.crc >>> 0)
          throw new PageFault('another CRC than it says');
        this.#take(header, body);
        if (header.type !== 'DICTIONARY_PAGE') this.pages.push({ offset, bytes: this.#at - offset, firstRow });
      } catch (error) {
        if (error instanceof BronzeError && error.code === 'PARTITION_DAMAGED') throw error;
        throw this.#damage(error instanceof Error ? error.message : String(error), error);
      }
    } while (this.#inPage === 0);
  }

  #take(header: PageHeader, body: Buffer): void {
    this.#inPage = 0;
    this.#index = 0;
    if (header.type === 'DICTIONARY_PAGE') {
      const count = header.dictionary_page_header?.num_values;
      if (this.#dictionary !== null || this.#page !== null || !isSize(count) || count > this.#left) {
        throw new PageFault(`a dictionary of ${String(count)}`);
      }
      // Copied: the memory of pages is used again.
      const page = Buffer.from(this.#unpack(body, header.uncompressed_page_size));
      this.#dictionary = decodePlain(this.#column.type, page, count);
      return;
    }
    const v1 = header.data_page_header;
    const v2 = header.data_page_header_v2;
    const data = header.type === 'DATA_PAGE' ? v1 : header.type === 'DATA_PAGE_V2' ? v2 : undefined;
    if (data === undefined) throw new PageFault(`a page of type ${header.type}`);
    if (data.statistics !== undefined)
      throw new PageFault('statistics of a page, which no writer of such files writes');
    const count = data.num_values;
    if (!isSize(count) || count > this.#left)
      throw new PageFault(`${String(count)} values where ${this.#left} are left`);
    if (data === v2) {
      // A required column has neither nulls nor levels.
      const levels = v2.definition_levels_byte_length + v2.repetition_levels_byte_length;
      if (v2.num_nulls !== 0 || levels !== 0 || v2.num_rows !== count) throw new PageFault('nulls or levels');
    }
    const packed = data !== v2 || v2.is_compressed !== false;
    const page = packed ? this.#unpack(body, header.uncompressed_page_size) : body;
    if (page.length !== header.uncompressed_page_size) throw new PageFault(`${page.length} bytes of page`);
    this.#page = this.#decode(data.encoding, page, count);
    this.#inPage = count;
    this.#left -= count;
  }

  #decode(encoding: string, page: Buffer, count: number): PageValues {
    if (encoding === 'PLAIN') return decodePlain(this.#column.type, page, count);
    if (encoding === 'DELTA_LENGTH_BYTE_ARRAY' && this.#column.type === 'BYTE_ARRAY')
      return decodeDeltaLength(page, count);
    if ((encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') && this.#dictionary !== null) {
      return decodeDictionary(this.#dictionary, page, count);
    }
    throw new PageFault(`encoding ${encoding}`);
  }

  /** `size`: what the header says, at most the limit; the codecs are held to it. */
  #unpack(body: Buffer, size: number): Buffer {
    if (this.#codec === 'UNCOMPRESSED') return body;
    if (this.#codec === 'ZSTD') {
      this.#column.arena.reset();
      const { end } = this.#column.frames.decompressInto(this.#column.arena, body, this.#column.name);
      return this.#column.arena.bytes.subarray(0, end);
    }
    if (this.#codec === 'SNAPPY') {
      // The library allocates what the preamble says: it must say the same.
      if (snappySize(body) !== size) throw new PageFault(`snappy of ${snappySize(body)} bytes, not ${size}`);
      const page = uncompressSync(body, { asBuffer: true, copyOutputData: true });
      return Buffer.from(page as Buffer);
    }
    throw new PageFault(`codec ${this.#codec}`);
  }

  async #header(): Promise<{ header: PageHeader; bodyAt: number }> {
    const most = Math.min(this.#end - this.#at, HEADER_LIMIT);
    for (let length = Math.min(most, WINDOW); ; length = Math.min(most, length * 8)) {
      const bytes = await this.#bytesAt(this.#at, length);
      try {
        const size = checkStruct(bytes, 0, HEADER_VALUES);
        const view = new DataView(bytes.buffer, bytes.byteOffset, size);
        const header = parquetHeader({ view, offset: 0 });
        if (this.#isOwn) expectOwnHeader(header, bytes.subarray(0, size));
        return { header, bodyAt: this.#at + size };
      } catch (error) {
        if (length < most) continue;
        throw this.#damage(`no page header at ${this.#at}: ${error instanceof Error ? error.message : error}`, error);
      }
    }
  }

  /** Bytes of the chunk; within `#end` by the callers' checks. */
  async #bytesAt(offset: number, length: number): Promise<Buffer> {
    const from = offset - this.#windowAt;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length);
    const read = await this.#reader.read(offset, Math.min(Math.max(length, WINDOW), this.#end - offset));
    if (read.length < length) throw this.#damage(`${read.length} bytes at ${offset}, not ${length}`);
    this.#window = Buffer.from(read.buffer, read.byteOffset, read.byteLength);
    this.#windowAt = offset;
    return this.#window.subarray(0, length);
  }

  #damage(found: string, cause?: unknown): BronzeError {
    return damaged(this.#object, 'parquet', `${this.#column.name}: ${found}`, {}, cause);
  }
}

/** Members that no reader knows would not show otherwise. */
function expectOwnHeader(header: PageHeader, bytes: Buffer): void {
  const own = new ByteWriter();
  writePageHeader(own, header);
  if (header.data_page_header_v2?.statistics !== undefined || Buffer.compare(own.getBytes(), bytes) !== 0) {
    throw new PageFault('a page header that its writer does not write');
  }
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** The unpacked size that a raw snappy block says. */
function snappySize(body: Buffer): number {
  let value = 0;
  for (let i = 0; i < 5; i += 1) {
    const byte = body[i];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return value;
  }
  return -1;
}
