/**
 * RFC 6962 (section 2.1) over hashes of leaves: roots, audit paths, and what a path says. Pure. The content root of a
 * partition is such a tree over its rows' xdr_sha256, the log of a chain one over its events.
 * It must never take a path for right that has an element too many or too few.
 */
import { hash } from 'node:crypto';

export const HASH_BYTES = 32;

/** SHA-256(0x00 ‖ leaf). */
export const leafHash = (leaf: Uint8Array): Buffer => hash('sha256', Buffer.concat([Buffer.of(0), leaf]), 'buffer');

const nodeHash = (left: Uint8Array, right: Uint8Array): Buffer =>
  hash('sha256', Buffer.concat([Buffer.of(1), left, right]), 'buffer');

/** The largest power of two below `size`, which is 2 or more. */
function split(size: number): number {
  // Doubled and not by a logarithm, which rounds up from 2^49 - 1 on.
  let half = 1;
  while (2 * half < size) half *= 2;
  return half;
}

/** The tree hash of leaves' hashes; of none, SHA-256 of nothing. */
export function rootOf(leaves: readonly Uint8Array[], from = 0, to = leaves.length): Buffer {
  const size = to - from;
  if (size === 0) return hash('sha256', '', 'buffer');
  if (size === 1) return Buffer.from(leaves[from] as Uint8Array);
  const middle = from + split(size);
  return nodeHash(rootOf(leaves, from, middle), rootOf(leaves, middle, to));
}

/** The audit path of a leaf: from its sibling up to the child of the root. Throws RangeError for a leaf that is not there. */
export function auditPath(leaves: readonly Uint8Array[], index: number): Buffer[] {
  if (!(Number.isInteger(index) && index >= 0 && index < leaves.length)) {
    throw new RangeError(`a tree of ${leaves.length} leaves has no leaf ${index}`);
  }
  const down: Buffer[] = [];
  let [from, to] = [0, leaves.length];
  while (to - from > 1) {
    const middle = from + split(to - from);
    if (index < middle) {
      down.push(rootOf(leaves, middle, to));
      to = middle;
    } else {
      down.push(rootOf(leaves, from, middle));
      from = middle;
    }
  }
  return down.reverse();
}

/** The root that a leaf's hash and its audit path give in a tree of `size`; null where the path is none of that leaf's. */
export function rootByPath(leaf: Uint8Array, index: number, size: number, path: readonly Uint8Array[]): Buffer | null {
  if (!(Number.isSafeInteger(index) && Number.isSafeInteger(size) && index >= 0 && index < size)) return null;
  // Sides from the root down; the path goes from the leaf up.
  const isRight: boolean[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + split(to - from);
    isRight.push(index >= middle);
    if (index < middle) to = middle;
    else from = middle;
  }
  if (path.length !== isRight.length) return null;
  return path.reduce<Buffer>(
    (node, sibling) => (isRight.pop() ? nodeHash(sibling, node) : nodeHash(node, sibling)),
    Buffer.from(leaf),
  );
}
