/**
 * Tries one request again where that can help. A partition of 10,000 objects must not begin anew because one GET met a
 * busy server; what lasts longer than this is for the machines, whose back-off is a declared wait. What the error calls
 * final is not repeated, and waiting ends when the signal fires.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import { ownSignal, throwIfCancelled } from '../bounded.ts';

export interface RetryPolicy {
  /** Requests in all, the first one included. */
  readonly attempts: number;
  /** First pause, ms; doubles, with jitter. */
  readonly firstMs: number;
  /** Longest pause of one's own, ms. */
  readonly capMs: number;
  /** Longest pause that a server gets here, ms. One that asks for more gets it from the machines. */
  readonly wishMs: number;
  /** From the first request on, ms: nothing is tried again after it. Time-outs count; pauses alone would not tell. */
  readonly budgetMs: number;
}

/** Ends well before the circuit breaker asks (`perf.stall_timeout_ms`, five minutes). */
const REQUEST_RETRY: RetryPolicy = {
  attempts: 6,
  firstMs: 100,
  capMs: 10_000,
  wishMs: 30_000,
  budgetMs: 120_000,
};

/** Half of it fixed, half of it random: many requests that failed together must not come back together. */
const jittered = (ms: number): number => ms / 2 + Math.random() * (ms / 2);

/**
 * The result of `step`, tried again after retryable BronzeErrors, each time with a word to `onRetry`. Throws the last error, or the first that cannot be
 * retried; CANCELLED where the signal fires, also within a pause.
 */
export async function persistently<T>(
  step: () => Promise<T>,
  signal: AbortSignal | undefined,
  policy: RetryPolicy = REQUEST_RETRY,
  onRetry?: () => void,
): Promise<T> {
  const started = performance.now();
  for (let attempt = 1; ; attempt++) {
    throwIfCancelled(signal);
    try {
      return await step();
    } catch (error) {
      const wanted = error instanceof BronzeError && error.retryable ? (error.retryAfterMs ?? 0) : null;
      if (wanted === null || attempt >= policy.attempts || wanted > policy.wishMs) throw error;
      const pause = Math.max(wanted, jittered(Math.min(policy.firstMs * 2 ** (attempt - 1), policy.capMs)));
      if (performance.now() - started + pause > policy.budgetMs) throw error;
      onRetry?.();
      const own = ownSignal(signal);
      await sleep(pause, undefined, own ? { signal: own } : {}).catch(() => throwIfCancelled(signal));
    }
  }
}
