/**
 * The columns of `ledgers_lcm_raw`, definition 2 (contract, section 4): names, order and Parquet types, and what one
 * row of them is made of. It must never change what is written under COLUMNS_VERSION 2: readers and the proof of
 * reproducibility rely on it, so that a change is a new number.
 */
import type { SchemaElement } from 'hyparquet';
import type { LedgerFacts } from '../check/ledger-checker.ts';

/** What `_bronze.json`, manifests and footers record; 1 is the old program's definition. */
export const COLUMNS_VERSION = 2;

/** The values that are the same in every row of a chain, by column. */
export interface ChainValues {
  readonly bronze_version: string;
  readonly era_id: string;
  readonly network: string;
}

/**
 * Where a column's values come from. `int64`, `int32` and `hex` (64 lower-case digits) are facts of the ledger, `xdr` is
 * the ledger itself, `chain` is one value for the whole file.
 */
type ColumnValues =
  | { readonly kind: 'int64'; readonly of: (row: LedgerFacts) => bigint }
  | { readonly kind: 'int32'; readonly of: (row: LedgerFacts) => number }
  | { readonly kind: 'hex'; readonly of: (row: LedgerFacts) => string }
  | { readonly kind: 'xdr' }
  | { readonly kind: 'chain'; readonly of: keyof ChainValues };

export interface Column {
  readonly element: SchemaElement & { readonly type: 'INT32' | 'INT64' | 'BYTE_ARRAY' };
  readonly values: ColumnValues;
  /** Minimum and maximum of every row group stand in the footer, for readers that prune. */
  readonly statistics: boolean;
}

const int64 = (name: string, of: (row: LedgerFacts) => bigint, statistics = false): Column => ({
  element: { name, type: 'INT64', repetition_type: 'REQUIRED' },
  values: { kind: 'int64', of },
  statistics,
});

const int32 = (name: string, of: (row: LedgerFacts) => number): Column => ({
  element: { name, type: 'INT32', repetition_type: 'REQUIRED' },
  values: { kind: 'int32', of },
  statistics: false,
});

const string = (name: string, values: ColumnValues): Column => ({
  element: {
    name,
    type: 'BYTE_ARRAY',
    repetition_type: 'REQUIRED',
    converted_type: 'UTF8',
    logical_type: { type: 'STRING' },
  },
  values,
  statistics: false,
});

const hex = (name: string, of: (row: LedgerFacts) => string): Column => string(name, { kind: 'hex', of });

const chain = (name: keyof ChainValues): Column => string(name, { kind: 'chain', of: name });

/** TIMESTAMP(MILLIS, adjusted to UTC); the converted type is for readers older than logical types. */
const timestamp = (name: string, of: (row: LedgerFacts) => bigint, statistics: boolean): Column => ({
  element: {
    name,
    type: 'INT64',
    repetition_type: 'REQUIRED',
    converted_type: 'TIMESTAMP_MILLIS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  },
  values: { kind: 'int64', of },
  statistics,
});

const closeTime = (row: LedgerFacts): bigint => row.closeTimeMs;

/** All 17, in the order of the file. */
export const COLUMNS: readonly Column[] = [
  int64('ledger_sequence', (row) => BigInt(row.sequence), true),
  hex('ledger_hash', (row) => row.ledgerHash),
  hex('previous_ledger_hash', (row) => row.previousLedgerHash),
  timestamp('close_time', closeTime, true),
  int32('protocol_version', (row) => row.protocolVersion),
  int64('total_coins', (row) => row.totalCoins),
  int64('fee_pool', (row) => row.feePool),
  hex('tx_set_hash', (row) => row.txSetHash),
  int32('tx_count', (row) => row.txCount),
  int32('operation_count', (row) => row.operationCount),
  {
    element: { name: 'xdr_bytes', type: 'BYTE_ARRAY', repetition_type: 'REQUIRED' },
    values: { kind: 'xdr' },
    statistics: false,
  },
  int32('xdr_byte_length', (row) => row.xdrByteLength),
  hex('xdr_sha256', (row) => row.xdrSha256),
  chain('bronze_version'),
  chain('era_id'),
  chain('network'),
  // Equal to close_time, so that the same ledgers give the same bytes on any day.
  timestamp('ingested_at', closeTime, false),
];

/** The columns as Parquet sees them, under their root. */
export const SCHEMA: readonly SchemaElement[] = [
  { name: 'ledgers_lcm_raw', num_children: COLUMNS.length },
  ...COLUMNS.map((column) => column.element),
];
