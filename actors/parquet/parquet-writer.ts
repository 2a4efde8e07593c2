/**
 * Writes checked ledgers as one Parquet file, row group by row group, to a sink. The same rows give the same bytes:
 * nothing here may look at a clock, the machine, or the lake's file layout, and the file is never held in memory.
 *
 * Framing (page headers, footer) is hyparquet-writer's. The page bodies are put together here, cell by cell, because
 * its own way builds each page in a fresh buffer that doubles: 8 to 20 % of the whole pipeline's time went into that
 * on ledgers of 1 MB. All columns are PLAIN: hashes and ledgers are unique, and what repeats (network, era, version)
 * costs nothing after compression; every reader knows it, also old ones.
 */
import { createHash } from 'node:crypto';
import type { ColumnChunk, KeyValue } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { writePageHeader } from 'hyparquet-writer/src/datapage.js';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange, WriterVersions } from '../../machines/protocol.ts';
import { type ChainValues, COLUMNS, COLUMNS_VERSION, type Column, SCHEMA } from '../bronze/columns.ts';
import type { ChainName } from '../bronze/names.ts';
import { BATCH_HEAD_BYTES } from '../check/batch.ts';
import type { LedgerFacts } from '../check/ledger-checker.ts';
import { Arena, type Extent } from '../zstd.ts';
import { type PageCompressor, pageCompressor } from './compression.ts';
import type { CompressionSpec } from './spec.ts';

/** Raised whenever the same rows would give other bytes; 1 was the old program. */
const WRITER_VERSION = '2';

/** Pinned exactly in package.json, held equal by a test: another one may give other bytes. */
export const HYPARQUET_WRITER_VERSION = '0.17.0';

/** Where a row group ends. */
export interface RowGroupLimits {
  /** Before the ledger that would bring its XDR above this. */
  readonly bytes: number;
  /** At the most, whatever their size. */
  readonly rows: number;
}

/**
 * Chosen by measurement (docs/performance.md): larger groups compress a little better, but DuckDB unpacks all of a group
 * for one ledger, in however many pages it lies; smaller ones make a scan of the small columns slower.
 */
export const ROW_GROUP: RowGroupLimits = { bytes: 8_000_000, rows: 10_000 };

/** Chunks of this size and more go to the sink as they are; smaller ones are collected. */
const DIRECT_BYTES = 32 * 1024;

const STRING_LENGTH_BYTES = 4;

/**
 * Bytes before a batch's only ledger, and so before the length of a cell, that unpacking in place overwrites: the head of
 * the batch less what lies where the cell's length will be. The first cell of a page has them in front of it as well.
 */
const OVERLAP_BYTES = BATCH_HEAD_BYTES - STRING_LENGTH_BYTES;

/** Room behind a full page for one more ledger, so that usual ones do not make it grow; not resident before it is used. */
const LANDING_BYTES = 4 * 1024 * 1024;

/** Key of the footer's entry that holds the WriterVersions as JSON. */
export const WRITER_KEY = 'bronze_copier.writer';

/** Where the file's bytes go: a StagingWriter, or anything that keeps no reference to a chunk after `write` returned. */
export interface ByteSink {
  write(chunk: Uint8Array): void | Promise<void>;
}

export interface WrittenFile {
  readonly rowCount: number;
  readonly byteSize: number;
  /** Hex SHA-256 of the file's bytes. */
  readonly sha256: string;
}

/** What fixes the bytes of a file besides its rows, range and chain. */
function writerVersions(compressor: PageCompressor, rowGroup: RowGroupLimits): WriterVersions {
  return {
    writer: WRITER_VERSION,
    columns: String(COLUMNS_VERSION),
    'hyparquet-writer': HYPARQUET_WRITER_VERSION,
    ...compressor.versions,
    row_group_bytes: String(rowGroup.bytes),
    row_group_rows: String(rowGroup.rows),
  };
}

/** What a footer says of its file, in order. */
export const footerKeys = (chain: ChainName, range: LedgerRange, versions: WriterVersions): KeyValue[] => [
  { key: WRITER_KEY, value: JSON.stringify(versions) },
  { key: 'bronze_copier.network', value: chain.network },
  { key: 'bronze_copier.era_id', value: chain.eraId },
  { key: 'bronze_copier.version_label', value: chain.versionLabel },
  { key: 'bronze_copier.ledger_start', value: String(range.start) },
  { key: 'bronze_copier.ledger_end', value: String(range.end) },
];

export const createdBy = (versions: WriterVersions): string => `bronze-copier version ${versions.writer}`;

