// The grid: no overlap, no gap, at any size, origin and end.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cellEnd,
  countPartitions,
  lastLedger,
  MAX_LEDGER,
  overlapsOrGap,
  partitionAt,
} from '../../machines/partitions.ts';
import type { Grid, LedgerRange } from '../../machines/protocol.ts';

const grid = (changes: Partial<Grid> = {}): Grid => ({
  size: 10,
  origin: 0,
  ledgerStart: 2,
  ledgerEnd: 35,
  ...changes,
});

function all(of: Grid): LedgerRange[] {
  const found: LedgerRange[] = [];
  for (let next = partitionAt(of, of.ledgerStart); next; next = partitionAt(of, next.end + 1)) found.push(next);
  return found;
}

describe('the grid of partitions', () => {
  it('lies on multiples of its size from its origin, clipped to the era', () => {
    expect(all(grid())).toEqual([
      { start: 2, end: 9 },
      { start: 10, end: 19 },
      { start: 20, end: 29 },
      { start: 30, end: 35 },
    ]);
    expect(all(grid({ origin: 3, ledgerStart: 3, ledgerEnd: 15 }))).toEqual([
      { start: 3, end: 12 },
      { start: 13, end: 15 },
    ]);
  });

  it('goes on with the rest of a cell after a raised end', () => {
    expect(partitionAt(grid({ ledgerEnd: 60 }), 36)).toEqual({ start: 36, end: 39 });
  });

  it('S24: reaches ledger 4294967295 and ends there, with partitions of one ledger as well', () => {
    const last = grid({ ledgerStart: MAX_LEDGER - 1, ledgerEnd: MAX_LEDGER, size: 1 });
    expect(all(last)).toEqual([
      { start: MAX_LEDGER - 1, end: MAX_LEDGER - 1 },
      { start: MAX_LEDGER, end: MAX_LEDGER },
    ]);
    expect(partitionAt(grid({ ledgerEnd: null, size: 10_000 }), MAX_LEDGER)?.end).toBe(MAX_LEDGER);
    expect(cellEnd(grid({ size: MAX_LEDGER }), 5)).toBeLessThanOrEqual(MAX_LEDGER);
  });

  it('has no partition outside of its era', () => {
    expect(partitionAt(grid(), 1)).toBeNull();
    expect(partitionAt(grid(), 36)).toBeNull();
  });

  it('stops after the partition that holds a ledger', () => {
    expect(lastLedger(grid(), 12)).toBe(19);
    expect(lastLedger(grid(), 34)).toBe(35);
    expect(lastLedger(grid(), 1)).toBe(1);
    expect(lastLedger(grid(), 2)).toBe(9);
    expect(lastLedger(grid(), null)).toBe(35);
    expect(lastLedger(grid({ ledgerEnd: null }), 5)).toBe(9);
  });

  it('covers every ledger exactly once, and counts right, whatever the numbers', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 0, max: 100 }),
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 0, max: 300 }),
        (size, origin, ledgerStart, length) => {
          const of = grid({ size, origin, ledgerStart, ledgerEnd: ledgerStart + length });
          const found = all(of);
          expect(found[0]?.start).toBe(ledgerStart);
          expect(found.at(-1)?.end).toBe(ledgerStart + length);
          for (const [i, range] of found.entries()) {
            const next = found[i + 1];
            if (next) expect(overlapsOrGap(range, next)).toBeNull();
            expect(range.end - range.start + 1).toBeLessThanOrEqual(size);
          }
          expect(countPartitions(of, ledgerStart, ledgerStart + length)).toBe(found.length);
        },
      ),
    );
  });
});
