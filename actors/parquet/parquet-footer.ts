/**
 * Reads the footer of a Parquet file that may be damaged or hostile, and holds it against the columns that it must
 * have. What it returns has been judged: offsets lie within the file, rows add up, every column is where it belongs.
 */
import type {
  ColumnChunk,
  ColumnIndex,
  ColumnMetaData,
  FileMetaData,
  KeyValue,
  OffsetIndex,
  ParquetParsers,
  RowGroup,
  SchemaElement,
} from 'hyparquet';
import { parquetMetadata, readColumnIndex, readOffsetIndex } from 'hyparquet';
import { BronzeError } from '../../machines/errors.ts';
import type { ObjectReader } from '../ports/store.ts';
import { damaged } from './damaged.ts';
import { checkStruct } from './thrift-guard.ts';

/** `PAR1`, at both ends of a file. */
const MAGIC = 0x31524150;
const MAGIC_BYTES = 4;
/** Length of the footer and the magic after it. */
const TAIL_BYTES = 8;
/** Bytes of footer that are read at the most: 10 GB in row groups of 8 MB have 4 MB of it. */
const FOOTER_LIMIT = 32 * 1024 * 1024;
/** Values in a footer at the most; a row group of 17 columns has about 700. */
const FOOTER_VALUES = 4_000_000;

/** Bytes of the index of one column of one row group that are read at the most: 100,000 pages of 64 bytes. */
const INDEX_LIMIT = 8 * 1024 * 1024;

/** A piece of the file. */
export interface Extent {
  readonly start: number;
  readonly length: number;
}

/** Where the pages of one column of one row group lie, and what is said of them. */
export interface ChunkFacts extends Extent {
  readonly codec: string;
  /** Bytes of all pages before compression, with their headers. */
  readonly rawBytes: number;
  readonly statistics: ColumnMetaData['statistics'];
  /** Data pages, where the footer counts them. */
  readonly pageCount: number | null;
  readonly columnIndex: Extent | null;
  readonly offsetIndex: Extent | null;
}

export interface GroupFacts {
  readonly rows: number;
  /** In the order of the columns. */
  readonly columns: readonly ChunkFacts[];
}

export interface Footer {
  readonly groups: readonly GroupFacts[];
  readonly keyValues: readonly KeyValue[];
  readonly createdBy: string | null;
  /** As parsed, and the bytes that it was parsed from. */
  readonly metadata: FileMetaData;
  readonly bytes: Uint8Array;
}

/** Values as they are stored: text that is decoded, or a time made a date, can be the same for other bytes. */
const RAW = {
  stringFromBytes: (bytes: Uint8Array) => bytes,
  timestampFromMilliseconds: (millis: bigint) => millis,
} as unknown as Partial<ParquetParsers>;

/** What a schema element says, as one comparable text; `type_length` and field ids mean nothing for these types. */
function typeOf(e: SchemaElement): string {
  const parts = [e.name, e.repetition_type, e.type, e.converted_type, e.logical_type && JSON.stringify(e.logical_type)];
  return parts.filter((part) => part !== undefined).join(' ');
}

function checkSchema(metadata: FileMetaData, columns: readonly SchemaElement[], object: string): void {
  const [root, ...leaves] = metadata.schema;
  if (root === undefined || root.num_children !== columns.length || leaves.length !== columns.length) {
    throw damaged(object, 'schema', `${leaves.length} columns`, { expected: `${columns.length} columns` });
  }
  for (const [i, column] of columns.entries()) {
    const leaf = leaves[i] as SchemaElement;
    const expected = typeOf(column);
    const found = typeOf(leaf);
    if (found !== expected || leaf.num_children !== undefined) throw damaged(object, 'schema', found, { expected });
  }
}

/** An offset or a length; -1 for what cannot be one. */
function size(value: bigint | undefined): number {
  const number = Number(value ?? -1n);
  return Number.isSafeInteger(number) && number >= 0 ? number : -1;
}

/** An index beside the pages; null where there is none. */
function indexPlace(at: bigint | undefined, length: number | undefined, name: string, object: string): Extent | null {
  if (at === undefined && length === undefined) return null;
  const place = { start: size(at), length: size(BigInt(length ?? -1)) };
  if (place.start >= 0 && place.length > 0 && place.length <= INDEX_LIMIT) return place;
  throw damaged(object, 'layout', `an index of ${name} at ${at} with ${length} bytes`);
}

/** What no writer whose files are read here says: nothing would hold it against the rows. */
const UNKNOWN_CLAIMS = [
  'index_page_offset',
  'bloom_filter_offset',
  'bloom_filter_length',
  'geospatial_statistics',
  'key_value_metadata',
] as const satisfies (keyof ColumnMetaData)[];

