/**
 * CRC32C (Castagnoli, RFC 3720 appendix B.4) as Google Cloud Storage writes it: base64 of four bytes, big-endian. Eight
 * bytes a step: the SDK's own class goes byte by byte, which would cost as much time as hashing the ledgers does.
 * It must never be taken for protection against anything but accidents.
 */

/** Row n: the checksum of a byte followed by n zero bytes. */
const TABLES: readonly Int32Array[] = makeTables();

function makeTables(): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    return crc;
  });
  const tables = [first];
  for (let n = 1; n < 8; n++) {
    const before = tables[n - 1] as Int32Array;
    tables.push(before.map((crc) => (first[crc & 0xff] as number) ^ (crc >>> 8)));
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/** A checksum that goes on from chunk to chunk. */
export class Crc32c {
  #crc = -1;

  update(bytes: Uint8Array): this {
    let crc = this.#crc;
    let at = 0;
    // Indices are below 256 and below the length: what is read is there.
    for (const whole = bytes.length - 7; at < whole; at += 8) {
      const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
      crc =
        T7[low & 0xff]! ^
        T6[(low >>> 8) & 0xff]! ^
        T5[(low >>> 16) & 0xff]! ^
        T4[low >>> 24]! ^
        T3[bytes[at + 4]!]! ^
        T2[bytes[at + 5]!]! ^
        T1[bytes[at + 6]!]! ^
        T0[bytes[at + 7]!]!;
    }
    for (; at < bytes.length; at++) crc = T0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
    this.#crc = crc;
    return this;
  }

  /** Base64 of the bytes so far. */
  base64(): string {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(~this.#crc);
    return bytes.toString('base64');
  }
}

export const crc32cOf = (bytes: Uint8Array): string => new Crc32c().update(bytes).base64();
