/**
 * Many small asynchronous steps with a bound on how many are under way. After an error nothing more is begun, and the
 * error is thrown.
 */
import { BronzeError } from '../machines/errors.ts';

/** Throws CANCELLED where the signal has fired. */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new BronzeError('CANCELLED', 'the work was cancelled', { cause: signal.reason });
}

/**
 * A signal of one request, which fires with the given one. What many requests listen to at once is beyond ten listeners,
 * and Node takes that for a leak and warns of it. Of each Node keeps some 70 bytes for as long as the given one lives, which
 * therefore is one of a partition or of an effect, and not of a run.
 */
export const ownSignal = (signal: AbortSignal | undefined): AbortSignal | undefined =>
  signal && AbortSignal.any([signal]);

/** The results in the order of the items; at most `limit` calls at a time. Rejects with the first error. */
export async function mapBounded<T, R>(
  items: readonly T[],
  limit: number,
  step: (item: T, index: number) => Promise<R>,
  signal?: AbortSignal,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let failed = false;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next++;
      try {
        throwIfCancelled(signal);
        results[index] = await step(items[index] as T, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane));
  return results;
}

/** The promise, or the reason of the signal, whichever comes first; for what cannot be told to stop. */
export function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** Both results, once both have ended: what fails does not leave the other on its way. Throws the first one's error first. */
export async function bothDone<A, B>(one: Promise<A>, other: Promise<B>): Promise<[A, B]> {
  await Promise.allSettled([one, other]);
  return [await one, await other];
}
