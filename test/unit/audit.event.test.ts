/** Events: a pure function of manifest and place, checked by their own hash, by the rules of both programs. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type AuditEvent, buildEvent, eventBytes, eventHash, eventId, parseEvent } from '../../actors/bronze/event.ts';
import { verifyLinks } from '../../actors/bronze/links.ts';
import { buildManifest, manifestBytes, sealedFacts } from '../../actors/bronze/manifest.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { CHAIN, contentOf, endsOf, hex, NOW, PRODUCER, rangesOf, sha, TABLE } from '../support/bronze.ts';
import { describeShared, SHARED } from '../support/shared.ts';

function eventOf(range: LedgerRange, sequence: number, prevEventHash: string | null, fork = ''): AuditEvent {
  const bytes = contentOf(range, 'w1', fork);
  const manifest = buildManifest({
    chain: CHAIN,
    table: TABLE,
    range,
    data: {
      file: `part-${range.start}-${range.end}.parquet`,
      checksum: sha(bytes),
      rowCount: range.end - range.start + 1,
      byteSize: bytes.length,
    },
    ledgers: endsOf(range, fork),
    writer: { parquet: 'w1' },
    checks: { links: true },
    source: 'file:///lake/',
    producer: PRODUCER,
    createdAt: NOW,
  });
  const at = { chain: CHAIN, table: TABLE, storagePrefix: 'bronze/', sequence, prevEventHash };
  return buildEvent({ ...at, sealed: sealedFacts(manifest, manifestBytes(manifest), TABLE), producer: PRODUCER });
}

function chainOf(ranges: readonly LedgerRange[]): AuditEvent[] {
  const events: AuditEvent[] = [];
  for (const range of ranges) {
    events.push(eventOf(range, events.length, events.at(-1)?.chain.event_hash ?? null));
  }
  return events;
}

const reread = (event: AuditEvent, object = 'e.json') => parseEvent(eventBytes(event), object);

/** The event with a change that its hash covers or not. */
const signed = (event: AuditEvent): AuditEvent => ({
  ...event,
  chain: { ...event.chain, event_hash: eventHash(event) },
});

describe('an event', () => {
  const event = eventOf({ start: 10000, end: 19999 }, 0, null);

  it('has the form of the contract', () => {
    expect(Object.keys(event)).toEqual([
      'version',
      'event_type',
      'event_id',
      'timestamp',
      'partition',
      'tables',
      'ledgers',
      'manifest_sha256',
      'producer',
      'chain',
    ]);
    expect(event.event_id).toBe(`pas_evt_${hex('pubnet/pre_p23/v1/0').slice(0, 16)}`);
    expect(eventId(CHAIN, 1)).toBe(`pas_evt_${hex('pubnet/pre_p23/v1/1').slice(0, 16)}`);
    expect(event.timestamp).toBe(NOW);
    expect(event.tables[TABLE]?.storage_path).toBe(
      'bronze/pubnet/pre_p23/v1/ledgers_lcm_raw/range=10000-19999/part-10000-19999.parquet',
    );
    expect(event.chain.prev_event_hash).toBeNull();
  });

  it('has a hash that anyone can compute: sorted keys, no blanks, without event_hash', () => {
    const sortKeys = (value: unknown): unknown => {
      if (typeof value !== 'object' || value === null) return value;
      const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
      return Object.fromEntries(entries.map(([key, inner]) => [key, sortKeys(inner)]));
    };
    const { event_hash, ...chain } = event.chain;
    expect(event_hash).toBe(`sha256:${hex(JSON.stringify(sortKeys({ ...event, chain })))}`);
  });

  it('is a pure function: built again it has the same bytes, and read back the same facts', () => {
    const again = eventOf({ start: 10000, end: 19999 }, 0, null);
    expect(Buffer.compare(eventBytes(again), eventBytes(event))).toBe(0);
    const facts = reread(event);
    expect(facts).toMatchObject({ version: '1.2', sequence: 0, range: { start: 10000, end: 19999 } });
    expect(facts.ledgers).toEqual(endsOf({ start: 10000, end: 19999 }));
  });

  it('keeps fields of later releases under its hash', () => {
    const later = signed({ ...event, added_later: { a: 1 } });
    expect(reread(later).eventHash).toBe(later.chain.event_hash);
    expect(() => reread({ ...later, added_later: { a: 2 } })).toThrow('its hash is');
  });

  it.each<[string, (good: AuditEvent) => unknown]>([
    ['its hash is', (good) => ({ ...good, timestamp: '2027-01-01T00:00:00Z' })],
    ['its hash is', (good) => ({ ...good, manifest_sha256: hex('other') })],
    ['version', (good) => ({ ...good, version: '2.0' })],
    ['manifest_sha256', ({ manifest_sha256: _, ...rest }) => rest],
    ['event_id', (good) => signed({ ...good, event_id: 'pas_evt_0000000000000000' })],
    [
      'no event before it',
      (good) => signed({ ...good, chain: { ...good.chain, prev_event_hash: `sha256:${hex('x')}` } }),
    ],
    ['ends before it starts', (good) => signed({ ...good, partition: { ...good.partition, ledger_end: 1 } })],
    ['rows', (good) => signed({ ...good, partition: { ...good.partition, ledger_end: 10001 } })],
    ['tables', (good) => signed({ ...good, tables: {} })],
    ['2 tables', (good) => signed({ ...good, tables: { ...good.tables, other: good.tables[TABLE] } } as AuditEvent)],
    [
      'Unrecognized key: "unit"',
      (good) => signed({ ...good, partition: { ...good.partition, unit: 'k' } } as AuditEvent),
    ],
    ['Unrecognized key: "next"', (good) => signed({ ...good, chain: { ...good.chain, next: null } } as AuditEvent)],
    [
      'Unrecognized key: "offset"',
      (good) => signed({ ...good, tables: { [TABLE]: { ...good.tables[TABLE], offset: 1 } } } as unknown as AuditEvent),
    ],
    ['Unrecognized key: "rows"', (good) => signed({ ...good, ledgers: { ...good.ledgers, rows: 1 } } as AuditEvent)],
    ['surrogate', (good) => ({ ...good, note: '\ud800' })],
    ['object', () => []],
  ])('is refused for: %s', (reason, change) => {
    const bytes = Buffer.from(JSON.stringify(change(event)));
    expect(() => parseEvent(bytes, 'x/e.json')).toThrow(
      expect.objectContaining({ code: 'AUDIT_INVALID', message: expect.stringContaining(reason) }),
    );
    expect(() => parseEvent(bytes, 'x/e.json')).toThrow('x/e.json');
  });

  it('S9: a flipped bit anywhere is found', () => {
    const good = eventBytes(event);
    for (let at = 0; at < good.length; at++) {
      const bytes = Buffer.from(good);
      bytes[at] = (bytes[at] as number) ^ 1;
      let same = false;
      try {
        // A blank between tokens may become another blank or stay JSON; then the content is what it was.
        same = parseEvent(bytes, 'e').eventHash === event.chain.event_hash;
      } catch (error) {
        expect(error).toMatchObject({ code: 'AUDIT_INVALID' });
      }
      if (same) expect(JSON.parse(bytes.toString())).toEqual(event);
    }
    for (const bytes of [Buffer.alloc(0), Buffer.from([0xff]), good.subarray(0, 100)]) {
      expect(() => parseEvent(bytes, 'e')).toThrow(expect.objectContaining({ code: 'AUDIT_INVALID' }));
    }
  });
});

