/**
 * Links between eras: the last ledger of one and the first of the next must be parent and child, whichever of the two
 * was copied first. Asked before sealing and again before attesting, so that of two eras that finish together the
 * later one sees the other. It must never take "could not look" for "does not adjoin".
 */

import { BronzeError } from '../../machines/errors.ts';
import { MAX_LEDGER, rangeLabel } from '../../machines/partitions.ts';
import type { LedgerEnds, LedgerRange } from '../../machines/protocol.ts';
import { type ChainName, chainKey, manifestKey, parsePartitionKey, tablePrefix } from '../bronze/names.ts';
import { storedPartition } from '../chain/stored-partition.ts';
import type { Effect } from '../effects/effect.ts';
import type { Neighbour } from '../effects/setup.ts';
import type { BronzeStore } from '../ports/store.ts';

/** Sealed partitions of an era that end right before `range` or start right after it. */
async function adjoining(
  store: BronzeStore,
  era: Neighbour,
  range: LedgerRange,
  signal?: AbortSignal,
): Promise<LedgerRange[]> {
  const prefix = tablePrefix(era.chain, era.table);
  const listed = await store.list(prefix, signal);
  return listed.flatMap(({ key }) => {
    const found = parsePartitionKey(key.slice(prefix.length));
    if (found?.name !== '_manifest.json') return [];
    return found.range.end === range.start - 1 || found.range.start === range.end + 1 ? [found.range] : [];
  });
}

/** Only the first and the last partition of an era can have a neighbour in another one; for the rest nothing is listed. */
function mayAdjoin(era: Neighbour, range: LedgerRange): boolean {
  const end = era.ledgerEnd ?? MAX_LEDGER;
  const holds = (ledger: number): boolean => ledger >= era.ledgerStart && ledger <= end;
  return holds(range.start - 1) || holds(range.end + 1);
}

/**
 * Compares a partition's ends with those of every sealed partition of `others` that adjoins it; of one of the old
 * program, with what its file says. Throws ERA_LINK_BROKEN naming both eras, the ledgers and the hashes;
 * MANIFEST_INVALID, PARTITION_DAMAGED, STORE_*.
 */
export async function compareNeighbours(
  place: { readonly store: BronzeStore; readonly chain: ChainName; readonly others: readonly Neighbour[] },
  input: { readonly range: LedgerRange; readonly ledgers: LedgerEnds },
  signal?: AbortSignal,
): Promise<null> {
  const { range, ledgers } = input;
  const ours = chainKey(place.chain);
  for (const era of place.others) {
    if (chainKey(era.chain) === ours || era.chain.network !== place.chain.network || !mayAdjoin(era, range)) continue;
    for (const other of await adjoining(place.store, era, range, signal)) {
      const object = manifestKey(era.chain, era.table, other);
      const bytes = await place.store.get(object, signal);
      if (bytes === null) continue;
      const { chain, table } = era;
      const { sealed } = await storedPartition({ store: place.store, chain, table }, other, bytes, null, signal);
      const theirs = sealed.ledgers;
      const isBefore = other.end === range.start - 1;
      const [parent, child] = isBefore ? [theirs, ledgers] : [ledgers, theirs];
      if (parent.lastHash === child.previousHash) continue;
      const ledger = isBefore ? range.start : other.start;
      const [from, to] = isBefore ? [chainKey(era.chain), ours] : [ours, chainKey(era.chain)];
      throw new BronzeError(
        'ERA_LINK_BROKEN',
        `the eras ${from} and ${to} do not link: ledger ${ledger - 1} of ${from} has the hash ${parent.lastHash}, ledger ${ledger} of ${to} names ${child.previousHash} as the one before it (partitions ${rangeLabel(isBefore ? other : range)} and ${rangeLabel(isBefore ? range : other)})`,
        {
          details: {
            ledger,
            ...range,
            object,
            check: 'previous_ledger_hash',
            expected: parent.lastHash,
            found: child.previousHash,
            hint: 'one of the two lakes is not the network that it is said to be: compare both with a history archive',
          },
        },
      );
    }
  }
  return null;
}

export const checkNeighbours: Effect<'checkNeighbours'> = async ({ setup }, input, { signal }) => {
  const { store, chain, neighbours } = setup;
  return compareNeighbours({ store, chain, others: neighbours }, input, signal);
};
