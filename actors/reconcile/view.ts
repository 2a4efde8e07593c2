/**
 * What the comparisons have in common: the facts of a chain, put in relation. Pure. An event that nobody has ever seen
 * is not held for lost.
 */
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { eventId } from '../bronze/event.ts';
import { chainKey } from '../bronze/names.ts';
import type { ChainFacts, CopyFound, EventFound, PartitionFound } from './facts.ts';
import type { Difference } from './kinds.ts';
import { type Slot, slotsOf } from './slots.ts';

export interface View {
  readonly facts: ChainFacts;
  readonly slots: readonly Slot[];
  /** Events far beyond the chain. */
  readonly beyond: readonly EventFound[];
  /** Events that are gone from the end of the chain, and whose copy, checkpoint, row or delivery is still there. */
  readonly lost: readonly AttestedEvent[];
  /** Partitions that nobody has attested yet. */
  readonly unattested: readonly AttestedEvent[];
  /** What is attested, in order: what stands, what is missing and known, what is lost. */
  readonly truths: readonly AttestedEvent[];
  readonly truthOf: ReadonlyMap<string, AttestedEvent>;
  /** By the start of their range; overlapping ones beside each other. */
  readonly partitions: readonly PartitionFound[];
  readonly copyOf: ReadonlyMap<string, CopyFound>;
  /** Whether every event is there and right. */
  readonly isWhole: boolean;
  /** Ledgers whose event is not known: what lies there may be attested or not. */
  readonly unknown: readonly LedgerRange[];
  /** Makes a difference of this chain. */
  readonly difference: (of: Omit<Difference, 'chain'>) => Difference;
}

/** An estate of the old program that no run has taken over yet: its copies, rows and checkpoint are that program's. */
export const isForeign = ({
  bronzeJson,
  events,
  partitions,
}: Pick<ChainFacts, 'bronzeJson' | 'events' | 'partitions'>) =>
  bronzeJson.state === 'missing' && events.length === 0 && partitions.some(({ manifest }) => manifest?.columns === 1);

/** Whether somebody beside the chain has seen this event. */
function wasSeen(facts: ChainFacts, event: AttestedEvent, copy: CopyFound | undefined): boolean {
  const { copies, checkpoint, delivery, catalog } = facts;
  const noted = checkpoint?.facts;
  const row = catalog?.rows?.find(({ range }) => sameRange(range, event.range));
  return (
    (copy?.event !== null && copy?.event?.sequence === event.sequence) ||
    copies?.head === event.eventHash ||
    delivery?.delivered?.eventHash === event.eventHash ||
    (noted != null && sameRange(noted.range, event.range) && noted.checksum === event.data.checksum) ||
    row?.pasEventId === eventId(facts.chain, event.sequence)
  );
}

/** Stretches of ledgers around events that nothing is known of. */
function unknownRanges(slots: readonly Slot[], ledgerStart: number): LedgerRange[] {
  const ranges: LedgerRange[] = [];
  let start = ledgerStart;
  let isOpen = false;
  for (const { truth } of slots) {
    if (truth === null) isOpen = true;
    else {
      if (isOpen) ranges.push({ start, end: truth.range.start - 1 });
      isOpen = false;
      start = truth.range.end + 1;
    }
  }
  if (isOpen) ranges.push({ start, end: Number.POSITIVE_INFINITY });
  return ranges;
}

export function viewOf(facts: ChainFacts): View {
  const { slots, strays } = slotsOf(facts, facts.fills);
  const copyOf = new Map((facts.copies?.files ?? []).map((copy) => [rangeLabel(copy.range), copy]));
  const seen = facts.tail.map((event) => wasSeen(facts, event, copyOf.get(rangeLabel(event.range))));
  const lost = facts.tail.slice(0, seen.lastIndexOf(true) + 1);
  const truths = [...slots.flatMap(({ truth }) => (truth ? [truth] : [])), ...lost];
  const chain = chainKey(facts.chain);
  return {
    facts,
    slots,
    beyond: strays,
    lost,
    unattested: facts.tail.slice(lost.length),
    truths,
    truthOf: new Map(truths.map((event) => [rangeLabel(event.range), event])),
    partitions: facts.partitions,
    copyOf,
    isWhole: strays.length === 0 && slots.every(({ state }) => state === 'good'),
    unknown: unknownRanges(slots, facts.ledgerStart),
    difference: (of) => ({ chain, ...of }),
  };
}

/** Whether the event of this partition is one that nothing is known of. */
export const isUnknown = ({ unknown }: View, { start, end }: LedgerRange): boolean =>
  unknown.some((stretch) => start >= stretch.start && end <= stretch.end);

/** `event 7`, `events 7 to 9` and the like. */
export const several = (what: string, from: number | string, to: number | string): string =>
  from === to ? `${what} ${from}` : `${what}s ${from} to ${to}`;

/** Runs of neighbours, so that what is missing side by side is said once. */
export function neighbours<T>(items: readonly T[], adjoin: (before: T, after: T) => boolean): T[][] {
  const runs: T[][] = [];
  for (const item of items) {
    const run = runs.at(-1);
    const before = run?.at(-1);
    if (run && before !== undefined && adjoin(before, item)) run.push(item);
    else runs.push([item]);
  }
  return runs;
}
