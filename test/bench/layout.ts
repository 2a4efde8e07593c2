/**
 * `npm run bench:layout`: row groups of several sizes, and levels of compression, on ledgers of 2026 or, without ../shared,
 * on made-up ones: what they cost to write and what DuckDB takes to read them. Ratios within one run are what counts.
 *
 *   npm run bench:layout -- [--runs 3] [--lakes DIR] [--save]
 */
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { checkBatch } from '../../actors/check/batch.ts';
import { LedgerChecker, type LedgerFacts } from '../../actors/check/ledger-checker.ts';
import { pageCompressor } from '../../actors/parquet/compression.ts';
import { LedgerParquetWriter, PageMemory, ROW_GROUP } from '../../actors/parquet/parquet-writer.ts';
import type { CompressionSpec } from '../../actors/parquet/spec.ts';
import { openSource } from '../../actors/source/index.ts';
import { Arena, FrameDecompressor } from '../../actors/zstd.ts';
import { madeLake, realLake, SHARED } from './lake.ts';
import { median, record } from './record.ts';

export interface LayoutFigures {
  readonly rowGroupMB: number;
  readonly codec: string;
  /** Raw MB per second of processor time: Parquet alone, of ledgers that are in memory and checked. */
  readonly writeMBps: number;
  /** Raw bytes per byte written. */
  readonly ratio: number;
  /** DuckDB, one thread, milliseconds a thousand ledgers of the file: no column but small ones. */
  readonly scanMs: number;
  /** Milliseconds: one ledger by its sequence, and ten by their close times, with their XDR. */
  readonly pointMs: number;
  readonly tenMs: number;
}

export interface Layout {
  readonly ledgers: number;
  readonly rawMB: number;
  readonly figures: readonly LayoutFigures[];
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    lakes: { type: 'string' },
    save: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
const LEDGERS = 1_000;
const GROUPS_MB = [1, 2, 4, 8, 16, 32, 64];
const CODECS: CompressionSpec[] = [
  { codec: 'zstd', level: 1 },
  { codec: 'zstd', level: 3 },
  { codec: 'zstd', level: 6 },
  { codec: 'zstd', level: 9 },
  { codec: 'snappy', level: 0 },
  { codec: 'none', level: 0 },
];
const work = mkdtempSync(join(tmpdir(), 'bronze-layout-'));
const file = join(work, 'f.parquet');

interface Row {
  readonly facts: LedgerFacts;
  readonly xdr: Buffer;
}

async function readLedgers(): Promise<Row[]> {
  const lake = existsSync(SHARED)
    ? realLake(values.lakes ?? work, '2026', 1_500)
    : await madeLake(join(work, 'lake'), LEDGERS + 1);
  const source = openSource({ mode: 'local', path: lake.path, configured: null });
  const { signal } = new AbortController();
  const frames = new FrameDecompressor();
  const arena = new Arena();
  const checker = new LedgerChecker({ results: true });
  const rows: Row[] = [];
  const range = { start: lake.start, end: lake.start + LEDGERS - 1 };
  for await (const batch of source.read(await source.open(signal), range, signal)) {
    for (const { key, named, bytes } of batch) {
      arena.reset();
      const extent = frames.decompressInto(arena, bytes, key);
      checkBatch(arena.bytes, extent, named, checker, (facts, start, end) =>
        rows.push({ facts, xdr: Buffer.from(arena.bytes.subarray(start, end)) }),
      );
    }
  }
  return rows;
}

const memory = new PageMemory();

async function write(rows: readonly Row[], compression: CompressionSpec, bytes: number) {
  const out = openSync(file, 'w');
  const before = process.cpuUsage();
  const chain = { network: 'pubnet', eraId: 'bench', versionLabel: 'v1' };
  const range = { start: rows[0]?.facts.sequence ?? 0, end: rows.at(-1)?.facts.sequence ?? 0 };
  const writer = new LedgerParquetWriter(
    { chain, range, compressor: pageCompressor(compression), rowGroup: { ...ROW_GROUP, bytes } },
    { write: (chunk) => void writeSync(out, chunk) },
    memory,
  );
  for (const { facts, xdr } of rows) writer.add(facts, xdr);
  const written = await writer.finish();
  const { user, system } = process.cpuUsage(before);
  closeSync(out);
  return { byteSize: written.byteSize, seconds: (user + system) / 1e6 };
}

/** Median milliseconds of each query, on a file that is in the page cache. */
async function read(rows: readonly Row[]): Promise<{ scanMs: number; pointMs: number; tenMs: number }> {
  const duck = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await duck.connect();
  const middle = rows.length >> 1;
  const time = (at: number): string => `to_timestamp(${Number(rows[at]?.facts.closeTimeMs) / 1e3})`;
  const ms = async (sql: string): Promise<number> => {
    const all: number[] = [];
    for (let run = 0; run <= 2 * runs; run++) {
      const began = performance.now();
      await connection.runAndReadAll(sql);
      if (run > 0) all.push(performance.now() - began);
    }
    return median(all);
  };
  try {
    return {
      scanMs:
        (await ms(`SELECT sum(tx_count), max(close_time), max(ledger_hash), max(tx_set_hash) FROM '${file}'`)) /
        (rows.length / 1e3),
      pointMs: await ms(
        `SELECT sha256(xdr_bytes) FROM '${file}' WHERE ledger_sequence = ${rows[middle]?.facts.sequence}`,
      ),
      tenMs: await ms(
        `SELECT max(sha256(xdr_bytes)) FROM '${file}'
         WHERE close_time BETWEEN ${time(middle)} AND ${time(middle + 9)}`,
      ),
    };
  } finally {
    connection.closeSync();
    duck.closeSync();
  }
}

try {
  const rows = await readLedgers();
  const raw = rows.reduce((sum, { xdr }) => sum + xdr.length, 0);
  const figures: LayoutFigures[] = [];
  const measure = async (compression: CompressionSpec, rowGroupMB: number): Promise<void> => {
    const speeds: number[] = [];
    let size = 0;
    for (let run = 0; run <= runs; run++) {
      const { byteSize, seconds } = await write(rows, compression, rowGroupMB * 1e6);
      size = byteSize;
      if (run > 0) speeds.push(raw / 1e6 / seconds);
    }
    const { codec, level } = compression;
    const rounded = (value: number): number => Number(value.toPrecision(3));
    const { scanMs, pointMs, tenMs } = await read(rows);
    figures.push({
      rowGroupMB,
      codec: codec === 'zstd' ? `zstd-${level}` : codec,
      writeMBps: rounded(median(speeds)),
      ratio: rounded(raw / size),
      scanMs: rounded(scanMs),
      pointMs: rounded(pointMs),
      tenMs: rounded(tenMs),
    });
    console.log(figures.at(-1));
  };
  for (const size of GROUPS_MB) await measure({ codec: 'zstd', level: 3 }, size);
  for (const codec of CODECS) if (codec.level !== 3) await measure(codec, ROW_GROUP.bytes / 1e6);
  record('layout', { ledgers: rows.length, rawMB: Math.round(raw / 1e6), figures } satisfies Layout, values.save);
} finally {
  rmSync(work, { recursive: true, force: true });
}
