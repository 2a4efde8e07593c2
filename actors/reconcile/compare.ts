/**
 * The differences between the parts of one chain, each once: what is wrong, why, and what mends it. Pure. What follows
 * from a damage is not reported beside it.
 */

import { rangeLabel } from '../../machines/partitions.ts';
import { compareCheckpoint, compareCopies, compareDelivery } from './compare-beside.ts';
import { compareCatalog } from './compare-catalog.ts';
import { compareEvents } from './compare-events.ts';
import { compareEvidence, contradictionsIn } from './compare-evidence.ts';
import { compareBronzeJson, comparePartitions, compareStrays } from './compare-partitions.ts';
import type { ChainFacts } from './facts.ts';
import type { Difference } from './kinds.ts';
import { compareSigned } from './signed.ts';
import { isForeign, viewOf } from './view.ts';

/** All differences of a chain; Bronze first, then what is beside it. */
export function compare(facts: ChainFacts): Difference[] {
  const view = viewOf(facts);
  const storage = [...compareBronzeJson(view), ...compareStrays(view), ...comparePartitions(view)];
  const contradictions = contradictionsIn(view);
  const evidence = compareEvidence(view, contradictions);
  if (isForeign(facts)) return [...storage, ...evidence];
  const contradicts = new Set(contradictions.map(({ memory }) => memory.kind));
  const rows = new Set(
    contradictions.flatMap(({ memory: { kind, range } }) => (kind === 'row' && range ? [rangeLabel(range)] : [])),
  );
  const events = compareEvents(view);
  return [
    ...storage,
    ...events,
    ...compareSigned(view, events.length > 0),
    ...evidence,
    ...compareCopies(view, contradicts.has('head')),
    ...(contradicts.has('checkpoint') || contradicts.has('old_checkpoint') ? [] : compareCheckpoint(view)),
    ...compareCatalog(view, rows),
    ...(contradicts.has('delivery') ? [] : compareDelivery(view)),
  ];
}
