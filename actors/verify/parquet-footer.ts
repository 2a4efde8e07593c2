/**
 * Reads the footer of a Parquet file that may be damaged or hostile, and holds it against the columns that it must
 * have. What it returns has been judged: offsets lie within the file, rows add up, every column is where it belongs.
 */
import type { ColumnMetaData, FileMetaData, KeyValue, SchemaElement } from 'hyparquet';
import { parquetMetadata } from 'hyparquet';
import { BronzeError } from '../../machines/errors.ts';
import type { ObjectReader } from '../ports.ts';
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

/** Where the pages of one column of one row group lie. */
export interface ColumnChunkPlace {
  readonly codec: string;
  /** Offset of the first page and bytes of all pages. */
  readonly start: number;
  readonly length: number;
  readonly statistics: ColumnMetaData['statistics'];
}

export interface RowGroupPlace {
  readonly rows: number;
  /** In the order of the columns. */
  readonly columns: readonly ColumnChunkPlace[];
}

export interface Footer {
  readonly groups: readonly RowGroupPlace[];
  readonly keyValues: readonly KeyValue[];
  readonly createdBy: string | null;
}

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

function chunkPlace(meta: ColumnMetaData, rows: number, pagesEnd: number, object: string): ColumnChunkPlace {
  const name = meta.path_in_schema.join('.');
  const dataStart = size(meta.data_page_offset);
  const dictionary = meta.dictionary_page_offset;
  // Some writers write 0 for "no dictionary".
  const start = dictionary === undefined || dictionary === 0n ? dataStart : size(dictionary);
  const length = size(meta.total_compressed_size);
  if (start < MAGIC_BYTES || length <= 0 || start > dataStart || start + length > pagesEnd) {
    throw damaged(object, 'layout', `${name} at ${start} with ${length} bytes`, {
      expected: `within ${pagesEnd} bytes`,
    });
  }
  if (size(meta.num_values) !== rows) {
    throw damaged(object, 'layout', `${meta.num_values} values of ${name}`, { expected: `${rows}` });
  }
  return { codec: meta.codec, start, length, statistics: meta.statistics };
}

function rowGroups(metadata: FileMetaData, columns: readonly SchemaElement[], pagesEnd: number, object: string) {
  return metadata.row_groups.map((group): RowGroupPlace => {
    const rows = size(group.num_rows);
    if (rows <= 0) throw damaged(object, 'row_count', `a row group of ${group.num_rows} rows`);
    if (group.columns.length !== columns.length) {
      throw damaged(object, 'layout', `a row group of ${group.columns.length} columns`);
    }
    return {
      rows,
      columns: group.columns.map(({ meta_data: meta, file_path: file }, i) => {
        const name = columns[i]?.name;
        if (!meta || file || meta.path_in_schema.join('.') !== name || meta.type !== columns[i]?.type) {
          throw damaged(object, 'layout', `column ${i} of a row group is not ${name}`);
        }
        return chunkPlace(meta, rows, pagesEnd, object);
      }),
    };
  });
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
    const metadata = parquetMetadata(footer, { geoparquet: false });
    checkSchema(metadata, columns, object);
    const groups = rowGroups(metadata, columns, pagesEnd, object);
    const found = groups.reduce((sum, group) => sum + group.rows, 0);
    if (found !== rows || size(metadata.num_rows) !== rows) {
      throw damaged(object, 'row_count', `${metadata.num_rows} rows, ${found} in row groups`, {
        expected: `${rows} rows`,
      });
    }
    return {
      groups,
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
