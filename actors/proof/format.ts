/**
 * The file that proves one ledger to somebody who has nothing but a public key (docs/proofs.md): its members, and how it is
 * written and read. Pure. It must never read two files as the same proof: whatever is not exactly as it would be written
 * is refused.
 */
import { hash } from 'node:crypto';
import { constants, gunzipSync, gzipSync } from 'node:zlib';
import canonicalize from 'canonicalize';
import * as z from 'zod';
import { decodePublicKey } from '../../config/strkey.ts';
import { BronzeError, type Details } from '../../machines/errors.ts';
import { hashHex, ledgerNumber } from '../bronze/manifest.ts';
import { decodeUtf8 } from '../json.ts';
import { exactBase64 } from '../tlog/keys.ts';
import { HASH_BYTES } from '../tlog/tree.ts';
import { OBJECT_LIMIT } from '../zstd.ts';

export const PROOF_FORMAT = 'bronze-ledger-proof/1';
/** Bytes of a proof: a packed ledger and the sets of some others, each far below 10 MB. */
export const PROOF_LIMIT = 64 * 1024 * 1024;

/** What is checked, in this order; `check` of a PROOF_INVALID names the one that failed. */
export type ProofStep =
  | 'format'
  | 'xdr'
  | 'head'
  | 'event'
  | 'manifest'
  | 'content_root'
  | 'ledger'
  | 'headers'
  | 'signatures';

export const proofInvalid = (step: ProofStep, why: string, details: Details = {}, cause?: unknown): BronzeError =>
  new BronzeError('PROOF_INVALID', `the proof fails at its step ${step}: ${why}`, {
    details: { check: step, ...details },
    ...(cause === undefined ? {} : { cause }),
  });

const SIGNATURE_BYTES = 64;
/** Bytes of the previous ledger's hash and of what stands before it: no header is shorter. */
const LEAST_HEADER = 4 + HASH_BYTES;

const bytesText = (fits: (length: number) => boolean, what: string) =>
  z.string().refine((text) => {
    const bytes = exactBase64(text);
    return bytes !== null && fits(bytes.length);
  }, `expected ${what} in base64, exactly as it is written`);
const hashText = bytesText((length) => length === HASH_BYTES, '32 bytes');
const atLeast = (least: number) => bytesText((length) => length >= least, `${least} bytes or more`);

const signedSchema = z.strictObject({
  /** Seconds since 1970. */
  close_time: z.int().min(0),
  /** What `txSetHash` is the SHA-256 of. */
  set: atLeast(HASH_BYTES),
  set_form: z.enum(['v0', 'generalized']),
  signature: bytesText((length) => length === SIGNATURE_BYTES, '64 bytes'),
  signer: z.string().refine((text) => decodePublicKey(text) !== null, 'expected a public key (G…)'),
});

const schema = z.strictObject({
  format: z.literal(PROOF_FORMAT),
  ledger: z.strictObject({
    sequence: ledgerNumber,
    xdr_gzip: bytesText((length) => length > 0, 'gzip'),
    xdr_gzip_sha256: hashHex,
  }),
  log: z.strictObject({ event: z.string(), proof: z.string() }),
  network: z
    .strictObject({
      headers: z.array(atLeast(LEAST_HEADER)),
      passphrase: z.string().min(1),
      signed: z.array(signedSchema).min(1),
    })
    .optional(),
  partition: z.strictObject({ manifest: z.string(), path: z.array(hashText) }),
});

export type Proof = Readonly<z.infer<typeof schema>>;
export type ProofNetwork = NonNullable<Proof['network']>;

/** As it is written: canonical JSON (RFC 8785) and a newline. */
export function proofBytes(proof: Proof): Buffer {
  const text = canonicalize(proof);
  if (text === undefined) throw new BronzeError('INTERNAL', 'a proof has no canonical JSON');
  return Buffer.from(`${text}\n`);
}

/** The XDR of a ledger as it stands in a proof. */
export function packXdr(xdr: Uint8Array): Omit<Proof['ledger'], 'sequence'> {
  const packed = gzipSync(xdr, { level: constants.Z_BEST_COMPRESSION });
  return { xdr_gzip: packed.toString('base64'), xdr_gzip_sha256: hash('sha256', packed, 'hex') };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Reads a proof; nothing of what it says is believed yet. @throws PROOF_INVALID, check `format` */
export function parseProof(bytes: Uint8Array): Proof {
  let json: unknown;
  try {
    json = JSON.parse(decodeUtf8(bytes));
  } catch (error) {
    const hint = 'it is cut, was changed on its way, or is no proof: get it again';
    throw proofInvalid('format', `it is no JSON in UTF-8: ${messageOf(error)}`, { hint }, error);
  }
  const format = typeof json === 'object' && json !== null && 'format' in json ? json.format : undefined;
  if (format !== PROOF_FORMAT) {
    throw proofInvalid('format', 'it is of a format that this release does not know', {
      expected: PROOF_FORMAT,
      found: String(format).slice(0, 80),
      hint: 'a newer release may know it; otherwise it is no proof that bronze-copier prove has written',
    });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const [first] = parsed.error.issues;
    const place = first?.path.map(String).join('.') || 'the whole';
    throw proofInvalid('format', `${place}: ${first?.message}`, { hint: 'docs/proofs.md has the format' });
  }
  let own: Buffer | null;
  try {
    own = proofBytes(parsed.data);
  } catch {
    own = null;
  }
  if (own === null || Buffer.compare(own, bytes) !== 0) {
    throw proofInvalid('format', 'it is not written as RFC 8785 says, with one newline at its end');
  }
  return parsed.data;
}

/** What zlib gives with `info`, which its types do not know. `bytesWritten`: bytes of the packed that it has read. */
interface Unpacked {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

/** The XDR of the ledger. @throws PROOF_INVALID, check `xdr` */
export function unpackXdr({ ledger }: Proof): Buffer {
  const packed = Buffer.from(ledger.xdr_gzip, 'base64');
  const found = hash('sha256', packed, 'hex');
  if (found !== ledger.xdr_gzip_sha256) {
    throw proofInvalid('xdr', 'the packed ledger has another SHA-256', { expected: ledger.xdr_gzip_sha256, found });
  }
  let unpacked: Unpacked;
  try {
    unpacked = gunzipSync(packed, { maxOutputLength: OBJECT_LIMIT, info: true }) as unknown as Unpacked;
  } catch (error) {
    throw proofInvalid('xdr', `the ledger cannot be unpacked: ${messageOf(error)}`, {}, error);
  }
  // Node passes over zeros after the last member, and other programs do not.
  if (unpacked.engine.bytesWritten === packed.length) return unpacked.buffer;
  throw proofInvalid('xdr', 'there is more after the packed ledger', {
    expected: `${unpacked.engine.bytesWritten} bytes`,
    found: `${packed.length} bytes`,
  });
}
