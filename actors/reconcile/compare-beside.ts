/**
 * What lies beside Bronze: copies of events and their heads, the checkpoint, how far the delivery came. Pure. None of
 * them is ever the truth: where they differ, it is they that are wrong.
 */
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { AttestedEvent, CheckpointFacts } from '../../machines/protocol.ts';
import { HEADS_FILE } from '../audit/heads.ts';
import { auditPrefix, backupFile, eventKey } from '../paths.ts';
import type { Difference } from './kinds.ts';
import { isUnknown, neighbours, several, type View } from './view.ts';

const INTERRUPTED = 'a run was interrupted, or is at work now; or it was put back from a copy';

/** Events that stand in the chain and are right. */
const standing = (view: View): AttestedEvent[] =>
  view.slots.flatMap(({ state, truth }) => (state === 'good' && truth !== null ? [truth] : []));

/** Whether the end of the chain is known, so that what is beside it can be measured by it. */
const endIsGood = (view: View): boolean => {
  const last = view.slots.at(-1);
  return view.lost.length === 0 && (last === undefined || last.state === 'good');
};

export function compareCopies(view: View): Difference[] {
  const { copies, chain, events } = view.facts;
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
    return copies.head === null ? [folder] : [folder, ...compareHead(view, false)];
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
  const stored = new Map(events.map(({ sequence, sha256 }) => [sequence, sha256]));
  for (const { sequence, range } of own) {
    const copy = view.copyOf.get(rangeLabel(range));
    if (copy === undefined || copy.sha256 === stored.get(sequence)) continue;
    found.push(
      view.difference({
        kind: 'copy.differs',
        range,
        sequence,
        object: copy.file,
        what: `the copy of event ${sequence} ${copy.event === null ? 'cannot be used' : 'is not that event'}`,
        cause:
          'somebody or some disk changed the copy: the event in the chain has its own hash and those of its neighbours',
        ...repair,
      }),
    );
  }
  for (const copy of files) {
    const label = rangeLabel(copy.range);
    if (view.truthOf.has(label) || isUnknown(view, copy.range)) continue;
    found.push(
      view.difference({
        kind: 'copy.stray',
        range: copy.range,
        object: copy.file,
        what: `there is a copy of an event for partition ${label}, and the chain has none`,
        cause: 'the folder belongs to another storage, or storage was rolled back and has lost it',
        cure: 'find out which: bring Bronze back from a copy, or move the copy aside',
        repairable: 'copy',
      }),
    );
  }
  return [...found, ...compareHead(view, gone.length > 0 && gone.at(-1) === own.at(-1))];
}

/** `lastIsGone`: the copy of the last event is missing, and the heads are written after it. */
function compareHead(view: View, lastIsGone: boolean): Difference[] {
  const { copies, chain } = view.facts;
  if (copies === null || !endIsGood(view)) return [];
  const { head, headProblem, dir } = copies;
  const last = view.truths.at(-1) ?? null;
  if (head === (last?.eventHash ?? null)) return [];
  const object = `${dir}/${HEADS_FILE}`;
  const is = view.truths.find(({ eventHash }) => eventHash === head);
  if (is !== undefined && lastIsGone && is.sequence + 1 === last?.sequence) return [];
  const of = (kind: 'heads.missing' | 'heads.behind' | 'heads.ahead', what: string, cause: string): Difference[] => [
    view.difference({
      kind,
      object,
      what,
      cause,
      cure:
        last === null
          ? `remove ${object}, or bring Bronze back from a copy`
          : 'reconcile --repair, or run: it is written again from the chain',
      repairable: last === null ? 'copy' : 'reconcile',
    }),
  ];
  if (head === null)
    return of('heads.missing', `${object}: ${headProblem}`, 'it was lost, or the folder was put back from a copy');
  if (is !== undefined) {
    return of('heads.behind', `${object} names event ${is.sequence}; the last one is ${last?.sequence}`, INTERRUPTED);
  }
  const cause = `the folder belongs to another storage, or events that ${auditPrefix(chain)} had are gone`;
  return of('heads.ahead', `${object} names ${head}, which is no event of this chain`, cause);
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
  if (end === null) {
    if (facts === null) return [];
    const cause = 'it belongs to another storage, or storage was rolled back or lost';
    return [
      view.difference({
        kind: 'checkpoint.ahead',
        object: file,
        what: `${file} says that partition ${rangeLabel(facts.range)} is committed, and nothing is`,
        cause,
        cure: 'bring Bronze back from a copy, or run: it writes the checkpoint again',
        repairable: 'run',
      }),
    ];
  }
  const label = rangeLabel(end.range);
  if (facts === null)
    return of(
      'checkpoint.missing',
      `${file} is not there; ${label} is committed`,
      'the state folder was lost, or a run was interrupted',
    );
  const says = `${file} says ${rangeLabel(facts.range)}`;
  if (facts.range.end < end.range.end) return of('checkpoint.behind', `${says}; ${label} is committed`, INTERRUPTED);
  if (facts.range.end > end.range.end) {
    return of(
      'checkpoint.ahead',
      `${says}; only ${label} is committed`,
      'it belongs to another storage, or storage was rolled back',
    );
  }
  if (sameRange(facts.range, end.range) && facts.checksum === end.checksum) return [];
  return of('checkpoint.differs', `${says} with ${facts.checksum}; ${label} has ${end.checksum}`, TOUCHED);
}

export function compareDelivery(view: View): Difference[] {
  const { delivery, chain } = view.facts;
  if (delivery === null) return [];
  const { uri, delivered, problem } = delivery;
  const last = view.truths.at(-1);
  const at = view.truths.find(({ sequence }) => sequence === delivered?.sequence);
  const isUnknownPlace = delivered !== null && view.slots[delivered.sequence]?.truth === null;
  if (delivered !== null && !isUnknownPlace && at?.eventHash !== delivered.eventHash) {
    return [
      view.difference({
        kind: 'delivery.ahead',
        sequence: delivered.sequence,
        object: eventKey(chain, delivered.sequence),
        what: `event ${delivered.sequence} was delivered to ${uri} as ${delivered.eventHash}; the chain has ${at?.eventHash ?? 'no such event'}`,
        cause: 'the state folder belongs to another storage, or events are gone that were delivered',
        cure: 'ask whoever receives the events for them (docs/runbook.md, "An audit chain forks")',
        repairable: 'no',
      }),
    ];
  }
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
