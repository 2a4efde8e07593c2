/**
 * What one walk over a LedgerCloseMeta leaves behind: where the fields lie that the checks and the columns need.
 * The generated walker writes it, the checker reads it. It holds offsets and counts only, never bytes of a ledger.
 */

/**
 * Places in `WalkRecord.at`. Unless said otherwise the value is the offset of the field's first byte, counted from the
 * first byte of the walked buffer (not of the ledger). A slot that the ledger has no field for is -1.
 */
export const SLOT = {
  /** LedgerHeaderHistoryEntry.hash: 32 bytes. */
  ledgerHash: 0,
  /** First byte of the LedgerHeader. */
  headerStart: 1,
  /** First byte after the LedgerHeader. */
  headerEnd: 2,
  /** LedgerHeader.ledgerVersion: uint32. */
  ledgerVersion: 3,
  /** LedgerHeader.previousLedgerHash: 32 bytes. */
  previousLedgerHash: 4,
  /** StellarValue.txSetHash: 32 bytes. */
  txSetHash: 5,
  /** StellarValue.closeTime: uint64, seconds since 1970. */
  closeTime: 6,
  /** StellarValue.ext.proposedValue.previousLedgerHash: 32 bytes; only in the arm of CAP-83, else -1. */
  proposedPreviousHash: 7,
  /** StellarValue.ext.proposedValue.previousLedgerVersion: uint32; only in the arm of CAP-83, else -1. */
  proposedPreviousVersion: 8,
  /** LedgerHeader.txSetResultHash: 32 bytes. */
  txSetResultHash: 9,
  /** LedgerHeader.ledgerSeq: uint32. */
  ledgerSeq: 10,
  /** LedgerHeader.totalCoins: int64, stroops. */
  totalCoins: 11,
  /** LedgerHeader.feePool: int64, stroops. */
  feePool: 12,
  /** First byte of the TransactionSet (V0) or GeneralizedTransactionSet (V1, V2). */
  txSetStart: 13,
  /** First byte after it. */
  txSetEnd: 14,
  /** The element count in front of a V0 set's envelopes: uint32; -1 in V1 and V2. */
  envelopeCount: 15,
  /** Not an offset: transactions in the set. */
  txCount: 16,
  /** Not an offset: operations in the set's envelopes; a fee-bump counts its inner transaction's. */
  operationCount: 17,
  /** StellarValue.ext: int32, which arm of the value it is. */
  valueArm: 18,
  /** StellarValue.ext.lcValueSignature; only in the arm STELLAR_VALUE_SIGNED, else -1. */
  valueSignature: 19,
} as const;

export type SlotName = keyof typeof SLOT;

const FIRST_PAIRS = 2048;

/** Reused from ledger to ledger; owned by one thread. */
export class WalkRecord {
  /** By `SLOT`. Offsets stay below 2^31: larger buffers are refused before a walk. */
  readonly at = new Int32Array(Object.keys(SLOT).length);
  /** Extents of the TransactionResultPairs in the order of txProcessing: start, end, start, end. */
  pairs = new Int32Array(2 * FIRST_PAIRS);
  /** How many extents of `pairs` belong to this walk. */
  pairCount = 0;

  /** Forgets the last walk. */
  reset(): void {
    this.at.fill(-1);
    this.at[SLOT.txCount] = 0;
    this.at[SLOT.operationCount] = 0;
    this.pairCount = 0;
  }

  addPair(start: number, end: number): void {
    const i = 2 * this.pairCount++;
    if (i === this.pairs.length) {
      const more = new Int32Array(2 * i);
      more.set(this.pairs);
      this.pairs = more;
    }
    this.pairs[i] = start;
    this.pairs[i + 1] = end;
  }
}

/** Why bytes are not the XDR of a LedgerCloseMeta. Never leaves actors/check: the checker makes XDR_INVALID of it. */
export class XdrFault extends Error {
  /** Where in the walked buffer, roughly: the field or the construct around it. */
  readonly offset: number;

  constructor(reason: string, offset: number) {
    super(reason);
    this.name = 'XdrFault';
    this.offset = offset;
  }
}

/** Ends a walk. */
export function reject(reason: string, offset: number): never {
  throw new XdrFault(reason, offset);
}
