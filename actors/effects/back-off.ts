/** How long an actor waits before it tries again. Chance is here: machines hold none. */
import { backoffMs } from '../../machines/effects.ts';

/** Between half and the whole of the back-off, so that workers which failed together do not come back together. */
const withJitter = (ms: number): number => ms * (0.5 + Math.random() / 2);

/** Milliseconds. Jitter may shorten what this program thought out itself, never what the other side asked for. */
export const backOff = (firstMs: number, failures: number, retryAfterMs = 0): number =>
  Math.max(withJitter(backoffMs(firstMs, failures)), retryAfterMs);

/** The delay of a machine that keeps its failures in its context. */
export const retryBackoff = ({
  context,
}: {
  context: { retryBackoffMs: number; failures: number; failure: { retryAfterMs?: number } | null };
}): number => backOff(context.retryBackoffMs, context.failures, context.failure?.retryAfterMs);
