import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { COLUMNS, COLUMNS_VERSION } from '../../actors/bronze/columns.ts';
import { pageCompressor } from '../../actors/parquet/compression.ts';
import { LedgerParquetWriter } from '../../actors/parquet/parquet-writer.ts';
import type { CompressionSpec } from '../../actors/parquet/spec.ts';
import { queryWithDuckDb, readWithArrow } from '../support/parquet-readers.ts';
import { CHAIN, MemoryStaging } from '../support/small-lake.ts';
import { makeFacts, type RowInput } from '../support/written-rows.ts';

/** Ordinary, negative, largest, smallest. */
const ROWS: readonly RowInput[] = [
  makeFacts(2, randomBytes(500)),
  makeFacts(3, randomBytes(7), { totalCoins: -1n, feePool: -(2n ** 63n), closeTimeMs: 0n }),
  makeFacts(4, randomBytes(70_000), { totalCoins: 2n ** 63n - 1n, feePool: 0n, closeTimeMs: 9_999_999_999_999n }),
  makeFacts(4294967295, Buffer.alloc(0), { protocolVersion: 0x7fffffff, txCount: 0, operationCount: 100_000 }),
];

async function write(compression: CompressionSpec): Promise<Buffer> {
  const sink = new MemoryStaging();
  const writer = new LedgerParquetWriter(
    { chain: CHAIN, range: { start: 2, end: 4294967295 }, compressor: pageCompressor(compression) },
    sink,
  );
  for (const { facts, xdr } of ROWS) writer.add(facts, xdr);
  const written = await writer.finish();
  expect(written).toMatchObject({ rowCount: ROWS.length, byteSize: sink.bytes.length });
  return sink.bytes;
}

const CODECS: readonly CompressionSpec[] = [
  { codec: 'zstd', level: 3 },
  { codec: 'zstd', level: 1 },
  { codec: 'snappy', level: 0 },
  { codec: 'none', level: 0 },
];

const expected = ROWS.map(({ facts, xdr }) => ({
  ledger_sequence: BigInt(facts.sequence),
  ledger_hash: facts.ledgerHash,
  previous_ledger_hash: facts.previousLedgerHash,
  close_time: facts.closeTimeMs,
  protocol_version: facts.protocolVersion,
  total_coins: facts.totalCoins,
  fee_pool: facts.feePool,
  tx_set_hash: facts.txSetHash,
  tx_count: facts.txCount,
  operation_count: facts.operationCount,
  xdr_bytes: xdr.toString('hex'),
  xdr_byte_length: xdr.length,
  xdr_sha256: facts.xdrSha256,
  bronze_version: CHAIN.versionLabel,
  era_id: CHAIN.eraId,
  network: CHAIN.network,
  ingested_at: facts.closeTimeMs,
}));

describe.each(CODECS)('a file with $codec, level $level', (compression) => {
  it('is read by DuckDB with every value', async () => {
    const rows = await queryWithDuckDb(
      await write(compression),
      `SELECT * REPLACE (
         lower(hex(xdr_bytes)) AS xdr_bytes, epoch_ms(close_time) AS close_time, epoch_ms(ingested_at) AS ingested_at)
       FROM FILE ORDER BY ledger_sequence`,
    );
    expect(rows).toEqual(expected);
    expect(Object.keys(rows[0] ?? {})).toEqual(Object.keys(expected[0] ?? {}));
  });

  it('is read by arrow-rs with every value', async () => {
    const { rows } = readWithArrow(await write(compression));
    const asNumbers = ({ close_time, ingested_at, ...row }: (typeof expected)[number]) => ({
      ...row,
      close_time: Number(close_time),
      ingested_at: Number(ingested_at),
    });
    expect(rows).toEqual(expected.map(asNumbers));
  });
});

