/**
 * Tries one request again where that can help. A partition of 10,000 objects must not begin anew because one GET met a
 * busy server; what lasts longer than this is for the machines, whose back-off is a declared wait.
 * It must never repeat what the error calls final, nor wait without hearing the signal.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import { throwIfCancelled } from '../bounded.ts';

export interface RetryPolicy {
  /** Requests in all, the first one included. */
  readonly attempts: number;
  /** First pause, ms; doubles, with jitter. */
  readonly firstMs: number;
  /** Longest pause, ms. A server that asks for more gets it from the machines. */
  readonly capMs: number;
}

/** About 6 s of pauses in all: shorter than any stall timeout that makes sense. */
const REQUEST_RETRY: RetryPolicy = { attempts: 6, firstMs: 100, capMs: 10_000 };

/** Half of it fixed, half of it random: many requests that failed together must not come back together. */
const jittered = (ms: number): number => ms / 2 + Math.random() * (ms / 2);

/**
 * The result of `step`, tried again after retryable BronzeErrors. Throws the last error, or the first that cannot be
 * retried; CANCELLED where the signal fires, also within a pause.
 */
export async function persistently<T>(
  step: () => Promise<T>,
  signal: AbortSignal | undefined,
  policy: RetryPolicy = REQUEST_RETRY,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    throwIfCancelled(signal);
    try {
      return await step();
    } catch (error) {
      const wanted = error instanceof BronzeError && error.retryable ? (error.retryAfterMs ?? 0) : null;
      if (wanted === null || attempt >= policy.attempts || wanted > policy.capMs) throw error;
      const pause = Math.max(wanted, jittered(Math.min(policy.firstMs * 2 ** (attempt - 1), policy.capMs)));
      await sleep(pause, undefined, signal ? { signal } : {}).catch(() => throwIfCancelled(signal));
    }
  }
}
