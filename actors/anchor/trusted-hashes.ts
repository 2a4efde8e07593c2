/**
 * The hashes that a node which followed consensus wrote down: the file of `stellar-core verify-checkpoints
 * --output-filename`, JSON `[[sequence, "hex"], …, [0, ""]]`. It must never take a part of such a file for the whole.
 */
import { BronzeError, type Failure } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { parseJson } from '../json.ts';

/** Bytes: one checkpoint in 64 ledgers, at about 80 bytes each, is 75 MB for all of pubnet in 2026. */
export const TRUSTED_LIMIT = 256 * 1024 * 1024;
const HASH_BYTES = 32;

export interface TrustedHash {
  readonly ledger: number;
  /** Hex. */
  readonly hash: string;
}

/** What contradicts a trusted hash. `from`: the file. `found`: hex, what the ledger has. */
export const trustedFailure = ({ ledger, hash }: TrustedHash, found: string, from: string): Failure => ({
  code: 'ANCHOR_CONTRADICTED',
  message: `ledger ${ledger} does not have the hash that ${from} has for it`,
  retryable: false,
  ledger,
  check: 'trusted_hash',
  expected: hash,
  found,
  hint: 'one of the two is not of this network, or not its history: find out which',
});

/** Kept by number of bytes, since there may be a million. */
export class TrustedHashes {
  /** What they are called in messages. */
  readonly name: string;
  /** Rising. */
  readonly #ledgers: Uint32Array;
  readonly #hashes: Buffer;

  constructor(name: string, all: ReadonlyMap<number, string>) {
    const sorted = [...all.keys()].sort((a, b) => a - b);
    this.name = name;
    this.#ledgers = Uint32Array.from(sorted);
    this.#hashes = Buffer.alloc(sorted.length * HASH_BYTES);
    for (const [i, ledger] of sorted.entries()) this.#hashes.write(all.get(ledger) as string, i * HASH_BYTES, 'hex');
  }

  get count(): number {
    return this.#ledgers.length;
  }

  /** Those of a range, in order. */
  within({ start, end }: LedgerRange): TrustedHash[] {
    const found: TrustedHash[] = [];
    for (let i = this.#firstFrom(start); i < this.count && (this.#ledgers[i] as number) <= end; i += 1) {
      const hash = this.#hashes.toString('hex', i * HASH_BYTES, (i + 1) * HASH_BYTES);
      found.push({ ledger: this.#ledgers[i] as number, hash });
    }
    return found;
  }

  #firstFrom(ledger: number): number {
    let low = 0;
    for (let high = this.count; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#ledgers[middle] as number) < ledger) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * @param name of the file, for messages
 * @throws ANCHORS_INVALID: no JSON, another shape, cut, one ledger with two hashes
 */
export function parseTrustedHashes(bytes: Uint8Array, name: string): TrustedHashes {
  const form = '[[sequence, "64 hex digits"], …, [0, ""]], as stellar-core verify-checkpoints writes it';
  const invalid = (message: string, found?: string): BronzeError =>
    new BronzeError('ANCHORS_INVALID', `${name} holds no trusted hashes: ${message}`, {
      details: {
        object: name,
        expected: form,
        ...(found === undefined ? {} : { found: found.slice(0, 100) }),
        hint: 'let stellar-core write it again, to its end',
      },
    });
  let value: unknown;
  try {
    value = parseJson(bytes);
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
  if (!Array.isArray(value)) throw invalid('it is no list');
  const all = new Map<number, string>();
  const last: unknown = value.pop();
  if (!(Array.isArray(last) && last.length === 2 && last[0] === 0 && last[1] === '')) {
    throw invalid('it does not end with [0, ""], so that something of it may be missing', JSON.stringify(last));
  }
  for (const entry of value as unknown[]) {
    const [ledger, hash] = Array.isArray(entry) && entry.length === 2 ? (entry as unknown[]) : [];
    const isLedger = typeof ledger === 'number' && Number.isInteger(ledger) && ledger > 0 && ledger <= 0xffff_ffff;
    if (!isLedger || typeof hash !== 'string' || !/^[0-9a-f]{64}$/i.test(hash)) {
      throw invalid('an entry is not a ledger and its hash', JSON.stringify(entry));
    }
    const before = all.get(ledger);
    if (before !== undefined && before !== hash.toLowerCase()) throw invalid(`ledger ${ledger} has two hashes`);
    all.set(ledger, hash.toLowerCase());
  }
  if (all.size === 0) throw invalid('it has none');
  return new TrustedHashes(name, all);
}
