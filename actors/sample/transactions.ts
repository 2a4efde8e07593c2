/**
 * Made-up transactions for the sample lake: payments, a fee-bump, one that fails. Every signature and hash in them is
 * right, and all of it follows from constants: no clock, no randomness, so that the lake has the same bytes each time.
 */
import { createPrivateKey, createPublicKey, sign } from 'node:crypto';
import { i32, i64, list, opaque, sha256, struct, u32 } from './xdr-writer.ts';

/** Stroops that one operation costs at least. */
export const BASE_FEE = 100n;

/** One transaction as a ledger needs it. */
export interface MadeUp {
  /** TransactionEnvelope. */
  readonly envelope: Buffer;
  /** Hash of the transaction, by which results name it. */
  readonly hash: Buffer;
  /** TransactionResult. */
  readonly result: Buffer;
  /** Operations whose effects the meta lists: none where the transaction failed. */
  readonly appliedOperations: number;
  /** Stroops. */
  readonly fee: bigint;
}

interface Account {
  readonly key: Buffer;
  sign(message: Uint8Array): Buffer;
}

/** An account whose secret key is the hash of its name. */
function account(name: string): Account {
  // PKCS #8 wrapping of an Ed25519 seed (RFC 8410).
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), sha256(Buffer.from(name))]);
  const secret = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const key = createPublicKey(secret).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { key, sign: (message) => sign(null, message, secret) };
}

const ACCOUNTS = ['alice', 'bob', 'carol', 'dora'].map((name) => account(`sample account ${name}`));
const at = (index: number): Account => ACCOUNTS[index % ACCOUNTS.length] as Account;

/** CryptoKeyType KEY_TYPE_ED25519 = PUBLIC_KEY_TYPE_ED25519 = 0. */
const accountId = (a: Account): Buffer => struct(i32(0), a.key);

/** DecoratedSignature: the last four bytes of the key, the signature. */
const decorated = (a: Account, hash: Uint8Array): Buffer => struct(a.key.subarray(-4), opaque(a.sign(hash)));

const NATIVE = i32(0);
const PAYMENT = i32(1);
const ENVELOPE_TX = i32(2);
const ENVELOPE_FEE_BUMP = i32(5);

/** Operation without a source of its own: payment of native stroops. */
const payment = (to: Account, stroops: bigint): Buffer => struct(u32(0), PAYMENT, accountId(to), NATIVE, i64(stroops));

/** OperationResult opINNER, payment, PaymentResultCode. */
const paymentResult = (code: number): Buffer => struct(i32(0), PAYMENT, i32(code));

const PAYMENT_SUCCESS = 0;
const PAYMENT_UNDERFUNDED = -2;
const TX_FEE_BUMP_INNER_SUCCESS = i32(1);
const TX_SUCCESS = i32(0);
const TX_FAILED = i32(-1);
/** `union switch (int v) { case 0: void; } ext` */
const EXT = i32(0);

interface Inner {
  readonly body: Buffer;
  readonly envelope: Buffer;
  readonly hash: Buffer;
}

/** A signed TransactionV1Envelope of payments; `memo` makes each one different. */
function signed(
  networkId: Buffer,
  from: Account,
  sequence: bigint,
  memo: string,
  operations: readonly Buffer[],
): Inner {
  const fee = BASE_FEE * BigInt(operations.length);
  const memoText = struct(i32(1), opaque(Buffer.from(memo)));
  const preconditions = i32(0);
  const tx = struct(accountId(from), u32(Number(fee)), i64(sequence), preconditions, memoText, list(operations), EXT);
  const hash = sha256(networkId, ENVELOPE_TX, tx);
  const body = struct(tx, list([decorated(from, hash)]));
  return { body, envelope: struct(ENVELOPE_TX, body), hash };
}

/** Payments of one account to the next ones; with `fails` the last of them has not the funds, and so none counts. */
export function payments(networkId: Buffer, ledger: number, index: number, count: number, fails: boolean): MadeUp {
  const operations = Array.from({ length: count }, (_, i) =>
    payment(at(index + 1 + i), BigInt(ledger * 10_000_000 + i)),
  );
  const inner = signed(networkId, at(index), sequenceOf(ledger, index), `ledger ${ledger}`, operations);
  const results = operations.map((_, i) =>
    paymentResult(fails && i === count - 1 ? PAYMENT_UNDERFUNDED : PAYMENT_SUCCESS),
  );
  const fee = BASE_FEE * BigInt(count);
  return {
    envelope: inner.envelope,
    hash: inner.hash,
    result: struct(i64(fee), fails ? TX_FAILED : TX_SUCCESS, list(results), EXT),
    appliedOperations: fails ? 0 : count,
    fee,
  };
}

/** A payment whose fee another account pays (CAP-15). */
export function feeBump(networkId: Buffer, ledger: number, index: number): MadeUp {
  const operations = [payment(at(index + 2), BigInt(ledger))];
  const inner = signed(networkId, at(index), sequenceOf(ledger, index), `bumped in ${ledger}`, operations);
  const payer = at(index + 1);
  const fee = BASE_FEE * 2n;
  // FeeBumpTransaction: feeSource, fee, innerTx, ext.
  const tx = struct(accountId(payer), i64(fee), inner.envelope, EXT);
  const hash = sha256(networkId, ENVELOPE_FEE_BUMP, tx);
  // InnerTransactionResultPair: its fee is nothing, because the outer one pays.
  const innerResult = struct(inner.hash, i64(0n), TX_SUCCESS, list([paymentResult(PAYMENT_SUCCESS)]), EXT);
  return {
    envelope: struct(ENVELOPE_FEE_BUMP, tx, list([decorated(payer, hash)])),
    hash,
    result: struct(i64(fee), TX_FEE_BUMP_INNER_SUCCESS, innerResult, EXT),
    appliedOperations: 1,
    fee,
  };
}

/** Sequence numbers start at the ledger in which an account was made, shifted by 32 bits; here ledger 1. */
const sequenceOf = (ledger: number, index: number): bigint => (1n << 32n) + BigInt(ledger * 16 + index);