/** What this release writes with a codec, before anything is written. */
export const writerOf = (compression: CompressionSpec): WriterVersions =>
  writerVersions(pageCompressor(compression), ROW_GROUP);

/** The versions in a footer's key-value metadata; null where this program did not write it. */
export function writerVersionsIn(metadata: readonly KeyValue[] | undefined): WriterVersions | null {
  const text = metadata?.find(({ key }) => key === WRITER_KEY)?.value;
  if (text === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null;
  const entries = Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  return Object.fromEntries(entries);
}

/** hyparquet-writer's byte writer without a file in memory: hashes, counts and passes on. */
class SinkWriter extends ByteWriter {
  readonly #sink: ByteSink;
  readonly #hash = createHash('sha256');
  #pending: Promise<unknown> | null = null;

  constructor(sink: ByteSink) {
    super(2 * DIRECT_BYTES);
    this.#sink = sink;
  }

  override ensure(size: number): void {
    if (this.index + size <= this.buffer.byteLength) return;
    this.drain();
    super.ensure(size);
  }

  override appendBytes(value: Uint8Array): void {
    if (value.length < DIRECT_BYTES) {
      super.appendBytes(value);
      return;
    }
    this.drain();
    this.#pass(value);
    this.offset += value.length;
  }

  /** Passes on what was collected. */
  drain(): void {
    if (this.index > 0) this.#pass(this.getBytes());
    this.index = 0;
  }

  /** What the sink asked to wait for since the last call. */
  takePending(): Promise<unknown> | null {
    const pending = this.#pending;
    this.#pending = null;
    return pending;
  }

  digest(): string {
    return this.#hash.digest('hex');
  }

  #pass(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    const taken = this.#sink.write(chunk);
    if (taken) this.#pending = bothDone(this.#pending, taken);
  }
}

/**
 * Settles when both have, as the first that failed. They are awaited later than they are made, or not at all where
 * something else fails first: until then a rejection must not count as unhandled.
 */
export function bothDone(one: Promise<unknown> | null, other: Promise<unknown>): Promise<unknown> {
  const both = one === null ? other : Promise.all([one, other]);
  both.catch(() => {});
  return both;
}

const XDR_COLUMN = COLUMNS.findIndex(({ values }) => values.kind === 'xdr');

/** Where the cells of a column's page begin in its memory. */
const pageStart = (index: number): number => (index === XDR_COLUMN ? OVERLAP_BYTES : 0);

/** The pages of one row group, one per column; kept from file to file by a thread. */
export class PageMemory {
  readonly pages: readonly Arena[] = COLUMNS.map(
    (_, index) =>
      new Arena(
        index === XDR_COLUMN
          ? OVERLAP_BYTES + ROW_GROUP.bytes + STRING_LENGTH_BYTES * ROW_GROUP.rows + LANDING_BYTES
          : undefined,
      ),
  );

  get xdr(): Arena {
    return this.pages[XDR_COLUMN] as Arena;
  }
}

interface Bounds {
  min: bigint;
  max: bigint;
}

export interface ParquetSpec {
  readonly chain: ChainName;
  readonly range: LedgerRange;
  readonly compressor: PageCompressor;
  /** Another one gives other bytes; only measurements ask for it. */
  readonly rowGroup?: RowGroupLimits;
}

/** One file of `ledgers_lcm_raw`. After an error, or without `finish`, what the sink got is not a Parquet file. */
export class LedgerParquetWriter {
  /** Also in the footer. */
  readonly versions: WriterVersions;
  readonly #writer: SinkWriter;
  readonly #parquet: ParquetWriter;
  readonly #limits: RowGroupLimits;
  readonly #compressor: PageCompressor;
  readonly #pages: readonly Arena[];
  readonly #xdr: Arena;
  /** Where the next cell of the XDR's page begins. */
  #xdrEnd = 0;
  /** What lay where an object that was unpacked in place begins: OVERLAP_BYTES as a number, which costs no call. */
  #overlapped = 0n;
  /** Of the row group that is being filled; null for columns without statistics. */
  readonly #bounds: (Bounds | null)[] = COLUMNS.map(() => null);
  /** Length-prefixed cells of the columns that have one value per file; null for the others. */
  readonly #constants: readonly (Buffer | null)[];
  #groupRows = 0;
  #groupXdrBytes = 0;
  #rows = 0;

