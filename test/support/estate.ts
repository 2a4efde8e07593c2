/**
 * Looks at Bronze from outside, sharing no code with the program: files with their hashes and inodes, rows through
 * DuckDB, and the contract's own arithmetic (RFC 8785, RFC 6962) written once more.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

const sha = (...parts: readonly (Uint8Array | string)[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export const sha256Hex = (bytes: Uint8Array | string): string => sha(bytes).toString('hex');

export interface FileFacts {
  readonly sha256: string;
  readonly size: number;
  readonly ino: number;
  readonly mtimeMs: number;
}

/** Every file below a folder by its relative path; none where there is no folder. */
export function filesIn(folder: string): Record<string, FileFacts> {
  if (!existsSync(folder)) return {};
  const paths = (readdirSync(folder, { recursive: true }) as string[]).sort();
  const files = paths.flatMap((path) => {
    const { size, ino, mtimeMs, ...stat } = statSync(join(folder, path));
    if ((stat.mode & 0o170000) === 0o040000) return [];
    return [[path, { sha256: sha256Hex(readFileSync(join(folder, path))), size, ino, mtimeMs }] as const];
  });
  return Object.fromEntries(files);
}

export const namesIn = (folder: string): string[] => Object.keys(filesIn(folder));

/** SHA-256 of every Parquet file below a folder, by relative path. */
export const parquetHashes = (folder: string): Record<string, string> =>
  Object.fromEntries(
    Object.entries(filesIn(folder)).flatMap(([path, { sha256 }]) =>
      path.endsWith('.parquet') ? [[path, sha256]] : [],
    ),
  );

// biome-ignore lint/suspicious/noExplicitAny: whatever stands in the file is what the test looks at
export const readJson = (...path: readonly string[]): any => JSON.parse(readFileSync(join(...path), 'utf8'));

export const TABLE = 'ledgers_lcm_raw';

/** Folders of partitions of a chain, as `start-end`, in ledger order; `state` tells what lies in them. */
export function partitionsOf(chain: string): { label: string; state: 'sealed' | 'published' | 'manifest' | 'empty' }[] {
  const table = join(chain, TABLE);
  if (!existsSync(table)) return [];
  const labels = readdirSync(table).map((name) => name.replace(/^range=/, ''));
  return labels
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
    .map((label) => {
      const data = existsSync(dataFile(chain, label));
      const manifest = existsSync(manifestFile(chain, label));
      return {
        label,
        state: data && manifest ? 'sealed' : data ? 'published' : manifest ? 'manifest' : 'empty',
      };
    });
}

/** Labels of what readers trust. */
export const sealedIn = (chain: string): string[] =>
  partitionsOf(chain).flatMap(({ label, state }) => (state === 'sealed' ? [label] : []));

export const dataFile = (chain: string, label: string): string =>
  join(chain, TABLE, `range=${label}`, `part-${label}.parquet`);
export const manifestFile = (chain: string, label: string): string =>
  join(chain, TABLE, `range=${label}`, '_manifest.json');
export const eventFile = (chain: string, sequence: number): string =>
  join(chain, '_audit', `${String(sequence).padStart(10, '0')}.json`);

/** Labels of the attested partitions, in order of the chain. */
export function attestedIn(chain: string): string[] {
  const audit = join(chain, '_audit');
  if (!existsSync(audit)) return [];
  return readdirSync(audit)
    .sort()
    .map((name) => readJson(audit, name).partition)
    .map(({ ledger_start, ledger_end }) => `${ledger_start}-${ledger_end}`);
}

/** `range` cut on the grid, as labels. */
export function grid(start: number, end: number, size: number, origin = 0): string[] {
  const labels: string[] = [];
  for (let from = start; from <= end; ) {
    const to = Math.min(end, origin + (Math.floor((from - origin) / size) + 1) * size - 1);
    labels.push(`${from}-${to}`);
    from = to + 1;
  }
  return labels;
}

/** Rows of all Parquet files below a folder, in ledger order, without the XDR; what DuckDB recomputes from it beside. */
export interface BronzeRow {
  readonly ledger_sequence: number;
  readonly ledger_hash: string;
  readonly previous_ledger_hash: string;
  readonly close_time_ms: number;
  readonly protocol_version: number;
  readonly total_coins: string;
  readonly fee_pool: string;
  readonly tx_set_hash: string;
  readonly tx_count: number;
  readonly operation_count: number;
  readonly xdr_byte_length: number;
  readonly xdr_sha256: string;
  readonly bronze_version: string;
  readonly era_id: string;
  readonly network: string;
  readonly ingested_at_ms: number;
  readonly recomputed_sha256: string;
  readonly recomputed_length: number;
}

async function query<T>(statement: string): Promise<T[]> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(statement)).getRowObjects() as T[];
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

export async function rowsIn(folder: string): Promise<BronzeRow[]> {
  const rows = await query<Record<string, unknown>>(
    `select cast(ledger_sequence as integer) as ledger_sequence, ledger_hash, previous_ledger_hash,
            cast(epoch_ms(close_time) as double) as close_time_ms, protocol_version,
            cast(total_coins as varchar) as total_coins, cast(fee_pool as varchar) as fee_pool, tx_set_hash,
            tx_count, operation_count, xdr_byte_length, xdr_sha256, bronze_version, era_id, network,
            cast(epoch_ms(ingested_at) as double) as ingested_at_ms,
            sha256(xdr_bytes) as recomputed_sha256, cast(octet_length(xdr_bytes) as integer) as recomputed_length
     from read_parquet('${folder}/**/*.parquet', hive_partitioning = false) order by ledger_sequence`,
  );
  return rows as unknown as BronzeRow[];
}

/** RFC 8785 for what events hold: objects, ASCII text, integers, null, true, false. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonical(inner)}`).join(',')}}`;
}

/** The text that an event is as a leaf of its log. */
export const canonicalEvent = (event: object): string => canonical(event);

/** The hash that an event must carry. */
export function eventHashOf(event: { chain: Record<string, unknown> }): string {
  const { event_hash: _, ...chain } = event.chain;
  return `sha256:${sha256Hex(canonical({ ...event, chain }))}`;
}

/** RFC 6962 Merkle tree hash over entries given as hex. */
export function merkleRoot(entries: readonly string[]): string {
  const hash = (from: number, to: number): Buffer => {
    const count = to - from;
    if (count === 1) return sha(Buffer.from([0]), Buffer.from(entries[from] as string, 'hex'));
    let left = 1;
    while (left * 2 < count) left *= 2;
    return sha(Buffer.from([1]), hash(from, from + left), hash(from + left, to));
  };
  return hash(0, entries.length).toString('hex');
}
