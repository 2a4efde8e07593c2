/**
 * Takes a partition's Parquet file into columns and writes it again with another writer's defaults, so that tests can
 * change single values in files that are otherwise whole.
 */
import { type FileMetaData, type ParquetParsers, parquetMetadata, parquetReadObjects } from 'hyparquet';
import { ByteWriter, type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import zstd from 'zstd-napi/binding.js';
import { SCHEMA } from '../../actors/bronze/columns.ts';

export type Rows = Record<string, unknown>[];
type Data = ColumnSource['data'];

const unpack = (input: Uint8Array, size: number): Uint8Array => {
  const out = Buffer.alloc(size);
  new zstd.DCtx().decompress(out, input);
  return out;
};

const pack = (input: Uint8Array): Uint8Array => {
  const out = Buffer.alloc(zstd.compressBound(input.length));
  return out.subarray(0, new zstd.CCtx().compress2(out, input));
};

/** Rows of a file of zstd pages; ledgers as bytes, everything else as JavaScript has it. */
export async function rowsOf(bytes: Uint8Array): Promise<Rows> {
  const file = new Uint8Array(bytes).buffer;
  const metadata = parquetMetadata(file);
  for (const element of metadata.schema)
    if (element.converted_type === 'UTF8') element.logical_type = { type: 'STRING' };
  return parquetReadObjects({ file, metadata, utf8: false, compressors: { ZSTD: unpack } });
}

export interface RewriteOptions {
  readonly codec?: 'ZSTD' | 'SNAPPY' | 'UNCOMPRESSED' | 'GZIP';
  /** Rows in a row group; else all in one. */
  readonly rowGroupSize?: number;
  readonly encoding?: 'PLAIN' | 'RLE_DICTIONARY' | 'DELTA_LENGTH_BYTE_ARRAY';
  /** Replaces elements of the schema by column. */
  readonly schema?: Readonly<Record<string, object>>;
}

/** A file of these rows with the columns of definition 2. */
export function rewrite(rows: Rows, options: RewriteOptions = {}): Buffer {
  const { codec = 'ZSTD', encoding, rowGroupSize, schema: replaced = {} } = options;
  const schema = SCHEMA.map((element) => ({ ...element, ...replaced[element.name] }));
  const columnData = schema.slice(1).map(
    ({ name, type }): ColumnSource => ({
      name,
      data: rows.map((row) => row[name]) as Data,
      ...(encoding === undefined || (encoding === 'DELTA_LENGTH_BYTE_ARRAY' && type !== 'BYTE_ARRAY')
        ? {}
        : { encoding }),
    }),
  );
  const buffer = parquetWriteBuffer({
    columnData,
    schema,
    codec,
    // No test unpacks gzip: only the name in the footer matters.
    compressors: { ZSTD: pack, GZIP: (page) => page },
    ...(rowGroupSize === undefined ? {} : { rowGroupSize }),
  });
  return Buffer.from(buffer);
}

/** The file with its metadata changed and everything else as it was; readers cannot tell that it was not written so. */
export function refooted(bytes: Uint8Array, change: (metadata: FileMetaData) => void): Buffer {
  const file = Buffer.from(bytes);
  // Bytes stay bytes: those of ledgers are no text.
  const parsers = { stringFromBytes: (raw: Uint8Array) => raw } as unknown as Partial<ParquetParsers>;
  const metadata = parquetMetadata(new Uint8Array(file).buffer, { parsers });
  const pages = file.subarray(0, file.length - 8 - metadata.metadata_length);
  change(metadata);
  const footer = new ByteWriter();
  writeMetadata(footer, metadata);
  return Buffer.concat([pages, footer.getBytes(), Buffer.from('PAR1')]);
}
