/**
 * Looks for another partition of the same era that shares ledgers with one that is about to become visible. Two copiers
 * with different ends of one era cut its last cell differently; neither may go on beside the other.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import type { ChainPlace } from '../audit/chain.ts';
import { parsePartitionFolder, partitionPrefix, tablePrefix } from '../paths.ts';

/** By store: what names of folders say. Every commit sees all of them, and hardly one is new. */
const understood = new WeakMap<object, Map<string, LedgerRange | null>>();

function rangesOf(store: object): Map<string, LedgerRange | null> {
  const known = understood.get(store) ?? new Map<string, LedgerRange | null>();
  understood.set(store, known);
  return known;
}

/** Throws PARTITION_OVERLAP naming the other partition; STORE_*. */
export async function refuseOverlap(place: ChainPlace, range: LedgerRange, signal?: AbortSignal): Promise<void> {
  const { store, chain, table } = place;
  const known = rangesOf(store);
  for (const name of await store.folders(tablePrefix(chain, table), signal)) {
    let other = known.get(name);
    if (other === undefined) {
      other = parsePartitionFolder(name);
      known.set(name, other);
    }
    if (!other || sameRange(other, range) || other.end < range.start || other.start > range.end) continue;
    const prefix = partitionPrefix(chain, table, other);
    // A folder alone is nothing: a copier may have died before it put anything in.
    if ((await store.list(prefix, signal)).length === 0) continue;
    throw new BronzeError(
      'PARTITION_OVERLAP',
      `partition ${rangeLabel(other)} stands there already and shares ledgers with ${rangeLabel(range)}`,
      {
        details: {
          ...range,
          object: prefix,
          expected: 'no other partition of these ledgers',
          found: rangeLabel(other),
          hint: 'another copier works with another ledger_end; stop one of them (docs/runbook.md, "Partitions overlap")',
        },
      },
    );
  }
}
