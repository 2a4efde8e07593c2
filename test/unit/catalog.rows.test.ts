// What rows say, whichever backend keeps them: times, hashes, and what a record does to what is there.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { microseconds, planRecord, type StoredRow, schemaHash, spanOf } from '../../actors/catalog/rows.ts';
import type { PartitionRecord } from '../../actors/ports/catalog.ts';
import { toFailure } from '../../machines/errors.ts';
import { DATASET, recordOf } from '../support/catalog.ts';

describe('times', () => {
  it.each([
    ['2026-01-02T03:04:05Z', '2026-01-02T03:04:05.000000Z'],
    ['2026-01-02T03:04:05.1Z', '2026-01-02T03:04:05.100000Z'],
    ['2026-01-02T03:04:05.999999999Z', '2026-01-02T03:04:05.999999Z'],
  ])('%s is %s', (from, to) => {
    expect(microseconds(from)).toBe(to);
  });

  it('of another zone are refused', () => {
    expect(() => microseconds('2026-01-02T03:04:05+02:00')).toThrow('no time in UTC');
  });
});

it('the schema hash is one for each definition of columns', () => {
  expect(schemaHash(2, DATASET)).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(schemaHash(2, { ...DATASET, domain: 'other' })).toBe(schemaHash(2, DATASET));
  expect(schemaHash(1, DATASET)).not.toBe(schemaHash(2, DATASET));
});

describe('a record', () => {
  const ranges = fc
    .array(fc.record({ gap: fc.integer({ min: -3, max: 4 }), size: fc.integer({ min: 1, max: 6 }) }), { maxLength: 7 })
    .map((steps) => {
      let at = 10;
      return steps.map(({ gap, size }) => {
        const start = Math.max(2, at + gap);
        at = start + size;
        return { start, end: start + size - 1 };
      });
    });
  /** What may be stored: disjoint, whatever its content. */
  const stored = ranges.map((found): StoredRow[] =>
    found
      .filter((range, n) => found.slice(0, n).every(({ start, end }) => range.start > end || range.end < start))
      .map((range, n) =>
        recordOf(range, { byteSize: n === 1 ? 1 : 1000 + range.start, columns: range.start < 15 ? 1 : 2 }),
      ),
  );
  const overlap = (a: PartitionRecord['range'], b: PartitionRecord['range']): boolean =>
    a.start <= b.end && b.start <= a.end;
  const same = (a: PartitionRecord, b: StoredRow): boolean =>
    a.range.start === b.range.start && a.range.end === b.range.end && a.byteSize === b.byteSize;

  it('is refused where any two disagree, and adds what is missing otherwise', () => {
    let taken = 0;
    let refused = 0;
    fc.assert(
      fc.property(ranges, stored, fc.boolean(), (wanted, there, reversed) => {
        const records = wanted.map((range) => recordOf(range, { columns: range.start < 15 ? 1 : 2 }));
        if (reversed) records.reverse();
        const conflict =
          records.some((a) => there.some((b) => overlap(a.range, b.range) && !same(a, b))) ||
          records.some((a, n) => records.slice(0, n).some((b) => overlap(a.range, b.range)));
        try {
          const plan = planRecord(DATASET, records, there);
          expect(conflict).toBe(false);
          const known = records.filter((a) => there.some((b) => same(a, b)));
          expect(new Set(plan.known)).toEqual(new Set(known));
          expect(new Set(plan.added)).toEqual(new Set(records.filter((record) => !known.includes(record))));
          // Every pair of neighbours with other columns of which one is new to this record.
          const all = new Map([...there, ...records].map((row) => [row.range.start, row]));
          const turns = [...all.values()].filter((row) => {
            const next = all.get(row.range.end + 1);
            const touched = records.includes(row as PartitionRecord) || records.includes(next as PartitionRecord);
            return row.columns === 1 && next?.columns === 2 && touched;
          });
          expect(
            plan.changes.filter(({ changeType }) => changeType === 'schema_change').map(({ range }) => range?.start),
          ).toEqual(turns.map(({ range }) => range.end + 1));
          taken += 1;
        } catch (error) {
          if (!conflict) throw error;
          expect(toFailure(error).code).toBe('CATALOG_CONFLICT');
          refused += 1;
        }
      }),
      { numRuns: 2000, examples: [[[], [], false]] },
    );
    expect(taken).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(300);
  });

  it('has to see its neighbours', () => {
    expect(spanOf([recordOf({ start: 20, end: 29 }), recordOf({ start: 10, end: 19 })])).toEqual({ start: 9, end: 30 });
  });
});
