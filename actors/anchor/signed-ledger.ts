/**
 * What one ledger says about the ledger before it, from its bytes alone, and by whom (docs/anchors.md): its signed
 * value names the transaction set, and the set names the previous ledger's hash. For who proves one ledger to somebody
 * else; a copy has the same from `LedgerChecker`. A signer is named only where the signature was verified.
 */
import { LedgerChecker } from '../check/ledger-checker.ts';

/** Offsets count from the first byte of the LedgerCloseMeta. */
export interface SignedLedger {
  readonly sequence: number;
  /** Hex. */
  readonly ledgerHash: string;
  /** Hex: what header and set name, and what the signer vouches for. */
  readonly previousLedgerHash: string;
  /** Hex. */
  readonly txSetHash: string;
  /** Seconds since 1970. */
  readonly closeTime: bigint;
  /** Where the LedgerHeader lies: its SHA-256 is `ledgerHash`, and it holds the signed value. */
  readonly header: { readonly start: number; readonly end: number };
  /** Where the transaction set lies, and its form: that of LedgerCloseMetaV0, or a GeneralizedTransactionSet. */
  readonly txSet: { readonly start: number; readonly end: number; readonly form: 'v0' | 'generalized' };
  /** Null where it is not signed, or signs a set that is not there (CAP-83): then nobody vouches for anything. */
  readonly value: {
    /** Public key of the validator, G…. */
    readonly signer: string;
    /** 32 bytes. */
    readonly nodeId: Uint8Array;
    /** 64 bytes. */
    readonly signature: Uint8Array;
  } | null;
}

/**
 * Reads and checks one ledger as a copy does, signature included.
 * @param xdr one LedgerCloseMeta and nothing else
 * @param passphrase of the network that it is said to be of
 * @throws BronzeError as `LedgerChecker.check` does, SIGNATURE_INVALID among it
 */
export function readSignedLedger(xdr: Uint8Array, sequence: number, passphrase: string): SignedLedger {
  const checker = new LedgerChecker({ results: true, networkPassphrase: passphrase });
  const facts = checker.check(xdr, 0, xdr.length, sequence);
  const { header, txSet, signature } = checker.places();
  return {
    sequence,
    ledgerHash: facts.ledgerHash,
    previousLedgerHash: facts.previousLedgerHash,
    txSetHash: facts.txSetHash,
    closeTime: facts.closeTimeMs / 1000n,
    header,
    txSet: { ...txSet, form: facts.lcmVersion === 0 ? 'v0' : 'generalized' },
    value:
      facts.signer === null || signature === null
        ? null
        : {
            signer: facts.signer,
            nodeId: xdr.slice(signature.nodeId, signature.nodeId + 32),
            signature: xdr.slice(signature.bytes, signature.bytes + 64),
          },
  };
}
