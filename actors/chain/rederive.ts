/**
 * Events that are lost, derived again from the stored manifests. An event takes the prefix of its `storage_path` from the
 * event before it; release 2.0.0 took it from its configuration, so that in a chain that was moved then it changes
 * somewhere. Where a hash is known that has to come out, each place of a change is tried. It must never take a
 * derivation for right that has another hash.
 */
import { setImmediate as breathe } from 'node:timers/promises';
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { mapBounded } from '../bounded.ts';
import { attestedEvent, buildEvent, eventBytes, parseEvent } from '../bronze/event.ts';
import { eventKey } from '../bronze/names.ts';
import { type EventFacts, eventFacts } from './audit-chain.ts';
import type { ChainPlace } from './chain-place.ts';

/** Manifests read at a time. */
const PARALLEL = 16;
/** Events that are derived in search of a change, at the most: a few seconds. Enough for a hole of a hundred events. */
const BUDGET = 10_000;
/** Derived without a pause. */
const WITHOUT_PAUSE = 1_000;

/** Where lost events follow, and what their `storage_path` may start with, the likeliest first. */
export interface LostFrom {
  readonly sequence: number;
  readonly prevEventHash: string | null;
  readonly prefixes: readonly string[];
}

/** One event that may have stood at a place, with the one that it names. */
interface Candidate {
  readonly hash: string;
  readonly prefix: string;
  readonly before: Candidate | null;
  readonly hasChanged: boolean;
}

/** Each once, in order. */
export const prefixesOf = (...prefixes: readonly (string | null | undefined)[]): string[] => [
  ...new Set(prefixes.filter((prefix) => typeof prefix === 'string')),
];

const deriveAt = (source: EventFacts, from: LostFrom, n: number, storagePrefix: string, before: string | null) =>
  buildEvent({ ...source, storagePrefix, sequence: from.sequence + n, prevEventHash: before });

/** The event of a partition at a place in the chain. */
export function derivedEvent(source: EventFacts, from: LostFrom, n: number, prefix: string, before: string | null) {
  const event = deriveAt(source, from, n, prefix, before);
  return attestedEvent(parseEvent(eventBytes(event), eventKey(source.chain, event.chain.sequence)));
}

/** All that may have stood at places side by side, given the event before them. */
export class Derivations {
  readonly #sources: readonly EventFacts[];
  readonly #from: LostFrom;
  /** By place, then by hash. */
  readonly #places: Map<string, Candidate>[] = [];

  private constructor(sources: readonly EventFacts[], from: LostFrom) {
    this.#sources = sources;
    this.#from = from;
  }

  /**
   * Of the sealed partitions `ranges`, one event each, in order; up to the first whose file of the old program is lost.
   * Throws MANIFEST_INVALID, STORE_*.
   */
  static async of(
    place: ChainPlace,
    ranges: readonly LedgerRange[],
    from: LostFrom,
    signal?: AbortSignal,
  ): Promise<Derivations> {
    const read = await mapBounded(
      ranges,
      PARALLEL,
      (range) => eventFacts(place, range, signal).catch(unlessDamaged),
      signal,
    );
    const end = read.indexOf(null);
    const found = new Derivations(
      (end < 0 ? read : read.slice(0, end)).filter((source) => source !== null),
      from,
    );
    await found.#derive(signal);
    return found;
  }

  /** Places that an event can be derived for. */
  get count(): number {
    return this.#sources.length;
  }

  /** The events up to the `n`th place, where the one there can have this hash; null where it cannot. */
  upTo(n: number, hash: string): AttestedEvent[] | null {
    const path: Candidate[] = [];
    for (let at = this.#places[n]?.get(hash) ?? null; at !== null; at = at.before) path.unshift(at);
    if (path.length === 0) return null;
    return path.map(({ prefix, before }, i) =>
      derivedEvent(
        this.#sources[i] as EventFacts,
        this.#from,
        i,
        prefix,
        before === null ? this.#from.prevEventHash : before.hash,
      ),
    );
  }

  /** What the last place has with the likeliest prefix; null where there is none. For messages. */
  get likeliest(): string | null {
    return this.#places.at(-1)?.keys().next().value ?? null;
  }

  async #derive(signal?: AbortSignal): Promise<void> {
    const { prefixes, prevEventHash } = this.#from;
    let derived = 0;
    let last: readonly Candidate[] = [];
    for (const [n, source] of this.#sources.entries()) {
      const here = new Map<string, Candidate>();
      const add = (prefix: string, before: Candidate | null, hasChanged: boolean): void => {
        const event = deriveAt(source, this.#from, n, prefix, before === null ? prevEventHash : before.hash);
        const { event_hash: hash } = event.chain;
        here.set(hash, { hash, prefix, before, hasChanged });
        derived += 1;
      };
      if (n === 0) for (const prefix of prefixes) add(prefix, null, false);
      for (const before of last) {
        // Beyond the budget only what never changed is followed: a long hole costs no more than its length.
        if (before.hasChanged && derived > BUDGET) continue;
        add(before.prefix, before, before.hasChanged);
        if (derived % WITHOUT_PAUSE === 0) await breathe(undefined, { signal });
        if (before.hasChanged || derived > BUDGET) continue;
        for (const prefix of prefixes) if (prefix !== before.prefix) add(prefix, before, true);
      }
      this.#places.push(here);
      last = [...here.values()];
    }
  }
}

/** A file of the old program that cannot be read gives no event. */
export function unlessDamaged(error: unknown): null {
  if (error instanceof BronzeError && error.code === 'PARTITION_DAMAGED') return null;
  throw error;
}
