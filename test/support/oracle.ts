/**
 * What the SDK's full decode says of a ledger: the oracle that the walker and the checker are compared with. It shares
 * no code with them: fields come from decoded objects, extents and hashes from re-encoding those.
 */
import { createHash } from 'node:crypto';
import {
  GeneralizedTransactionSet,
  LedgerCloseMeta,
  LedgerHeader,
  TransactionEnvelope,
  TransactionResultPair,
  TransactionResultSet,
  TransactionSet,
} from '@stellar/stellar-sdk/xdr';
import type { LedgerFacts } from '../../actors/check/ledger-checker.ts';
import { SLOT, type WalkRecord } from '../../actors/check/walk-record.ts';

export type Ledger = ReturnType<typeof LedgerCloseMeta.schema.decode>;
type Envelope = ReturnType<typeof TransactionEnvelope.schema.decode>;

const sha256 = (...parts: Uint8Array[]): string => {
  const h = createHash('sha256');
  for (const p of parts) h.update(p);
  return h.digest('hex');
};
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Whether the SDK decodes all of `bytes`. Anything but its own error is thrown on. */
export const sdkAccepts = (bytes: Uint8Array): boolean => LedgerCloseMeta.schema.validateXdr(bytes);

export const sdkDecode = (bytes: Uint8Array): Ledger => LedgerCloseMeta.schema.decode(bytes);

function envelopesOf(ledger: Ledger): Envelope[] {
  if (ledger.v === 0) return [...ledger.v0.txSet.txs];
  const { txSet } = ledger.v === 1 ? ledger.v1 : ledger.v2;
  return txSet.v1TxSet.phases.flatMap((phase): Envelope[] => {
    if (phase.v === 0) return phase.v0Components.flatMap((c) => [...c.txsMaybeDiscountedFee.txs]);
    return phase.parallelTxsComponent.executionStages.flatMap((stage) => stage.flatMap((cluster) => [...cluster]));
  });
}

function operationsOf(envelope: Envelope): number {
  switch (envelope.type) {
    case 0:
      return envelope.v0.tx.operations.length;
    case 2:
      return envelope.v1.tx.operations.length;
    case 5:
      return envelope.feeBump.tx.innerTx.v1.tx.operations.length;
  }
}

const bodyOf = (ledger: Ledger) => (ledger.v === 0 ? ledger.v0 : ledger.v === 1 ? ledger.v1 : ledger.v2);
const setBytes = (ledger: Ledger): Uint8Array =>
  ledger.v === 0
    ? TransactionSet.schema.encode(ledger.v0.txSet)
    : GeneralizedTransactionSet.schema.encode((ledger.v === 1 ? ledger.v1 : ledger.v2).txSet);

const oracleCounts = (ledger: Ledger): [number, number] => {
  const envelopes = envelopesOf(ledger);
  return [envelopes.length, envelopes.reduce((sum, e) => sum + operationsOf(e), 0)];
};

/** The columns of a ledger. */
export function oracleFacts(ledger: Ledger, bytes: Uint8Array): LedgerFacts {
  const { hash, header } = bodyOf(ledger).ledgerHeader;
  const [txCount, operationCount] = oracleCounts(ledger);
  const xdrSha256 = sha256(bytes);
  return {
    sequence: header.ledgerSeq,
    lcmVersion: ledger.v,
    ledgerHash: hex(hash),
    previousLedgerHash: hex(header.previousLedgerHash),
    txSetHash: hex(header.scpValue.txSetHash),
    closeTimeMs: header.scpValue.closeTime * 1000n,
    protocolVersion: header.ledgerVersion,
    totalCoins: header.totalCoins,
    feePool: header.feePool,
    txCount,
    operationCount,
    xdrByteLength: bytes.length,
    xdrSha256,
    xdrDigest: Buffer.from(xdrSha256, 'hex'),
    signer: null,
  };
}

