// What recovery decides from what is durable: a table of estates and what has to be mended in each.
import { describe, expect, it } from 'vitest';
import type { AttestedEvent, EraFacts, FoundPartition, Grid, LedgerRange, Memory } from '../../machines/protocol.ts';
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

const NOTHING = { range: null, sequence: null, eventHash: null, checksum: null, problem: null, sha256: null };
const memory = (kind: Memory['kind'], says: Partial<Memory>): Memory => ({
  ...NOTHING,
  kind,
  object: `the ${kind}`,
  ...says,
});
const copyOf = (sequence: number, range: LedgerRange, eventHash = `event-${sequence}`): Memory =>
  memory('copy', { sequence, range, eventHash });
const dataAs = (kind: 'checkpoint' | 'row' | 'old_event', range: LedgerRange, checksum?: string): Memory =>
  memory(kind, { range, checksum: checksum ?? sealedPartition(range).data.checksum });
const headAt = (eventHash: string): Memory => memory('head', { eventHash });
const oldHead = { head: 'old-1', events: 2 };
const oldEvent = (range: LedgerRange, eventHash: string): Memory => ({ ...dataAs('old_event', range), eventHash });

/** Ledgers 10 to 29 attested, 30 to 39 sealed, 40 to 49 published. */
const held = {
  partitions: [sealed(r(10)), sealed(r(20)), sealed(r(30)), published(r(40))],
  events: events(r(10), r(20)),
};

describe('S36: what is remembered outside of Bronze', () => {
  it.each<[string, readonly Memory[], Partial<EraFacts>?]>([
    ['nothing', []],
    ['the copies and the head', [copyOf(0, r(10)), copyOf(1, r(20)), headAt('event-1')]],
    ['some of the copies, and a head that is behind', [copyOf(1, r(20)), headAt('event-0')]],
    ['a checkpoint of what is attested, or only sealed', [dataAs('checkpoint', r(20)), dataAs('checkpoint', r(30))]],
    ['the delivery of an event', [memory('delivery', { sequence: 1, eventHash: 'event-1' })]],
    ['rows of what is attested and of what is sealed', [dataAs('row', r(10)), dataAs('row', r(30))]],
    ['a row that somebody changed, outvoted by the copy', [copyOf(0, r(10)), dataAs('row', r(10), 'sha256:other')]],
    ['the old program, which was as far', [memory('old_checkpoint', { range: r(40) })]],
    ['events of the old program', [oldEvent(r(10), 'old-0'), oldEvent(r(20), 'old-1')], { oldChain: oldHead }],
    ['one of them is lost', [oldEvent(r(10), 'old-0')], { oldChain: oldHead }],
    ['the head of the old program', [headAt('old-1')], { oldChain: oldHead }],
    ['a hole that is filled', [copyOf(0, r(10))], { events: events(r(10), r(20)).slice(1), rederived: events(r(10)) }],
    ['lost data', [dataAs('row', r(10))], { partitions: [sealed(r(20))] }],
  ])('contradicts nothing: %s', (_, memories, changes = {}) => {
    expect(assess(facts({ ...held, memories, ...changes }), grid, true)).toHaveProperty('recovered');
  });

  it.each<[string, Memory, RegExp, Partial<EraFacts>?]>([
    [
      'an event that exists only as a copy',
      copyOf(2, r(30)),
      /event 2 \(ledgers 30-39\), which the audit chain does not/,
    ],
    ['a copy of another event', copyOf(1, r(20), 'other'), /hash other, and event 1 of the audit chain has event-1/],
    ['a copy of a clipped partition', copyOf(1, r(20, 24)), /ledgers 20-24\), which the audit chain does not hold/],
    ['a copy that cannot be read', memory('copy', { range: r(20), problem: 'is no event' }), /the copy is no event/],
    ['a head that the chain never had', headAt('other'), /names other as the last event/],
    ['heads that cannot be read', memory('head', { problem: 'cannot be read' }), /the head cannot be read/],
    ['a checkpoint ahead', dataAs('checkpoint', r(40)), /partition 40-49 is committed, and Bronze does not hold it/],
    ['a checkpoint of other bytes', dataAs('checkpoint', r(10), 'sha256:x'), /as sha256:x, and Bronze holds/],
    ['of other bytes, sealed only', dataAs('checkpoint', r(30), 'sha256:x'), /as sha256:x, and Bronze holds/],
    [
      'a delivered event',
      memory('delivery', { sequence: 2, eventHash: 'event-2' }),
      /event 2 was delivered, which the/,
    ],
    ['another one was delivered', memory('delivery', { sequence: 1, eventHash: 'other' }), /hash other, and event 1/],
    ['a row', dataAs('row', r(40)), /has partition 40-49, and Bronze does not hold it/],
    ['a row of other bytes', dataAs('row', r(20), 'sha256:x'), /as sha256:x, and Bronze holds/],
    ['an old checkpoint ahead', memory('old_checkpoint', { range: r(50) }), /ledgers up to 59 are committed/],
    ['an event of the old program', oldEvent(r(40), 'old-2'), /partition 40-49 is copied, and Bronze does not hold it/],
    [
      'the last old event is another',
      oldEvent(r(20), 'o'),
      /_bronze\.json records old-1/,
      { oldChain: { ...oldHead, events: 1 } },
    ],
  ])('contradicts: %s', (_, what, why, changes = {}) => {
    const found = assess(facts({ ...held, memories: [copyOf(0, r(10)), what], ...changes }), grid, true);
    if (!('failure' in found)) throw new Error('not refused');
    expect(found.failure).toMatchObject({ code: 'EVIDENCE_CONTRADICTS', retryable: false, object: what.object });
    expect(found.failure.message).toMatch(why);
  });

  it('nothing at all is there, and everything is remembered: the first three are told, the others counted', () => {
    const memories = [10, 20, 30, 40].flatMap((start, i) => [copyOf(i, r(start)), dataAs('row', r(start))]);
    const found = assess(facts({ memories }), grid, true);
    expect(found).toMatchObject({ failure: { code: 'EVIDENCE_CONTRADICTS', start: 10, end: 49 } });
    expect('failure' in found && found.failure.message).toContain('and 5 more contradict Bronze');
  });

  it('the audit stream that is switched off makes no difference, nor does a chain that cannot be used', () => {
    const memories = [copyOf(2, r(30))];
    expect(refused(assess(facts({ ...held, memories }), grid, false))).toBe('EVIDENCE_CONTRADICTS');
    const hole = facts({ ...held, events: held.events.slice(1), memories });
    expect(refused(assess(hole, grid, true))).toBe('AUDIT_HOLE');
  });
});