function chunkFacts(chunk: ColumnChunk, meta: ColumnMetaData, rows: number, end: number, object: string) {
  const name = meta.path_in_schema.join('.');
  const dataStart = size(meta.data_page_offset);
  const dictionary = meta.dictionary_page_offset;
  // Some writers write 0 for "no dictionary".
  const start = dictionary === undefined || dictionary === 0n ? dataStart : size(dictionary);
  const length = size(meta.total_compressed_size);
  if (start < MAGIC_BYTES || length <= 0 || start > dataStart || start + length > end) {
    throw damaged(object, 'layout', `${name} at ${start} with ${length} bytes`, { expected: `within ${end} bytes` });
  }
  if (size(meta.num_values) !== rows) {
    throw damaged(object, 'layout', `${meta.num_values} values of ${name}`, { expected: `${rows}` });
  }
  const claim = UNKNOWN_CLAIMS.find((key) => meta[key] !== undefined);
  if (claim !== undefined || chunk.crypto_metadata || chunk.encrypted_column_metadata) {
    throw damaged(object, 'layout', `${claim ?? 'encryption'} of ${name}`, { expected: 'none' });
  }
  const counts = meta.encoding_stats?.filter(({ page_type: type }) => type.startsWith('DATA_PAGE'));
  return {
    codec: meta.codec,
    start,
    length,
    rawBytes: size(meta.total_uncompressed_size),
    statistics: meta.statistics,
    pageCount: counts === undefined || counts.length === 0 ? null : counts.reduce((sum, { count }) => sum + count, 0),
    columnIndex: indexPlace(chunk.column_index_offset, chunk.column_index_length, name, object),
    offsetIndex: indexPlace(chunk.offset_index_offset, chunk.offset_index_length, name, object),
  } satisfies ChunkFacts;
}

/** Sums that readers plan by. Some writers leave out the second. */
function checkSizes(group: RowGroup, columns: readonly ChunkFacts[], object: string): void {
  const raw = columns.reduce((sum, { rawBytes }) => sum + rawBytes, 0);
  const packed = columns.reduce((sum, { length }) => sum + length, 0);
  const { total_byte_size: saysRaw, total_compressed_size: saysPacked } = group;
  if (size(saysRaw) !== raw || (saysPacked !== undefined && size(saysPacked) !== packed)) {
    const found = `a row group of ${saysRaw} bytes, ${saysPacked} compressed`;
    throw damaged(object, 'layout', found, { expected: `${raw} and ${packed}` });
  }
  if (group.sorting_columns?.length) throw damaged(object, 'layout', 'sorting columns', { expected: 'none' });
}

function rowGroups(metadata: FileMetaData, columns: readonly SchemaElement[], pagesEnd: number, object: string) {
  return metadata.row_groups.map((group): GroupFacts => {
    const rows = size(group.num_rows);
    if (rows <= 0) throw damaged(object, 'row_count', `a row group of ${group.num_rows} rows`);
    if (group.columns.length !== columns.length) {
      throw damaged(object, 'layout', `a row group of ${group.columns.length} columns`);
    }
    const places = group.columns.map((chunk, i) => {
      const { meta_data: meta, file_path: file } = chunk;
      const name = columns[i]?.name;
      if (!meta || file || meta.path_in_schema.join('.') !== name || meta.type !== columns[i]?.type) {
        throw damaged(object, 'layout', `column ${i} of a row group is not ${name}`);
      }
      return chunkFacts(chunk, meta, rows, pagesEnd, object);
    });
    checkSizes(group, places, object);
    return { rows, columns: places };
  });
}

/** Pages and indexes fill the file up to its footer: nothing lies between them, and no byte is two things. */
function checkCover(groups: readonly GroupFacts[], pagesEnd: number, object: string): void {
  const pieces = groups.flatMap(({ columns }) =>
    columns.flatMap((place): Extent[] => [
      place,
      ...[place.columnIndex, place.offsetIndex].filter((index) => index !== null),
    ]),
  );
  let at = MAGIC_BYTES;
  for (const { start, length } of pieces.sort((a, b) => a.start - b.start)) {
    if (start !== at) break;
    at += length;
  }
  if (at === pagesEnd) return;
  const found = `bytes at ${at} that are no page and no index, or are two`;
  throw damaged(object, 'layout', found, { expected: `pages up to ${pagesEnd}` });
}

