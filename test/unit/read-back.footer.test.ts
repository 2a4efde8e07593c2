/** What a file says of itself beside its rows: each single thing that is false, or that nobody writes, is found. */
import type { ColumnChunk, FileMetaData, RowGroup } from 'hyparquet';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildPartition } from '../../actors/parquet/build-partition.ts';
import { readBack } from '../../actors/parquet/read-back.ts';
import type { ReadBackAnswer, ReadBackTask } from '../../actors/parquet/spec.ts';
import { failureOf } from '../support/bronze.ts';
import { objectStore } from '../support/object-store.ts';
import { refooted, rewrite, rowsOf } from '../support/rewritten.ts';
import {
  ALL_CHECKS,
  buildTask,
  CHAIN,
  layoutOf,
  MemoryLake,
  MemoryStaging,
  madeLedgers,
} from '../support/small-lake.ts';

const RANGE = { start: 2, end: 20 };
const TASK: ReadBackTask = {
  kind: 'readback',
  depth: 'rows',
  chain: CHAIN,
  range: RANGE,
  store: { backend: 'local', root: '/nowhere', prefix: '' },
  key: 'testnet/small/v1/ledgers_lcm_raw/range=2-20/part-2-20.parquet',
  columns: 2,
  checks: ALL_CHECKS,
};

const back = (bytes: Uint8Array): Promise<ReadBackAnswer> =>
  readBack(TASK, new AbortController().signal, () => undefined, objectStore(bytes));

/** The check that fails. */
async function checkOf(bytes: Uint8Array): Promise<string | undefined> {
  const { code, details } = await failureOf(back(bytes));
  expect(code).toBe('PARTITION_DAMAGED');
  return details.check;
}

let own: Buffer;
/** The same rows by another writer, with statistics of every column. */
let other: Buffer;
beforeAll(async () => {
  const lake = new MemoryLake(madeLedgers(RANGE), layoutOf(1));
  const writer = new MemoryStaging();
  const signal = new AbortController().signal;
  await buildPartition(buildTask(RANGE, lake.layout), { source: lake, writer, signal, onProgress: () => undefined });
  own = writer.bytes;
  other = rewrite(await rowsOf(own));
});

const keys = (metadata: FileMetaData) => metadata.key_value_metadata as { key: string; value?: string }[];
const group = (metadata: FileMetaData) => metadata.row_groups[0] as RowGroup;
const chunk = (metadata: FileMetaData, name: string) =>
  group(metadata).columns.find(({ meta_data: meta }) => meta?.path_in_schema[0] === name) as ColumnChunk;
const meta = (metadata: FileMetaData, name: string) =>
  chunk(metadata, name).meta_data as NonNullable<ColumnChunk['meta_data']>;
const said = (metadata: FileMetaData, name: string) => {
  const its = meta(metadata, name);
  its.statistics ??= {};
  return its.statistics;
};

it('is taken as it is where nothing was changed', async () => {
  for (const bytes of [own, other]) {
    const same = refooted(bytes, () => undefined);
    expect((await back(same)).rows?.ledgers).toEqual((await back(bytes)).rows?.ledgers);
  }
  expect(
    Buffer.compare(
      refooted(own, () => undefined),
      own,
    ),
  ).toBe(0);
});

