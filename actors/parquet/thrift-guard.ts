/**
 * Walks over Thrift's compact protocol before a parser that trusts it does: a hostile list size, a varint without end
 * or a nest without bottom would fill memory or never return. It builds nothing and must accept whatever Parquet's own
 * structures look like; it judges sizes, not meaning.
 */

/** Deepest nest in Parquet's structures is 7 (footer, row group, column, metadata, statistics of statistics). */
const MAX_DEPTH = 16;
/** Ten groups of seven bits hold 64 bits. */
const MAX_VARINT = 10;

/** What was found wrong; `offset` in bytes. */
export class ThriftFault extends Error {
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.name = 'ThriftFault';
    this.offset = offset;
  }
}

// Compact-protocol types, as in field headers and list headers.
const STOP = 0;
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const STRUCT = 12;

class Walk {
  readonly #bytes: Uint8Array;
  #left: number;
  at: number;

  constructor(bytes: Uint8Array, at: number, values: number) {
    this.#bytes = bytes;
    this.at = at;
    this.#left = values;
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new ThriftFault('it ends in the middle', this.at);
    this.at += 1;
    return byte;
  }

  #varint(): number {
    let value = 0;
    for (let i = 0; i < MAX_VARINT; i += 1) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** (7 * i);
      if (byte < 0x80) return value;
    }
    throw new ThriftFault('a number without end', this.at);
  }

  /** Skips `count` bytes, or says that as many elements cannot be there. */
  #room(count: number): void {
    if (count > this.#bytes.length - this.at) throw new ThriftFault(`a size of ${count} beyond the end`, this.at);
  }

  #count(): void {
    this.#left -= 1;
    if (this.#left < 0) throw new ThriftFault('more values than such a file can have', this.at);
  }

  struct(depth: number): void {
    if (depth > MAX_DEPTH) throw new ThriftFault('nested too deep', this.at);
    for (;;) {
      const header = this.#byte();
      if ((header & 0x0f) === STOP) return;
      if (header >> 4 === 0) this.#varint();
      this.#value(header & 0x0f, depth, false);
    }
  }

  #value(type: number, depth: number, inList: boolean): void {
    this.#count();
    switch (type) {
      case TRUE:
      case FALSE:
        // As a field a boolean is its own type; in a list it is a byte.
        if (inList) this.#byte();
        return;
      case BYTE:
        this.#byte();
        return;
      case I16:
      case I32:
      case I64:
        this.#varint();
        return;
      case DOUBLE:
        this.#room(8);
        this.at += 8;
        return;
      case BINARY: {
        const length = this.#varint();
        this.#room(length);
        this.at += length;
        return;
      }
      case LIST: {
        const header = this.#byte();
        const size = header >> 4 === 15 ? this.#varint() : header >> 4;
        // Every element takes a byte at least.
        this.#room(size);
        if (depth >= MAX_DEPTH) throw new ThriftFault('nested too deep', this.at);
        for (let i = 0; i < size; i += 1) this.#value(header & 0x0f, depth + 1, true);
        return;
      }
      case STRUCT:
        this.struct(depth + 1);
        return;
      default:
        throw new ThriftFault(`type ${type} is not used by Parquet`, this.at);
    }
  }
}

/**
 * The offset after the struct that starts at `from`.
 * @param values how many values it may hold at the most, at all depths
 * @throws ThriftFault
 */
export function checkStruct(bytes: Uint8Array, from: number, values: number): number {
  const walk = new Walk(bytes, from, values);
  walk.struct(0);
  return walk.at;
}
