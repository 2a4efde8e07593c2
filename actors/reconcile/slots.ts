/**
 * The audit chain place by place: which events are right, which are missing, and, where two do not fit each other,
 * which of the two is the wrong one. Pure. An event is not wrong because its neighbour is.
 */
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent } from '../../machines/protocol.ts';
import type { ChainFacts, EventFound, Fill, PartitionFound } from './facts.ts';

export interface Slot {
  readonly sequence: number;
  readonly state: 'good' | 'missing' | 'altered' | 'fork';
  /** What is wrong with it. */
  readonly problem: string | null;
  /** The event that belongs here: the stored one where it is good, what fills its place otherwise, if anything does. */
  readonly truth: AttestedEvent | null;
  /** Where `truth` was had from; null for a stored one. */
  readonly from: Fill['from'] | null;
}

type Gathered = Pick<ChainFacts, 'partitions' | 'events' | 'copies' | 'ledgerStart' | 'bronzeJson'>;

/** More places without an event than this side by side are an invented sequence. */
const MAX_HOLE = 100_000;

interface Verdict {
  readonly state: 'altered' | 'fork';
  readonly problem: string;
}

/** Judges the events that can be read by their links, what follows from manifests, and, only to tell two apart, copies. */
class Judge {
  readonly #looked: Gathered;
  readonly #byLabel: ReadonlyMap<string, PartitionFound>;
  readonly #events: readonly AttestedEvent[];
  readonly verdicts = new Map<number, Verdict>();

  constructor(looked: Gathered) {
    this.#looked = looked;
    this.#byLabel = new Map(looked.partitions.map((partition) => [rangeLabel(partition.range), partition]));
    this.#events = looked.events.flatMap(({ event }) => (event === null ? [] : [event]));
  }

  run(): void {
    for (const event of this.#events) {
      if (this.#contradictsItsManifest(event)) {
        this.#blame(event, 'altered', 'it does not follow from the manifest that it names');
      }
    }
    for (const [i, event] of this.#events.entries()) {
      const next = this.#events[i + 1];
      if (next === undefined) this.#judgeLast(event);
      else if (next.sequence === event.sequence + 1) this.#judgeLink(event, next, this.#events[i + 2]);
    }
    this.#judgeRanges();
  }

  #blame(event: AttestedEvent, state: Verdict['state'], problem: string): void {
    if (!this.verdicts.has(event.sequence)) this.verdicts.set(event.sequence, { state, problem });
  }

  /** What its manifest gives, with each prefix that is known; the first one with its own. */
  #derivesTo(event: AttestedEvent): readonly string[] {
    return this.#byLabel.get(rangeLabel(event.range))?.manifest?.derivesTo ?? [];
  }

  /** The manifest is the one that it names, and gives another event, wherever Bronze lay. */
  #contradictsItsManifest(event: AttestedEvent): boolean {
    const manifest = this.#byLabel.get(rangeLabel(event.range))?.manifest;
    const derives = this.#derivesTo(event);
    return derives.length > 0 && !derives.includes(event.eventHash) && manifest?.sha256 === event.manifestSha256;
  }

  #copyHash(event: AttestedEvent): string | null {
    const label = rangeLabel(event.range);
    const copy = this.#looked.copies?.files.find(({ range }) => rangeLabel(range) === label)?.event;
    return copy?.sequence === event.sequence ? copy.eventHash : null;
  }

  #judgeLink(event: AttestedEvent, next: AttestedEvent, afterNext: AttestedEvent | undefined): void {
    if (next.prevEventHash === event.eventHash || this.verdicts.has(event.sequence)) return;
    const named = next.prevEventHash;
    const derives = this.#derivesTo(event);
    const isConfirmed = afterNext?.sequence === next.sequence + 1 && afterNext.prevEventHash === next.eventHash;
    const other = `event ${next.sequence} names ${named ?? 'none'} here, and this one has ${event.eventHash}`;
    const itself = `it names ${named ?? 'none'} as the event before it, which has ${event.eventHash}`;
    if ((named !== null && derives.includes(named)) || this.#copyHash(event) === named)
      this.#blame(event, 'altered', other);
    else if (this.verdicts.has(next.sequence)) return;
    else if (!isConfirmed) this.#blame(next, 'altered', itself);
    else if (derives.includes(event.eventHash)) this.#blame(next, 'fork', itself);
    else this.#blame(event, 'altered', other);
  }

  /** Nobody names the last event; what its manifest gives and what was copied or noted of it may agree against it. */
  #judgeLast(event: AttestedEvent): void {
    const known = [this.#copyHash(event), this.#looked.copies?.head];
    const derives = this.#derivesTo(event).find((hash) => hash !== event.eventHash && known.includes(hash));
    if (derives === undefined) return;
    this.#blame(
      event,
      'altered',
      `its manifest gives ${derives}, and so its copy says; this one has ${event.eventHash}`,
    );
  }

  /** Each partition once, in ledger order, without a gap. */
  #judgeRanges(): void {
    let before: AttestedEvent | null = null;
    const seen = new Map<string, number>();
    for (const event of this.#events) {
      if (this.verdicts.has(event.sequence)) {
        before = null;
        continue;
      }
      const label = rangeLabel(event.range);
      const twin = seen.get(label);
      const adjoins = before?.sequence === event.sequence - 1 ? before.range.end + 1 : null;
      const isFirst = event.sequence === 0 && this.#looked.bronzeJson.state !== 'mismatch';
      const start = adjoins ?? (isFirst ? this.#looked.ledgerStart : event.range.start);
      if (twin !== undefined) {
        this.#blame(event, 'fork', `event ${twin} attests partition ${label} already`);
      } else if (event.range.start !== start) {
        this.#blame(event, 'fork', `it is for ledgers ${label}, and ledger ${start} comes next`);
      } else {
        seen.set(label, event.sequence);
        before = event;
      }
    }
  }
}

/** The last sequence that counts as a place of the chain: what lies far beyond everything else is an invention. */
function lastOf(events: readonly EventFound[], partitions: number): number {
  let last = -1;
  for (const { sequence, event } of events) {
    if (sequence - last > (event === null ? partitions + 1 : MAX_HOLE)) break;
    last = sequence;
  }
  return last;
}

/** The chain from its first place to the last one that has an event; `strays` are events far beyond it. */
export function slotsOf(
  looked: Gathered,
  fills: ReadonlyMap<number, Fill> = new Map(),
): { readonly slots: readonly Slot[]; readonly strays: readonly EventFound[] } {
  const last = lastOf(looked.events, looked.partitions.length);
  const events = looked.events.filter(({ sequence }) => sequence <= last);
  const judge = new Judge({ ...looked, events });
  judge.run();
  const stored = new Map(events.map((found) => [found.sequence, found]));
  const slots = Array.from({ length: last + 1 }, (_, sequence): Slot => {
    const found = stored.get(sequence);
    const verdict = judge.verdicts.get(sequence);
    const fill = fills.get(sequence);
    const filled = { truth: fill?.event ?? null, from: fill?.from ?? null };
    if (found === undefined) return { sequence, state: 'missing', problem: null, ...filled };
    if (found.event === null) return { sequence, state: 'altered', problem: found.problem, ...filled };
    if (verdict !== undefined) return { sequence, ...verdict, ...filled };
    return { sequence, state: 'good', problem: null, truth: found.event, from: null };
  });
  return { slots, strays: looked.events.filter(({ sequence }) => sequence > last) };
}