describe('of this program', () => {
  const setKey = (key: string, value: string) => (metadata: FileMetaData) => {
    const entry = keys(metadata).find((one) => one.key === key);
    if (entry === undefined) throw new Error(`no ${key}`);
    entry.value = value;
  };
  it.each<[string, (metadata: FileMetaData) => void, string]>([
    ['another network', setKey('bronze_copier.network', 'pubnet'), 'footer_key'],
    ['another era', setKey('bronze_copier.era_id', 'smal1'), 'footer_key'],
    ['another version', setKey('bronze_copier.version_label', 'v2'), 'footer_key'],
    ['another start', setKey('bronze_copier.ledger_start', '3'), 'footer_key'],
    ['another end', setKey('bronze_copier.ledger_end', '020'), 'footer_key'],
    ['no versions that can be read', setKey('bronze_copier.writer', '{'), 'footer_key'],
    ['a key of nobody', (m) => keys(m).push({ key: 'note', value: 'x' }), 'footer_key'],
    ['a key twice', (m) => keys(m).push({ key: 'bronze_copier.network', value: 'testnet' }), 'footer_key'],
    ['a key less', (m) => keys(m).pop(), 'footer_key'],
    ['its keys in another order', (m) => keys(m).reverse(), 'footer'],
    ['another creator', (m) => Object.assign(m, { created_by: 'parquet-go' }), 'created_by'],
    ['another format version', (m) => Object.assign(m, { version: 1 }), 'footer'],
    ['a field id', (m) => Object.assign(m.schema[3] as object, { field_id: 7 }), 'footer'],
    ['another root', (m) => Object.assign(m.schema[0] as object, { name: 'root' }), 'footer'],
    ['a row more', (m) => Object.assign(m, { num_rows: 20n }), 'row_count'],
    ['another size of a row group', (m) => Object.assign(group(m), { total_byte_size: 1n }), 'layout'],
    ['another packed size', (m) => Object.assign(group(m), { total_compressed_size: 1n }), 'layout'],
    ['a place of a row group', (m) => Object.assign(group(m), { file_offset: 4n }), 'footer'],
    [
      'an order of rows',
      (m) => Object.assign(group(m), { sorting_columns: [{ column_idx: 4, descending: true, nulls_first: false }] }),
      'layout',
    ],
    [
      'another unpacked size of a column',
      (m) => {
        meta(m, 'xdr_bytes').total_uncompressed_size += 1n;
        group(m).total_byte_size += 1n;
      },
      'parquet',
    ],
    ['another place of a column', (m) => Object.assign(chunk(m, 'network'), { file_offset: 0n }), 'footer'],
    ['encodings that it does not have', (m) => meta(m, 'network').encodings.push('RLE_DICTIONARY'), 'footer'],
    [
      'a bloom filter',
      (m) => Object.assign(meta(m, 'ledger_hash'), { bloom_filter_offset: 4n, bloom_filter_length: 8 }),
      'layout',
    ],
    [
      'keys of a column',
      (m) => Object.assign(meta(m, 'era_id'), { key_value_metadata: [{ key: 'a', value: 'b' }] }),
      'layout',
    ],
    [
      'a least sequence that is too high',
      (m) => Object.assign(said(m, 'ledger_sequence'), { min_value: 3n }),
      'statistics',
    ],
    [
      'a greatest sequence that is too high',
      (m) => Object.assign(said(m, 'ledger_sequence'), { max_value: 21n }),
      'statistics',
    ],
    ['another close time', (m) => Object.assign(said(m, 'close_time'), { max_value: new Date(0) }), 'statistics'],
    ['nulls', (m) => Object.assign(said(m, 'close_time'), { null_count: 1n }), 'footer'],
    ['nulls of a column without statistics', (m) => Object.assign(said(m, 'era_id'), { null_count: 19n }), 'footer'],
    ['statistics of a column that has none', (m) => Object.assign(said(m, 'tx_count'), { min_value: 100 }), 'footer'],
    [
      'an index of its pages',
      (m) => Object.assign(chunk(m, 'tx_count'), { column_index_offset: 4n, column_index_length: 9 }),
      'layout',
    ],
  ])('%s', async (_, change, check) => {
    expect(await checkOf(refooted(own, change))).toBe(check);
  });

  it('members that no release writes, in the footer and in a page header', async () => {
    const note = Buffer.from([0x38, 5, ...Buffer.from('hello')]);
    const length = own.readUInt32LE(own.length - 8);
    const stop = own.length - 9;
    const longer = Buffer.alloc(4);
    longer.writeUInt32LE(length + note.length);
    expect(
      await checkOf(
        Buffer.concat([own.subarray(0, stop), note, own.subarray(stop, stop + 1), longer, own.subarray(-4)]),
      ),
    ).toBe('footer');
    // The first page's header ends where its body begins: a frame of zstd.
    const body = own.indexOf(Buffer.from([0x28, 0xb5, 0x2f, 0xfd]));
    const stretched = Buffer.concat([own.subarray(0, body - 1), note, own.subarray(body - 1)]);
    const all = refooted(stretched, (m) => {
      const by = BigInt(note.length);
      for (const [i, { meta_data: its }] of group(m).columns.entries()) {
        if (!its) continue;
        if (i > 0) its.data_page_offset += by;
        else {
          its.total_compressed_size += by;
          its.total_uncompressed_size += by;
        }
        Object.assign(group(m).columns[i] as object, { file_offset: its.data_page_offset });
      }
      group(m).total_byte_size += by;
      group(m).total_compressed_size = (group(m).total_compressed_size ?? 0n) + by;
    });
    expect(await checkOf(all)).toBe('parquet');
  });
});

