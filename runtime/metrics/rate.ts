/** How many a second, over the last minute: a sum per second, sixty of them. No clock: the caller says what time it is. */

const SECONDS = 60;

export class SlidingRate {
  readonly #sums = new Float64Array(SECONDS);
  readonly #began: number;
  /** The second that the latest sum is for. */
  #second: number;

  /** `now` in ms, of any clock that never goes back. */
  constructor(now: number) {
    this.#began = now;
    this.#second = Math.floor(now / 1000);
  }

  add(count: number, now: number): void {
    this.#advance(now);
    const at = this.#second % SECONDS;
    this.#sums[at] = (this.#sums[at] as number) + count;
  }

  /** Per second. In the first minute over the time that there was, but never over less than a second. */
  perSecond(now: number): number {
    this.#advance(now);
    const from = Math.max((this.#second - SECONDS + 1) * 1000, this.#began);
    return this.#sums.reduce((sum, count) => sum + count, 0) / Math.max((now - from) / 1000, 1);
  }

  /** Forgets what is older than a minute. */
  #advance(now: number): void {
    const second = Math.floor(now / 1000);
    const passed = Math.min(second - this.#second, SECONDS);
    for (let i = 1; i <= passed; i += 1) this.#sums[(this.#second + i) % SECONDS] = 0;
    this.#second = Math.max(second, this.#second);
  }
}
