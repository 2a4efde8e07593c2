/**
 * Checks one ledger from its bytes alone and takes the columns out of it (contract, section 7): the XDR is whole, the
 * sequence is the one expected, and header, transaction set and results have the hashes that the header chain fixes.
 * It must never decode a ledger, never copy its bytes as a whole, and never return facts of a ledger that fails.
 */
import { createHash, hash } from 'node:crypto';
import { encodePublicKey } from '../../config/strkey.ts';
import { BronzeError, type Details, type ErrorCode } from '../../machines/errors.ts';
import { NODE_ID_BYTES, ValueVerifier } from './value-signature.ts';
import { SLOT, WalkRecord, XdrFault } from './walk-record.ts';
import { LEDGER_VERSIONS, walkLedger } from './walker.gen.ts';

export interface CheckOptions {
  /** Recompute the transaction-result-set hash as well. */
  readonly results: boolean;
  /** Lowest ledgerVersion let through; null or absent = no guard. */
  readonly protocolMin?: number | null;
  /** Highest ledgerVersion let through; null or absent = no guard. */
  readonly protocolMax?: number | null;
  /** Verify the signature of every signed value, as of this network; null or absent = no signature is looked at. */
  readonly networkPassphrase?: string | null;
}

/** What one checked ledger says; hashes are lower-case hex of 32 bytes. */
export interface LedgerFacts {
  readonly sequence: number;
  /** Discriminant of the LedgerCloseMeta union. */
  readonly lcmVersion: number;
  readonly ledgerHash: string;
  readonly previousLedgerHash: string;
  /** The header's; all zeros where consensus dropped the set (CAP-83). */
  readonly txSetHash: string;
  /** Milliseconds since 1970; fits an INT64. */
  readonly closeTimeMs: bigint;
  /** The header's ledgerVersion; fits an INT32. */
  readonly protocolVersion: number;
  /** Stroops. */
  readonly totalCoins: bigint;
  /** Stroops. */
  readonly feePool: bigint;
  /** Transactions in the ledger's transaction set. */
  readonly txCount: number;
  /** Operations in that set's envelopes, successful or not; a fee-bump counts its inner transaction's. */
  readonly operationCount: number;
  readonly xdrByteLength: number;
  /** Of the ledger's XDR as it stands in the lake. */
  readonly xdrSha256: string;
  /** The same hash, 32 raw bytes: what Merkle leaves are made of. */
  readonly xdrDigest: Buffer;
  /**
   * Public key (G…) of the validator that vouches for the ledger before this one, its signature verified. Null where the
   * ledger is not signed, or signs a set that is not there (CAP-83), or no signature was looked at.
   */
  readonly signer: string | null;
}

/** Offsets are kept in int32; the walker may overshoot the end by a little before it notices. */
const MAX_BUFFER = 2 ** 31 - 2 ** 20;
/** Up to here one copy and one call hash faster than two calls without a copy. */
const SMALL = 16 * 1024;
const HASH_BYTES = 32;
/** In LedgerCloseValueSignature: after the key's discriminant, and after key and length. */
const NODE_ID = 4;
const SIGNATURE = NODE_ID + NODE_ID_BYTES + 4;
const ZERO_HASH = '0'.repeat(2 * HASH_BYTES);
const INT32_MAX = 0x7fffffff;
/**
 * The last second that a date of ECMAScript holds, in the year 275760. An INT64 holds more, but most readers of Parquet
 * make dates of timestamps: what they cannot read must not be published.
 */
const MAX_SECONDS = 8_640_000_000_000n;

/** CAP-83: the ledger before an empty-tx-set ledger must already have this protocol. */
const EMPTY_TX_SET_PROTOCOL = 28;
/**
 * The transaction set that stellar-core makes for such a ledger, without its previousLedgerHash, which stands after the
 * first four bytes: GeneralizedTransactionSet v1 {previousLedgerHash, phases: [v0 [], v1 {baseFee: none, stages: []}]}.
 */
const EMPTY_SET_HEAD = '00000001';
const EMPTY_SET_TAIL = '000000020000000000000000000000010000000000000000';

const sha256Hex = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');