describe('of any writer', () => {
  const insert = (bytes: Buffer, at: number, what: Buffer): Buffer =>
    Buffer.concat([bytes.subarray(0, at), what, bytes.subarray(at)]);

  it('bytes between pages and footer, before the first page, and between pages', async () => {
    for (const bytes of [own, other]) {
      const footerAt = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8);
      expect(await checkOf(insert(bytes, footerAt, Buffer.from('hidden')))).toBe('layout');
      const shift = (from: number) => (m: FileMetaData) => {
        for (const column of group(m).columns) {
          if (column.meta_data && column.meta_data.data_page_offset >= from) {
            column.meta_data.data_page_offset += 6n;
            if (column.file_offset > 0n) Object.assign(column, { file_offset: column.meta_data.data_page_offset });
          }
        }
      };
      expect(await checkOf(refooted(insert(bytes, 4, Buffer.from('hidden')), shift(4)))).toBe('layout');
      let second = 0;
      refooted(bytes, (m) => {
        second = Number(meta(m, 'ledger_hash').data_page_offset);
      });
      expect(await checkOf(refooted(insert(bytes, second, Buffer.from('hidden')), shift(second)))).toBe('layout');
    }
  });

  it.each<[string, (metadata: FileMetaData) => void, string]>([
    [
      'a least hash that is too high',
      (m) => Object.assign(said(m, 'ledger_hash'), { min_value: 'f', is_min_value_exact: false }),
      'statistics',
    ],
    [
      'a greatest network that is too low',
      (m) => Object.assign(said(m, 'network'), { max_value: 'a', is_max_value_exact: false }),
      'statistics',
    ],
    [
      'a network that is not exact',
      (m) => Object.assign(said(m, 'network'), { max_value: 'u', is_max_value_exact: true }),
      'statistics',
    ],
    ['an old least ledger', (m) => Object.assign(said(m, 'ledger_sequence'), { min: 1n }), 'statistics'],
    ['a number of operations', (m) => Object.assign(said(m, 'operation_count'), { min_value: 100 }), 'statistics'],
    ['nulls', (m) => Object.assign(said(m, 'era_id'), { null_count: 1n }), 'statistics'],
    ['too many distinct values', (m) => Object.assign(said(m, 'network'), { distinct_count: 2n }), 'statistics'],
    [
      'a key of nobody',
      (m) => Object.assign(m, { key_value_metadata: [{ key: 'pandas', value: '{}' }] }),
      'footer_key',
    ],
    [
      'another network',
      (m) => Object.assign(m, { key_value_metadata: [{ key: 'bronze_copier.network', value: 'pubnet' }] }),
      'footer_key',
    ],
  ])('%s', async (_, change, check) => {
    expect(await checkOf(refooted(other, change))).toBe(check);
  });
});
