/**
 * Small made-up ledgers with right hashes, built with the SDK: for tests that need no real data, and for what real data
 * does not have. Nothing in them is meaningful beyond what their hashes and counts say.
 */
import { createHash } from 'node:crypto';
import {
  GeneralizedTransactionSet,
  LedgerCloseMeta,
  LedgerHeader,
  TransactionEnvelope,
  TransactionResultSet,
} from '@stellar/stellar-sdk/xdr';
import type { Ledger } from './oracle.ts';

type Envelope = ReturnType<typeof TransactionEnvelope.schema.decode>;
type GeneralizedSet = ReturnType<typeof GeneralizedTransactionSet.schema.decode>;
type Phase = GeneralizedSet['v1TxSet']['phases'][number];
type Header = ReturnType<typeof LedgerHeader.schema.decode>;
type Pair = ReturnType<typeof TransactionResultSet.schema.decode>['results'][number];

export const fill = (byte: number, length = 32): Buffer => Buffer.alloc(length, byte);
const sha256 = (...parts: Uint8Array[]): Buffer => {
  const h = createHash('sha256');
  for (const p of parts) h.update(p);
  return h.digest();
};
const repeat = <T>(n: number, value: T): T[] => Array.from({ length: n }, () => value);

const account = { type: 0, ed25519: fill(7) } as const;
/** Operation type 9, inflation: the one without a body. */
const operation = { sourceAccount: null, body: { type: 9 } } as const;
const signature = { hint: fill(1, 4), signature: fill(2, 64) } as const;

const v1 = (operations: number): Extract<Envelope, { type: 2 }>['v1'] => ({
  tx: {
    sourceAccount: account,
    fee: 100,
    seqNum: 1n,
    cond: { type: 0 },
    memo: { type: 0 },
    operations: repeat(operations, operation),
    ext: { v: 0 },
  },
  signatures: [signature],
});

/** An envelope of each kind with so many operations. */
export const envelopeV0 = (operations: number): Envelope => ({
  type: 0,
  v0: {
    tx: {
      sourceAccountEd25519: fill(7),
      fee: 100,
      seqNum: 1n,
      timeBounds: null,
      memo: { type: 0 },
      operations: repeat(operations, operation),
      ext: { v: 0 },
    },
    signatures: [signature],
  },
});
export const envelopeV1 = (operations: number): Envelope => ({ type: 2, v1: v1(operations) });
export const feeBump = (operations: number): Envelope => ({
  type: 5,
  feeBump: {
    tx: { feeSource: account, fee: 400n, innerTx: { type: 2, v1: v1(operations) }, ext: { v: 0 } },
    signatures: [signature],
  },
});

export const component = (...txs: Envelope[]): Phase => ({
  v: 0,
  v0Components: [{ type: 0, txsMaybeDiscountedFee: { baseFee: null, txs } }],
});
export const parallel = (...stages: Envelope[][][]): Phase => ({
  v: 1,
  parallelTxsComponent: { baseFee: 100n, executionStages: stages },
});

export interface Making {
  readonly version: 0 | 1 | 2;
  readonly sequence: number;
  readonly previousHash?: Uint8Array;
  readonly protocol?: number;
  /** V0: the set's envelopes. */
  readonly txs?: Envelope[];
  /** V1, V2: the set's phases. */
  readonly phases?: Phase[];
  /** Number of results; all of transactions that failed. */
  readonly results?: number;
  /** Seconds. */
  readonly closeTime?: bigint;
  /** CAP-83: a zero transaction-set hash and the proposed value. */
  readonly dropped?: { readonly previousHash?: Uint8Array; readonly previousVersion?: number };
  /** What the set names as its previous ledger, where that is not the header's. */
  readonly setPrevious?: Uint8Array;
  /** Signs the value; without it there is a signature, and nobody's. */
  readonly sign?: (txSetHash: Uint8Array, closeTime: bigint) => { nodeId: Uint8Array; signature: Uint8Array };
  /** The value has no signature, as before protocol 14. */
  readonly unsigned?: true;
  /** Changes the header before it is hashed. */
  readonly header?: Partial<Header>;
  readonly txSetHash?: Uint8Array;
}

