import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { pageCompressor, SNAPPY_VERSION } from '../../actors/parquet/compression.ts';
import {
  HYPARQUET_WRITER_VERSION,
  LedgerParquetWriter,
  PageMemory,
  ROW_GROUP,
  WRITER_KEY,
  writerVersionsIn,
} from '../../actors/parquet/parquet-writer.ts';
import type { CompressionSpec } from '../../actors/parquet/spec.ts';
import { queryWithDuckDb } from '../support/parquet-readers.ts';
import { CHAIN, MemoryStaging, ZSTD_3 } from '../support/small-lake.ts';
import { makeFacts, type RowInput } from '../support/written-rows.ts';

const PLAIN: CompressionSpec = { codec: 'none', level: 0 };

async function write(
  rows: readonly RowInput[],
  { compression = ZSTD_3, memory = new PageMemory() }: { compression?: CompressionSpec; memory?: PageMemory } = {},
): Promise<Buffer> {
  const sink = new MemoryStaging();
  const range = { start: rows[0]?.facts.sequence ?? 0, end: rows.at(-1)?.facts.sequence ?? 0 };
  const writer = new LedgerParquetWriter(
    { chain: CHAIN, range, compressor: pageCompressor(compression) },
    sink,
    memory,
  );
  for (const { facts, xdr } of rows) await writer.add(facts, xdr);
  const written = await writer.finish();
  expect(written.sha256).toBe(createHash('sha256').update(sink.bytes).digest('hex'));
  expect(written.byteSize).toBe(sink.bytes.length);
  return sink.bytes;
}

const sized = (...sizes: readonly number[]): RowInput[] =>
  sizes.map((size, i) => makeFacts(100 + i, Buffer.alloc(size, i)));

const rowsPerGroup = async (file: Buffer): Promise<number[]> => {
  const groups = await queryWithDuckDb(
    file,
    'SELECT DISTINCT row_group_id, row_group_num_rows n FROM parquet_metadata(FILE) ORDER BY row_group_id',
  );
  return groups.map(({ n }) => Number(n));
};

describe('row groups', () => {
  it('end before the ledger that would bring their XDR above the limit', async () => {
    const half = ROW_GROUP.bytes / 2;
    expect(await rowsPerGroup(await write(sized(half, half, 1, half, half)))).toEqual([2, 2, 1]);
    expect(await rowsPerGroup(await write(sized(half, half - 1, 1, 1)))).toEqual([3, 1]);
  });

  it('hold a ledger above the limit alone', async () => {
    const big = ROW_GROUP.bytes + 5_000_000;
    const rows = sized(10, big, 20, 30);
    const file = await write(rows);
    expect(await rowsPerGroup(file)).toEqual([1, 1, 2]);
    const lengths = await queryWithDuckDb(file, 'SELECT octet_length(xdr_bytes) n FROM FILE ORDER BY ledger_sequence');
    expect(lengths.map(({ n }) => Number(n))).toEqual([10, big, 20, 30]);
  });

  it('hold a bounded number of rows', async () => {
    const rows = Array.from({ length: 2 * ROW_GROUP.rows + 1 }, (_, i) => makeFacts(2 + i, Buffer.of(i & 255)));
    const file = await write(rows);
    expect(await rowsPerGroup(file)).toEqual([ROW_GROUP.rows, ROW_GROUP.rows, 1]);
    const bounds = await queryWithDuckDb(
      file,
      `SELECT stats_min_value a, stats_max_value b FROM parquet_metadata(FILE)
       WHERE path_in_schema = 'ledger_sequence' ORDER BY row_group_id`,
    );
    expect(bounds.map(({ a, b }) => [Number(a), Number(b)])).toEqual([
      [2, ROW_GROUP.rows + 1],
      [ROW_GROUP.rows + 2, 2 * ROW_GROUP.rows + 1],
      [2 * ROW_GROUP.rows + 2, 2 * ROW_GROUP.rows + 2],
    ]);
    const [totals] = await queryWithDuckDb(
      file,
      `SELECT count(*) n, count(DISTINCT ledger_hash) h, count(DISTINCT network) w, min(era_id) e,
         bool_and(lower(sha256(xdr_bytes)) = xdr_sha256) proven FROM FILE`,
    );
    expect(totals).toEqual({ n: BigInt(rows.length), h: BigInt(rows.length), w: 1n, e: CHAIN.eraId, proven: true });
  });
});

