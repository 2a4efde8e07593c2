/**
 * The differences between the parts of one chain, each once: what is wrong, why, and what mends it. Pure.
 * It must never report the consequence of a damage beside the damage.
 */
import { compareCheckpoint, compareCopies, compareDelivery } from './compare-beside.ts';
import { compareCatalog } from './compare-catalog.ts';
import { compareEvents } from './compare-events.ts';
import { compareBronzeJson, comparePartitions, compareStrays } from './compare-partitions.ts';
import type { ChainFacts } from './facts.ts';
import type { Difference } from './kinds.ts';
import { isForeign, viewOf } from './view.ts';

/** All differences of a chain; Bronze first, then what is beside it. */
export function compare(facts: ChainFacts): Difference[] {
  const view = viewOf(facts);
  const storage = [...compareBronzeJson(view), ...compareStrays(view), ...comparePartitions(view)];
  if (isForeign(facts)) return storage;
  return [
    ...storage,
    ...compareEvents(view),
    ...compareCopies(view),
    ...compareCheckpoint(view),
    ...compareCatalog(view),
    ...compareDelivery(view),
  ];
}
