/**
 * Which event belongs where none stands, or one that cannot be used: derived from the manifests, or taken from a copy
 * whose own hash is the one that the event after it names. It must never believe a copy for any other reason.
 */
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { eventFacts } from '../chain/audit-chain.ts';
import type { ChainPlace } from '../chain/chain-place.ts';
import { Derivations, derivedEvent, prefixesOf, unlessDamaged } from '../chain/rederive.ts';
import type { ChainFacts, Fill, PartitionFound } from './facts.ts';
import type { Slot } from './slots.ts';

type Gathered = Pick<ChainFacts, 'partitions' | 'copies' | 'ledgerStart' | 'bronzeJson'>;

/** Sealed partitions by their first ledger: what events can be derived from, of the old program's not without the data. */
const sealedByStart = (partitions: readonly PartitionFound[]): Map<number, PartitionFound> =>
  new Map(
    partitions
      .filter(({ manifest, dataBytes }) => manifest && (manifest.columns === 2 || manifest.data.byteSize === dataBytes))
      .map((found) => [found.range.start, found]),
  );

/** Sealed partitions that adjoin each other after `before`, `count` of them at the most. */
function adjoining(
  sealed: ReadonlyMap<number, PartitionFound>,
  { before, ledgerStart }: { before: AttestedEvent | null; ledgerStart: number },
  count: number,
): LedgerRange[] {
  const ranges: LedgerRange[] = [];
  let start = before === null ? ledgerStart : before.range.end + 1;
  while (ranges.length < count) {
    const next = sealed.get(start);
    if (next === undefined) break;
    ranges.push(next.range);
    start = next.range.end + 1;
  }
  return ranges;
}

/**
 * The events that sealed partitions get at the end of the chain, where nobody names them: with the prefix of the event
 * before, unless the copy of one, or the head, has what another prefix gives that is known here.
 */
async function derive(
  place: ChainPlace,
  looked: Gathered,
  ranges: readonly LedgerRange[],
  from: { readonly before: AttestedEvent | null; readonly sequence: number },
  signal?: AbortSignal,
): Promise<AttestedEvent[]> {
  const { copies, bronzeJson } = looked;
  const known = new Set((copies?.files ?? []).flatMap(({ event }) => (event ? [event.eventHash] : [])));
  if (copies?.head) known.add(copies.head);
  const events: AttestedEvent[] = [];
  let before = from.before;
  for (const range of ranges) {
    const source = await eventFacts(place, range, signal).catch(unlessDamaged);
    if (source === null) break;
    const prevEventHash = before?.eventHash ?? null;
    const prefixes = prefixesOf(before?.storagePrefix, bronzeJson.storagePrefix, place.store.prefix);
    const at = { sequence: from.sequence + events.length, prevEventHash, prefixes };
    const may = prefixes.map((prefix) => derivedEvent(source, at, 0, prefix, prevEventHash));
    before = may.find(({ eventHash }) => known.has(eventHash)) ?? (may[0] as AttestedEvent);
    events.push(before);
  }
  return events;
}

/** Places side by side that have no good event. */
function runsOf(slots: readonly Slot[]): Slot[][] {
  const runs: Slot[][] = [];
  for (const slot of slots) {
    if (slot.state === 'good') continue;
    const run = runs.at(-1);
    if (run?.at(-1)?.sequence === slot.sequence - 1) run.push(slot);
    else runs.push([slot]);
  }
  return runs;
}

/**
 * What belongs at the places without a good event, by sequence. From the end of each run backwards, since an event is only
 * known by the hash that the one after it names; a run at the end of the chain has nobody after it, and is derived.
 */
export async function fillsOf(
  place: ChainPlace,
  looked: Gathered,
  slots: readonly Slot[],
  signal?: AbortSignal,
): Promise<Map<number, Fill>> {
  const fills = new Map<number, Fill>();
  const sealed = sealedByStart(looked.partitions);
  const copies = new Map(
    (looked.copies?.files ?? []).flatMap(({ event }) => (event ? [[event.eventHash, event]] : [])),
  );
  const known = prefixesOf(
    ...slots.map(({ truth }) => truth?.storagePrefix),
    looked.bronzeJson.storagePrefix,
    place.store.prefix,
  );
  for (const run of runsOf(slots)) {
    const first = run[0]?.sequence as number;
    const before = slots[first - 1]?.truth ?? null;
    const after = slots[first + run.length]?.truth ?? null;
    const ranges = adjoining(sealed, { before, ledgerStart: looked.ledgerStart }, run.length);
    if (after === null) {
      const events = await derive(place, looked, ranges, { before, sequence: first }, signal);
      for (const event of events) fills.set(event.sequence, { event, from: 'manifest' });
      continue;
    }
    const derived = await Derivations.of(
      place,
      ranges,
      {
        sequence: first,
        prevEventHash: before?.eventHash ?? null,
        prefixes: prefixesOf(before?.storagePrefix, after.storagePrefix, ...known),
      },
      signal,
    );
    let wanted = after.prevEventHash;
    for (let i = run.length - 1; i >= 0 && wanted !== null; i--) {
      const sequence = first + i;
      const events = derived.upTo(i, wanted);
      if (events !== null) {
        for (const event of events) fills.set(event.sequence, { event, from: 'manifest' });
        break;
      }
      const copy = copies.get(wanted);
      if (copy?.sequence !== sequence) break;
      fills.set(sequence, { event: copy, from: 'copy' });
      wanted = copy.prevEventHash;
    }
  }
  return fills;
}

/** The events that the sealed partitions right behind the chain would get; none where its last event is not known. */
export async function tailOf(
  place: ChainPlace,
  looked: Gathered,
  slots: readonly Slot[],
  signal?: AbortSignal,
): Promise<AttestedEvent[]> {
  const last = slots.at(-1);
  if (last !== undefined && last.truth === null) return [];
  const attested = new Set(slots.flatMap(({ truth }) => (truth ? [rangeLabel(truth.range)] : [])));
  const sealed = sealedByStart(looked.partitions.filter(({ range }) => !attested.has(rangeLabel(range))));
  const before = last?.truth ?? null;
  const ranges = adjoining(sealed, { before, ledgerStart: looked.ledgerStart }, Number.POSITIVE_INFINITY);
  return derive(place, looked, ranges, { before, sequence: slots.length }, signal);
}