describe('a file', () => {
  const rows = Array.from({ length: 40 }, (_, i) => makeFacts(7 + i, randomBytes(50 + 997 * i)));

  it('has the same bytes every time, also in memory that another file was made in', async () => {
    const first = await write(rows);
    expect((await write(rows)).equals(first)).toBe(true);
    const memory = new PageMemory();
    await write(sized(3_000_000, 12_000_000, 5), { memory });
    expect((await write(rows, { memory })).equals(first)).toBe(true);
  });

  it('says in its footer what wrote it and what it holds', async () => {
    const file = await write(rows);
    const entries = await queryWithDuckDb(file, 'SELECT key, value FROM parquet_kv_metadata(FILE)');
    const text = (blob: unknown): string => Buffer.from((blob as { bytes: Uint8Array }).bytes).toString();
    const metadata = entries.map((e) => ({ key: text(e.key), value: text(e.value) }));
    expect(Object.fromEntries(metadata.map(({ key, value }) => [key, value]))).toMatchObject({
      'bronze_copier.network': 'testnet',
      'bronze_copier.era_id': 'small',
      'bronze_copier.version_label': 'v1',
      'bronze_copier.ledger_start': '7',
      'bronze_copier.ledger_end': '46',
    });
    expect(writerVersionsIn(metadata)).toEqual({
      writer: '2',
      columns: '2',
      'hyparquet-writer': '0.17.0',
      codec: 'zstd',
      level: '3',
      zstd: '1.5.7',
      row_group_bytes: '8000000',
      row_group_rows: '10000',
    });
    const [facts] = await queryWithDuckDb(file, 'SELECT created_by, num_rows FROM parquet_file_metadata(FILE)');
    expect(facts).toEqual({ created_by: 'bronze-copier version 2', num_rows: 40n });
  });

  it('is not taken for ours where its footer says nothing that we wrote', () => {
    expect(writerVersionsIn(undefined)).toBeNull();
    expect(writerVersionsIn([{ key: 'other', value: '{}' }])).toBeNull();
    expect(writerVersionsIn([{ key: WRITER_KEY, value: '{' }])).toBeNull();
    expect(writerVersionsIn([{ key: WRITER_KEY, value: '[1]' }])).toBeNull();
  });

  it('passes on in pieces, and waits for a sink that asks for it', async () => {
    const sink = new MemoryStaging();
    let waits = 0;
    sink.onWrite = () => new Promise((resolve) => setImmediate(() => resolve(void waits++)));
    const compressor = pageCompressor(PLAIN);
    const writer = new LedgerParquetWriter({ chain: CHAIN, range: { start: 1, end: 9 }, compressor }, sink);
    const added = sized(5_000_000, 5_000_000, 5_000_000).map(({ facts, xdr }) => writer.add(facts, xdr));
    expect(added.map((pending) => pending !== null)).toEqual([false, true, true]);
    await Promise.all(added);
    await writer.finish();
    expect(waits).toBe(sink.chunks.length);
    expect(Math.max(...sink.chunks.map(({ length }) => length))).toBe(5_000_004);
  });

  it('fails with what the sink failed with, at once or later', async () => {
    for (const fail of [
      () => Promise.reject(new Error('disk')),
      () => {
        throw new Error('disk');
      },
    ]) {
      const sink = new MemoryStaging();
      sink.onWrite = fail;
      const compressor = pageCompressor(PLAIN);
      const writer = new LedgerParquetWriter({ chain: CHAIN, range: { start: 1, end: 9 }, compressor }, sink);
      const work = async (): Promise<void> => {
        for (const { facts, xdr } of sized(5_000_000, 5_000_000)) await writer.add(facts, xdr);
        await writer.finish();
      };
      await expect(work()).rejects.toThrow('disk');
    }
  });
});

describe('the versions in the footer', () => {
  it('are those that are installed, pinned exactly', () => {
    const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
    expect(manifest.dependencies['hyparquet-writer']).toBe(HYPARQUET_WRITER_VERSION);
    expect(manifest.dependencies.snappy).toBe(SNAPPY_VERSION);
    for (const [name, version] of [
      ['hyparquet-writer', HYPARQUET_WRITER_VERSION],
      ['snappy', SNAPPY_VERSION],
    ] as const) {
      const path = join(import.meta.dirname, '../../node_modules', name, 'package.json');
      expect(JSON.parse(readFileSync(path, 'utf8')).version).toBe(version);
    }
  });
});
