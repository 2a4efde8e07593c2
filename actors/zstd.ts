/**
 * Unpacks the objects of a lake: exactly one whole zstd frame each, into memory that is used again and again.
 * The only place that decides what a frame may look like. It must never accept bytes after the frame, a wrong checksum
 * or an object without an end to its size, and it never trusts a size that a frame says about itself.
 */
import zstd from 'zstd-napi/binding.js';
import { BronzeError } from '../machines/errors.ts';

/** Version of the zstd library: compressed bytes depend on it, so it stands in manifests and footers. */
export const ZSTD_VERSION: string = zstd.versionString();

/** Bytes that one object may unpack to: 64 ledgers of 2026 are about 70 MB, and a made-up frame must not fill memory. */
export const OBJECT_LIMIT = 256 * 1024 * 1024;

/** Largest window of a frame, in bytes (contract, section 3). A single-segment frame's window is its content. */
const WINDOW_LIMIT = 8 * 1024 * 1024;

const FIRST_GUESS = 64 * 1024;
/** zstd's own words for the one failure that more room mends; pinned with the library's version, held by a test. */
const TOO_SMALL = 'Destination buffer is too small';

const viewOf = ({ buffer, byteOffset, byteLength }: Buffer): DataView => new DataView(buffer, byteOffset, byteLength);

/** Where something lies in memory: from `start` up to `end`. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** Memory for raw bytes, filled from its start. Offsets stay valid when it grows; views on `bytes` do not. */
export class Arena {
  #bytes: Buffer;
  #view: DataView;
  #used = 0;

  /** `capacity` in bytes; the pages are not touched before they are written. */
  constructor(capacity: number = FIRST_GUESS) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity);
    this.#view = viewOf(this.#bytes);
  }

  /** All of the memory; only what lies below `used` means anything. Another object after `reserve`. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** The same memory, for numbers. */
  get view(): DataView {
    return this.#view;
  }

  get capacity(): number {
    return this.#bytes.length;
  }

  /** Bytes in use. */
  get used(): number {
    return this.#used;
  }

  /** Room behind `used`, in bytes. */
  get free(): number {
    return this.#bytes.length - this.#used;
  }

  /** Forgets the content, or what lies behind `used`; keeps the memory. */
  reset(used = 0): void {
    if (used < 0 || used > this.#used)
      throw new RangeError(`an arena of ${this.#used} bytes cannot go back to ${used}`);
    this.#used = used;
  }

  /** Makes room for `bytes` more, at least doubling the memory so that growing stays rare. Keeps the content. */
  reserve(bytes: number): void {
    if (this.free >= bytes) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#used + bytes, this.#bytes.length * 2));
    this.#bytes.copy(grown, 0, 0, this.#used);
    this.#bytes = grown;
    this.#view = viewOf(grown);
  }

  /** Takes `bytes` that were written behind `used`. */
  take(bytes: number): Extent {
    if (bytes > this.free) throw new RangeError(`an arena with ${this.free} bytes free cannot take ${bytes}`);
    const start = this.#used;
    this.#used += bytes;
    return { start, end: this.#used };
  }
}

const corrupt = (object: string, check: string, found: string, cause?: unknown): BronzeError =>
  new BronzeError('OBJECT_CORRUPT', `${object} is not exactly one whole zstd frame: ${found}`, {
    details: { object, check, found },
    cause,
  });

const tooLarge = (object: string, limit: number, found: string): BronzeError =>
  new BronzeError('OBJECT_TOO_LARGE', `${object} unpacks to more than ${limit} bytes`, {
    details: { object, check: 'size', expected: `at most ${limit} bytes`, found },
  });

/** What a frame header says that decides whether it is taken (RFC 8878, 3.1.1.1). */
function checkHeader(bytes: Uint8Array, windowLimit: number, object: string): void {
  const [b0, b1, b2, b3, descriptor, window] = bytes;
  if (b0 !== 0x28 || b1 !== 0xb5 || b2 !== 0x2f || b3 !== 0xfd) {
    const magic = Buffer.from(bytes.subarray(0, 4)).toString('hex');
    throw corrupt(object, 'zstd_magic', `it starts with 0x${magic}`);
  }
  if (descriptor === undefined || window === undefined) throw corrupt(object, 'zstd_frame', 'it ends in its header');
  // Bits 0 and 1: a dictionary id follows. Nobody gave us one, and zstd would only notice where it is used.
  if ((descriptor & 3) !== 0) throw corrupt(object, 'zstd_dictionary', 'it asks for a dictionary');
  if ((descriptor & 0x20) === 0) {
    const base = 2 ** (10 + (window >> 3));
    const size = base + (base / 8) * (window & 7);
    if (size > windowLimit) throw corrupt(object, 'zstd_window', `its window of ${size} bytes is above ${windowLimit}`);
  }
}

/** Unpacks frames with one native context. Not to be shared by threads. */
export class FrameDecompressor {
  readonly #context = new zstd.DCtx();
  readonly #limit: number;
  readonly #windowLimit: number;

  /** `limit`: bytes that one frame may unpack to. `windowLimit`: bytes that its window may have. */
  constructor(limit: number = OBJECT_LIMIT, windowLimit: number = WINDOW_LIMIT) {
    this.#limit = limit;
    this.#windowLimit = windowLimit;
  }

  /**
   * Appends what the frame holds to the arena, which grows as needed, and says where it lies. A content checksum is
   * verified where the frame has one (Galexie's have; without one the ledger's own hashes remain); a content size is
   * not needed. On an error the arena's content is what it was.
   * @param object key or path for messages
   * @throws OBJECT_EMPTY, OBJECT_CORRUPT, OBJECT_TOO_LARGE
   */
  decompressInto(arena: Arena, bytes: Uint8Array, object: string): Extent {
    if (bytes.length === 0) throw new BronzeError('OBJECT_EMPTY', `${object} is empty`, { details: { object } });
    checkHeader(bytes, this.#windowLimit, object);
    let frame: number;
    let known: number | null;
    try {
      frame = zstd.findFrameCompressedSize(bytes);
      known = zstd.getFrameContentSize(bytes);
    } catch (cause) {
      throw corrupt(object, 'zstd_frame', `of ${bytes.length} bytes, cut or damaged (${text(cause)})`, cause);
    }
    if (frame !== bytes.length) {
      throw corrupt(object, 'zstd_trailing', `${bytes.length - frame} bytes follow the frame`);
    }
    if (known !== null && known > this.#limit) throw tooLarge(object, this.#limit, `${known} bytes`);
    // What the frame says is only a first guess: memory is not handed out on its word alone.
    arena.reserve(Math.min(known ?? this.#limit, Math.max(FIRST_GUESS, bytes.length * 8)));
    for (;;) {
      const room = Math.min(arena.free, this.#limit);
      try {
        return arena.take(this.#context.decompress(arena.bytes.subarray(arena.used, arena.used + room), bytes));
      } catch (cause) {
        if (text(cause) !== TOO_SMALL) throw corrupt(object, 'zstd_content', text(cause), cause);
        if (known !== null && room >= known)
          throw corrupt(object, 'zstd_content', `it holds more than ${known} bytes`, cause);
        if (room >= this.#limit) throw tooLarge(object, this.#limit, 'more');
        // Never by nothing, or a frame that lies about its size would be tried for ever.
        arena.reserve(Math.min(this.#limit, Math.max(FIRST_GUESS, room * 2)));
      }
    }
  }
}

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
