// CRC32C against the published vectors and against a second, simpler implementation.
import { randomBytes } from 'node:crypto';
import { expect, it } from 'vitest';
import { Crc32c, crc32cOf } from '../../actors/remote/checksums.ts';
import { crc32cBase64 } from '../support/crc32c.ts';

const hex = (base64: string): string => Buffer.from(base64, 'base64').toString('hex');

it('is that of RFC 3720, appendix B.4', () => {
  expect(hex(crc32cOf(Buffer.alloc(32)))).toBe('8a9136aa');
  expect(hex(crc32cOf(Buffer.alloc(32, 0xff)))).toBe('62a8ab43');
  expect(hex(crc32cOf(Uint8Array.from({ length: 32 }, (_, n) => n)))).toBe('46dd794e');
  expect(hex(crc32cOf(Buffer.from('123456789')))).toBe('e3069283');
  expect(crc32cOf(new Uint8Array(0))).toBe('AAAAAA==');
});

it('is the same for every length, and however the bytes are cut', () => {
  const bytes = randomBytes(300);
  for (let length = 0; length <= bytes.length; length++) {
    const part = bytes.subarray(0, length);
    expect(crc32cOf(part)).toBe(crc32cBase64(part));
    const cut = (length * 7) % (length + 1);
    expect(new Crc32c().update(part.subarray(0, cut)).update(part.subarray(cut)).base64()).toBe(crc32cBase64(part));
  }
});
