/**
 * The grid: which partition comes next. Pure arithmetic on ledger sequences, no state.
 * It must never let two partitions overlap or leave a ledger between them out.
 */
import type { Grid, LedgerRange } from './protocol.ts';

/** Largest ledger sequence that XDR's uint32 can hold. */
export const MAX_LEDGER = 0xffff_ffff;

/** Last ledger of the grid cell that holds `ledger`, not clipped to the era. */
export function cellEnd(grid: Grid, ledger: number): number {
  const cell = Math.floor((ledger - grid.origin) / grid.size);
  return Math.min(grid.origin + (cell + 1) * grid.size - 1, MAX_LEDGER);
}

/** Last ledger of the era, inclusive. */
export function eraEnd(grid: Grid): number {
  return grid.ledgerEnd ?? MAX_LEDGER;
}

/**
 * The partition that starts at `start`: the rest of its cell, clipped to the era. A cell that was clipped by an
 * earlier `ledger_end` goes on with the rest as a partition of its own. Null behind the era's end.
 */
export function partitionAt(grid: Grid, start: number): LedgerRange | null {
  if (start < grid.ledgerStart || start > eraEnd(grid)) return null;
  return { start, end: Math.min(cellEnd(grid, start), eraEnd(grid)) };
}

/** The last ledger that a run has to commit: the era's end, or the end of the partition that holds `stopAfter`. */
export function lastLedger(grid: Grid, stopAfter: number | null): number {
  const end = eraEnd(grid);
  if (stopAfter === null || stopAfter >= end) return end;
  // Nothing of an era that begins behind it.
  if (stopAfter < grid.ledgerStart) return grid.ledgerStart - 1;
  return Math.min(cellEnd(grid, stopAfter), end);
}

/** How many partitions of the grid lie from `start` to `end`. */
export function countPartitions(grid: Grid, start: number, end: number): number {
  if (start > end) return 0;
  const cell = (ledger: number) => Math.floor((ledger - grid.origin) / grid.size);
  return cell(end) - cell(start) + 1;
}

export const sameRange = (a: LedgerRange, b: LedgerRange): boolean => a.start === b.start && a.end === b.end;

/** `range=10000-19999`, as in paths; used in messages as well. */
export const rangeLabel = (range: LedgerRange): string => `${range.start}-${range.end}`;

/** What is wrong between two ranges, the first starting not after the second; null = they adjoin. */
export function overlapsOrGap(before: LedgerRange, after: LedgerRange): 'overlap' | 'gap' | null {
  if (after.start <= before.end) return 'overlap';
  return after.start === before.end + 1 ? null : 'gap';
}