/** One per thread: buffers are reused from call to call. */
export class LedgerChecker {
  private readonly results: boolean;
  private readonly protocolMin: number;
  private readonly protocolMax: number;
  private readonly verifier: ValueVerifier | null;
  private readonly record = new WalkRecord();
  private scratch = new DataView(new ArrayBuffer(4 * SMALL));
  /** The buffer of the last call, and two ways to look at it. */
  private source: Uint8Array | null = null;
  private buffer: Buffer = Buffer.alloc(0);
  private view: DataView = new DataView(new ArrayBuffer(0));

  constructor(options: CheckOptions) {
    this.results = options.results;
    this.protocolMin = options.protocolMin ?? 0;
    this.protocolMax = options.protocolMax ?? INT32_MAX;
    this.verifier = options.networkPassphrase ? new ValueVerifier(options.networkPassphrase) : null;
  }

  /**
   * Checks the one LedgerCloseMeta that fills `bytes` from `start` up to `end`.
   * @throws BronzeError XDR_INVALID, LEDGER_SEQUENCE, LEDGER_HASH, PROTOCOL_GUARD, TX_SET_HASH, SET_PREVIOUS,
   *   SIGNATURE_INVALID, RESULT_HASH, RESULT_COUNT; details: ledger (the expected sequence), check, and where it applies expected and found.
   */
  check(bytes: Uint8Array, start: number, end: number, expectedSequence: number): LedgerFacts {
    const next = this.walk(bytes, start, end, expectedSequence);
    if (next !== end) {
      throw failure('XDR_INVALID', expectedSequence, 'xdr', `${end - next} bytes follow the ledger`, {
        expected: `${next - start} bytes`,
        found: `${end - start} bytes`,
      });
    }
    return this.checkWalked(start, next, expectedSequence);
  }

  /**
   * Checks the LedgerCloseMeta that starts at `start` and ends somewhere at or before `limit`: the next one starts at
   * `start + facts.xdrByteLength`. What follows it is the caller's business.
   * @throws BronzeError as `check` does.
   */
  checkNext(bytes: Uint8Array, start: number, limit: number, expectedSequence: number): LedgerFacts {
    const next = this.walk(bytes, start, limit, expectedSequence);
    return this.checkWalked(start, next, expectedSequence);
  }

  /**
   * Only finds the end of the LedgerCloseMeta that starts at `start`, for a ledger nobody asked for: XDR and sequence
   * are checked, no hash is.
   * @throws BronzeError XDR_INVALID, LEDGER_SEQUENCE.
   */
  skipNext(bytes: Uint8Array, start: number, limit: number, expectedSequence: number): number {
    const next = this.walk(bytes, start, limit, expectedSequence);
    this.checkSequence(expectedSequence);
    return next;
  }

  private walk(bytes: Uint8Array, start: number, limit: number, ledger: number): number {
    if (this.source !== bytes) {
      if (bytes.byteLength > MAX_BUFFER) {
        throw failure('OBJECT_TOO_LARGE', ledger, 'xdr', 'the bytes are more than one buffer may hold', {
          expected: `at most ${MAX_BUFFER} bytes`,
          found: `${bytes.byteLength} bytes`,
        });
      }
      this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      this.source = bytes;
    }
    const end = Math.min(limit, bytes.byteLength);
    if (end - start >= 4) {
      const version = this.view.getInt32(start);
      if (!LEDGER_VERSIONS.includes(version)) {
        const known = LEDGER_VERSIONS.join(', ');
        throw failure('XDR_INVALID', ledger, 'lcm_version', `LedgerCloseMeta version ${version} is not known`, {
          expected: `one of ${known}`,
          found: String(version),
          hint: 'a newer release may know it; where the version makes no sense, the object is damaged',
        });
      }
    }
    try {
      return walkLedger(this.view, start, end, this.record);
    } catch (error) {
      if (!(error instanceof XdrFault)) throw error;
      const arm = this.at(SLOT.valueArm);
      if (arm === error.offset && arm + 4 <= end) {
        throw failure('XDR_INVALID', ledger, 'value_arm', 'its value has a form that is not known', {
          expected: 'StellarValueType 0, 1 or 2',
          found: String(this.view.getInt32(arm)),
          hint: 'a newer release may know it, and what its signature covers; it is never taken for unsigned',
        });
      }
      const where = `byte ${error.offset - start} of the ledger`;
      throw failure('XDR_INVALID', ledger, 'xdr', `not valid XDR near ${where}: ${error.message}`, {}, error);
    }
  }

