/**
 * What a validator says when it signs a ledger's value, and whether it has said it (docs/anchors.md). The bytes are
 * networkId ‖ ENVELOPE_TYPE_SCPVALUE ‖ txSetHash ‖ closeTime. Pure; it is about exactly these bytes, and knows nothing
 * of who a key belongs to.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { encodePublicKey } from '../../config/strkey.ts';

/** Bytes of an Ed25519 public key: `PublicKey` of a node id without its discriminant. */
export const NODE_ID_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** int32, big-endian: EnvelopeType.ENVELOPE_TYPE_SCPVALUE. */
const ENVELOPE_TYPE_SCPVALUE = 4;
const HASH_BYTES = 32;
const TIME_BYTES = 8;
/** 76. */
const SIGNED_BYTES = HASH_BYTES + 4 + HASH_BYTES + TIME_BYTES;
/** SubjectPublicKeyInfo of an Ed25519 key, up to the key itself. */
const SPKI_HEAD = Buffer.from('302a300506032b6570032100', 'hex');
/** Networks have dozens of validators. A history of made-up keys must not fill the memory with them. */
const KEYS_KEPT = 1000;

/** SHA-256 of a network's passphrase: 32 bytes. */
const networkIdOf = (passphrase: string): Buffer => createHash('sha256').update(passphrase, 'utf8').digest();

/**
 * The 76 bytes that a validator signs.
 * @param networkId 32 bytes
 * @param txSetHash 32 bytes
 * @param closeTime seconds since 1970, a uint64
 */
export function signedBytes(networkId: Uint8Array, txSetHash: Uint8Array, closeTime: bigint): Buffer {
  const bytes = Buffer.alloc(SIGNED_BYTES);
  bytes.set(networkId, 0);
  bytes.writeInt32BE(ENVELOPE_TYPE_SCPVALUE, HASH_BYTES);
  bytes.set(txSetHash, HASH_BYTES + 4);
  bytes.writeBigUInt64BE(closeTime, 2 * HASH_BYTES + 4);
  return bytes;
}

/** Verifies values of one network. Keys are prepared once; not more than a thousand are kept. */
export class ValueVerifier {
  readonly #networkId: Buffer;
  readonly #keys = new Map<string, { readonly object: KeyObject; readonly text: string }>();

  constructor(passphrase: string) {
    this.#networkId = networkIdOf(passphrase);
  }

  /**
   * Whose word it is: the validator's public key (G…), or null where the signature is not that key's over this value.
   * @param nodeId 32 bytes
   * @param signature any number of bytes; other than 64 are nobody's
   * @param txSetHash 32 bytes
   * @param closeTime seconds since 1970
   */
  signer(nodeId: Uint8Array, signature: Uint8Array, txSetHash: Uint8Array, closeTime: bigint): string | null {
    if (signature.length !== SIGNATURE_BYTES) return null;
    const { object, text } = this.#key(nodeId);
    return verify(null, signedBytes(this.#networkId, txSetHash, closeTime), object, signature) ? text : null;
  }

  #key(nodeId: Uint8Array): { readonly object: KeyObject; readonly text: string } {
    const hex = Buffer.from(nodeId.buffer, nodeId.byteOffset, nodeId.byteLength).toString('latin1');
    const known = this.#keys.get(hex);
    if (known !== undefined) return known;
    if (this.#keys.size >= KEYS_KEPT) this.#keys.clear();
    const object = createPublicKey({ key: Buffer.concat([SPKI_HEAD, nodeId]), format: 'der', type: 'spki' });
    const made = { object, text: encodePublicKey(nodeId) };
    this.#keys.set(hex, made);
    return made;
  }
}
