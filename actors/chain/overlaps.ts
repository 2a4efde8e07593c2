/**
 * Looks for another partition of the same era that shares ledgers with one that is about to become visible. Two copiers
 * with different ends of one era cut its last cell differently; neither may go on beside the other.
 */
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel, sameRange } from '../../machines/partitions.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { parsePartitionFolder, partitionPrefix, tablePrefix } from '../bronze/names.ts';
import type { ChainPlace } from './chain-place.ts';

/** By store and table: what names of folders say, of all that were ever listed. Hardly one is new, and none goes away. */
const understood = new WeakMap<object, Map<string, Map<string, LedgerRange | null>>>();

function rangesOf(store: object, prefix: string): { ranges: Map<string, LedgerRange | null>; isNew: boolean } {
  const tables = understood.get(store) ?? new Map<string, Map<string, LedgerRange | null>>();
  understood.set(store, tables);
  const known = tables.get(prefix);
  if (known) return { ranges: known, isNew: false };
  return { ranges: new Map(), isNew: true };
}

/**
 * What the names of all partitions begin with that lie in one cell of the grid; null where they have nothing in common.
 * Nobody puts anything else beside a partition that is about to be: `_bronze.json` fixes the grid of all who write here,
 * and `ledger_end` alone may differ.
 */
function beginningOf(range: LedgerRange, grid: ChainPlace['grid']): string | null {
  if (grid === undefined) return null;
  const cell = Math.floor((range.start - grid.origin) / grid.size);
  const first = String(Math.max(0, grid.origin + cell * grid.size));
  const last = String(grid.origin + (cell + 1) * grid.size - 1);
  if (first.length !== last.length) return null;
  let common = 0;
  while (common < first.length && first[common] === last[common]) common += 1;
  return common === 0 ? null : `range=${first.slice(0, common)}`;
}

/**
 * Looks at the partitions of the table: all of them the first time, later on at those of the range's own cell. Answers
 * whether there is anything of this very range. Throws PARTITION_OVERLAP naming the other partition; STORE_*.
 */
export async function refuseOverlap(
  place: ChainPlace,
  range: LedgerRange,
  signal?: AbortSignal,
): Promise<{ readonly isThere: boolean }> {
  const { store, chain, table } = place;
  const below = tablePrefix(chain, table);
  const { ranges, isNew } = rangesOf(store, below);
  const beginning = isNew ? null : beginningOf(range, place.grid);
  const listed = await store.folders(below, signal, ...(beginning === null ? [] : [beginning]));
  for (const name of listed) if (!ranges.has(name)) ranges.set(name, parsePartitionFolder(name));
  // Only now: a listing that failed has not seen them all.
  understood.get(store)?.set(below, ranges);
  for (const other of ranges.values()) {
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
  return { isThere: listed.some((name) => sameName(ranges.get(name), range)) };
}

const sameName = (found: LedgerRange | null | undefined, range: LedgerRange): boolean =>
  found != null && sameRange(found, range);
