/**
 * Random access to one object in a bucket, pinned to the version that was found when it was opened. Readers of Parquet
 * ask for windows of 64 KiB and hashes for pieces of 1 MiB; each of them a request of its own would cost more in round
 * trips than in bytes. So chunks of 4 MiB are fetched, the last four are kept, and one is fetched ahead where reading
 * goes forwards.
 * It must never hold more than KEPT + 1 chunks (20 MiB), and never answer from another version of the object.
 */
import { BronzeError } from '../../machines/errors.ts';
import type { ObjectReader } from '../ports/store.ts';
import type { Bucket, ObjectFacts } from '../remote/bucket.ts';

/** Bytes a request. */
export const READER_CHUNK = 4 * 1024 * 1024;
/** Chunks kept, the one being read from included. */
const KEPT = 4;

/** A reader of what `of` describes. Ends, also amid a read, when `signal` fires. Reads beyond the end are cut. */
export function bucketReader(bucket: Bucket, of: ObjectFacts, signal?: AbortSignal): ObjectReader {
  return new BucketReader(bucket, of, signal);
}

class BucketReader implements ObjectReader {
  readonly size: number;
  readonly #bucket: Bucket;
  readonly #of: ObjectFacts;
  readonly #closing = new AbortController();
  readonly #signal: AbortSignal;
  /** By number; a Map keeps the order, so the first one is what was used longest ago. */
  readonly #kept = new Map<number, Uint8Array>();
  #ahead: { readonly number: number; readonly bytes: Promise<Uint8Array | null> } | null = null;
  #last = -1;
  /** Reads are served one after the other: two at once could hold twice the memory. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(bucket: Bucket, of: ObjectFacts, signal?: AbortSignal) {
    this.#bucket = bucket;
    this.#of = of;
    this.size = of.size;
    this.#signal = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal;
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    const turn = this.#turn.then(() => this.#read(offset, length));
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#kept.clear();
    this.#ahead = null;
  }

  async #read(offset: number, length: number): Promise<Uint8Array> {
    const end = Math.min(this.size, offset + length);
    if (offset < 0 || end <= offset) return new Uint8Array(0);
    const whole = Buffer.allocUnsafe(end - offset);
    for (let at = offset; at < end; ) {
      const number = Math.floor(at / READER_CHUNK);
      const chunk = await this.#chunk(number);
      const from = at - number * READER_CHUNK;
      const part = chunk.subarray(from, Math.min(chunk.length, from + (end - at)));
      whole.set(part, at - offset);
      at += part.length;
    }
    return whole;
  }

  async #chunk(number: number): Promise<Uint8Array> {
    if (this.#closing.signal.aborted) throw new BronzeError('INTERNAL', `a closed reader of ${this.#of.key} was used`);
    const bytes = this.#kept.get(number) ?? (await this.#fetched(number));
    this.#kept.delete(number);
    this.#kept.set(number, bytes);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#kept.delete(oldest);
    }
    if (number === this.#last + 1 && number > 0) this.#fetchAhead(number + 1);
    this.#last = number;
    return bytes;
  }

  async #fetched(number: number): Promise<Uint8Array> {
    const ahead = this.#ahead;
    if (ahead !== null) {
      // Also where it is another one: what is on its way counts as memory until it has come.
      const bytes = await ahead.bytes;
      if (this.#ahead === ahead) this.#ahead = null;
      if (ahead.number === number && bytes !== null) return bytes;
    }
    return this.#fetch(number);
  }

  /** What fails here is asked for again, and fails, when somebody wants it. */
  #fetchAhead(number: number): void {
    if (this.#ahead !== null || this.#kept.has(number) || number * READER_CHUNK >= this.size) return;
    this.#ahead = { number, bytes: this.#fetch(number).catch(() => null) };
  }

  #fetch(number: number): Promise<Uint8Array> {
    const from = number * READER_CHUNK;
    return this.#bucket.range(this.#of, from, Math.min(READER_CHUNK, this.size - from), this.#signal);
  }
}
