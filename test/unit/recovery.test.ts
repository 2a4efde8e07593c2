// What recovery decides from what is durable: a table of estates and what has to be mended in each.
import { describe, expect, it } from 'vitest';
import type { AttestedEvent, EraFacts, FoundPartition, Grid, LedgerRange } from '../../machines/protocol.ts';
import type { Assessment } from '../../machines/recovery.ts';
import { assess } from '../../machines/recovery.ts';
import { attestedEvent, noFacts, sealedPartition } from '../support/pure-values.ts';

const grid: Grid = { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 49 };
const r = (start: number, end = start + 9): LedgerRange => ({ start, end });

const sealed = (range: LedgerRange): FoundPartition => ({
  range,
  dataBytes: 1,
  hasManifest: true,
  manifest: sealedPartition(range),
});
const published = (range: LedgerRange): FoundPartition => ({ range, dataBytes: 1, hasManifest: false, manifest: null });

function events(...ranges: LedgerRange[]): AttestedEvent[] {
  return ranges.map((range, i) => attestedEvent(i, range, i === 0 ? null : `event-${i - 1}`));
}

const checkpointAt = (range: LedgerRange) => ({ range, checksum: sealedPartition(range).data.checksum });

const facts = (changes: Partial<EraFacts>): EraFacts => ({ ...noFacts, ...changes });

function recovered(found: Assessment) {
  if (!('recovered' in found)) throw new Error(`refused: ${found.failure.code}`);
  return found.recovered;
}

function refused(found: Assessment): string {
  if (!('failure' in found)) throw new Error('not refused');
  return found.failure.code;
}

