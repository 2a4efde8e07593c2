/**
 * What a key may look like and how keys are ordered; the same for every backend. Pure.
 */
import { BronzeError } from '../../machines/errors.ts';

/** Manifests, events and the like are a few kB; what is larger under such a name is none. Bytes. */
export const SMALL_OBJECT_LIMIT = 16 * 1024 * 1024;

/** Names with control characters, or that are not UTF-8, were never written by a copier and are passed over. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const HOSTILE_NAME = /[\u0000-\u001f\u007f\ufffd]/;

export const isHostile = (name: string): boolean => HOSTILE_NAME.test(name);

/** The parts of a key; a key that could leave the root, or name nothing, is refused. */
export function keyParts(key: string, isPrefix: boolean): string[] {
  const parts = (isPrefix ? key.replace(/\/$/, '') : key).split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..' || part.includes('\0'))) {
    throw new BronzeError('STORE_DENIED', `not a key of this store: ${JSON.stringify(key)}`, {
      details: { object: key, hint: 'keys have no empty parts and no `.` or `..`' },
    });
  }
  return parts;
}

/** Order of the UTF-8 bytes, which is UTF-16 order but where surrogates come in. */
export function byteOrder(a: string, b: string): number {
  if (a === b) return 0;
  const plain = a < b ? -1 : 1;
  const either = /[\ud800-\udfff]/;
  return either.test(a) || either.test(b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : plain;
}
