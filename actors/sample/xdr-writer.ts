/**
 * Writes XDR (RFC 4506) for the sample lake: the handful of types that its ledgers need, nothing else. It knows no
 * Stellar types; those are in ledger.ts, in the order of the .x files.
 */
import { createHash } from 'node:crypto';

export const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

export const i64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
};

/** An enum value or the discriminant of a union. */
export const i32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** `opaque x<>` and `string x<>`: length, bytes, zeros up to a multiple of four. */
export const opaque = (bytes: Uint8Array): Buffer =>
  Buffer.concat([u32(bytes.length), bytes, Buffer.alloc(-bytes.length & 3)]);

/** `T x<>`: count, then the elements. */
export const list = (elements: readonly Uint8Array[]): Buffer => Buffer.concat([u32(elements.length), ...elements]);

/** The fields of a struct, or a discriminant and its arm. */
export const struct = (...fields: readonly Uint8Array[]): Buffer => Buffer.concat(fields);
