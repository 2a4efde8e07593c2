/**
 * What every column must say, by column definition: 2 is this program's (actors/bronze/columns.ts), 1 the old
 * program's. The one place that knows how they differ. No value comes from a file: everything follows from the ledger.
 */
import type { SchemaElement } from 'hyparquet';
import { type ChainValues, COLUMNS } from '../bronze/columns.ts';
import type { ChainName } from '../bronze/names.ts';
import type { LedgerFacts } from '../check/ledger-checker.ts';
import { WalkRecord } from '../check/walk-record.ts';
import { walkLedger } from '../check/walker.gen.ts';
import type { PhysicalType } from './parquet-values.ts';

/** The bytes of a ledger in memory. */
interface LedgerBytes {
  readonly buffer: Buffer;
  readonly start: number;
  readonly end: number;
}

/** How a column's value follows from a ledger. `any`: it is not said by the ledger, only its type is held. */
type ExpectedValue =
  | { readonly kind: 'int64'; readonly of: (facts: LedgerFacts, ledger: LedgerBytes) => bigint }
  | { readonly kind: 'int32'; readonly of: (facts: LedgerFacts, ledger: LedgerBytes) => number }
  | { readonly kind: 'text'; readonly of: (facts: LedgerFacts) => string }
  | { readonly kind: 'xdr' }
  | { readonly kind: 'any' };

export interface ExpectedColumn {
  readonly name: string;
  readonly type: PhysicalType;
  readonly element: SchemaElement;
  readonly value: ExpectedValue;
}

const chainValues = (chain: ChainName): ChainValues => ({
  bronze_version: chain.versionLabel,
  era_id: chain.eraId,
  network: chain.network,
});

function columnsTwo(chain: ChainName): ExpectedColumn[] {
  const constants = chainValues(chain);
  return COLUMNS.map(({ element, values }): ExpectedColumn => {
    const base = { name: element.name, type: element.type, element };
    if (values.kind === 'hex') return { ...base, value: { kind: 'text', of: values.of } };
    if (values.kind !== 'chain') return { ...base, value: values };
    const text = constants[values.of];
    return { ...base, value: { kind: 'text', of: () => text } };
  });
}

/** The old program's integers: all carry the converted and the logical type. */
function integerElement(name: string, type: 'INT32' | 'INT64', isSigned: boolean): SchemaElement {
  const bitWidth = type === 'INT32' ? 32 : 64;
  return {
    name,
    type,
    repetition_type: 'REQUIRED',
    converted_type: `${isSigned ? 'INT' : 'UINT'}_${bitWidth}`,
    logical_type: { type: 'INTEGER', bitWidth, isSigned },
  };
}

const UNSIGNED: ReadonlySet<string> = new Set(['ledger_sequence', 'protocol_version']);

/** Definition 1 as far as it differs: unsigned sequence and protocol, its own operation count, the wall clock. */
function columnsOne(chain: ChainName): ExpectedColumn[] {
  return columnsTwo(chain).map((column): ExpectedColumn => {
    const { name, type, element } = column;
    if (name === 'ingested_at') return { ...column, value: { kind: 'any' } };
    if (type === 'BYTE_ARRAY' || element.logical_type?.type === 'TIMESTAMP') return column;
    const integer = { ...column, element: integerElement(name, type, !UNSIGNED.has(name)) };
    if (name !== 'operation_count') return integer;
    return { ...integer, value: { kind: 'int32', of: oldOperationCount } };
  });
}

/** TransactionResultCode txSUCCESS and txFAILED: the two whose results list operations. */
const TX_SUCCESS = 0;
const TX_FAILED = -1;
/** In a TransactionResultPair: the hash and feeCharged stand before the code, the number of results after it. */
const CODE_AT = 32 + 8;

const record = new WalkRecord();

/**
 * How the old program counted: in V0 the envelopes' operations, from V1 on the operations in the outer results, so that
 * a fee-bump, whose results are the inner transaction's, counts nothing.
 */
function oldOperationCount(facts: LedgerFacts, ledger: LedgerBytes): number {
  if (facts.lcmVersion === 0) return facts.operationCount;
  const { buffer, start, end } = ledger;
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  walkLedger(view, start, end, record);
  let count = 0;
  for (let i = 0; i < record.pairCount; i += 1) {
    const code = (record.pairs[2 * i] as number) + CODE_AT;
    const result = view.getInt32(code);
    if (result === TX_SUCCESS || result === TX_FAILED) count += view.getUint32(code + 4);
  }
  return count;
}

/** All 17 columns, in the order of the file. */
export const expectedColumns = (definition: 1 | 2, chain: ChainName): readonly ExpectedColumn[] =>
  definition === 2 ? columnsTwo(chain) : columnsOne(chain);
