/**
 * What is wrong with the audit chain itself, on the event that is wrong; what is missing side by side is said once. Pure.
 * It must never let an event be written after one that is not there.
 */
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, LedgerRange } from '../../machines/protocol.ts';
import { eventKey, partitionPrefix } from '../bronze/names.ts';
import type { Difference } from './kinds.ts';
import type { Slot } from './slots.ts';
import { neighbours, several, type View } from './view.ts';

const aside = (object: string): string => `move ${object} aside (docs/runbook.md, "An event is missing or damaged")`;

/** How the right event comes back once nothing stands in its place. */
function wayBack({ from }: Slot): string {
  if (from === 'manifest') return 'it is derived again from its manifest';
  if (from === 'copy') return 'it is brought back from its copy, which has the hash that the event after it names';
  return 'nothing that is here gives the event that belongs there: bring it back from somebody who has received it, or copy the era under a new version_label';
}

function missing(view: View, run: readonly Slot[]): Difference {
  const [first, last] = [run[0] as Slot, run.at(-1) as Slot];
  const of = several('event', first.sequence, last.sequence);
  const isKnown = first.truth !== null;
  return view.difference({
    kind: 'event.missing',
    ...(first.truth && last.truth ? { range: { start: first.truth.range.start, end: last.truth.range.end } } : {}),
    sequence: first.sequence,
    object: eventKey(view.facts.chain, first.sequence),
    what: `${of} of the audit chain ${run.length === 1 ? 'is' : 'are'} not there, and later ones are`,
    cause: 'somebody or some disk removed it; no copier does',
    cure: isKnown ? `reconcile --repair: ${wayBack(first)}` : wayBack(first),
    repairable: isKnown ? 'reconcile' : 'no',
  });
}

function wrong(view: View, slot: Slot): Difference {
  const { sequence, state, problem, truth, from } = slot;
  const object = eventKey(view.facts.chain, sequence);
  const isFork = state === 'fork';
  return view.difference({
    kind: isFork ? 'event.fork' : 'event.altered',
    ...(truth ? { range: truth.range } : {}),
    sequence,
    object,
    what: isFork
      ? `event ${sequence} does not continue the chain: ${problem}`
      : `event ${sequence} is not the one that belongs there: ${problem}`,
    cause: isFork
      ? 'somebody wrote events that do not follow from this chain'
      : 'somebody or some disk changed it after it was written',
    cure: isFork
      ? 'keep both and find out who wrote it (docs/runbook.md, "An audit chain forks")'
      : from === null
        ? wayBack(slot)
        : `${aside(object)}, then reconcile --repair: ${wayBack(slot)}`,
    repairable: isFork || from === null ? 'no' : 'copy',
  });
}

const spanOf = (run: readonly AttestedEvent[]): LedgerRange => ({
  start: (run[0] as AttestedEvent).range.start,
  end: (run.at(-1) as AttestedEvent).range.end,
});

/** The last events, which nobody names; others have seen them. */
function lost(view: View): Difference[] {
  const { chain } = view.facts;
  const copyOf = ({ range }: AttestedEvent) => view.copyOf.get(rangeLabel(range))?.event;
  const isOther = (event: AttestedEvent): boolean => (copyOf(event)?.eventHash ?? event.eventHash) !== event.eventHash;
  const other = view.lost.find(isOther);
  const runs = neighbours(view.lost, (_, after) => after !== other);
  return runs.map((run) => {
    const [first, last] = [run[0] as AttestedEvent, run.at(-1) as AttestedEvent];
    return view.difference({
      kind: 'event.missing',
      range: spanOf(run),
      sequence: first.sequence,
      object: eventKey(chain, first.sequence),
      what: `${several('event', first.sequence, last.sequence)}, at the end of the audit chain, ${run.length === 1 ? 'is not there, and was' : 'are not there, and were'}`,
      cause: 'somebody or some disk removed it: its copy, the heads, the checkpoint, a row or the endpoint know it',
      ...(first === other
        ? {
            cure: `the manifest gives ${first.eventHash} and its copy has ${copyOf(first)?.eventHash}: find out which was changed (docs/runbook.md, "A partition is damaged")`,
            repairable: 'copy' as const,
          }
        : mendTail(view, 'it is derived again once the rows of its partition were read')),
    });
  });
}

function unattested(view: View): Difference[] {
  const [first] = view.unattested;
  if (first === undefined) return [];
  const { chain, table } = view.facts;
  const range = spanOf(view.unattested);
  const count = view.unattested.length;
  return [
    view.difference({
      kind: 'partition.unattested',
      range,
      object: partitionPrefix(chain, table, first.range),
      what: `${count === 1 ? 'a sealed partition has' : `${count} sealed partitions have`} no event: ledgers ${rangeLabel(range)}`,
      cause: 'a run was interrupted after sealing, or is at work now; or the audit stream was switched on late',
      ...mendTail(view, 'it is attested once its rows were read'),
    }),
  ];
}

function mendTail({ isWhole }: View, how: string): Pick<Difference, 'cure' | 'repairable'> {
  return isWhole
    ? { cure: `reconcile --repair, or run: ${how}`, repairable: 'reconcile' }
    : { cure: `mend the events before it first; then ${how}`, repairable: 'no' };
}

export function compareEvents(view: View): Difference[] {
  const { slots, facts } = view;
  const gone = slots.filter(({ state }) => state === 'missing');
  const runs = neighbours(gone, (a, b) => a.sequence + 1 === b.sequence && a.from === b.from);
  const found = [
    ...runs.map((run) => missing(view, run)),
    ...slots.filter(({ state }) => state === 'altered' || state === 'fork').map((slot) => wrong(view, slot)),
  ].sort((a, b) => (a.sequence as number) - (b.sequence as number));
  for (const { sequence, problem } of view.beyond) {
    const object = eventKey(facts.chain, sequence);
    found.push(
      view.difference({
        kind: 'event.fork',
        sequence,
        object,
        what: `event ${sequence} lies far beyond the chain${problem === null ? '' : `, and cannot be read: ${problem}`}`,
        cause: 'somebody wrote it there; no copier leaves places out',
        cure: 'find out who wrote it, then move it aside (docs/runbook.md, "An audit chain forks")',
        repairable: 'copy',
      }),
    );
  }
  return [...found, ...lost(view), ...unattested(view)];
}
