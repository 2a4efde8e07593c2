/**
 * How fast something goes at present: amounts per second over the last minute, not since the start, and how long what
 * is left takes at that rate. Pure arithmetic over times that the caller gives; it reads no clock itself.
 */

/** Seconds over which a rate is taken. */
const WINDOW_S = 60;
/** Shorter than this nothing can be said of a rate, s. */
const SHORTEST_S = 1;

/** A sum per second for each of the last sixty; memory and time do not depend on how much is added. */
export class SlidingRate {
  readonly #sums = new Float64Array(WINDOW_S);
  /** The second that each sum is of. */
  readonly #of = new Float64Array(WINDOW_S).fill(Number.NEGATIVE_INFINITY);
  #since: number | null = null;

  /**
   * `now`: ms of a clock that never goes back. The first call starts the clock, also with an amount of 0: call it so
   * when the work begins. An amount may be negative where something that was counted is lost.
   */
  add(amount: number, now: number): void {
    this.#since ??= now;
    const second = Math.floor(now / 1_000);
    const place = second % WINDOW_S;
    if (this.#of[place] !== second) {
      this.#of[place] = second;
      this.#sums[place] = 0;
    }
    this.#sums[place] = (this.#sums[place] as number) + amount;
  }

  /** Per second over the last minute, or since the first `add` where that is less; never below 0. */
  perSecond(now: number): number {
    if (this.#since === null) return 0;
    const oldest = Math.floor(now / 1_000) - WINDOW_S + 1;
    let sum = 0;
    for (let place = 0; place < WINDOW_S; place++) {
      if ((this.#of[place] as number) >= oldest) sum += this.#sums[place] as number;
    }
    const seconds = now / 1_000 - Math.max(oldest, this.#since / 1_000);
    return Math.max(sum, 0) / Math.max(seconds, SHORTEST_S);
  }
}

/** Seconds until `left` is done; null where that cannot be said, because nothing moves. */
export const etaSeconds = (left: number, perSecond: number): number | null => {
  if (left <= 0) return 0;
  return perSecond > 0 ? left / perSecond : null;
};
