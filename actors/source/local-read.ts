/**
 * Reads the objects of a range from a folder, in order. A disk that answers at once is read synchronously, a few
 * objects at a time: what was read lies in the cache of the core that unpacks it, and no promise costs more than a
 * ledger of 400 bytes. A disk that keeps a thread waiting is read ahead, several objects at once. Objects come in
 * order, none is skipped, and the bytes held are bounded.
 */
import { closeSync, constants, fstatSync, openSync, read, readSync, statfsSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { LakeObject } from '../ports/source.ts';
import { OBJECT_LIMIT } from '../zstd.ts';
import { fileCount, fileOf, type LakeFile, type LakeNumbers } from './keys.ts';
import type { SourceMeter } from './meter.ts';
import { cancelled, missing, otherSuffix, type SuffixMemory } from './reading.ts';

/** Bytes that are read ahead of the consumer; one larger object is still read, alone. */
export const AHEAD_BYTES = 16 * 1024 * 1024;
/** Objects that are open at once: enough to keep a disk busy. */
const AHEAD_OBJECTS = 8;
/** Room for one synchronous batch; a larger object gets a larger one. */
const BATCH_BYTES = 512 * 1024;
/** A batch with this many bytes is given out: about as much as stays in a core's own cache. */
const GIVE_BYTES = 256 * 1024;
const BATCH_OBJECTS = 256;
/**
 * A disk is slow where so many objects in a row took longer than SLOW_MS and what PLENTY_PER_MS allows for their bytes. One
 * alone says nothing: the thread may have lost its core for that time.
 */
const SLOW_IN_A_ROW = 3;
const SLOW_MS = 0.5;
const PLENTY_PER_MS = 2_000_000;
/** Objects that are read ahead before it is tried again whether the disk answers at once. */
const SPELL_OBJECTS = 64;
/** Milliseconds after which the event loop gets a turn, so that a cancellation is seen. */
const TURN_MS = 10;

/**
 * File systems (statfs(2): ext, XFS, Btrfs, tmpfs) that Linux reads through its page cache: one that gives less of a file
 * than was asked for has come to its end, and need not be asked again. Small ledgers are read twice as often otherwise.
 */
const READ_AT_ONCE: ReadonlySet<number> = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994]);

/** A named pipe in place of an object must not block the thread that opens it. */
export const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | null)?.code ?? '';

/** These will not go away by trying again: what stands there is not a file. */
const SHAPES: ReadonlySet<string> = new Set(['EISDIR', 'ELOOP', 'ENOTDIR', 'ENAMETOOLONG', 'ENXIO', 'EINVAL']);

/** The coded error of a failed call on a path of the lake. */
export function sourceError(error: unknown, object: string): BronzeError {
  if (error instanceof BronzeError) return error;
  const code = codeOf(error);
  const why = error instanceof Error ? error.message : String(error);
  const options = { details: { object, found: code || why }, cause: error };
  if (code === 'EACCES' || code === 'EPERM') {
    return new BronzeError('SOURCE_DENIED', `no permission to read ${object}: ${why}`, options);
  }
  return new BronzeError('SOURCE_READ', `${object} could not be read: ${why}`, {
    ...options,
    retryable: !SHAPES.has(code),
  });
}

const tooLarge = (key: string, size: number): BronzeError =>
  new BronzeError('OBJECT_TOO_LARGE', `${key} has ${size} bytes, more than ${OBJECT_LIMIT}`, {
    details: { object: key, expected: `at most ${OBJECT_LIMIT} bytes`, found: `${size} bytes` },
  });

/** One read of a range. */
export class LocalReader {
  readonly #root: string;
  readonly #numbers: LakeNumbers;
  readonly #range: LedgerRange;
  readonly #memory: SuffixMemory;
  readonly #meter: SourceMeter;
  readonly #signal: AbortSignal;
  readonly #count: number;
  readonly #slowMs: number;
  readonly #readsAtOnce: boolean;
  #lastTurn = performance.now();
  /** Of the synchronous batches, used again for each. */
  #buffer: Buffer = Buffer.alloc(0);
  /** Memory of objects that were read ahead and consumed. */
  readonly #spare: ArrayBufferLike[] = [];
  /** Synchronous reads in a row that kept the thread waiting. */
  #slow = 0;

