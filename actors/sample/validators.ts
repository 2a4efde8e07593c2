/**
 * The made-up validators of the sample network, three organisations of one key each. Their keys follow from their names,
 * so that everybody makes the same bytes: a signature of theirs says nothing about anything but the sample.
 */
import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { encodePublicKey } from '../../config/strkey.ts';
import { signedBytes } from '../check/value-signature.ts';
import { i32, opaque, sha256, struct } from './xdr-writer.ts';

/** PrivateKeyInfo (RFC 8410) of an Ed25519 key, up to its 32 bytes. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const KEY_BYTES = 32;

interface Validator {
  readonly organisation: string;
  readonly key: KeyObject;
  /** 32 bytes. */
  readonly nodeId: Buffer;
}

function validatorOf(organisation: string): Validator {
  const seed = sha256(Buffer.from(`Bronze Copier Sample Validator ; ${organisation}`));
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return { organisation, key, nodeId: spki.subarray(spki.length - KEY_BYTES) };
}

const VALIDATORS = ['alder', 'birch', 'cedar'].map(validatorOf);

/** Public key (G…) by organisation. */
export const SAMPLE_VALIDATORS: Readonly<Record<string, string>> = Object.fromEntries(
  VALIDATORS.map(({ organisation, nodeId }) => [organisation, encodePublicKey(nodeId)]),
);

/**
 * LedgerCloseValueSignature of a ledger's value: they take turns.
 * @param txSetHash 32 bytes
 * @param closeTime seconds since 1970
 */
export function valueSignature(networkId: Buffer, ledger: number, txSetHash: Buffer, closeTime: bigint): Buffer {
  const { key, nodeId } = VALIDATORS[ledger % VALIDATORS.length] as Validator;
  // PublicKey of type Ed25519, then Signature.
  return struct(i32(0), nodeId, opaque(sign(null, signedBytes(networkId, txSetHash, closeTime), key)));
}
