/**
 * Which event belongs where none stands, or one that cannot be used: derived from the manifests, or taken from a copy
 * whose own hash is the one that the event after it names. It must never believe a copy for any other reason.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent } from '../../machines/protocol.ts';
import { type ChainPlace, deriveEvent } from '../audit/chain.ts';
import { attestedEvent, eventBytes, parseEvent } from '../audit/event.ts';
import { eventKey } from '../paths.ts';
import type { ChainFacts, Fill, PartitionFound } from './facts.ts';
import type { Slot } from './slots.ts';

type Looked = Pick<ChainFacts, 'partitions' | 'copies' | 'ledgerStart'>;

/** Sealed partitions by their first ledger: what events can be derived from, of the old program's not without the data. */
const sealedByStart = (partitions: readonly PartitionFound[]): Map<number, PartitionFound> =>
  new Map(
    partitions
      .filter(({ manifest, dataBytes }) => manifest && (manifest.columns === 2 || manifest.data.byteSize === dataBytes))
      .map((found) => [found.range.start, found]),
  );

/** A file of the old program that cannot be read gives no event. */
function unlessDamaged(error: unknown): null {
  if (error instanceof BronzeError && error.code === 'PARTITION_DAMAGED') return null;
  throw error;
}

/** Events for `count` places after `before`, as far as sealed partitions adjoin each other; `until` ends them. */
async function derive(
  place: ChainPlace,
  sealed: ReadonlyMap<number, PartitionFound>,
  from: { before: AttestedEvent | null; sequence: number; ledgerStart: number },
  count: number,
  signal?: AbortSignal,
): Promise<AttestedEvent[]> {
  const events: AttestedEvent[] = [];
  let before = from.before;
  for (let sequence = from.sequence; events.length < count; sequence++) {
    const next = sealed.get(before === null ? from.ledgerStart : before.range.end + 1);
    if (next === undefined) break;
    const head = { nextSequence: sequence, prevEventHash: before?.eventHash ?? null };
    const event = await deriveEvent(place, next.range, head, signal).catch(unlessDamaged);
    if (event === null) break;
    before = attestedEvent(parseEvent(eventBytes(event), eventKey(place.chain, sequence)));
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
  looked: Looked,
  slots: readonly Slot[],
  signal?: AbortSignal,
): Promise<Map<number, Fill>> {
  const fills = new Map<number, Fill>();
  const sealed = sealedByStart(looked.partitions);
  const copies = new Map(
    (looked.copies?.files ?? []).flatMap(({ event }) => (event ? [[event.eventHash, event]] : [])),
  );
  for (const run of runsOf(slots)) {
    const first = run[0]?.sequence as number;
    const before = slots[first - 1]?.truth ?? null;
    const after = slots[first + run.length]?.truth ?? null;
    const { ledgerStart } = looked;
    const derived = await derive(place, sealed, { before, sequence: first, ledgerStart }, run.length, signal);
    if (after === null) {
      for (const event of derived) fills.set(event.sequence, { event, from: 'manifest' });
      continue;
    }
    let wanted = after.prevEventHash;
    for (let i = run.length - 1; i >= 0 && wanted !== null; i--) {
      const sequence = first + i;
      if (derived[i]?.eventHash === wanted) {
        for (const event of derived.slice(0, i + 1)) fills.set(event.sequence, { event, from: 'manifest' });
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
  looked: Looked,
  slots: readonly Slot[],
  signal?: AbortSignal,
): Promise<AttestedEvent[]> {
  const last = slots.at(-1);
  if (last !== undefined && last.truth === null) return [];
  const attested = new Set(slots.flatMap(({ truth }) => (truth ? [rangeLabel(truth.range)] : [])));
  const sealed = sealedByStart(looked.partitions.filter(({ range }) => !attested.has(rangeLabel(range))));
  const from = { before: last?.truth ?? null, sequence: slots.length, ledgerStart: looked.ledgerStart };
  return derive(place, sealed, from, Number.POSITIVE_INFINITY, signal);
}
