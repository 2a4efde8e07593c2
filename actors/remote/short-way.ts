/**
 * What the short ways (s3-get.ts, gcs-get.ts) have in common: credentials that are kept for seconds, and whether such a
 * way is worth trying. Where it has failed again and again, each object would be asked for twice: a store that throttles
 * would be pressed harder, and one whose answers are never plain would cost double.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { orAborted, throwIfCancelled } from '../bounded.ts';
import type { NotPlain, Wanted } from './plain-get.ts';

/** How long credentials are kept, ms. The SDKs refresh theirs minutes before they expire; asking costs each time. */
const KEEP_MS = 10_000;
/** The longest wait for them, ms. */
const ASK_MS = 60_000;
/** So often in a row it may fail. */
const TIMES = 8;
/** Then it is left alone for so long, ms. */
const REST_MS = 10_000;
/** So long a store that is busy is waited for here, ms; as in retry.ts. */
const LONGEST_MS = 30_000;

/** How an object is wanted. */
export interface Wanting extends Wanted {
  /** A request failed, and is sent again the long way. */
  readonly onRetry: (() => void) | undefined;
}

/** `C`: what a request is signed with. */
export class ShortWay<C> {
  readonly #ask: () => Promise<C>;
  #kept: { readonly credentials: C; readonly until: number } | null = null;
  #asking: Promise<C> | null = null;
  #failed = 0;
  #closedUntil = 0;

  constructor(ask: () => Promise<C>) {
    this.#ask = ask;
  }

  /**
   * What `send` gives; null where it gives nothing plain, there are no credentials, or the way is closed: then the long
   * way is to be gone, now. Throws what `send` throws, and CANCELLED.
   */
  async get(
    { signal, onRetry }: Wanting,
    send: (credentials: C) => Promise<Uint8Array | NotPlain>,
  ): Promise<Uint8Array | null> {
    if (this.#failed >= TIMES && performance.now() < this.#closedUntil) return null;
    const kept = this.#kept;
    let credentials: C;
    if (kept !== null && performance.now() < kept.until) credentials = kept.credentials;
    else {
      try {
        credentials = await this.#fresh(signal);
      } catch {
        // The long way says why there are none.
        this.#fail(signal);
        return null;
      }
    }
    const answer = await send(credentials);
    if (answer instanceof Uint8Array) {
      this.#failed = 0;
      return answer;
    }
    throwIfCancelled(signal);
    this.#fail(signal);
    if (answer.isPassing) onRetry?.();
    // What wants more than that is told so by the long way.
    if (answer.waitMs > 0 && answer.waitMs <= LONGEST_MS) {
      await sleep(answer.waitMs, undefined, signal ? { signal } : {}).catch(() => throwIfCancelled(signal));
    }
    return null;
  }

  #fail(signal: AbortSignal | undefined): void {
    if (signal?.aborted) return;
    // It may be they that were refused: the next request has new ones, where the long way has got some.
    this.#kept = null;
    this.#failed += 1;
    if (this.#failed >= TIMES) this.#closedUntil = performance.now() + REST_MS;
  }

  /** Asked for once, however many requests want them; and none waits for longer than it is wanted itself. */
  #fresh(signal: AbortSignal | undefined): Promise<C> {
    this.#asking ??= orAborted(this.#ask(), AbortSignal.timeout(ASK_MS))
      .then((credentials) => {
        this.#kept = { credentials, until: performance.now() + KEEP_MS };
        return credentials;
      })
      .finally(() => {
        this.#asking = null;
      });
    return signal ? orAborted(this.#asking, signal) : this.#asking;
  }
}
