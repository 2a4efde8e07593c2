/**
 * Reads the objects of a range from a bucket: one GET each, many in flight, given out in ledger order. How many follows
 * from their size: early ledgers have 400 bytes and are bound by latency, those of today 150 kB and by bandwidth, files
 * of many ledgers may be larger than all that may be held. An object is asked for without looking first whether it is
 * there. Objects come in order, none is skipped, the bytes held are bounded, and no request is left behind.
 */
import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setImmediate as turn } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { LakeObject } from '../ports/source.ts';
import { OBJECT_LIMIT } from '../zstd.ts';
import { BodyMemory } from './body-memory.ts';
import type { BucketRoot } from './bucket-head.ts';
import { fileCount, fileOf, type LakeFile, type LakeNumbers } from './keys.ts';
import type { SourceMeter } from './meter.ts';
import { cancelled, missing, otherSuffix, type SuffixMemory } from './reading.ts';

/** Bytes that are read, or being read, ahead of the consumer. One larger object is read alone. */
const AHEAD_BYTES = 16 * 1024 * 1024;
/**
 * Bytes above which an object that turned out larger than its neighbours is put back, unread, until there is room. What
 * is held never exceeds this and the object whose turn it is.
 */
const MOST_BYTES = 2 * AHEAD_BYTES;
/** Up to which a few large objects may be expected to come; the rest is for those that are larger than expected. */
const LARGE_BYTES = 1.5 * AHEAD_BYTES;
/** Requests in flight: with the fewest a round trip is hidden, as far as that fits; with the most no store is annoyed. */
const FEWEST = 4;
export const MOST = 128;
/**
 * Where a store is so far away that a thread waits although the most are in flight, they become more, up to this; and
 * fewer again where it is busy: then the store is near enough.
 */
const UTMOST = 384;
/**
 * Looked at no sooner than after so many ms: answers come in bursts, a round trip apart, and a thread that waits most of
 * the time is busy for as long as one of them lasts.
 */
const LOOK_AFTER_MS = 250;
/** An answer that comes sooner is from near, whatever the thread waits for, ms. */
const NEAR_MS = 20;
/** Part of its time that a thread works, below which it waits, and above which it is busy. */
const WAITING = 0.9;
const BUSY = 0.98;
/** Objects that are held or in flight: one slow answer must not stop the others, nor let them pile up without end. */
const MOST_OBJECTS = 2_048;
/** What one batch gives out at the most, so that requests go on while it is unpacked. */
const BATCH_BYTES = AHEAD_BYTES / 4;
const BATCH_OBJECTS = 256;
/** Milliseconds after which the event loop gets a turn: nothing arrives and no cancellation is seen without one. */
const TURN_MS = 10;

/** What is known about a lake from reading it before. */
export interface LakeMemory extends SuffixMemory {
  /** Whether an object was found under this suffix. */
  suffixWorked: boolean;
  /** Recent average size of an object, bytes; null = not known yet. */
  average: number | null;
  /** Requests that are worth having in flight at the most, from MOST to UTMOST. */
  most: number;
  /** How quick an answer can be, ms: the quickest of some ten thousand. */
  quickest: number;
}

/** An object that was asked for and not given out yet. */
interface Slot {
  readonly file: LakeFile;
  /** Bytes, as soon as the store has said it. */
  size: number | null;
  state: 'flying' | 'postponed' | 'here' | 'failed';
  object: LakeObject | null;
  /** What its bytes lie in, to be given back; null where they have memory of their own. */
  block: Buffer | null;
  error: unknown;
}

/** Ends a request whose object is too large for now; never seen outside. */
class Postponed extends BronzeError {
  constructor() {
    super('OBJECT_TOO_LARGE', 'there is no room for it yet', { retryable: false });
  }
}

/** The same error with the ledger that could not be had. */
function withLedger(error: unknown, ledger: number): unknown {
  if (!(error instanceof BronzeError) || error.details.ledger !== undefined) return error;
  const { code, message, details, cause, retryable, retryAfterMs } = error;
  const wait = retryAfterMs === undefined ? {} : { retryAfterMs };
  return new BronzeError(code, message, { details: { ledger, ...details }, cause, retryable, ...wait });
}

/** Of this thread. */
const memory = new BodyMemory();

