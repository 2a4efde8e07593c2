/**
 * Keeps a failure that repeats itself from filling the log: of each kind only some lines are said in a while, and the
 * next one that is said tells how many were left out. The first of a kind is always said.
 */

/** Lines of one kind in one window. */
const LIMIT = 10;
/** Ten minutes, ms. */
const WINDOW_MS = 600_000;

interface Kind {
  since: number;
  said: number;
  leftOut: number;
}

export class Seldom {
  readonly #kinds = new Map<string, Kind>();

  /**
   * How many lines of this kind were left out since the last one that was said; null: leave this one out as well.
   * `kind` has to be one of a few; `now` in ms, of a clock that never goes back.
   */
  ask(kind: string, now: number): number | null {
    const known = this.#kinds.get(kind) ?? { since: now, said: 0, leftOut: 0 };
    this.#kinds.set(kind, known);
    if (now - known.since >= WINDOW_MS) {
      known.since = now;
      known.said = 0;
    }
    if (known.said >= LIMIT) {
      known.leftOut += 1;
      return null;
    }
    known.said += 1;
    const { leftOut } = known;
    known.leftOut = 0;
    return leftOut;
  }
}