describe('a chain', () => {
  const events = chainOf(rangesOf(2, 10, 5));
  const parsed = events.map((event, i) => reread(event, `${i}.json`));

  it('is verified in any order of files', () => {
    expect(verifyLinks([...parsed].reverse())).toEqual({ ok: true, events: 5, head: events[4]?.chain.event_hash });
    expect(verifyLinks([])).toEqual({ ok: true, events: 0, head: null });
  });

  it('breaks where an event is missing, doubled or another', () => {
    const without = (n: number) => parsed.filter((_, i) => i !== n);
    expect(verifyLinks(without(2))).toMatchObject({
      ok: false,
      object: '3.json',
      reason: expect.stringContaining('missing'),
    });
    expect(verifyLinks(without(0))).toMatchObject({ ok: false, object: '1.json' });
    expect(verifyLinks([...parsed, parsed[1] as (typeof parsed)[0]])).toMatchObject({
      ok: false,
      sequence: 1,
      reason: expect.stringContaining('two events'),
    });
    const other = reread(eventOf({ start: 22, end: 31 }, 2, `sha256:${hex('another')}`), 'other.json');
    expect(verifyLinks([...without(2), other])).toMatchObject({ ok: false, object: 'other.json', start: 22, end: 31 });
    const forked = reread(eventOf({ start: 22, end: 31 }, 2, events[1]?.chain.event_hash ?? null, 'fork'), 'f.json');
    expect(verifyLinks([...parsed.slice(0, 2), forked])).toMatchObject({
      reason: expect.stringContaining('do not link'),
    });
    const gap = reread(eventOf({ start: 32, end: 41 }, 2, events[1]?.chain.event_hash ?? null), 'g.json');
    expect(verifyLinks([...parsed.slice(0, 2), gap])).toMatchObject({
      reason: expect.stringContaining('starts at ledger 32'),
    });
  });
});

describeShared("S28: the old program's events", () => {
  for (const estate of ['aligned', 'unaligned']) {
    const folder = join(SHARED, 'old-estate', estate, 'pas-backup');
    const files = (): string[] => readdirSync(folder).filter((name) => name.startsWith('pubnet_'));
    const read = () => files().map((name) => parseEvent(readFileSync(join(folder, name)), name));

    it(`${estate}: are verified by their own rule`, () => {
      const heads = JSON.parse(readFileSync(join(folder, 'pas-chain-heads.json'), 'utf8'));
      expect(verifyLinks(read())).toEqual({ ok: true, events: files().length, head: heads['pubnet/pre_p23/v1'] });
    });

    it(`${estate}: a change of one value or a missing event is found`, () => {
      const name = files()[0] as string;
      const text = readFileSync(join(folder, name), 'utf8');
      const changed = Buffer.from(text.replace('"row_count": 10', '"row_count":  10'));
      expect(parseEvent(changed, name).range.start).toBeGreaterThan(0);
      expect(() => parseEvent(Buffer.from(text.replace('pas_evt_', 'pas_evx_')), name)).toThrow('its hash is');
      expect(verifyLinks(read().slice(1))).toMatchObject({ ok: false });
    });
  }
});