/** One read of a range. */
export class BucketReader {
  readonly #root: BucketRoot;
  readonly #numbers: LakeNumbers;
  readonly #range: LedgerRange;
  readonly #memory: LakeMemory;
  readonly #meter: SourceMeter;
  readonly #signal: AbortSignal;
  readonly #count: number;
  /** Ends every request in flight. */
  readonly #stop = new AbortController();
  /** In ledger order. */
  readonly #ahead: Slot[] = [];
  readonly #flying = new Set<Promise<void>>();
  /** Index of the first object that was not asked for. */
  #next = 0;
  /** Requests that may be in flight; grows with every answer, so that a start is careful. */
  #window: number;
  /** Bytes of all objects ahead whose size is known, and of the batch that the consumer has. */
  #bytes = 0;
  /** Bytes of the batch that the consumer has; 0 = it waits for one. */
  #given = 0;
  /** What they lie in. */
  #lent: (Buffer | null)[] = [];
  /** Objects in flight whose size is not known. */
  #unsized = 0;
  #postponed = 0;
  #failed = false;
  #wake: (() => void) | null = null;
  #lastTurn = performance.now();
  #looked = performance.now();
  #worked = performance.eventLoopUtilization();

  constructor(
    root: BucketRoot,
    numbers: LakeNumbers,
    range: LedgerRange,
    memory: LakeMemory,
    meter: SourceMeter,
    signal: AbortSignal,
  ) {
    this.#root = root;
    this.#numbers = numbers;
    this.#range = range;
    this.#memory = memory;
    this.#meter = meter;
    this.#signal = signal;
    this.#count = fileCount(numbers, range);
    // Until one object was found, a second request could only make the same mistake about the suffix.
    this.#window = memory.suffixWorked ? Math.max(FEWEST, this.#wanted()) : 1;
    // Every request listens to it.
    setMaxListeners(0, this.#stop.signal);
  }

  async *batches(): AsyncGenerator<readonly LakeObject[], void, undefined> {
    const onAbort = (): void => this.#end();
    this.#signal.addEventListener('abort', onAbort);
    try {
      for (;;) {
        await this.#breathe();
        this.#pump();
        const first = this.#ahead[0];
        if (first === undefined) return;
        // What was read before a failure comes first, so that the first ledger that is wrong is the one that is named.
        if (first.state === 'failed') throw first.error;
        if (first.state !== 'here') {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          continue;
        }
        const objects = this.#takeReady();
        yield objects;
        this.#bytes -= this.#given;
        this.#given = 0;
        for (const block of this.#lent) memory.give(block);
      }
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
      this.#end();
      await Promise.all(this.#flying);
    }
  }

  /** All that is here in order, up to the bound of a batch. */
  #takeReady(): LakeObject[] {
    const objects: LakeObject[] = [];
    let bytes = 0;
    for (const { object } of this.#ahead) {
      if (object === null || objects.length === BATCH_OBJECTS || (bytes > 0 && bytes >= BATCH_BYTES)) break;
      objects.push(object);
      bytes += object.bytes.length;
    }
    this.#lent = this.#ahead.splice(0, objects.length).map(({ block }) => block);
    this.#given = bytes;
    return objects;
  }

  async #breathe(): Promise<void> {
    if (performance.now() - this.#lastTurn > TURN_MS) {
      await turn();
      this.#lastTurn = performance.now();
    }
    cancelled(this.#signal);
  }

  #end(): void {
    this.#stop.abort();
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }

  /** How many requests the size of objects allows. */
  #wanted(): number {
    const { average } = this.#memory;
    if (average === null) return FEWEST;
    return Math.min(this.#memory.most, Math.max(FEWEST, Math.floor(AHEAD_BYTES / Math.max(1, average))));
  }

  /** Whether more in flight would be of use: only to a thread that waits. */
  #adaptWindow(): void {
    const now = performance.now();
    if (now - this.#looked < LOOK_AFTER_MS) return;
    this.#looked = now;
    const { utilization } = performance.eventLoopUtilization(this.#worked);
    this.#worked = performance.eventLoopUtilization();
    const { most, quickest } = this.#memory;
    const isFar = utilization < WAITING && quickest > NEAR_MS;
    if (utilization > BUSY) this.#memory.most = Math.max(MOST, Math.floor(most / 1.25));
    else if (isFar && this.#window >= most) this.#memory.most = Math.min(UTMOST, Math.ceil(most * 1.25));
  }

  /** Asks for as many objects as may be asked for now. */
  #pump(): void {
    if (this.#stop.signal.aborted) return;
    const limit = Math.min(this.#window, this.#wanted());
    while (this.#flying.size < limit) {
      const postponed = this.#postponed > 0 && this.#ahead.find(({ state }) => state === 'postponed');
      if (postponed) {
        // Nothing newer before it: it waits for room, and its turn at the latest makes some.
        if (!this.#hasRoom(postponed, this.#bytes, postponed.size ?? 0, AHEAD_BYTES)) return;
        this.#postponed -= 1;
        postponed.state = 'flying';
        postponed.size = null;
        this.#start(postponed);
        continue;
      }
      if (this.#failed || this.#next >= this.#count || this.#ahead.length >= MOST_OBJECTS) return;
      const expected = this.#bytes + (this.#unsized + 1) * (this.#memory.average ?? 0);
      const bound = this.#flying.size < FEWEST ? LARGE_BYTES : AHEAD_BYTES;
      if (this.#ahead.length > 0 && expected > bound) return;
      const file = fileOf(this.#numbers, this.#range, this.#next);
      const slot: Slot = { file, size: null, state: 'flying', object: null, block: null, error: null };
      this.#ahead.push(slot);
      this.#next += 1;
      this.#start(slot);
    }
  }

  #start(slot: Slot): void {
    this.#unsized += 1;
    const flight = this.#fetch(slot).finally(() => {
      this.#flying.delete(flight);
      this.#pump();
      const first = this.#ahead[0];
      if (first === undefined || first.state === 'here' || first.state === 'failed') this.#wakeUp();
    });
    this.#flying.add(flight);
  }

  /** Fills a slot. Never rejects: a failure waits in the slot for its turn. */
  async #fetch(slot: Slot): Promise<void> {
    try {
      slot.object = await this.#get(slot);
      slot.state = 'here';
      this.#weigh(slot.object.bytes.length);
      this.#window = Math.min(this.#memory.most, Math.max(FEWEST, this.#window + 1));
      this.#adaptWindow();
    } catch (error) {
      this.#release(slot);
      if (error instanceof Postponed) {
        this.#postponed += 1;
        slot.state = 'postponed';
        // The size is known now, and counts where the object is read.
        const size = slot.size ?? 0;
        this.#resize(slot, 0);
        slot.size = size;
        this.#weigh(size);
        return;
      }
      this.#resize(slot, 0);
      slot.state = 'failed';
      slot.error = withLedger(error, slot.file.first);
      this.#failed = true;
    }
  }

  /** Counts an object with the size that is known by now. */
  #resize(slot: Slot, size: number): void {
    if (slot.size === null) this.#unsized -= 1;
    this.#bytes += size - (slot.size ?? 0);
    slot.size = size;
  }

  /** Decides, as soon as the size is known, whether an object is read now, and gives memory for it. */
  #admit(slot: Slot, size: number): Uint8Array | undefined {
    this.#release(slot);
    const others = this.#bytes - (slot.size ?? 0);
    this.#resize(slot, size);
    if (!this.#hasRoom(slot, others, size, MOST_BYTES)) throw new Postponed();
    slot.block = memory.take(size);
    return slot.block?.subarray(0, size);
  }

  /** Nothing writes into it any more: a request that has ended lets go of its memory first. */
  #release(slot: Slot): void {
    memory.give(slot.block);
    slot.block = null;
  }

  /** Whether an object of `size` bytes may be held beside `others` bytes, when all but the next one share `bound`. */
  #hasRoom(slot: Slot, others: number, size: number, bound: number): boolean {
    if (slot !== this.#ahead[0]) return others + size <= bound;
    // The next one may be too much by itself, but not together with a batch that was too much: that is given back soon.
    return this.#given === 0 || others <= MOST_BYTES;
  }

  #weigh(size: number): void {
    const { average } = this.#memory;
    // Quick to see that objects have grown: many of them are asked for on the word of this number.
    this.#memory.average = average === null ? size : average + (size - average) * (size > average ? 0.3 : 0.1);
  }

  /** The object under the suffix that worked last, or the other one. */
  async #get(slot: Slot): Promise<LakeObject> {
    const { bucket, prefix } = this.#root;
    const { stem, named } = slot.file;
    const first = this.#memory.suffix;
    for (const suffix of [first, otherSuffix(first)]) {
      const key = `${stem}${suffix}`;
      const began = performance.now();
      const bytes = await bucket.get(`${prefix}${key}`, OBJECT_LIMIT, this.#stop.signal, (size) =>
        this.#admit(slot, size),
      );
      if (bytes === null) continue;
      const ms = performance.now() - began;
      this.#meter.read(bytes.length, ms);
      this.#memory.quickest = Math.min(ms, this.#memory.quickest * 1.0001);
      this.#resize(slot, bytes.length);
      this.#memory.suffix = suffix;
      this.#memory.suffixWorked = true;
      return { key, named, bytes };
    }
    throw missing(slot.file, first);
  }
}