/** The XDR of a LedgerCloseMeta whose hashes are right unless the making says otherwise. */
export function makeLedger(making: Making): Buffer {
  const previousLedgerHash = making.previousHash ?? fill(0x11);
  const setPrevious = making.setPrevious ?? previousLedgerHash;
  const { txs = [], phases = [] } = making;
  const set: GeneralizedSet = { v: 1, v1TxSet: { previousLedgerHash: setPrevious, phases } };
  const setHash =
    making.version === 0
      ? sha256(setPrevious, ...txs.map((tx) => TransactionEnvelope.schema.encode(tx)))
      : sha256(GeneralizedTransactionSet.schema.encode(set));
  // Result code -5: the sequence number was wrong.
  const pairs = repeat(making.results ?? 0, {
    transactionHash: fill(3),
    result: { feeCharged: 100n, result: { code: -5 }, ext: { v: 0 } },
  }) as Pair[];
  const closeTime = making.closeTime ?? 1_700_000_000n;
  const signed = making.sign?.(making.txSetHash ?? setHash, closeTime) ?? { nodeId: fill(8), signature: fill(5, 64) };
  const lcValueSignature = { nodeId: { type: 0, ed25519: signed.nodeId }, signature: signed.signature };
  const { dropped } = making;
  const header = {
    ledgerVersion: making.protocol ?? 28,
    previousLedgerHash,
    scpValue: {
      txSetHash: making.txSetHash ?? (dropped ? fill(0) : setHash),
      closeTime,
      upgrades: [],
      ext: dropped
        ? {
            v: 2,
            proposedValue: {
              txSetHash: fill(9),
              previousLedgerHash: dropped.previousHash ?? previousLedgerHash,
              previousLedgerVersion: dropped.previousVersion ?? 28,
              lcValueSignature,
            },
          }
        : making.unsigned
          ? { v: 0 }
          : { v: 1, lcValueSignature },
    },
    txSetResultHash: sha256(TransactionResultSet.schema.encode({ results: pairs })),
    bucketListHash: fill(4),
    ledgerSeq: making.sequence,
    totalCoins: 1_000_000_000_000_000_000n,
    feePool: 12_345n,
    inflationSeq: 0,
    idPool: 0n,
    baseFee: 100,
    baseReserve: 5_000_000,
    maxTxSetSize: 100,
    skipList: repeat(4, fill(0)),
    ext: { v: 0 },
    ...making.header,
  } as Header;
  const ledgerHeader = { hash: sha256(LedgerHeader.schema.encode(header)), header, ext: { v: 0 } };
  const meta = { v: 0, operations: [] };
  const common = { upgradesProcessing: [], scpInfo: [] };
  const processing = pairs.map((result) => ({ result, feeProcessing: [], txApplyProcessing: meta }));
  const generalized = { ...common, ext: { v: 0 }, ledgerHeader, txSet: set, totalByteSizeOfLiveSorobanState: 0n };
  const bodies = {
    0: {
      v: 0,
      v0: { ...common, ledgerHeader, txSet: { previousLedgerHash: setPrevious, txs }, txProcessing: processing },
    },
    1: { v: 1, v1: { ...generalized, txProcessing: processing, evictedKeys: [], unused: [] } },
    2: {
      v: 2,
      v2: {
        ...generalized,
        txProcessing: processing.map((p) => ({ ...p, ext: { v: 0 }, postTxApplyFeeProcessing: [] })),
        evictedKeys: [],
      },
    },
  };
  return Buffer.from(LedgerCloseMeta.schema.encode(bodies[making.version] as Ledger));
}

/** Hash of a ledger made here: what the next one's previousHash must be. */
export const hashOf = (ledger: Buffer): Buffer => {
  const decoded = LedgerCloseMeta.schema.decode(ledger);
  const body = decoded.v === 0 ? decoded.v0 : decoded.v === 1 ? decoded.v1 : decoded.v2;
  return Buffer.from(body.ledgerHeader.hash);
};

/** The XDR of a LedgerCloseMetaBatch. */
export function makeBatch(start: number, end: number, ledgers: readonly Buffer[], count = ledgers.length): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(start, 0);
  head.writeUInt32BE(end, 4);
  head.writeUInt32BE(count, 8);
  return Buffer.concat([head, ...ledgers]);
}
