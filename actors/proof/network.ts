/**
 * What validators say in a proof: signed values of ledgers after the one that is proved, and the headers in between. Pure.
 * It must never count a word for a ledger that the signed set does not name, nor pass over a byte of what it was given.
 */
import { hash } from 'node:crypto';
import { decodePublicKey } from '../../config/strkey.ts';
import { ValueVerifier } from '../check/value-signature.ts';
import { HASH_BYTES } from '../tlog/tree.ts';
import { type ProofNetwork, proofInvalid } from './format.ts';

/** A validator's word, its signature verified. */
export interface Word {
  /** Public key (G…). */
  readonly signer: string;
  /** The ledger that it signed. */
  readonly ledger: number;
  /** The ledger before it: for this one and all before it the validator vouches. */
  readonly vouches_to: number;
}

/** Where the previous ledger's hash begins in a header, and in a generalized set: after its version, after its arm. */
const PREVIOUS_AT = 4;
/** GeneralizedTransactionSet, arm 1. */
const GENERALIZED = '00000001';

const sha256 = (bytes: Uint8Array): Buffer => hash('sha256', bytes, 'buffer');

/** The hashes of the ledger that is proved and of those whose headers follow. @throws PROOF_INVALID, check `headers` */
function hashesOf(headers: readonly string[], first: Buffer, sequence: number): Buffer[] {
  const hashes = [first];
  for (const text of headers) {
    const header = Buffer.from(text, 'base64');
    const before = hashes.at(-1) as Buffer;
    const previous = header.subarray(PREVIOUS_AT, PREVIOUS_AT + HASH_BYTES);
    if (!previous.equals(before)) {
      const ledger = sequence + hashes.length;
      throw proofInvalid('headers', `the header of ledger ${ledger} does not follow the ledger before it`, {
        ledger,
        expected: before.toString('hex'),
        found: previous.toString('hex'),
      });
    }
    hashes.push(sha256(header));
  }
  return hashes;
}

/** The hash of the ledger before, as a set names it. @throws PROOF_INVALID, check `signatures` */
function namedBy(set: Buffer, form: ProofNetwork['signed'][number]['set_form']): Buffer {
  if (form === 'v0') return set.subarray(0, HASH_BYTES);
  if (set.toString('hex', 0, PREVIOUS_AT) !== GENERALIZED) {
    throw proofInvalid('signatures', 'a set is of a form that is not known', {
      expected: GENERALIZED,
      found: set.toString('hex', 0, PREVIOUS_AT),
    });
  }
  return set.subarray(PREVIOUS_AT, PREVIOUS_AT + HASH_BYTES);
}

/**
 * Every signature of a proof, verified, whoever signed.
 * @param ledgerHash of the ledger that is proved, 32 bytes
 * @throws PROOF_INVALID, checks `headers` and `signatures`
 */
export function wordsOf({ headers, passphrase, signed }: ProofNetwork, ledgerHash: Buffer, sequence: number): Word[] {
  const hashes = hashesOf(headers, ledgerHash, sequence);
  const places = new Map(hashes.map((each, i) => [each.toString('hex'), i]));
  const verifier = new ValueVerifier(passphrase);
  let before = -1;
  const words = signed.map(({ close_time, set: text, set_form, signature, signer }): Word => {
    const set = Buffer.from(text, 'base64');
    const named = namedBy(set, set_form);
    const at = places.get(named.toString('hex'));
    if (at === undefined || at <= before) {
      const found = named.toString('hex');
      throw proofInvalid('signatures', 'a signed set names no ledger of this proof, or not in their order', { found });
    }
    before = at;
    const ledger = sequence + at + 1;
    const key = decodePublicKey(signer) as Uint8Array;
    if (verifier.signer(key, Buffer.from(signature, 'base64'), sha256(set), BigInt(close_time)) !== signer) {
      throw proofInvalid('signatures', `${signer} has not signed the value of ledger ${ledger}`, { ledger });
    }
    return { signer, ledger, vouches_to: ledger - 1 };
  });
  // The hash of the last header is checked by nothing else.
  if (before !== hashes.length - 1) {
    throw proofInvalid('headers', `the header of ledger ${sequence + headers.length} is named by no signed set`, {
      ledger: sequence + headers.length,
    });
  }
  return words;
}
