/**
 * Reads Parquet files of ours with two programs that share no code with the writer: DuckDB and arrow-rs.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { tableFromIPC } from 'apache-arrow';
import { readParquet } from 'parquet-wasm';

export type Row = Readonly<Record<string, unknown>>;

/** Answers of DuckDB; `FILE` in a statement stands for the file. Blobs come as hex, 64-bit integers as bigint. */
export async function queryWithDuckDb(file: Uint8Array, statement: string): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'parquet-'));
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    const path = join(folder, 'file.parquet');
    writeFileSync(path, file);
    const reader = await connection.runAndReadAll(statement.replaceAll('FILE', `'${path}'`));
    return reader.getRowObjects();
  } finally {
    connection.closeSync();
    instance.closeSync();
    rmSync(folder, { recursive: true });
  }
}

/** All rows, and the columns with their Arrow types. Timestamps come as milliseconds, binaries as hex. */
export function readWithArrow(file: Uint8Array): { columns: string[]; rows: Row[] } {
  const table = tableFromIPC(readParquet(file).intoIPCStream());
  const columns = table.schema.fields.map((f) => `${f.name} ${f.type}${f.nullable ? '' : ' NOT NULL'}`);
  const rows = table.toArray().map((row) => {
    const values = Object.entries(row.toJSON() as Record<string, unknown>);
    return Object.fromEntries(
      values.map(([name, value]) => [name, value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value]),
    );
  });
  return { columns, rows };
}
