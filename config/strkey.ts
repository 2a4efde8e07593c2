/**
 * Public keys as people write them (SEP-23): `G` and 55 more characters of base 32 that hold 32 bytes of Ed25519 and a
 * checksum. A text with a wrong checksum, or of another kind of key, is no key.
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
/** The version byte of account and node ids: what makes the first character a G. */
const ED25519_PUBLIC_KEY = 6 << 3;
const KEY_BYTES = 32;
const TEXT_LENGTH = 56;

/** CRC-16/XMODEM. */
function checksum(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let i = 0; i < 8; i += 1) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

/** The text of a raw Ed25519 public key of 32 bytes. */
export function encodePublicKey(raw: Uint8Array): string {
  const bytes = new Uint8Array(1 + KEY_BYTES + 2);
  bytes[0] = ED25519_PUBLIC_KEY;
  bytes.set(raw, 1);
  const crc = checksum(bytes.subarray(0, 1 + KEY_BYTES));
  bytes[1 + KEY_BYTES] = crc & 0xff;
  bytes[2 + KEY_BYTES] = crc >> 8;
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31];
  }
  return text;
}

/** The 32 raw bytes that a text stands for; null where it is no public key. */
export function decodePublicKey(text: string): Uint8Array | null {
  if (text.length !== TEXT_LENGTH) return null;
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit < 0) return null;
    value = ((value << 5) | digit) & 0xffff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((value >> bits) & 0xff);
  }
  const raw = Uint8Array.from(bytes.slice(1, 1 + KEY_BYTES));
  // One text per key: also the checksum, and the kind.
  return encodePublicKey(raw) === text ? raw : null;
}
