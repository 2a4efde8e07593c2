/**
 * Reads the objects of a range from a folder, in order and ahead of the one who unpacks them: small ones in synchronous
 * batches, because a promise costs more than a ledger of 400 bytes; large ones asynchronously, several at once. It must
 * never hold more than a bounded number of bytes, and never yield an object out of order or skip one.
 */
import { closeSync, constants, fstatSync, openSync, read, readSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { promisify } from 'node:util';
import { BronzeError } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { LakeObject } from '../ports.ts';
import { OBJECT_LIMIT } from '../zstd.ts';
import { fileCount, fileOf, type LakeFile, type LakeNumbers } from './keys.ts';
import type { SourceMeter } from './meter.ts';
import { cancelled, missing, otherSuffix, type SuffixMemory } from './reading.ts';

/** Bytes that are read ahead of the consumer; one larger object is still read, alone. */
const AHEAD_BYTES = 16 * 1024 * 1024;
/** Objects that are open at once: enough to keep a disk busy. */
const AHEAD_OBJECTS = 8;
/** Recent average size in bytes up to which objects are read synchronously. */
const SMALL = 64 * 1024;
const BATCH_BYTES = 1024 * 1024;
const BATCH_OBJECTS = 256;
/** Milliseconds after which the event loop gets a turn, so that a cancellation is seen. */
const TURN_MS = 10;

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
  /** Recent average size of an object, in bytes; unknown objects are tried as small ones first. */
  #average = 0;
  #lastTurn = performance.now();
  /** Memory of large objects that were consumed. */
  readonly #spare: ArrayBufferLike[] = [];

  constructor(
    root: string,
    numbers: LakeNumbers,
    range: LedgerRange,
    memory: SuffixMemory,
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
  }

  async *batches(): AsyncGenerator<readonly LakeObject[], void, undefined> {
    let next = 0;
    while (next < this.#count) {
      const mode = this.#average <= SMALL ? this.#small(next) : this.#large(next);
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

  #weigh(size: number): void {
    this.#average = this.#average === 0 ? size : this.#average * 0.9 + size * 0.1;
  }

  /** Opens an object under the suffix that worked last, or the other one. */
  #openSync(file: LakeFile): { fd: number; key: string } {
    const first = this.#memory.suffix;
    for (const suffix of [first, otherSuffix(first)]) {
      const key = `${file.stem}${suffix}`;
      try {
        const fd = openSync(join(this.#root, key), READ_FLAGS);
        this.#memory.suffix = suffix;
        return { fd, key };
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw sourceError(error, key);
      }
    }
    throw missing(file, first);
  }

  /** Batches in one buffer that is used again: valid until the next one is asked for. Ends when objects get large. */
  async *#small(from: number): AsyncGenerator<readonly LakeObject[], void, undefined> {
    const buffer = Buffer.allocUnsafeSlow(BATCH_BYTES);
    let next = from;
    while (next < this.#count && this.#average <= SMALL) {
      await this.#breathe();
      const batch: LakeObject[] = [];
      let used = 0;
      let failure: unknown = null;
      let began = performance.now();
      while (next < this.#count && batch.length < BATCH_OBJECTS && this.#average <= SMALL) {
        const file = fileOf(this.#numbers, this.#range, next);
        try {
          const { fd, key } = this.#openSync(file);
          let end: number;
          try {
            end = fill(fd, buffer, used);
          } catch (error) {
            throw sourceError(error, key);
          } finally {
            closeSync(fd);
          }
          if (end === buffer.length) {
            // It may go on: read it again at the head of the next batch, or as a large one.
            if (batch.length === 0) this.#average = SMALL * 2;
            break;
          }
          batch.push({ key, named: file.named, bytes: buffer.subarray(used, end) });
          this.#weigh(end - used);
          // The end of one is the beginning of the next: a clock is not free where an object takes 10 µs.
          const now = performance.now();
          this.#meter.read(end - used, now - began);
          began = now;
          used = end;
          next += 1;
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

  /** Objects of their own memory, read ahead. Ends when objects get small. */
  async *#large(from: number): AsyncGenerator<readonly LakeObject[], void, undefined> {
    /** In ledger order; a failure waits for its turn. */
    const ahead: { size: number; object: Promise<LakeObject> }[] = [];
    let held = 0;
    let opened: Opened | null = null;
    let failure: unknown = null;
    let next = from;
    try {
      for (;;) {
        // Open (and so learn the size of) the next object, read it as soon as it fits into what may be held.
        while (
          failure === null &&
          next < this.#count &&
          ahead.length < AHEAD_OBJECTS &&
          (this.#average > SMALL / 2 || opened !== null)
        ) {
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
        this.#weigh(object.bytes.length);
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
      const stat = fstatSync(fd);
      if (stat.isDirectory()) throw Object.assign(new Error('it is a folder'), { code: 'EISDIR' });
      if (stat.size > OBJECT_LIMIT) throw tooLarge(key, stat.size);
      return { fd, key, size: stat.size, named: file.named };
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

/** Reads to the end of the file or of the buffer; some file systems give less than was asked for before the end. */
function fill(fd: number, buffer: Buffer, from: number): number {
  let at = from;
  while (at < buffer.length) {
    const n = readSync(fd, buffer, at, buffer.length - at, null);
    if (n === 0) break;
    at += n;
  }
  return at;
}