  /** An offset, or a count, that the last walk noted. */
  private at(slot: number): number {
    return this.record.at[slot] as number;
  }

  private hexAt(slot: number): string {
    const from = this.at(slot);
    return this.buffer.toString('hex', from, from + HASH_BYTES);
  }

  private checkSequence(expectedSequence: number): void {
    const sequence = this.view.getUint32(this.at(SLOT.ledgerSeq));
    if (sequence === expectedSequence) return;
    throw failure('LEDGER_SEQUENCE', expectedSequence, 'sequence', `the header says ledger ${sequence}`, {
      expected: String(expectedSequence),
      found: String(sequence),
    });
  }

  private checkWalked(start: number, end: number, ledger: number): LedgerFacts {
    const { view, buffer } = this;
    this.checkSequence(ledger);

    const ledgerHash = this.hexAt(SLOT.ledgerHash);
    const headerHash = sha256Hex(buffer.subarray(this.at(SLOT.headerStart), this.at(SLOT.headerEnd)));
    if (headerHash !== ledgerHash) {
      throw failure('LEDGER_HASH', ledger, 'ledger_hash', 'the SHA-256 of the header is not the ledger hash', {
        expected: ledgerHash,
        found: headerHash,
      });
    }

    const protocolVersion = view.getUint32(this.at(SLOT.ledgerVersion));
    if (protocolVersion < this.protocolMin || protocolVersion > this.protocolMax) {
      const upper = this.protocolMax === INT32_MAX ? '' : ` to ${this.protocolMax}`;
      throw failure('PROTOCOL_GUARD', ledger, 'protocol', `protocol ${protocolVersion} is outside the guard`, {
        expected: `${this.protocolMin}${upper}${upper === '' ? ' or more' : ''}`,
        found: String(protocolVersion),
      });
    }

    const seconds = view.getBigUint64(this.at(SLOT.closeTime));
    if (seconds > MAX_SECONDS) {
      throw failure('XDR_INVALID', ledger, 'close_time', 'the close time is later than any date', {
        expected: `at most ${MAX_SECONDS} s`,
        found: `${seconds} s`,
      });
    }

    const lcmVersion = view.getInt32(start);
    const txSetHash = this.hexAt(SLOT.txSetHash);
    const previousLedgerHash = this.hexAt(SLOT.previousLedgerHash);
    if (this.at(SLOT.proposedPreviousVersion) === -1) {
      this.checkTxSet(ledger, txSetHash);
      this.checkSetPrevious(ledger, previousLedgerHash);
    } else this.checkDroppedTxSet(ledger, txSetHash, previousLedgerHash);
    const signer = this.checkSignature(ledger, seconds);
    if (this.results) this.checkResults(ledger);
    this.checkCount(ledger);

    const xdrSha256 = sha256Hex(buffer.subarray(start, end));
    return {
      sequence: ledger,
      lcmVersion,
      ledgerHash,
      previousLedgerHash,
      txSetHash,
      closeTimeMs: seconds * 1000n,
      protocolVersion,
      totalCoins: view.getBigInt64(this.at(SLOT.totalCoins)),
      feePool: view.getBigInt64(this.at(SLOT.feePool)),
      txCount: this.at(SLOT.txCount),
      operationCount: this.at(SLOT.operationCount),
      xdrByteLength: end - start,
      xdrSha256,
      xdrDigest: Buffer.from(xdrSha256, 'hex'),
      signer,
    };
  }

