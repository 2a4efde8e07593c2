/**
 * What is remembered outside of Bronze and contradicts it, as differences: of each kind one, however many there are. Pure.
 * `run` refuses by the same judgement (machines/evidence.ts). Nothing of it is ever repaired: whoever has lost something
 * brings it back, or gives it up.
 */
import {
  type Contradiction,
  contradictionsOf,
  contradictionText,
  ledgersOf,
  WAY_OUT,
} from '../../machines/evidence.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { Memory } from '../../machines/protocol.ts';
import { checkpointRemembers, deliveredMemory, rowMemories } from '../chain/memories.ts';
import type { ChainFacts } from './facts.ts';
import type { Difference, Kind } from './kinds.ts';
import { isForeign, isUnknown, type View } from './view.ts';

function memoriesIn({ memories, checkpoint, delivery, catalog }: ChainFacts): Memory[] {
  return [
    ...memories,
    ...(checkpoint === null ? [] : checkpointRemembers(checkpoint.file, checkpoint)),
    ...(delivery === null ? [] : deliveredMemory(delivery.file, delivery.remembered)),
    ...(catalog?.rows ? rowMemories(catalog.uri, catalog.rows) : []),
  ];
}

/**
 * All contradictions, given that what is missing and known is there: lost events that follow from whole partitions are
 * told as such, and are brought back by a repair.
 */
export function contradictionsIn(view: View): Contradiction[] {
  const { facts, truths, slots } = view;
  // Of an estate that is to be taken over, that is judged by whoever takes it over.
  const isLeft = ({ kind }: Memory): boolean => isForeign(facts) && (kind === 'old_event' || kind === 'head');
  const hasUnknown = slots.some(({ truth }) => truth === null);
  const mayBeOf = ({ kind, range, sequence }: Memory): boolean => {
    if (kind === 'head') return hasUnknown;
    if (range !== null) return isUnknown(view, range);
    return sequence !== null && slots[sequence]?.truth === null;
  };
  const memories = memoriesIn(facts).filter((memory) => !isLeft(memory));
  const held = { partitions: facts.partitions, memories, oldChain: facts.bronzeJson.oldChain };
  return contradictionsOf(held, truths).filter(({ memory }) => memory.problem !== null || !mayBeOf(memory));
}

function kindOf(view: View, { kind, range, problem }: Memory): Kind {
  const isHeld = range !== null && view.truthOf.has(rangeLabel(range));
  const isSealed =
    range !== null && view.partitions.some((found) => sameRange(found.range, range) && found.hasManifest);
  switch (kind) {
    case 'copy':
      return isHeld ? 'copy.differs' : 'copy.stray';
    case 'old_event':
      return 'old_event.differs';
    case 'head':
      return problem === null ? 'heads.ahead' : 'heads.invalid';
    case 'checkpoint':
    case 'old_checkpoint':
      return isHeld || isSealed ? 'checkpoint.differs' : 'checkpoint.ahead';
    case 'delivery':
      return 'delivery.ahead';
    case 'row':
      return isHeld || isSealed ? 'row.differs' : 'row.stray';
  }
}

export function compareEvidence(view: View, contradictions: readonly Contradiction[]): Difference[] {
  // Where its copy has another hash than its manifest gives, a lost event says so itself.
  const told = new Set(view.lost.flatMap(({ range }) => view.copyOf.get(rangeLabel(range))?.event?.eventHash ?? []));
  const byKind = new Map<Kind, Contradiction[]>();
  for (const contradiction of contradictions) {
    const { memory } = contradiction;
    if (memory.eventHash !== null && told.has(memory.eventHash)) continue;
    const kind = kindOf(view, memory);
    byKind.set(kind, [...(byKind.get(kind) ?? []), contradiction]);
  }
  return [...byKind].map(([kind, group]) => {
    const range = ledgersOf(group);
    return view.difference({
      kind,
      ...(range === null ? {} : { range }),
      object: (group[0] as Contradiction).memory.object,
      what: contradictionText(group),
      cause:
        'Bronze is not mounted, was rolled back or was rewritten; or somebody changed what remembers, or it is of another storage',
      cure: WAY_OUT,
      repairable: 'copy',
    });
  });
}
