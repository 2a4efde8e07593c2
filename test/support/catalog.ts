/**
 * Made-up records for catalogs, and the embedded catalog as others see it: an analyst's query, a program that holds it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DuckDBConnection, DuckDBInstance, DuckDBTimestampValue } from '@duckdb/node-api';
import { openEmbedded } from '../../actors/catalog/embedded.ts';
import type { DatasetName, LineageRow, PartitionRecord } from '../../actors/ports/catalog.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { HeldUnderTest, SeenRow } from '../conformance/catalog.ts';
import { CHAIN, hex, TABLE, tempFolder } from './bronze.ts';

export const DATASET: DatasetName = { domain: 'bronze.mainnet', dataset: TABLE, chain: CHAIN };

/** A record that follows from its range alone; `over` replaces fields. */
export function recordOf(range: LedgerRange, over: Partial<PartitionRecord> = {}): PartitionRecord {
  const { start, end } = range;
  const path = `bronze/pubnet/pre_p23/v1/${TABLE}/range=${start}-${end}/part-${start}-${end}.parquet`;
  return {
    range,
    rowCount: end - start + 1,
    byteSize: 1000 + start,
    checksum: `sha256:${hex(`data ${start}-${end}`)}`,
    prevHash: start === 2 ? null : `sha256:${hex(`data before ${start}`)}`,
    storagePath: path,
    storageUri: `file:///data/${path}`,
    pasEventId: `pas_evt_${hex(`event ${start}`).slice(0, 16)}`,
    producerVersion: '2.0.0',
    producerGitSha: 'abc',
    sourceType: 'local',
    sourceLocation: 'file:///lake/',
    createdAt: new Date(Date.UTC(2026, 0, 2) + start * 1000).toISOString().replace('Z', '456789Z'),
    checks: { links: true, results: false },
    columns: 2,
    ...over,
  };
}

/** What `rows` answers of a record. */
export const lineageOf = (record: PartitionRecord): LineageRow => ({
  range: record.range,
  rowCount: record.rowCount,
  byteSize: record.byteSize,
  checksum: record.checksum,
  prevHash: record.prevHash,
  storagePath: record.storagePath,
  storageUri: record.storageUri,
  pasEventId: record.pasEventId,
});

export const catalogFile = (dir: string): string => join(dir, 'catalog.duckdb');

let analyst: Promise<DuckDBInstance> | null = null;

/** One after the other: the name that a file is attached by is the engine's. */
let turn: Promise<unknown> = Promise.resolve();

/** Opens the file for a moment, while the program has not; by another name than the program does. */
function asAnalyst<T>(dir: string, mode: string, work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  const mine = turn.then(() => attached(dir, mode, work));
  turn = mine.catch(() => undefined);
  return mine;
}

async function attached<T>(dir: string, mode: string, work: (connection: DuckDBConnection) => Promise<T>): Promise<T> {
  analyst ??= DuckDBInstance.create(':memory:');
  const connection = await (await analyst).connect();
  try {
    await connection.run(`ATTACH '${catalogFile(dir)}' AS mine (${mode})`);
    await connection.run('USE mine');
    return await work(connection);
  } finally {
    await connection.run('USE memory');
    await connection.run('DETACH DATABASE IF EXISTS mine');
    connection.closeSync();
  }
}

/** What an analyst sees. */
export function queryCatalog(dir: string, sql: string): Promise<SeenRow[]> {
  return asAnalyst(dir, 'READ_ONLY', async (connection) => {
    const rows = (await connection.runAndReadAll(sql)).getRowObjects();
    return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, plain(value)])));
  });
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  return value instanceof DuckDBTimestampValue ? new Date(Number(value.micros / 1000n)) : value;
}

/** Changes the file behind the program's back. */
export function changeCatalog(dir: string, ...statements: readonly string[]): Promise<void> {
  return asAnalyst(dir, 'READ_WRITE', async (connection) => {
    for (const sql of statements) await connection.run(sql);
  });
}

/** Another process has the file open until the answer is called. */
export async function holdCatalog(dir: string, mode: 'READ_ONLY' | 'READ_WRITE'): Promise<() => Promise<void>> {
  const script = fileURLToPath(new URL('./duckdb-holder.mjs', import.meta.url));
  const holder = spawn(process.execPath, [script, catalogFile(dir), mode], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'exit');
  await Promise.race([
    once(holder.stdout, 'data'),
    ended.then(() => Promise.reject(new Error('the holder could not open the catalog'))),
  ]);
  return async () => {
    holder.stdin.end();
    await ended;
  };
}

export async function embeddedUnderTest(): Promise<HeldUnderTest> {
  const dir = join(tempFolder(), 'state', 'catalog');
  return {
    open: () => openEmbedded({ backend: 'embedded', dir }),
    query: (sql) => queryCatalog(dir, sql),
    hold: () => holdCatalog(dir, 'READ_WRITE'),
  };
}