async function readTail(reader: ObjectReader, object: string): Promise<{ footer: Uint8Array; pagesEnd: number }> {
  if (reader.size < MAGIC_BYTES + TAIL_BYTES) throw damaged(object, 'parquet', `${reader.size} bytes`);
  const head = Buffer.from(await reader.read(0, MAGIC_BYTES));
  const tail = Buffer.from(await reader.read(reader.size - TAIL_BYTES, TAIL_BYTES));
  if (head.readUInt32LE(0) !== MAGIC || tail.readUInt32LE(4) !== MAGIC) {
    throw damaged(object, 'parquet', 'no PAR1 at its ends');
  }
  const length = tail.readUInt32LE(0);
  const pagesEnd = reader.size - TAIL_BYTES - length;
  if (pagesEnd < MAGIC_BYTES || length > FOOTER_LIMIT) throw damaged(object, 'parquet', `a footer of ${length} bytes`);
  return { footer: await reader.read(pagesEnd, length + TAIL_BYTES), pagesEnd };
}

/**
 * The footer of a file that must hold `rows` rows of exactly these columns.
 * @param object key for messages
 * @throws PARTITION_DAMAGED, STORE_*
 */
export async function readFooter(
  reader: ObjectReader,
  columns: readonly SchemaElement[],
  rows: number,
  object: string,
): Promise<Footer> {
  const { footer, pagesEnd } = await readTail(reader, object);
  try {
    const end = checkStruct(footer, 0, FOOTER_VALUES);
    if (end !== footer.length - TAIL_BYTES) throw damaged(object, 'parquet', 'bytes after the footer');
    const metadata = parquetMetadata(footer, { geoparquet: false, parsers: RAW });
    checkSchema(metadata, columns, object);
    const groups = rowGroups(metadata, columns, pagesEnd, object);
    const found = groups.reduce((sum, group) => sum + group.rows, 0);
    if (found !== rows || size(metadata.num_rows) !== rows) {
      throw damaged(object, 'row_count', `${metadata.num_rows} rows, ${found} in row groups`, {
        expected: `${rows} rows`,
      });
    }
    checkCover(groups, pagesEnd, object);
    return {
      groups,
      metadata,
      bytes: footer,
      keyValues: metadata.key_value_metadata ?? [],
      createdBy: typeof metadata.created_by === 'string' ? metadata.created_by : null,
    };
  } catch (error) {
    // Whatever a parser says about bytes that are not a footer: it is the bytes.
    if (error instanceof BronzeError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw damaged(object, 'parquet', `its footer cannot be read: ${why}`, {}, error);
  }
}

async function readIndex<T>(
  reader: ObjectReader,
  { start, length }: Extent,
  object: string,
  parse: (at: { view: DataView; offset: number }) => T,
): Promise<T> {
  const bytes = await reader.read(start, length);
  try {
    if (checkStruct(bytes, 0, FOOTER_VALUES) !== length) throw new Error('bytes after it');
    return parse({ view: new DataView(bytes.buffer, bytes.byteOffset, length), offset: 0 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw damaged(object, 'parquet', `an index at ${start} cannot be read: ${why}`, {}, error);
  }
}

/** What is said of the pages of a column; null where nothing is. Throws PARTITION_DAMAGED, STORE_*. */
export async function columnIndexOf(
  reader: ObjectReader,
  place: ChunkFacts,
  element: SchemaElement,
  object: string,
): Promise<ColumnIndex | null> {
  if (place.columnIndex === null) return null;
  return readIndex(reader, place.columnIndex, object, (at) => readColumnIndex(at, element, RAW));
}

/** A data page as it was read. */
export interface PageFacts {
  readonly offset: number;
  /** With its header. */
  readonly bytes: number;
  readonly firstRow: number;
}

/** Holds what the file says of where the pages of a column are against the pages. Throws PARTITION_DAMAGED, STORE_*. */
export async function checkPages(
  reader: ObjectReader,
  place: ChunkFacts,
  pages: readonly PageFacts[],
  name: string,
  object: string,
): Promise<void> {
  if (place.pageCount !== null && place.pageCount !== pages.length) {
    throw damaged(object, 'layout', `${place.pageCount} pages of ${name}`, { expected: String(pages.length) });
  }
  if (place.offsetIndex === null) return;
  const { page_locations: said } = await readIndex(
    reader,
    place.offsetIndex,
    object,
    (at): OffsetIndex => readOffsetIndex(at),
  );
  const text = (offset: unknown, bytes: unknown, row: unknown): string => `${offset}+${bytes} from row ${row}`;
  const found = said.map((page) => text(page.offset, page.compressed_page_size, page.first_row_index)).join(', ');
  const expected = pages.map(({ offset, bytes, firstRow }) => text(offset, bytes, firstRow)).join(', ');
  if (found !== expected) throw damaged(object, 'layout', `pages of ${name} at ${found}`, { expected });
}
