/**
 * Counts what is read from a lake, where it is read: in the threads, millions of objects long. One call an object, a
 * few additions; what was counted is taken away now and then as plain data, so that somebody else adds it up.
 */

/** Upper bounds of the classes that reads are counted in, seconds: a small file takes 10 µs, an object of a bucket 50 ms. */
export const READ_BUCKETS = [
  0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 60,
] as const;

const BOUNDS_MS = READ_BUCKETS.map((seconds) => seconds * 1000);

/** What was read since the last time. Plain data: it is sent across threads. */
export interface ReadCounts {
  /** Bytes as they lie in the lake. */
  readonly bytes: number;
  /** Time of all reads, seconds; reads that went on side by side count each. */
  readonly seconds: number;
  /** Reads per class of READ_BUCKETS, each in the first that holds it; at the end those longer than all. */
  readonly buckets: readonly number[];
  /** Requests that were sent again. */
  readonly retries: number;
}

export class SourceMeter {
  #bytes = 0;
  #ms = 0;
  #retries = 0;
  #isEmpty = true;
  #buckets = noReads();

  /** One object, whole: its bytes as stored, and how long it took, ms. */
  read(bytes: number, ms: number): void {
    this.#isEmpty = false;
    this.#bytes += bytes;
    this.#ms += ms;
    let at = 0;
    while (at < BOUNDS_MS.length && ms > (BOUNDS_MS[at] as number)) at += 1;
    this.#buckets[at] = (this.#buckets[at] as number) + 1;
  }

  /** A request failed and is sent again. */
  readonly retried = (): void => {
    this.#isEmpty = false;
    this.#retries += 1;
  };

  /** What was counted since the last call; null where that is nothing. */
  take(): ReadCounts | null {
    if (this.#isEmpty) return null;
    const taken = { bytes: this.#bytes, seconds: this.#ms / 1000, buckets: this.#buckets, retries: this.#retries };
    this.#bytes = 0;
    this.#ms = 0;
    this.#retries = 0;
    this.#isEmpty = true;
    this.#buckets = noReads();
    return taken;
  }
}

/** One count for each of READ_BUCKETS, and one for what is longer than all. */
const noReads = (): number[] => new Array<number>(READ_BUCKETS.length + 1).fill(0);

export const NOTHING_READ: ReadCounts = { bytes: 0, seconds: 0, buckets: noReads(), retries: 0 };

export const addReads = (a: ReadCounts, b: ReadCounts): ReadCounts => ({
  bytes: a.bytes + b.bytes,
  seconds: a.seconds + b.seconds,
  buckets: a.buckets.map((count, i) => count + (b.buckets[i] ?? 0)),
  retries: a.retries + b.retries,
});
