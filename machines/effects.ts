/**
 * Effects as named actors. A machine invokes them by name; what they do comes from outside by `provide()`.
 * An effect that nobody provided rejects: a machine can never pass for working because its I/O is missing.
 */
import { fromPromise } from 'xstate';
import { BronzeError } from './errors.ts';
import type { Effects } from './protocol.ts';

export type EffectName = keyof Effects;
export type EffectInput<K extends EffectName> = Effects[K]['input'];
export type EffectOutput<K extends EffectName> = Effects[K]['output'];

/** The placeholder of an effect, typed as its implementation has to be. */
export function effect<K extends EffectName>(name: K) {
  return fromPromise<EffectOutput<K>, EffectInput<K>>(() =>
    Promise.reject(new BronzeError('INTERNAL', `the effect ${name} was not provided`)),
  );
}

/** Longest back-off between two attempts, ms. */
const BACKOFF_CAP_MS = 60_000;

/**
 * Exponential back-off without jitter (the runtime adds it: machines hold no chance). Never shorter than what the
 * other side asked for. `failures` counts from 1.
 */
export function backoffMs(firstMs: number, failures: number, retryAfterMs = 0): number {
  const exponential = firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 20);
  return Math.max(Math.min(exponential, BACKOFF_CAP_MS), retryAfterMs);
}
