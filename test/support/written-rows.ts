/** Rows for the Parquet writer that no ledger stands behind: facts with chosen values. */
import { createHash } from 'node:crypto';
import type { LedgerFacts } from '../../actors/check/ledger-checker.ts';

export interface RowInput {
  readonly facts: LedgerFacts;
  readonly xdr: Buffer;
}

const digest = (text: string | Uint8Array): Buffer => createHash('sha256').update(text).digest();

/** Facts of a ledger whose XDR would be `xdr`. */
export function makeFacts(sequence: number, xdr: Buffer, change: Partial<LedgerFacts> = {}): RowInput {
  const xdrDigest = digest(xdr);
  const facts: LedgerFacts = {
    sequence,
    lcmVersion: 2,
    ledgerHash: digest(`ledger ${sequence}`).toString('hex'),
    previousLedgerHash: digest(`ledger ${sequence - 1}`).toString('hex'),
    txSetHash: digest(`set ${sequence}`).toString('hex'),
    closeTimeMs: 1_700_000_000_000n + BigInt(sequence),
    protocolVersion: 23,
    totalCoins: 1_054_439_020_873_472_865n,
    feePool: 44_902_000_000n,
    txCount: sequence % 1000,
    operationCount: sequence % 10_000,
    xdrByteLength: xdr.length,
    xdrSha256: xdrDigest.toString('hex'),
    xdrDigest,
    signer: null,
    ...change,
  };
  return { facts, xdr };
}
