/**
 * What is remembered outside of Bronze, held against what Bronze holds. Pure. Copies of events, the chain's entry in the
 * heads file, the checkpoint, the delivery pointer and the catalog's rows are all written after what they speak of; so one
 * that speaks of something else says that Bronze lost it, or that somebody rewrote it. What is lost, behind or unreadable
 * as a mere hint contradicts nothing. It must never believe a memory, nor pass one over that contradicts.
 */
import type { Failure } from './errors.ts';
import { rangeLabel } from './partitions.ts';
import type { AttestedEvent, DataFile, EraFacts, LedgerRange, Memory } from './protocol.ts';
import { given } from './typed.ts';

/** A memory, and in what it contradicts Bronze. */
export interface Contradiction {
  readonly memory: Memory;
  /** One sentence without its end, naming what and where. */
  readonly why: string;
}

/** What of a chain is there, as far as memories are held against it. */
export interface Held extends Pick<EraFacts, 'memories' | 'oldChain'> {
  readonly partitions: readonly {
    readonly range: LedgerRange;
    readonly dataBytes: number | null;
    readonly hasManifest: boolean;
    readonly manifest: { readonly data: DataFile } | null;
    readonly isForeign?: true;
  }[];
}

/** Contradictions that are told one by one; the others are counted. */
const TOLD = 3;

const LOST = 'and Bronze does not hold it';

class Judge {
  readonly #byRange: ReadonlyMap<string, AttestedEvent>;
  readonly #hashes: ReadonlySet<string>;
  readonly #bySequence: ReadonlyMap<number, AttestedEvent>;
  readonly #sealed: ReadonlyMap<string, DataFile | null>;
  /** Partitions of which a copy says the same as the chain. */
  readonly #confirmed: ReadonlySet<string>;
  readonly #oldHashes: ReadonlySet<string>;
  /** Last ledger of which anything at all is there. */
  readonly #end: number;

  constructor({ partitions, memories, oldChain }: Held, events: readonly AttestedEvent[]) {
    this.#byRange = new Map(events.map((event) => [rangeLabel(event.range), event]));
    this.#bySequence = new Map(events.map((event) => [event.sequence, event]));
    this.#hashes = new Set(events.map(({ eventHash }) => eventHash));
    this.#sealed = new Map(
      partitions
        .filter(({ dataBytes, hasManifest }) => dataBytes !== null && hasManifest)
        .map(({ range, manifest }) => [rangeLabel(range), manifest?.data ?? null]),
    );
    this.#confirmed = new Set(
      memories.flatMap(({ kind, range, eventHash }) =>
        kind === 'copy' && range !== null && this.#byRange.get(rangeLabel(range))?.eventHash === eventHash
          ? [rangeLabel(range)]
          : [],
      ),
    );
    const old = memories.flatMap(({ kind, eventHash }) => (kind === 'old_event' && eventHash ? [eventHash] : []));
    this.#oldHashes = new Set([...old, ...(oldChain === null ? [] : [oldChain.head])]);
    const there = partitions.filter(({ isForeign }) => isForeign !== true);
    this.#end = [...there, ...events].reduce((end, { range }) => Math.max(end, range.end), -1);
  }

  /** Why a memory contradicts; null where it does not. */
  why(memory: Memory): string | null {
    const { kind, object, problem } = memory;
    if (problem !== null) return `${object} ${problem}`;
    switch (kind) {
      case 'copy':
        return this.#event(memory, `${object} is a copy of event ${memory.sequence}`);
      case 'delivery':
        return this.#event(memory, `by ${object} event ${memory.sequence} was delivered`);
      case 'head': {
        const hash = given(memory.eventHash, `what ${object} names`);
        if (this.#hashes.has(hash) || this.#oldHashes.has(hash)) return null;
        return `${object} names ${hash} as the last event, and the audit chain has no such event`;
      }
      case 'old_checkpoint': {
        const { end } = given(memory.range, `the range of ${object}`);
        if (end <= this.#end) return null;
        return `${object}, of the old program, says that ledgers up to ${end} are committed, ${LOST}`;
      }
      case 'checkpoint':
        return this.#data(memory, `${object} says that partition`, 'is committed');
      case 'row':
        if (this.#isOutvoted(memory)) return null;
        return this.#data(memory, `the catalog ${object} has partition`, '');
      case 'old_event':
        return this.#data(memory, `${object} is an event of the old program: partition`, 'is copied');
    }
  }

  #event({ range, sequence, eventHash, object }: Memory, says: string): string | null {
    const label = range === null ? null : rangeLabel(range);
    const about = label === null ? says : `${says} (ledgers ${label})`;
    const event =
      label === null
        ? this.#bySequence.get(given(sequence, `the number that ${object} names`))
        : this.#byRange.get(label);
    if (event === undefined) return `${about}, which the audit chain does not hold`;
    if (event.eventHash === eventHash) return null;
    return `${about} with the hash ${eventHash}, and event ${event.sequence} of the audit chain has ${event.eventHash}`;
  }

  /** A row that somebody changed: the copy of its event says what Bronze says. */
  #isOutvoted({ range, object }: Memory): boolean {
    return this.#confirmed.has(rangeLabel(given(range, `the range of ${object}`)));
  }

  #data({ range, checksum, object }: Memory, says: string, ending: string): string | null {
    const label = rangeLabel(given(range, `the range of ${object}`));
    const about = `${says} ${label}${ending === '' ? '' : ` ${ending}`}`;
    const event = this.#byRange.get(label);
    if (event === undefined && !this.#sealed.has(label)) return `${about}, ${LOST}`;
    const held = event?.data.checksum ?? this.#sealed.get(label)?.checksum ?? checksum;
    return held === checksum ? null : `${about} as ${checksum}, and Bronze holds ${held}`;
  }
}

