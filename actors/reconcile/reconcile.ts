/**
 * One chain looked at, compared, and, where that is asked for, repaired and looked at again, until nothing more can be
 * mended. It must never say of a chain what it has not seen after its last change.
 */
import { compare } from './compare.ts';
import { contradictionsIn } from './compare-evidence.ts';
import type { ChainFacts } from './facts.ts';
import { type DataReading, gatherFacts } from './gather-facts.ts';
import type { Difference } from './kinds.ts';
import { type Repair, type RepairPlace, repair } from './repair.ts';
import { viewOf } from './view.ts';

/** Bronze, then what is beside it, then what only then shows; more rounds would mean that repairs undo each other. */
const ROUNDS = 5;

export interface Reconciled {
  readonly facts: ChainFacts;
  /** What is left. */
  readonly differences: readonly Difference[];
  /** What was tried. */
  readonly repairs: readonly Repair[];
}

const nameOf = ({ kind, object, range }: Difference): string => `${kind} ${object} ${range?.start}-${range?.end}`;

/**
 * Data objects are read once, before anything is repaired: repairs do not touch them. With `repairs` the caller holds the
 * chain's lock. Throws STORE_*, STATE_IO, CANCELLED.
 */
export async function reconcileChain(
  place: RepairPlace,
  options: { readonly reading: DataReading; readonly repairs: boolean },
  signal?: AbortSignal,
): Promise<Reconciled> {
  const { reading } = options;
  const repairs: Repair[] = [];
  const failed = new Set<string>();
  for (let round = 1; ; round++) {
    const facts = await gatherFacts(place, reading, signal);
    const differences = compare(facts);
    // What is remembered and contradicted comes first, and is nothing that can be repaired from here.
    const isRewritten = facts.signed?.failures.some(
      ({ code, check }) => code === 'HEAD_CONTRADICTS' && check === 'root',
    );
    const isRefused = isRewritten || contradictionsIn(viewOf(facts)).length > 0;
    const isWanted = (found: Difference) =>
      !isRefused && found.repairable === 'reconcile' && !failed.has(nameOf(found));
    const wanted = differences.filter(isWanted);
    if (!options.repairs || wanted.length === 0 || round > ROUNDS) return { facts, differences, repairs };
    await place.store.prepare();
    for (const done of await repair(place, facts, wanted, signal)) {
      if (done.failure !== null) failed.add(nameOf(done.difference));
      repairs.push(done);
    }
  }
}
