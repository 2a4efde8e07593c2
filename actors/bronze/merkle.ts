/**
 * The content root of a partition: an RFC 6962 (section 2.1) Merkle tree hash over the rows' xdr_sha256 in order. It
 * proves the rows independently of codec and writer. It depends on the digests and their order only.
 */
import { hash } from 'node:crypto';

const LEAF = 0;
const NODE = 1;
const DIGEST_BYTES = 32;

/** Grows leaf by leaf with one pending digest per level: O(log n) memory for any number of rows. */
export class MerkleTree {
  /** Roots of complete subtrees, largest first; their sizes are the binary digits of `#leaves`. */
  readonly #pending: Buffer[] = [];
  #leaves = 0;
  readonly #leafInput = Buffer.alloc(1 + DIGEST_BYTES, LEAF);
  readonly #nodeInput = Buffer.alloc(1 + 2 * DIGEST_BYTES, NODE);

  /** Number of digests appended. */
  get size(): number {
    return this.#leaves;
  }

  /** Appends a row's xdr_sha256, 32 bytes. The leaf is SHA-256(0x00 || digest). */
  append(digest: Uint8Array): void {
    if (digest.length !== DIGEST_BYTES) throw new RangeError(`a SHA-256 has 32 bytes, not ${digest.length}`);
    this.#leafInput.set(digest, 1);
    this.appendHash(hash('sha256', this.#leafInput, 'buffer'));
  }

  /** Appends a leaf, whatever is in it, by its hash: SHA-256(0x00 || leaf). */
  appendHash(leaf: Buffer): void {
    let node = leaf;
    // A complete subtree for every trailing one bit: two of the same size become one of twice the size.
    for (let size = this.#leaves; size & 1; size >>>= 1) node = this.#join(this.#pending.pop() as Buffer, node);
    this.#pending.push(node);
    this.#leaves += 1;
  }

  /** The tree hash of what was appended so far, in hex; of nothing, SHA-256 of nothing. Appending may go on. */
  root(): string {
    const last = this.#pending.at(-1);
    if (last === undefined) return hash('sha256', '', 'hex');
    return this.#pending
      .slice(0, -1)
      .reduceRight((right, left) => this.#join(left, right), last)
      .toString('hex');
  }

  #join(left: Buffer, right: Buffer): Buffer {
    left.copy(this.#nodeInput, 1);
    right.copy(this.#nodeInput, 1 + DIGEST_BYTES);
    return hash('sha256', this.#nodeInput, 'buffer');
  }
}
