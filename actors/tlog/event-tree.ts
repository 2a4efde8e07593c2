/**
 * The log of a chain, grown event by event: RFC 6962 over the canonical JSON (RFC 8785) of each event. It keeps the right
 * edge of the tree alone, so that another event costs a few hashes, whatever came before. Pure.
 * It must never take an event in out of order: what lies beyond a hole waits until the hole is filled.
 */
import canonicalize from 'canonicalize';
import { MerkleTree } from '../bronze/merkle.ts';
import { parseJson } from '../json.ts';
import { leafHash } from './tree.ts';

/** The hash of the leaf that an event is, from its bytes as they are stored. Throws a plain Error for what is no JSON. */
export function eventLeaf(event: Uint8Array): Buffer {
  const text = canonicalize(parseJson(event));
  if (text === undefined) throw new Error('it has no canonical JSON');
  return leafHash(Buffer.from(text));
}

export class EventTree {
  readonly #tree = new MerkleTree();
  readonly #beyond = new Map<number, Buffer>();
  readonly #watched: ReadonlySet<number>;
  readonly #roots = new Map<number, Buffer>();

  /** `watched`: sizes at which the root is kept. */
  constructor(watched: Iterable<number> = []) {
    this.#watched = new Set(watched);
  }

  /** Events from the first one on, without a hole. */
  get size(): number {
    return this.#tree.size;
  }

  /** 32 bytes; of no event, SHA-256 of nothing. */
  get root(): Buffer {
    return Buffer.from(this.#tree.root(), 'hex');
  }

  /** The root of the first `size` events, where that size was watched and is reached. */
  rootAt(size: number): Buffer | null {
    return this.#roots.get(size) ?? null;
  }

  /** Takes in the leaf of an event; one that is in it already is passed over. */
  note(sequence: number, leaf: Buffer): void {
    if (sequence < this.size) return;
    this.#beyond.set(sequence, leaf);
    for (let next = this.#take(); next !== null; next = this.#take()) {
      this.#tree.appendHash(next);
      if (this.#watched.has(this.size)) this.#roots.set(this.size, this.root);
    }
  }

  #take(): Buffer | null {
    const leaf = this.#beyond.get(this.size) ?? null;
    this.#beyond.delete(this.size);
    return leaf;
  }
}