describe('the columns', () => {
  it('are the 17 of definition 2, in order, all required, with exact types', async () => {
    expect(COLUMNS_VERSION).toBe(2);
    const { columns } = readWithArrow(await write({ codec: 'zstd', level: 3 }));
    expect(columns).toEqual([
      'ledger_sequence Int64 NOT NULL',
      'ledger_hash Utf8 NOT NULL',
      'previous_ledger_hash Utf8 NOT NULL',
      'close_time Timestamp<MILLISECOND, UTC> NOT NULL',
      'protocol_version Int32 NOT NULL',
      'total_coins Int64 NOT NULL',
      'fee_pool Int64 NOT NULL',
      'tx_set_hash Utf8 NOT NULL',
      'tx_count Int32 NOT NULL',
      'operation_count Int32 NOT NULL',
      'xdr_bytes Binary NOT NULL',
      'xdr_byte_length Int32 NOT NULL',
      'xdr_sha256 Utf8 NOT NULL',
      'bronze_version Utf8 NOT NULL',
      'era_id Utf8 NOT NULL',
      'network Utf8 NOT NULL',
      'ingested_at Timestamp<MILLISECOND, UTC> NOT NULL',
    ]);
  });

  it('have these physical and logical types in the footer', async () => {
    const schema = await queryWithDuckDb(
      await write({ codec: 'zstd', level: 3 }),
      'SELECT name, type, repetition_type, converted_type, logical_type FROM parquet_schema(FILE) OFFSET 1',
    );
    const seen = schema.map((c) => [c.name, c.type, c.repetition_type, c.converted_type].join(' '));
    const string = 'BYTE_ARRAY REQUIRED UTF8';
    const time = 'INT64 REQUIRED TIMESTAMP_MILLIS';
    expect(seen).toEqual([
      'ledger_sequence INT64 REQUIRED ',
      `ledger_hash ${string}`,
      `previous_ledger_hash ${string}`,
      `close_time ${time}`,
      'protocol_version INT32 REQUIRED ',
      'total_coins INT64 REQUIRED ',
      'fee_pool INT64 REQUIRED ',
      `tx_set_hash ${string}`,
      'tx_count INT32 REQUIRED ',
      'operation_count INT32 REQUIRED ',
      'xdr_bytes BYTE_ARRAY REQUIRED ',
      'xdr_byte_length INT32 REQUIRED ',
      `xdr_sha256 ${string}`,
      `bronze_version ${string}`,
      `era_id ${string}`,
      `network ${string}`,
      `ingested_at ${time}`,
    ]);
    const logical = Object.fromEntries(schema.map((c) => [c.name, String(c.logical_type)]));
    expect(logical.ledger_hash).toContain('String');
    expect(logical.close_time).toMatch(/isAdjustedToUTC=1.*MILLIS/);
  });

  it('have statistics where readers prune, and nowhere else', async () => {
    const chunks = await queryWithDuckDb(
      await write({ codec: 'zstd', level: 3 }),
      'SELECT path_in_schema, stats_min_value, stats_max_value, stats_null_count, encodings FROM parquet_metadata(FILE)',
    );
    const withBounds = chunks.filter((c) => c.stats_min_value !== null || c.stats_max_value !== null);
    expect(withBounds.map((c) => [c.path_in_schema, c.stats_min_value, c.stats_max_value])).toEqual([
      ['ledger_sequence', '2', '4294967295'],
      ['close_time', '1970-01-01 00:00:00+00', '2286-11-20 17:46:39.999+00'],
    ]);
    expect(withBounds.map((c) => c.stats_null_count)).toEqual([0n, 0n]);
    expect(new Set(chunks.map((c) => c.encodings))).toEqual(new Set(['PLAIN']));
    expect(chunks).toHaveLength(COLUMNS.length);
  });

  it('refuse a value that does not fit, naming ledger and column', () => {
    const writer = new LedgerParquetWriter(
      { chain: CHAIN, range: { start: 2, end: 3 }, compressor: pageCompressor({ codec: 'none', level: 0 }) },
      new MemoryStaging(),
    );
    const add = (change: Parameters<typeof makeFacts>[2]) => () => {
      const { facts, xdr } = makeFacts(2, randomBytes(9), change);
      writer.add(facts, xdr);
    };
    for (const [change, column] of [
      [{ closeTimeMs: 2n ** 63n }, 'close_time'],
      [{ protocolVersion: 2 ** 31 }, 'protocol_version'],
      [{ totalCoins: -(2n ** 63n) - 1n }, 'total_coins'],
    ] as const) {
      expect(add(change)).toThrow(
        expect.objectContaining({
          code: 'XDR_INVALID',
          details: expect.objectContaining({ ledger: 2, check: `column ${column}` }),
        }),
      );
    }
  });
});
