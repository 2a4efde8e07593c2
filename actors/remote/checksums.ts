/**
 * Checksums that stores keep of their objects, as they write them: base64, numbers big-endian. Native code: in
 * JavaScript they would cost as much time as hashing the ledgers does. CRC64NVME alone has none that is well kept; it
 * is the AWS SDK's own. They protect against accidents only.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from '@node-rs/crc32';

function base64Of(crc: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc);
  return bytes.toString('base64');
}

/** CRC32C (Castagnoli) that goes on from chunk to chunk. */
export class Crc32c {
  #crc = 0;

  update(bytes: Uint8Array): this {
    this.#crc = crc32c(bytes as Buffer, this.#crc);
    return this;
  }

  /** Base64 of the bytes so far. */
  base64(): string {
    return base64Of(this.#crc);
  }
}

export const crc32cOf = (bytes: Uint8Array): string => new Crc32c().update(bytes).base64();

async function crc64Of(bytes: Uint8Array): Promise<string> {
  const { Crc64Nvme } = await import('@aws-sdk/checksums/crc');
  const crc = new Crc64Nvme();
  crc.update(bytes);
  return Buffer.from(await crc.digest()).toString('base64');
}

/** Whether bytes are those that a store told the checksum of. */
export type Check = (bytes: Uint8Array) => boolean | Promise<boolean>;

const is =
  (of: (bytes: Uint8Array) => string) =>
  (told: string): Check =>
  (bytes) =>
    of(bytes) === told;

const hashed = (algorithm: string) => is((bytes) => createHash(algorithm).update(bytes).digest('base64'));

/** What follows `x-amz-checksum-` in the name of a header, the quickest of them first. */
const S3_CHECKSUMS: Readonly<Record<string, (told: string) => Check>> = {
  crc32: is((bytes) => base64Of(crc32(bytes))),
  crc32c: is(crc32cOf),
  sha1: hashed('sha1'),
  sha256: hashed('sha256'),
  crc64nvme: (told) => async (bytes) => (await crc64Of(bytes)) === told,
};

const S3_PREFIX = 'x-amz-checksum-';

/**
 * How the body of an answer of S3 is compared with the checksums in its head: with every one. That of an object in parts
 * (`…-3`) is of its parts' checksums, and says nothing about the bytes. Null where there is one that is not known here.
 */
export function s3Check(headers: Readonly<Record<string, string | readonly string[] | undefined>>): Check | null {
  let check: Check = anything;
  for (const name in headers) {
    if (!name.startsWith(S3_PREFIX) || name === 'x-amz-checksum-type') continue;
    const told = headers[name];
    if (typeof told !== 'string') return null;
    if (/-\d+$/.test(told)) continue;
    const make = S3_CHECKSUMS[name.slice(S3_PREFIX.length)];
    if (make === undefined) return null;
    check = check === anything ? make(told) : both(check, make(told));
  }
  return check;
}

const anything: Check = () => true;

const both =
  (a: Check, b: Check): Check =>
  async (bytes) =>
    (await a(bytes)) && (await b(bytes));

/** CRC32C of the stored bytes as Google Cloud Storage tells it in `x-goog-hash`; null where it tells none. */
export function gcsCrc32c(header: string | undefined): string | null {
  return /\bcrc32c=([A-Za-z0-9+/]{6}==)/.exec(header ?? '')?.[1] ?? null;
}
