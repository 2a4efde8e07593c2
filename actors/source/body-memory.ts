/**
 * Memory for the bodies of objects, used again and again. Today's ledgers have 138 kB each, which the allocator would get
 * from the kernel, page by page, and give back. One for each thread. It must never give out memory that somebody still
 * has: who gave it back may not look at it again.
 */

/** What is smaller comes from Node's own pool, at no cost to speak of. Bytes. */
const SMALL = 4096;
/** Bytes that are kept for nobody at the most. */
const KEPT_BYTES = 16 * 1024 * 1024;

export class BodyMemory {
  /** What nobody has, the oldest first. */
  readonly #free: Buffer[] = [];
  #freeBytes = 0;

  /** Memory of at least `size` bytes; null where it is not worth keeping. */
  take(size: number): Buffer | null {
    if (size < SMALL) return null;
    const at = this.#free.findIndex(({ length }) => length >= size && length <= size * 2);
    if (at >= 0) {
      const [block] = this.#free.splice(at, 1) as [Buffer];
      this.#freeBytes -= block.length;
      return block;
    }
    // Objects have grown, or have become small: what is free fits none of them, and goes as new memory comes.
    this.#shrinkTo(Math.max(0, this.#freeBytes - size));
    // Some room, so that it fits the next one, too.
    return Buffer.allocUnsafeSlow(Math.ceil((size * 1.125) / SMALL) * SMALL);
  }

  /** Takes back what `take` gave. */
  give(block: Buffer | null): void {
    if (block === null || block.length > KEPT_BYTES) return;
    this.#free.push(block);
    this.#freeBytes += block.length;
    this.#shrinkTo(KEPT_BYTES);
  }

  #shrinkTo(bytes: number): void {
    while (this.#freeBytes > bytes) this.#freeBytes -= (this.#free.shift() as Buffer).length;
  }
}
