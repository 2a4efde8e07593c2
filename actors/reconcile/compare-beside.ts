/**
 * What lies beside Bronze and is missing, behind or unreadable: copies of events and their heads, the checkpoint, how far
 * the delivery came. Pure. What contradicts Bronze is not told here (compare-evidence.ts).
 */
import { rangeLabel } from '../../machines/partitions.ts';
import type { AttestedEvent, CheckpointFacts } from '../../machines/protocol.ts';
import { backupFile } from '../bronze/names.ts';
import { HEADS_FILE } from '../state/heads.ts';
import type { Difference } from './kinds.ts';
import { neighbours, several, type View } from './view.ts';

const INTERRUPTED = 'a run was interrupted, or is at work now; or it was put back from a copy';

/** Events that stand in the chain and are right. */
const standing = (view: View): AttestedEvent[] =>
  view.slots.flatMap(({ state, truth }) => (state === 'good' && truth !== null ? [truth] : []));

/** Whether the end of the chain is known, so that what is beside it can be measured by it. */
const endIsGood = (view: View): boolean => {
  const last = view.slots.at(-1);
  return view.lost.length === 0 && (last === undefined || last.state === 'good');
};

/** What is missing or behind; what contradicts is told as evidence. */
export function compareCopies(view: View, headContradicts: boolean): Difference[] {
  const { copies, chain } = view.facts;
  if (copies === null) return [];
  const { dir, files } = copies;
  const own = standing(view);
  const repair = {
    cure: 'reconcile --repair, or run: copies are written again from the chain',
    repairable: 'reconcile' as const,
  };
  if (files.length === 0 && own.length > 0) {
    const range = { start: (own[0] as AttestedEvent).range.start, end: (own.at(-1) as AttestedEvent).range.end };
    const what = `the folder ${dir} holds no copy of the ${own.length} events of this chain`;
    const cause = 'the folder was lost, or another one is configured';
    const folder = view.difference({ kind: 'copy.missing', range, object: dir, what, cause, ...repair });
    return copies.head === null || headContradicts ? [folder] : [folder, ...compareHead(view, false)];
  }
  const found: Difference[] = [];
  const gone = own.filter(({ range }) => !view.copyOf.has(rangeLabel(range)));
  for (const run of neighbours(gone, (before, after) => before.sequence + 1 === after.sequence)) {
    const [first, last] = [run[0] as AttestedEvent, run.at(-1) as AttestedEvent];
    found.push(
      view.difference({
        kind: 'copy.missing',
        range: { start: first.range.start, end: last.range.end },
        sequence: first.sequence,
        object: `${dir}/${backupFile(chain, first.range)}`,
        what: `there is no copy of ${several('event', first.sequence, last.sequence)}`,
        cause: last === own.at(-1) ? INTERRUPTED : 'somebody removed it',
        ...repair,
      }),
    );
  }
  return [...found, ...(headContradicts ? [] : compareHead(view, gone.length > 0 && gone.at(-1) === own.at(-1)))];
}

/** `lastIsGone`: the copy of the last event is missing, and the heads are written after it. */
function compareHead(view: View, lastIsGone: boolean): Difference[] {
  const { copies } = view.facts;
  if (copies === null || !endIsGood(view)) return [];
  const { head, headProblem, dir } = copies;
  const last = view.truths.at(-1) ?? null;
  if (head === (last?.eventHash ?? null)) return [];
  const object = `${dir}/${HEADS_FILE}`;
  const is = view.truths.find(({ eventHash }) => eventHash === head);
  if (is !== undefined && lastIsGone && is.sequence + 1 === last?.sequence) return [];
  const of = (kind: 'heads.missing' | 'heads.behind', what: string, cause: string): Difference[] => [
    view.difference({
      kind,
      object,
      what,
      cause,
      cure: 'reconcile --repair, or run: it is written again from the chain',
      repairable: 'reconcile',
    }),
  ];
  if (head === null)
    return of('heads.missing', `${object}: ${headProblem}`, 'it was lost, or the folder was put back from a copy');
  // The old program's, in an estate that was taken over, is behind all of ours.
  const names = is === undefined ? 'an event of the old program' : `event ${is.sequence}`;
  return of('heads.behind', `${object} names ${names}; the last one is ${last?.sequence ?? 'none'}`, INTERRUPTED);
}

/** What the checkpoint should say: the last partition that is attested, or, without an audit stream, sealed. */
export function committedEnd(view: View): CheckpointFacts | null {
  const { facts, partitions, truths } = view;
  if (facts.attests) {
    const last = truths.at(-1);
    return last === undefined ? null : { range: last.range, checksum: last.data.checksum };
  }
  let end: CheckpointFacts | null = null;
  for (const { range, manifest, dataBytes } of partitions) {
    if (range.start !== (end === null ? facts.ledgerStart : end.range.end + 1)) continue;
    if (manifest === null || dataBytes === null) break;
    end = { range, checksum: manifest.data.checksum };
  }
  return end;
}

export function compareCheckpoint(view: View): Difference[] {
  const { checkpoint, attests } = view.facts;
  if (checkpoint === null) return [];
  const { facts, problem, belongsTo, isOld, file } = checkpoint;
  const of = (kind: Difference['kind'], what: string, cause: string): Difference[] => [
    view.difference({
      kind,
      object: file,
      what,
      cause,
      cure: 'reconcile --repair, or run: it is written again once the last partition was read; it is only a hint',
      repairable: 'reconcile',
    }),
  ];
  const TOUCHED = 'somebody or some disk changed it';
  if (belongsTo !== null)
    return of('checkpoint.foreign', `${file} belongs to ${belongsTo}`, 'it was copied here from elsewhere');
  if (isOld) {
    // Before anything is adopted it lies where it belongs.
    if (committedEnd(view) === null) return [];
    return of(
      'checkpoint.foreign',
      `${file} is of the old program`,
      'the estate was adopted, or the old program ran again',
    );
  }
  if (problem !== null) return of('checkpoint.corrupt', problem, TOUCHED);
  const last = view.slots.at(-1);
  // An end of the chain that nothing is known of cannot be compared with.
  if (attests && last !== undefined && last.truth === null) return [];
  const end = committedEnd(view);
  if (end === null) return [];
  const label = rangeLabel(end.range);
  if (facts === null)
    return of(
      'checkpoint.missing',
      `${file} is not there; ${label} is committed`,
      'the state folder was lost, or a run was interrupted',
    );
  const says = `${file} says ${rangeLabel(facts.range)}`;
  if (facts.range.end < end.range.end) return of('checkpoint.behind', `${says}; ${label} is committed`, INTERRUPTED);
  return [];
}

export function compareDelivery(view: View): Difference[] {
  const { delivery } = view.facts;
  if (delivery === null) return [];
  const { uri, delivered, problem } = delivery;
  const last = view.truths.at(-1);
  const next = delivered === null ? 0 : delivered.sequence + 1;
  if (last === undefined || next > last.sequence) return [];
  return [
    view.difference({
      kind: 'delivery.pending',
      sequence: next,
      object: uri,
      what: `${several('event', next, last.sequence)} not acknowledged yet${problem === null ? '' : `: ${problem}`}`,
      cause: 'the endpoint was not reached since, or how far it came is not known',
      cure: 'run, or pas deliver',
      repairable: 'run',
    }),
  ];
}