/** The hashes that the body has, beside those that the header says. */
export function oracleHashes(ledger: Ledger) {
  const body = bodyOf(ledger);
  const { hash, header } = body.ledgerHeader;
  const set =
    ledger.v === 0
      ? sha256(
          ledger.v0.txSet.previousLedgerHash,
          ...ledger.v0.txSet.txs.map((tx) => TransactionEnvelope.schema.encode(tx)),
        )
      : sha256(setBytes(ledger));
  const results = TransactionResultSet.schema.encode({ results: body.txProcessing.map((p) => p.result) });
  return {
    header: [hex(hash), sha256(LedgerHeader.schema.encode(header))],
    txSet: [hex(header.scpValue.txSetHash), set],
    results: [hex(header.txSetResultHash), sha256(results)],
  };
}

/** What a walk noted, read out of the bytes at the noted places; for comparison with `oracleNotes`. */
export function walkNotes(bytes: Buffer, record: WalkRecord) {
  const at = (slot: number): number => record.at[slot] as number;
  const bytes32 = (slot: number): string | null =>
    at(slot) === -1 ? null : bytes.toString('hex', at(slot), at(slot) + 32);
  const uint32 = (slot: number): number | null => (at(slot) === -1 ? null : bytes.readUInt32BE(at(slot)));
  return {
    ledgerHash: bytes32(SLOT.ledgerHash),
    header: bytes.toString('hex', at(SLOT.headerStart), at(SLOT.headerEnd)),
    ledgerVersion: uint32(SLOT.ledgerVersion),
    previousLedgerHash: bytes32(SLOT.previousLedgerHash),
    txSetHash: bytes32(SLOT.txSetHash),
    closeTime: bytes.readBigUInt64BE(at(SLOT.closeTime)),
    proposedPreviousHash: bytes32(SLOT.proposedPreviousHash),
    proposedPreviousVersion: uint32(SLOT.proposedPreviousVersion),
    txSetResultHash: bytes32(SLOT.txSetResultHash),
    ledgerSeq: uint32(SLOT.ledgerSeq),
    totalCoins: bytes.readBigInt64BE(at(SLOT.totalCoins)),
    feePool: bytes.readBigInt64BE(at(SLOT.feePool)),
    txSet: bytes.toString('hex', at(SLOT.txSetStart), at(SLOT.txSetEnd)),
    envelopeCount: uint32(SLOT.envelopeCount),
    txCount: at(SLOT.txCount),
    operationCount: at(SLOT.operationCount),
    pairs: Array.from({ length: record.pairCount }, (_, i) =>
      bytes.toString('hex', record.pairs[2 * i], record.pairs[2 * i + 1]),
    ),
  };
}

export function oracleNotes(ledger: Ledger): ReturnType<typeof walkNotes> {
  const body = bodyOf(ledger);
  const { hash, header } = body.ledgerHeader;
  const { ext } = header.scpValue;
  const [txCount, operationCount] = oracleCounts(ledger);
  return {
    ledgerHash: hex(hash),
    header: hex(LedgerHeader.schema.encode(header)),
    ledgerVersion: header.ledgerVersion,
    previousLedgerHash: hex(header.previousLedgerHash),
    txSetHash: hex(header.scpValue.txSetHash),
    closeTime: header.scpValue.closeTime,
    proposedPreviousHash: ext.v === 2 ? hex(ext.proposedValue.previousLedgerHash) : null,
    proposedPreviousVersion: ext.v === 2 ? ext.proposedValue.previousLedgerVersion : null,
    txSetResultHash: hex(header.txSetResultHash),
    ledgerSeq: header.ledgerSeq,
    totalCoins: header.totalCoins,
    feePool: header.feePool,
    txSet: hex(setBytes(ledger)),
    envelopeCount: ledger.v === 0 ? ledger.v0.txSet.txs.length : null,
    txCount,
    operationCount,
    pairs: body.txProcessing.map((p) => hex(TransactionResultPair.schema.encode(p.result))),
  };
}