describe('recovery', () => {
  it('begins at the beginning of an empty estate', () => {
    expect(recovered(assess(noFacts, grid, true))).toEqual({
      frontier: 10,
      chain: { nextSequence: 0, prevEventHash: null },
      lastHash: null,
      agenda: [],
    });
  });

  it('goes on after the attested prefix, with nothing to mend', () => {
    const found = recovered(
      assess(
        facts({
          partitions: [sealed(r(10)), sealed(r(20))],
          events: events(r(10), r(20)),
          checkpoint: checkpointAt(r(20)),
        }),
        grid,
        true,
      ),
    );
    expect(found).toMatchObject({ frontier: 30, agenda: [], chain: { nextSequence: 2, prevEventHash: 'event-1' } });
    expect(found.lastHash).toBe('hash-of-29');
  });

  it('S14: writes a checkpoint that is lost, stale or ahead again, once the last partition is verified', () => {
    const estate = { partitions: [sealed(r(10)), sealed(r(20))], events: events(r(10), r(20)) };
    for (const checkpoint of [null, checkpointAt(r(10)), checkpointAt(r(30))]) {
      const found = recovered(assess(facts({ ...estate, checkpoint }), grid, true));
      expect(found.frontier).toBe(30);
      expect(found.agenda.map(({ kind, range }) => [kind, range.start])).toEqual([['attested', 20]]);
    }
  });

  it('attests what is sealed and not attested, in order', () => {
    const found = recovered(
      assess(facts({ partitions: [sealed(r(10)), sealed(r(20)), sealed(r(30))], events: events(r(10)) }), grid, true),
    );
    expect(found.agenda.map(({ kind, range }) => [kind, range.start])).toEqual([
      ['sealed', 20],
      ['sealed', 30],
    ]);
    expect(found).toMatchObject({ frontier: 40, lastHash: 'hash-of-19', chain: { nextSequence: 1 } });
  });

  it('attests a whole estate when the audit stream is switched on late', () => {
    const found = recovered(assess(facts({ partitions: [sealed(r(10)), sealed(r(20))] }), grid, true));
    expect(found.agenda.map(({ kind }) => kind)).toEqual(['sealed', 'sealed']);
    expect(found.lastHash).toBeNull();
  });

  it('builds a partition that is published and not sealed again', () => {
    const found = recovered(assess(facts({ partitions: [published(r(10))] }), grid, true));
    expect(found).toMatchObject({ frontier: 10, agenda: [] });
  });

  it('builds an orphan of an earlier, clipped end as it is', () => {
    const found = recovered(assess(facts({ partitions: [published(r(10, 14))] }), grid, true));
    expect(found.agenda).toEqual([{ kind: 'copy', range: r(10, 14) }]);
  });

  it('ignores sealed partitions behind a gap: they are met when their turn comes', () => {
    const found = recovered(assess(facts({ partitions: [sealed(r(30))] }), grid, true));
    expect(found).toMatchObject({ frontier: 10, agenda: [] });
  });

  it.each([
    ['restore', 'data', { ...sealed(r(20)), dataBytes: null }],
    ['reseal', 'manifest', published(r(20))],
  ])('S12: has to %s an attested partition whose %s is gone', (kind, _, damaged) => {
    const found = recovered(
      assess(facts({ partitions: [sealed(r(10)), damaged], events: events(r(10), r(20)) }), grid, true),
    );
    expect(found.agenda).toMatchObject([{ kind, range: r(20), event: { sequence: 1 } }]);
    expect(found.frontier).toBe(30);
  });

  it('fills a hole in the chain with the event that its successor names, and with no other', () => {
    const [first, second, third] = events(r(10), r(20), r(30)) as [AttestedEvent, AttestedEvent, AttestedEvent];
    const partitions = [sealed(r(10)), sealed(r(20)), sealed(r(30))];
    const found = recovered(assess(facts({ partitions, events: [first, third], rederived: [second] }), grid, true));
    expect(found.agenda[0]).toMatchObject({ kind: 'refill', event: { sequence: 1 } });
    expect(refused(assess(facts({ partitions, events: [first, third] }), grid, true))).toBe('AUDIT_HOLE');
    const other = { ...second, eventHash: 'another' };
    expect(refused(assess(facts({ partitions, events: [first, third], rederived: [other] }), grid, true))).toBe(
      'AUDIT_INVALID',
    );
    const lost = [sealed(r(10)), sealed(r(30))];
    expect(refused(assess(facts({ partitions: lost, events: [first, third], rederived: [second] }), grid, true))).toBe(
      'AUDIT_HOLE',
    );
  });

  it('S15: goes on after a partition that an earlier end had clipped', () => {
    const found = recovered(
      assess(facts({ partitions: [sealed(r(10)), sealed(r(20, 24))], events: events(r(10), r(20, 24)) }), grid, true),
    );
    expect(found.frontier).toBe(25);
  });

  it.each([
    ['two sealed partitions with one start', [sealed(r(10)), sealed(r(10, 14))]],
    ['a partition across two cells', [sealed(r(10, 29))]],
    ['a published partition across the frontier', [sealed(r(10)), published(r(15, 24))]],
  ])('refuses %s', (_, partitions) => {
    expect(refused(assess(facts({ partitions }), grid, true))).toBe('PARTITION_OVERLAP');
  });

  it('refuses a chain that does not begin with the era', () => {
    expect(refused(assess(facts({ partitions: [sealed(r(20))], events: events(r(20)) }), grid, true))).toBe(
      'AUDIT_INVALID',
    );
  });

  it('without the audit stream verifies what lies behind the checkpoint, or the last partition', () => {
    const partitions = [sealed(r(10)), sealed(r(20)), sealed(r(30))];
    const kinds = (checkpoint: EraFacts['checkpoint']) =>
      recovered(assess(facts({ partitions, checkpoint }), grid, false)).agenda.map(({ range }) => range.start);
    expect(kinds(checkpointAt(r(30)))).toEqual([]);
    expect(kinds(checkpointAt(r(10)))).toEqual([20, 30]);
    expect(kinds(null)).toEqual([30]);
  });
});
