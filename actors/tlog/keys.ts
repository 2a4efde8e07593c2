/**
 * Keys of signed notes (c2sp.org/signed-note, Ed25519 alone): verifier keys as C2SP writes them, signing keys as
 * golang.org/x/mod/sumdb/note does, which tools of the field read. Pure. A private key gets into no message, log line,
 * JSON or dump.
 */
import { createPrivateKey, createPublicKey, hash, type KeyObject, randomBytes, sign, verify } from 'node:crypto';

const ED25519 = 1;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
/** What stands before the 32 bytes of a key in DER: PKCS #8 and SubjectPublicKeyInfo. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

/** Neither spaces nor plus, which separate the parts; no control characters. */
const NAME = /^[^\s+\p{C}\p{Z}]+$/u;
export const isKeyName = (name: string): boolean => NAME.test(name);

/** The bytes of standard base64, or null where the text is not exactly how they are written. */
export function exactBase64(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64');
  return bytes.toString('base64') === text ? bytes : null;
}

/** The first four bytes of SHA-256(name ‖ newline ‖ 0x01 ‖ public key), in hex. */
const keyId = (name: string, publicKey: Uint8Array): string =>
  hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), Buffer.of(ED25519), publicKey]), 'hex').slice(0, 8);

/** `name+id+base64(0x01 ‖ 32 bytes)`, in three parts; a base64 may hold a plus itself. */
function partsOf(text: string, bytes: string): { name: string; id: string; key: Buffer } {
  const [name = '', id = '', ...rest] = text.split('+');
  if (!isKeyName(name) || !/^[0-9a-f]{8}$/.test(id)) throw new Error('it is not name+id+key');
  const key = exactBase64(rest.join('+'));
  if (key === null) throw new Error('its last part is not base64');
  if (key[0] !== ED25519) throw new Error('it is of a kind other than Ed25519');
  if (key.length !== 1 + KEY_BYTES) throw new Error(`it has ${key.length - 1} bytes of ${bytes} and not ${KEY_BYTES}`);
  return { name, id, key: key.subarray(1) };
}

function expectId(id: string, name: string, publicKey: Uint8Array): void {
  const right = keyId(name, publicKey);
  if (id !== right) throw new Error(`its id is ${id}, and that of this name and key is ${right}`);
}

/** A key that signatures are checked with. */
export class VerifierKey {
  readonly name: string;
  readonly id: string;
  readonly publicKey: Buffer;
  #object: KeyObject | null = null;

  constructor(name: string, publicKey: Buffer) {
    this.name = name;
    this.publicKey = publicKey;
    this.id = keyId(name, publicKey);
  }

  /** Reads `name+id+base64`. Throws a plain Error that says what is wrong with it. */
  static parse(text: string): VerifierKey {
    const { name, id, key } = partsOf(text, 'public key');
    expectId(id, name, key);
    return new VerifierKey(name, key);
  }

  /** As C2SP writes it. */
  toString(): string {
    return `${this.name}+${this.id}+${Buffer.concat([Buffer.of(ED25519), this.publicKey]).toString('base64')}`;
  }

  /** The same public key under another name, and so with another id. */
  named(name: string): VerifierKey {
    return name === this.name ? this : new VerifierKey(name, this.publicKey);
  }

  verifies(text: string, signature: Uint8Array): boolean {
    if (signature.length !== SIGNATURE_BYTES) return false;
    this.#object ??= createPublicKey({ key: Buffer.concat([SPKI, this.publicKey]), format: 'der', type: 'spki' });
    return verify(null, Buffer.from(text), this.#object, signature);
  }
}

const PRIVATE = 'PRIVATE+KEY+';

/** A key that signs. What is secret in it is in a private field, which nothing prints. */
export class SigningKey {
  readonly verifier: VerifierKey;
  readonly #object: KeyObject;

  private constructor(name: string, object: KeyObject) {
    this.#object = object;
    const spki = createPublicKey(object).export({ format: 'der', type: 'spki' });
    this.verifier = new VerifierKey(name, spki.subarray(SPKI.length));
  }

  static #of(name: string, seed: Uint8Array): SigningKey {
    const der = Buffer.concat([PKCS8, seed]);
    return new SigningKey(name, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }));
  }

  /** A new key, and the text of it that belongs in a file and nowhere else. */
  static generate(name: string): { key: SigningKey; secret: string } {
    const seed = randomBytes(KEY_BYTES);
    const key = SigningKey.#of(name, seed);
    const text = Buffer.concat([Buffer.of(ED25519), seed]).toString('base64');
    return { key, secret: `${PRIVATE}${name}+${key.verifier.id}+${text}` };
  }

  /** Reads `PRIVATE+KEY+name+id+base64`. Throws a plain Error that says what is wrong with it, and nothing of what is in it. */
  static parse(text: string): SigningKey {
    if (!text.startsWith(PRIVATE)) throw new Error(`it does not begin with ${PRIVATE}`);
    const { name, id, key: seed } = partsOf(text.slice(PRIVATE.length), 'private key');
    const key = SigningKey.#of(name, seed);
    expectId(id, name, key.verifier.publicKey);
    return key;
  }

  get name(): string {
    return this.verifier.name;
  }

  /** The same key under another name. */
  named(name: string): SigningKey {
    return name === this.name ? this : new SigningKey(name, this.#object);
  }

  sign(text: string): Buffer {
    return sign(null, Buffer.from(text), this.#object);
  }
}

/**
 * The keys among these that may sign for a log: those of its origin's name, and those whose name is the beginning of it
 * (`{pas.origin}` for `{pas.origin}/{network}/{era}/{version}`), which stand for it under its own name.
 */
export const keysFor = <K extends { readonly name: string; named(name: string): K }>(
  keys: readonly K[],
  origin: string,
): K[] => keys.filter(({ name }) => origin === name || origin.startsWith(`${name}/`)).map((key) => key.named(origin));