  /** Where parts of the ledger that was checked last lie, counted from the first byte of its buffer. */
  places(): {
    readonly header: { readonly start: number; readonly end: number };
    readonly txSet: { readonly start: number; readonly end: number };
    /** Null where the value is not signed. */
    readonly signature: { readonly nodeId: number; readonly bytes: number } | null;
  } {
    const signature = this.at(SLOT.valueSignature);
    return {
      header: { start: this.at(SLOT.headerStart), end: this.at(SLOT.headerEnd) },
      txSet: { start: this.at(SLOT.txSetStart), end: this.at(SLOT.txSetEnd) },
      signature: signature === -1 ? null : { nodeId: signature + NODE_ID, bytes: signature + SIGNATURE },
    };
  }

  /**
   * Every form of set names the ledger that it is to be applied after; header and set are hashed apart, so that only a
   * comparison says that they mean the same one. What a signature says about the ledger before hangs on it.
   */
  private checkSetPrevious(ledger: number, expected: string): void {
    // First field of a V0 set; of a generalized one first field of the only arm, after its discriminant.
    const from = this.at(SLOT.txSetStart) + (this.at(SLOT.envelopeCount) === -1 ? 4 : 0);
    const found = this.buffer.toString('hex', from, from + HASH_BYTES);
    if (found === expected) return;
    throw failure('SET_PREVIOUS', ledger, 'set_previous', 'the transaction set names another previous ledger', {
      expected,
      found,
    });
  }

  /**
   * By the value's arm, not by the protocol: testnet's first ledgers have protocol 0 and are signed. In the arm of CAP-83
   * the signature is over a set that was dropped: who signed it says nothing about the ledger before.
   */
  private checkSignature(ledger: number, closeTime: bigint): string | null {
    const at = this.at(SLOT.valueSignature);
    if (this.verifier === null || at === -1) return null;
    const { buffer, view } = this;
    const length = view.getUint32(at + SIGNATURE - 4);
    const txSetHash = this.at(SLOT.txSetHash);
    const nodeId = buffer.subarray(at + NODE_ID, at + NODE_ID + NODE_ID_BYTES);
    const signature = buffer.subarray(at + SIGNATURE, at + SIGNATURE + length);
    const set = buffer.subarray(txSetHash, txSetHash + HASH_BYTES);
    const signer = this.verifier.signer(nodeId, signature, set, closeTime);
    if (signer !== null) return signer;
    const who = encodePublicKey(nodeId);
    throw failure('SIGNATURE_INVALID', ledger, 'signature', `${who} has not signed this value`, {
      expected: `a signature of ${who} over network, transaction-set hash and close time`,
      found: signature.toString('hex') || 'an empty signature',
    });
  }

  /**
   * An ordinary set. A generalized one is hashed as its XDR; a V0 set as previousLedgerHash and the envelopes, without
   * the count between them (stellar-core, TxSetXDRFrame). A zero hash is nobody's and fails here.
   */
  private checkTxSet(ledger: number, expected: string): void {
    const start = this.at(SLOT.txSetStart);
    const end = this.at(SLOT.txSetEnd);
    const count = this.at(SLOT.envelopeCount);
    const found =
      count === -1 ? sha256Hex(this.buffer.subarray(start, end)) : this.hashOfTwo(start, count, count + 4, end);
    if (found === expected) return;
    throw failure('TX_SET_HASH', ledger, 'tx_set_hash', "the transaction set does not have the header's hash", {
      expected,
      found,
    });
  }

  private hashOfTwo(start1: number, end1: number, start2: number, end2: number): string {
    const first = this.buffer.subarray(start1, end1);
    const second = this.buffer.subarray(start2, end2);
    const length = first.length + second.length;
    if (length > SMALL) return createHash('sha256').update(first).update(second).digest('hex');
    const both = new Uint8Array(this.scratch.buffer, 0, length);
    both.set(first);
    both.set(second, first.length);
    return sha256Hex(both);
  }

