/**
 * Holds a footer against what its writer writes for this file. What this program's own writer wrote is known to the
 * byte; of another one's, every key that it says is. Rows are not judged: their values are not known here.
 */
import type { ColumnMetaData, FileMetaData, RowGroup } from 'hyparquet';
import { ByteWriter } from 'hyparquet-writer';
import { writeMetadata } from 'hyparquet-writer/src/metadata.js';
import type { WriterVersions } from '../../machines/protocol.ts';
import { COLUMNS, SCHEMA } from '../bronze/columns.ts';
import { damaged } from './damaged.ts';
import type { Footer } from './parquet-footer.ts';
import { createdBy, footerKeys, HYPARQUET_WRITER_VERSION, WRITER_KEY, writerVersionsIn } from './parquet-writer.ts';
import type { ReadBackTask } from './spec.ts';

/** Every key once, and each as it has to be. */
function checkKeys(
  { keyValues }: Footer,
  versions: WriterVersions | null,
  { chain, range, key: object }: ReadBackTask,
) {
  const expected = new Map(footerKeys(chain, range, versions ?? {}).map(({ key, value }) => [key, value]));
  const left = new Set(expected.keys());
  for (const { key, value } of keyValues) {
    if (!left.delete(key))
      throw damaged(object, 'footer_key', String(key), { expected: 'only keys that its writer writes, once' });
    if (key === WRITER_KEY && versions === null) throw damaged(object, 'footer_key', `${key}=${value}`);
    if (key !== WRITER_KEY && value !== expected.get(key)) {
      throw damaged(object, 'footer_key', `${key}=${value}`, { expected: `${key}=${expected.get(key)}` });
    }
  }
  const [lost] = left;
  if (versions !== null && lost !== undefined) throw damaged(object, 'footer_key', `no ${lost}`);
}

/** The metadata of a row group as the writer makes it; sizes and bounds are the footer's, which the pages prove. */
const groupOf = (group: RowGroup): RowGroup => ({
  columns: group.columns.map(({ meta_data: meta }, i) => {
    const { element, statistics } = COLUMNS[i] as (typeof COLUMNS)[number];
    const said = meta as ColumnMetaData;
    const { min_value, max_value } = said.statistics ?? {};
    return {
      file_offset: said.data_page_offset,
      meta_data: {
        type: element.type,
        encodings: ['PLAIN'],
        path_in_schema: [element.name],
        codec: said.codec,
        num_values: said.num_values,
        total_uncompressed_size: said.total_uncompressed_size,
        total_compressed_size: said.total_compressed_size,
        data_page_offset: said.data_page_offset,
        ...(statistics ? { statistics: { min_value, max_value, null_count: 0n } as ColumnMetaData['statistics'] } : {}),
      },
    };
  }),
  total_byte_size: group.total_byte_size,
  num_rows: group.num_rows,
  total_compressed_size: group.total_compressed_size,
});

function checkBytes(footer: Footer, versions: WriterVersions, task: ReadBackTask): void {
  const metadata: Omit<FileMetaData, 'metadata_length'> = {
    version: 2,
    created_by: createdBy(versions),
    schema: [...SCHEMA],
    num_rows: footer.metadata.num_rows,
    row_groups: footer.metadata.row_groups.map(groupOf),
    key_value_metadata: footerKeys(task.chain, task.range, versions),
  };
  let bytes: Uint8Array;
  try {
    const own = new ByteWriter();
    writeMetadata(own, metadata as FileMetaData);
    bytes = own.getBytes();
  } catch (error) {
    // Values that no writer can write: they are the footer's.
    throw damaged(task.key, 'footer', error instanceof Error ? error.message : String(error), {}, error);
  }
  // Its length and the magic stand after the metadata; the writer here writes the first.
  if (Buffer.compare(bytes, footer.bytes.subarray(0, -4)) === 0) return;
  const said = footer.createdBy ?? 'nobody';
  if (said !== createdBy(versions)) throw damaged(task.key, 'created_by', said, { expected: createdBy(versions) });
  throw damaged(task.key, 'footer', 'members, statistics or an order that its writer does not write');
}

/**
 * Whether the file was framed by this very release's writer, so that its page headers are known as well.
 * @throws PARTITION_DAMAGED
 */
export function checkFooter(footer: Footer, task: ReadBackTask): boolean {
  const versions = writerVersionsIn([...footer.keyValues]);
  checkKeys(footer, versions, task);
  if (versions === null || versions['hyparquet-writer'] !== HYPARQUET_WRITER_VERSION) return false;
  checkBytes(footer, versions, task);
  return true;
}
