/**
 * What stands in a store after it said that it wrote something. An answer is not the fact: a portal, a proxy or a cache
 * may have given it. It must never take an answer for more than it proves.
 */
import type { BronzeError } from '../../machines/errors.ts';
import type { Bucket } from '../remote/bucket.ts';
import { remoteError } from '../remote/faults.ts';
import { SMALL_OBJECT_LIMIT } from './keys.ts';

/** The error of an answer that said "done" where nothing was done; `object` is a URI. */
export const untrue = (action: string, object: string): BronzeError =>
  remoteError('store', action, object, { kind: 'untrue', reason: 'the answer was "done", and it is not there' });

/**
 * Whose bytes stand under the key of a small object that is said to be created: read back, byte by byte.
 * Throws ANSWER_UNTRUE where nothing does.
 */
export async function whoseSmall(
  bucket: Bucket,
  key: string,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<'created' | 'exists'> {
  const stands = await bucket.get(key, SMALL_OBJECT_LIMIT, signal);
  if (stands === null) throw untrue('create', `${bucket.uri}${key}`);
  return Buffer.compare(stands, bytes) === 0 ? 'created' : 'exists';
}