  constructor(
    root: string,
    numbers: LakeNumbers,
    range: LedgerRange,
    memory: SuffixMemory,
    meter: SourceMeter,
    signal: AbortSignal,
    slowMs: number = SLOW_MS,
  ) {
    this.#slowMs = slowMs;
    this.#readsAtOnce = readsAtOnce(root);
    this.#root = root;
    this.#numbers = numbers;
    this.#range = range;
    this.#memory = memory;
    this.#meter = meter;
    this.#signal = signal;
    this.#count = fileCount(numbers, range);
  }

  async *batches(): AsyncGenerator<readonly LakeObject[], void, undefined> {
    let next = 0;
    while (next < this.#count) {
      const mode = this.#slow < SLOW_IN_A_ROW ? this.#atOnce(next) : this.#ahead(next);
      for await (const batch of mode) {
        next += batch.length;
        yield batch;
      }
    }
  }

  /** Lets the event loop run now and then, and stops where the work was cancelled. */
  async #breathe(): Promise<void> {
    if (performance.now() - this.#lastTurn > TURN_MS) {
      await turn();
      this.#lastTurn = performance.now();
    }
    cancelled(this.#signal);
  }

  /** Opens an object under the suffix that worked last, or the other one. */
  #openSync(file: LakeFile): { fd: number; key: string } {
    const first = this.#memory.suffix;
    for (const suffix of [first, otherSuffix(first)]) {
      const key = `${file.stem}${suffix}`;
      try {
        const fd = openSync(`${this.#root}/${key}`, READ_FLAGS);
        this.#memory.suffix = suffix;
        return { fd, key };
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw sourceError(error, key);
      }
    }
    throw missing(file, first);
  }

  /** Batches in one buffer that is used again: valid until the next one is asked for. Ends when the disk gets slow. */
  async *#atOnce(from: number): AsyncGenerator<readonly LakeObject[], void, undefined> {
    if (this.#buffer.length === 0) this.#buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
    let next = from;
    while (next < this.#count && this.#slow < SLOW_IN_A_ROW) {
      await this.#breathe();
      const batch: LakeObject[] = [];
      let used = 0;
      let failure: unknown = null;
      let began = performance.now();
      while (next < this.#count && batch.length < BATCH_OBJECTS && used < GIVE_BYTES && this.#slow < SLOW_IN_A_ROW) {
        try {
          const object = this.#readSync(fileOf(this.#numbers, this.#range, next), used);
          if (object === null) break;
          batch.push(object);
          used += object.bytes.length;
          next += 1;
          // The end of one is the beginning of the next: a clock is not free where an object takes 10 µs.
          const now = performance.now();
          this.#measure(object.bytes.length, now - began);
          began = now;
        } catch (error) {
          // What was read before it comes first, so that the first ledger that is wrong is the one that is named.
          failure = error;
          break;
        }
      }
      if (batch.length > 0) yield batch;
      if (failure !== null) throw failure;
    }
  }

  #measure(bytes: number, ms: number): void {
    this.#meter.read(bytes, ms);
    this.#slow = ms > this.#slowMs + bytes / PLENTY_PER_MS ? this.#slow + 1 : 0;
  }

  /** An object whole, in the buffer from `used` on; null where there is no room for it behind others. */
  #readSync(file: LakeFile, used: number): LakeObject | null {
    const { fd, key } = this.#openSync(file);
    try {
      let end = fill(fd, this.#buffer, used, this.#readsAtOnce);
      if (end === this.#buffer.length) {
        if (used > 0) return null;
        const size = sizeOf(fd, key);
        if (size >= end) {
          const larger = Buffer.allocUnsafeSlow(size + (size >> 2));
          this.#buffer.copy(larger);
          this.#buffer = larger;
          end = fill(fd, larger, end, this.#readsAtOnce);
        }
        // A device goes on without end, and has no size.
        end = Math.min(end, size);
      }
      return { key, named: file.named, bytes: this.#buffer.subarray(used, end) };
    } catch (error) {
      throw sourceError(error, key);
    } finally {
      closeSync(fd);
    }
  }

  /** Objects of their own memory, several at a time. Ends after a spell, or at the end of the range. */
  async *#ahead(from: number): AsyncGenerator<readonly LakeObject[], void, undefined> {
    /** In ledger order; a failure waits for its turn. */
    const ahead: { size: number; object: Promise<LakeObject> }[] = [];
    const end = Math.min(this.#count, from + SPELL_OBJECTS);
    let held = 0;
    let opened: Opened | null = null;
    let failure: unknown = null;
    let next = from;
    this.#slow = 0;
    try {
      for (;;) {
        // Open (and so learn the size of) the next object, read it as soon as it fits into what may be held.
        while (failure === null && next < end && ahead.length < AHEAD_OBJECTS) {
          try {
            opened ??= this.#open(fileOf(this.#numbers, this.#range, next));
          } catch (error) {
            failure = error;
            break;
          }
          if (ahead.length > 0 && held + opened.size > AHEAD_BYTES) break;
          const object = this.#readAll(opened);
          // It is awaited when its turn comes; until then a failure of it is not an unhandled one.
          object.catch(() => undefined);
          ahead.push({ size: opened.size, object });
          held += opened.size;
          opened = null;
          next += 1;
        }
        const first = ahead[0];
        if (first === undefined) {
          if (failure !== null) throw failure;
          return;
        }
        const object = await first.object;
        await this.#breathe();
        yield [object];
        this.#spare.push(object.bytes.buffer);
        ahead.shift();
        held -= first.size;
      }
    } finally {
      if (opened !== null) closeSync(opened.fd);
      await Promise.allSettled(ahead.map((a) => a.object));
    }
  }

  /** Opening is a system call on names in memory; only the reading is worth a promise. */
  #open(file: LakeFile): Opened {
    const { fd, key } = this.#openSync(file);
    try {
      return { fd, key, size: sizeOf(fd, key), named: file.named };
    } catch (error) {
      closeSync(fd);
      throw sourceError(error, key);
    }
  }

  /** Memory of an object that the consumer is done with, or new. */
  #memoryFor(size: number): Buffer {
    const at = this.#spare.findIndex((spare) => spare.byteLength >= size);
    const spare = at < 0 ? this.#spare.pop() : this.#spare.splice(at, 1)[0];
    if (spare !== undefined && at >= 0) return Buffer.from(spare, 0, size);
    return Buffer.allocUnsafeSlow(size + (size >> 2)).subarray(0, size);
  }

  async #readAll({ fd, key, size, named }: Opened): Promise<LakeObject> {
    const began = performance.now();
    try {
      const bytes = this.#memoryFor(size);
      let at = 0;
      while (at < size) {
        const { bytesRead } = await readAsync(fd, bytes, at, size - at, null);
        if (bytesRead === 0) break;
        at += bytesRead;
      }
      this.#meter.read(at, performance.now() - began);
      return { key, named, bytes: bytes.subarray(0, at) };
    } catch (error) {
      throw sourceError(error, key);
    } finally {
      closeSync(fd);
    }
  }
}

interface Opened {
  readonly fd: number;
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  readonly named: LedgerRange;
}

const readAsync = promisify(read);

/** Bytes of an open object. Of a folder, a coded failure: only reading would tell otherwise. */
function sizeOf(fd: number, key: string): number {
  const stat = fstatSync(fd);
  if (stat.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
  if (stat.size > OBJECT_LIMIT) throw tooLarge(key, stat.size);
  return stat.size;
}

function readsAtOnce(root: string): boolean {
  try {
    return READ_AT_ONCE.has(statfsSync(root).type);
  } catch {
    return false;
  }
}

/** Reads to the end of the file or of the buffer. Unless `atOnce`, less than was asked for is not the end yet. */
function fill(fd: number, buffer: Buffer, from: number, atOnce: boolean): number {
  let at = from;
  while (at < buffer.length) {
    const n = readSync(fd, buffer, at, buffer.length - at, null);
    at += n;
    if (n === 0 || (atOnce && at < buffer.length)) break;
  }
  return at;
}