describe('S9: partitions that share ledgers', () => {
  const attested = { partitions: [sealed(r(10)), sealed(r(20)), sealed(r(30))], events: events(r(10), r(20)) };
  const foreign = (range: LedgerRange): FoundPartition => {
    return { range, dataBytes: null, hasManifest: false, manifest: null, isForeign: true };
  };

  it.each<[string, LedgerRange]>([
    ['inside an attested one', r(22, 25)],
    ['the first ledger of one', r(20, 20)],
    ['its start', r(10, 14)],
    ['its end', r(25, 29)],
    ['wider than one', r(15, 34)],
    ['around all of them', r(10, 49)],
    ['across two', r(19, 20)],
    ['beside, inside a sealed one', r(31, 32)],
    ['a duplicate of the last one, clipped', r(30, 34)],
    ['from the last one into what comes next', r(35, 44)],
    ['before the era', r(0)],
    ['from before the era into it', r(5, 14)],
  ])('%s', (_, range) => {
    for (const other of [sealed(range), published(range), { ...sealed(range), dataBytes: null }, foreign(range)]) {
      const partitions = [...attested.partitions, other];
      const found = assess(facts({ ...attested, partitions }), grid, true);
      expect(refused(found)).toBe('PARTITION_OVERLAP');
      expect('failure' in found && found.failure.message).toContain(`${range.start}-${range.end}`);
      expect(refused(assess(facts({ ...attested, partitions: partitions.reverse() }), grid, true))).toBe(
        'PARTITION_OVERLAP',
      );
    }
  });

  it('none is one whose event is there and whose data is lost, nor what lies behind a gap', () => {
    const partitions = [sealed(r(20)), sealed(r(30)), published(r(40))];
    expect(recovered(assess(facts({ ...attested, partitions }), grid, true)).frontier).toBe(40);
    const clipped = { partitions: [sealed(r(10)), sealed(r(20, 24)), published(r(25, 29))] };
    expect(recovered(assess(facts({ ...clipped, events: events(r(10), r(20, 24)) }), grid, true)).frontier).toBe(25);
  });
});
