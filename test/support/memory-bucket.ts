/**
 * A bucket in memory that counts what is asked of it, answers late and in any order, and fails as it is told: for tests
 * of readers. Bytes of objects are made when they are asked for, so that a large lake costs nothing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfCancelled } from '../../actors/bounded.ts';
import type { Admission, Bucket, ListedPage, ListOptions, ObjectFacts } from '../../actors/remote/bucket.ts';
import { BronzeError } from '../../machines/errors.ts';

const never = (): never => {
  throw new Error('a reader of a lake does not ask for this');
};

const isFolder = (entry: string): boolean => entry.endsWith('/');

export class MemoryBucket implements Bucket {
  readonly uri = 'memory://lake/';
  /** Key -> bytes. */
  readonly sizes = new Map<string, number>();
  /** Milliseconds until an answer; 0 = in the same turn of the event loop. */
  latency: (key: string) => number = () => 0;
  /** Called before the answer; may throw. */
  onGet: (key: string) => void = () => undefined;
  readonly gets: string[] = [];
  lists = 0;
  pageSize = 1_000;
  /** Requests that were not answered yet. */
  inFlight = 0;
  mostInFlight = 0;
  /** Bytes of bodies that are being read. */
  bodies = 0;
  /** Bytes of bodies that were given out, ever. */
  delivered = 0;
  #sorted: string[] | null = null;

  put(key: string, size = 1): void {
    this.sizes.set(key, size);
    this.#sorted = null;
  }

  delete(key: string): void {
    this.sizes.delete(key);
    this.#sorted = null;
  }

  async get(key: string, limit: number, signal?: AbortSignal, admit?: Admission): Promise<Uint8Array | null> {
    throwIfCancelled(signal);
    this.gets.push(key);
    this.inFlight += 1;
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    let body = 0;
    try {
      await this.#wait(key, signal);
      this.onGet(key);
      const size = this.sizes.get(key);
      if (size === undefined) return null;
      if (size > limit) throw new BronzeError('OBJECT_TOO_LARGE', `${key} has ${size} bytes`);
      admit?.(size);
      body = size;
      this.bodies += body;
      await this.#wait(key, signal);
      this.delivered += size;
      return Buffer.alloc(size, key);
    } finally {
      this.bodies -= body;
      this.inFlight -= 1;
    }
  }

  async #wait(key: string, signal: AbortSignal | undefined): Promise<void> {
    const ms = this.latency(key);
    if (ms > 0) await sleep(ms, undefined, signal ? { signal } : {}).catch(() => throwIfCancelled(signal));
    throwIfCancelled(signal);
  }

  async *list(prefix: string, options: ListOptions = {}, signal?: AbortSignal): AsyncGenerator<ListedPage> {
    this.#sorted ??= [...this.sizes.keys()].sort();
    const entries: string[] = [];
    const { startAfter = '', delimiter } = options;
    for (const key of this.#sorted) {
      if (!key.startsWith(prefix) || key <= startAfter) continue;
      const cut = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
      const entry = cut < 0 ? key : key.slice(0, cut + 1);
      if (entries.at(-1) !== entry) entries.push(entry);
    }
    for (let at = 0; at === 0 || at < entries.length; at += this.pageSize) {
      throwIfCancelled(signal);
      this.lists += 1;
      const page = entries.slice(at, at + this.pageSize);
      yield {
        objects: page.filter((entry) => !isFolder(entry)).map((key) => this.#facts(key)),
        folders: page.filter(isFolder),
      };
    }
  }

  async check(): Promise<void> {
    this.lists += 1;
  }

  stat = never;
  range = never;

  #facts(key: string): ObjectFacts {
    return { key, size: this.sizes.get(key) ?? 0, version: '1', modifiedMs: null };
  }
}