  constructor(spec: ParquetSpec, sink: ByteSink, memory: PageMemory = new PageMemory()) {
    this.#limits = spec.rowGroup ?? ROW_GROUP;
    this.versions = writerVersions(spec.compressor, this.#limits);
    this.#compressor = spec.compressor;
    this.#pages = memory.pages;
    this.#xdr = memory.xdr;
    this.#clearPages();
    const { network, eraId, versionLabel } = spec.chain;
    const chain: ChainValues = { bronze_version: versionLabel, era_id: eraId, network };
    this.#constants = COLUMNS.map(({ values }) => (values.kind === 'chain' ? stringCell(chain[values.of]) : null));
    this.#writer = new SinkWriter(sink);
    this.#parquet = new ParquetWriter({
      writer: this.#writer,
      schema: [...SCHEMA],
      codec: spec.compressor.codec,
      statistics: false,
      createdBy: createdBy(this.versions),
      kvMetadata: footerKeys(spec.chain, spec.range, this.versions),
    });
  }

  /** Rows added. */
  get rows(): number {
    return this.#rows;
  }

  /**
   * Has an object of one ledger unpacked to where its ledger's cell will be: no byte of it moves again, where it is added
   * next and the row group has room for it. What `unpack` appends is a batch's head and the ledger.
   * @returns where the object lies in the page; valid until the next call, or `add`, which takes the ledger out of it.
   */
  unpackInPlace(unpack: (page: Arena) => void): Extent {
    const page = this.#xdr;
    const start = this.#xdrEnd - OVERLAP_BYTES;
    this.#overlapped = page.view.getBigInt64(start);
    page.reset(start);
    unpack(page);
    return { start, end: page.used };
  }

  /**
   * Adds a row, whose ledger is all of `bytes` or the `xdr` of it; that is copied, unless it was unpacked in place. Where
   * it completed a row group and the sink needs time, a promise to wait for.
   * @throws BronzeError XDR_INVALID where a value does not fit its column, and what the sink throws
   */
  add(row: LedgerFacts, bytes: Uint8Array, xdr: Extent = { start: 0, end: bytes.length }): Promise<unknown> | null {
    const length = xdr.end - xdr.start;
    const page = this.#xdr;
    const isInPlace = bytes === page.bytes && xdr.start === this.#xdrEnd + STRING_LENGTH_BYTES;
    if (isInPlace) page.view.setBigInt64(this.#xdrEnd - OVERLAP_BYTES, this.#overlapped);
    let pending: Promise<unknown> | null = null;
    if (
      this.#groupRows > 0 &&
      (this.#groupXdrBytes + length > this.#limits.bytes || this.#groupRows >= this.#limits.rows)
    ) {
      this.#writeGroup();
      pending = this.#writer.takePending();
    }
    for (let c = 0; c < COLUMNS.length; c++) this.#addCell(c, row);
    this.#addXdr(bytes, xdr);
    this.#groupRows += 1;
    this.#groupXdrBytes += length;
    this.#rows += 1;
    return pending;
  }

  /** Writes the last row group and the footer. */
  async finish(): Promise<WrittenFile> {
    if (this.#groupRows > 0) this.#writeGroup();
    await this.#parquet.finish();
    this.#writer.drain();
    await this.#writer.takePending();
    return { rowCount: this.#rows, byteSize: this.#writer.offset, sha256: this.#writer.digest() };
  }

  #addCell(index: number, row: LedgerFacts): void {
    const { element, values, statistics } = COLUMNS[index] as Column;
    const page = this.#pages[index] as Arena;
    switch (values.kind) {
      case 'int64': {
        const value = values.of(row);
        if (value !== BigInt.asIntN(64, value)) throw unfit(row, element.name, value);
        page.reserve(8);
        page.view.setBigInt64(page.used, value, true);
        page.take(8);
        if (statistics) this.#widen(index, value);
        return;
      }
      case 'int32': {
        const value = values.of(row);
        if (value !== (value | 0)) throw unfit(row, element.name, value);
        page.reserve(4);
        page.view.setInt32(page.used, value, true);
        page.take(4);
        return;
      }
      case 'hex': {
        const value = values.of(row);
        page.reserve(STRING_LENGTH_BYTES + value.length);
        page.view.setUint32(page.used, value.length, true);
        page.bytes.write(value, page.used + STRING_LENGTH_BYTES, 'latin1');
        page.take(STRING_LENGTH_BYTES + value.length);
        return;
      }
      case 'xdr':
        // Comes last: it may have to be moved within its page.
        return;
      case 'chain':
        // Filled when the number of rows is known.
        return;
    }
  }

  /** In place already, or moved within the page where it began a new row group, or from elsewhere. */
  #addXdr(bytes: Uint8Array, { start, end }: Extent): void {
    const page = this.#xdr;
    const at = this.#xdrEnd + STRING_LENGTH_BYTES;
    const length = end - start;
    const isInThePage = bytes === page.bytes;
    page.reset(this.#xdrEnd);
    page.reserve(STRING_LENGTH_BYTES + length);
    if (!isInThePage) page.bytes.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at);
    else if (start !== at) page.bytes.copyWithin(at, start, end);
    page.view.setUint32(this.#xdrEnd, length, true);
    page.take(STRING_LENGTH_BYTES + length);
    this.#xdrEnd = at + length;
  }

  #clearPages(): void {
    for (const page of this.#pages) page.reset();
    this.#xdr.take(OVERLAP_BYTES);
    this.#xdrEnd = OVERLAP_BYTES;
  }

  #widen(index: number, value: bigint): void {
    const bounds = this.#bounds[index];
    if (!bounds) {
      this.#bounds[index] = { min: value, max: value };
      return;
    }
    if (value < bounds.min) bounds.min = value;
    if (value > bounds.max) bounds.max = value;
  }

  #writeGroup(): void {
    const rows = this.#groupRows;
    const start = this.#writer.offset;
    const columns = COLUMNS.map((column, index) => this.#writeColumn(column, index, rows));
    let raw = 0n;
    for (const { meta_data } of columns) raw += meta_data?.total_uncompressed_size ?? 0n;
    this.#parquet.row_groups.push({
      columns,
      total_byte_size: raw,
      num_rows: BigInt(rows),
      total_compressed_size: BigInt(this.#writer.offset - start),
    });
    this.#parquet.num_rows += BigInt(rows);
    this.#clearPages();
    this.#bounds.fill(null);
    this.#groupRows = 0;
    this.#groupXdrBytes = 0;
  }

  /** One page per column and row group: a page is what readers unpack at a time, and 8 MB of XDR is bearable. */
  #writeColumn({ element }: Column, index: number, rows: number): ColumnChunk {
    const arena = this.#pages[index] as Arena;
    const constant = this.#constants[index];
    if (constant) {
      arena.reserve(rows * constant.length);
      arena.bytes.fill(constant, 0, rows * constant.length);
      arena.take(rows * constant.length);
    }
    const page = arena.bytes.subarray(pageStart(index), index === XDR_COLUMN ? this.#xdrEnd : arena.used);
    const compressed = this.#compressor.compress(page);
    const start = this.#writer.offset;
    writePageHeader(this.#writer, {
      type: 'DATA_PAGE_V2',
      uncompressed_page_size: page.length,
      compressed_page_size: compressed.length,
      data_page_header_v2: {
        num_values: rows,
        num_nulls: 0,
        num_rows: rows,
        encoding: 'PLAIN',
        // Required and flat: no levels.
        definition_levels_byte_length: 0,
        repetition_levels_byte_length: 0,
        is_compressed: this.#compressor.codec !== 'UNCOMPRESSED',
      },
    });
    const headerBytes = this.#writer.offset - start;
    this.#writer.appendBytes(compressed);
    const bounds = this.#bounds[index];
    return {
      file_offset: BigInt(start),
      meta_data: {
        type: element.type,
        encodings: ['PLAIN'],
        path_in_schema: [element.name],
        codec: this.#compressor.codec,
        num_values: BigInt(rows),
        total_uncompressed_size: BigInt(headerBytes + page.length),
        total_compressed_size: BigInt(this.#writer.offset - start),
        data_page_offset: BigInt(start),
        ...(bounds ? { statistics: statisticsOf(bounds) } : {}),
      },
    };
  }
}

function statisticsOf(bounds: Bounds): { min_value: bigint; max_value: bigint; null_count: bigint } {
  return { min_value: bounds.min, max_value: bounds.max, null_count: 0n };
}

function stringCell(value: string): Buffer {
  const text = Buffer.from(value, 'utf8');
  const cell = Buffer.alloc(STRING_LENGTH_BYTES + text.length);
  cell.writeUInt32LE(text.length);
  text.copy(cell, STRING_LENGTH_BYTES);
  return cell;
}

/** The header hash has proven the value to be the network's own: it is the column that is too small for it. */
function unfit(row: LedgerFacts, column: string, value: bigint | number): BronzeError {
  return new BronzeError('XDR_INVALID', `ledger ${row.sequence}: ${value} does not fit the column ${column}`, {
    details: { ledger: row.sequence, check: `column ${column}`, found: String(value) },
  });
}