/** Where all events of the old program are there, the last of them is the one that `_bronze.json` records. */
function oldChainWhy({ memories, oldChain }: Held): Contradiction[] {
  const old = memories.filter(({ kind, problem }) => kind === 'old_event' && problem === null);
  if (oldChain === null || new Set(old.map(({ eventHash }) => eventHash)).size < oldChain.events) return [];
  if (old.some(({ eventHash }) => eventHash === oldChain.head)) return [];
  const memory = old.reduce((last, next) => ((next.range?.end ?? 0) > (last.range?.end ?? 0) ? next : last));
  const why = `${memory.object} is the last event of the old program, with the hash ${memory.eventHash}, and _bronze.json records ${oldChain.head}`;
  return [{ memory, why }];
}

/** `events`: the chain, holes filled with what was re-derived for them. In the order of `memories`. */
export function contradictionsOf(held: Held, events: readonly AttestedEvent[]): Contradiction[] {
  const judge = new Judge(held, events);
  const found = held.memories.flatMap((memory): Contradiction[] => {
    const why = judge.why(memory);
    return why === null ? [] : [{ memory, why }];
  });
  return [...found, ...oldChainWhy(held)];
}

/** The ledgers that memories are about; null where none of them names any. */
export function ledgersOf(contradictions: readonly Contradiction[]): LedgerRange | null {
  const ranges = contradictions.flatMap(({ memory }) => (memory.range === null ? [] : [memory.range]));
  if (ranges.length === 0) return null;
  return ranges.reduce((all, { start, end }) => ({
    start: Math.min(all.start, start),
    end: Math.max(all.end, end),
  }));
}

/** What somebody can do about it. */
export const WAY_OUT =
  'bring Bronze back as it was: mount it, or restore its newest backup; another Bronze needs a checkpoint.dir and a pas.backup_dir of its own; where it is lost for good, `bronze-copier give-up` (docs/runbook.md, "Evidence contradicts")';

/** All of them in one sentence: the first few, and how many more there are. */
export function contradictionText(contradictions: readonly Contradiction[]): string {
  const told = contradictions.slice(0, TOLD).map(({ why }) => why);
  const more = contradictions.length - told.length;
  return `${told.join('; ')}${more === 0 ? '' : `; and ${more} more contradict Bronze`}`;
}

export function contradictionFailure(contradictions: readonly Contradiction[]): Failure {
  const first = contradictions[0]?.memory.object;
  return {
    code: 'EVIDENCE_CONTRADICTS',
    message: `what is remembered outside of Bronze contradicts it: ${contradictionText(contradictions)}; nothing was written; ${WAY_OUT}`,
    retryable: false,
    ...ledgersOf(contradictions),
    ...(first === undefined ? {} : { object: first }),
    found: `${contradictions.length} of what is remembered`,
    hint: WAY_OUT,
  };
}