  /**
   * CAP-83: validators voted to drop the set. Then, and only then, the header carries an all-zero hash. The ledger is
   * applied with the empty set that stellar-core derives from the proposed value's previousLedgerHash and
   * previousLedgerVersion; so the body is known byte for byte, which stands in for the missing hash. Everything that it
   * is compared with lies inside the header, whose hash was checked before.
   */
  private checkDroppedTxSet(ledger: number, txSetHash: string, previousLedgerHash: string): void {
    const fail = (why: string, expected: string, found: string): never => {
      throw failure('TX_SET_HASH', ledger, 'tx_set_hash', `not a valid empty-tx-set ledger (CAP-83): ${why}`, {
        expected,
        found,
      });
    };
    if (txSetHash !== ZERO_HASH) fail("the header's transaction-set hash is not zero", ZERO_HASH, txSetHash);
    const version = this.view.getUint32(this.at(SLOT.proposedPreviousVersion));
    if (version < EMPTY_TX_SET_PROTOCOL) {
      fail('the ledger before had a protocol without it', `${EMPTY_TX_SET_PROTOCOL} or more`, String(version));
    }
    const proposed = this.hexAt(SLOT.proposedPreviousHash);
    if (proposed !== previousLedgerHash) fail('it was voted for another ledger', previousLedgerHash, proposed);
    const expected = EMPTY_SET_HEAD + previousLedgerHash + EMPTY_SET_TAIL;
    const start = this.at(SLOT.txSetStart);
    const end = this.at(SLOT.txSetEnd);
    const isEmpty = end - start === expected.length / 2 && this.buffer.toString('hex', start, end) === expected;
    if (!isEmpty)
      fail('the transaction set is not the empty one', sha256Hex(Buffer.from(expected, 'hex')), this.setHash());
  }

  private setHash(): string {
    return sha256Hex(this.buffer.subarray(this.at(SLOT.txSetStart), this.at(SLOT.txSetEnd)));
  }

  /** Every transaction of the set has one result, failed or not. The two hashes alone do not say so. */
  private checkCount(ledger: number): void {
    const transactions = this.at(SLOT.txCount);
    const results = this.record.pairCount;
    if (results === transactions) return;
    throw failure('RESULT_COUNT', ledger, 'result_count', 'there is not one result per transaction of the set', {
      expected: `${transactions} results`,
      found: `${results} results`,
    });
  }

  /**
   * The header's txSetResultHash is the SHA-256 of the XDR of TransactionResultSet: the number of pairs and the pairs,
   * in the order in which they were applied, which is that of txProcessing. Empty ledgers hash the number alone.
   */
  private checkResults(ledger: number): void {
    const { pairs, pairCount } = this.record;
    let length = 4;
    for (let i = 0; i < 2 * pairCount; i += 2) length += (pairs[i + 1] as number) - (pairs[i] as number);
    // The pairs lie apart in the ledger; they are a few per cent of it, and gathering them beats a call per pair. They
    // are made of words, as all XDR, and most have less than 100: a view of each would cost more than copying it.
    if (this.scratch.byteLength < length) this.scratch = new DataView(new ArrayBuffer(2 * length));
    const { scratch, view } = this;
    scratch.setUint32(0, pairCount);
    let to = 4;
    for (let i = 0; i < 2 * pairCount; i += 2) {
      const end = pairs[i + 1] as number;
      for (let from = pairs[i] as number; from < end; from += 4, to += 4) scratch.setInt32(to, view.getInt32(from));
    }
    const found = sha256Hex(new Uint8Array(scratch.buffer, 0, length));
    const expected = this.hexAt(SLOT.txSetResultHash);
    if (found === expected) return;
    throw failure('RESULT_HASH', ledger, 'result_hash', "the transaction results do not have the header's hash", {
      expected,
      found,
    });
  }
}

/**
 * Checks that a ledger follows the one before it.
 * @param previous hash of the ledger before, lower-case hex.
 * @throws BronzeError LINK_BROKEN.
 */
export function checkLink(facts: LedgerFacts, previous: string): void {
  if (facts.previousLedgerHash === previous) return;
  throw failure('LINK_BROKEN', facts.sequence, 'link', 'the previous hash is not the hash of the ledger before', {
    expected: previous,
    found: facts.previousLedgerHash,
  });
}

function failure(
  code: ErrorCode,
  ledger: number,
  check: string,
  what: string,
  details: Details,
  cause?: unknown,
): BronzeError {
  return new BronzeError(code, `ledger ${ledger}: ${what}`, { details: { ledger, check, ...details }, cause });
}
