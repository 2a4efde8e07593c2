/**
 * What the audit chain must keep on every store: an event follows from the stored manifest alone, there is one per
 * sequence whoever attests and how often, and a chain that forks, has a hole or was changed is seen.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { auditPrefix, eventKey, manifestKey } from '../../actors/bronze/names.ts';
import { appendEvent, readChain } from '../../actors/chain/audit-chain.ts';
import type { ChainPlace } from '../../actors/chain/chain-place.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { sealPublished } from '../../actors/sequencer/seal-partition.ts';
import { BronzeError } from '../../machines/errors.ts';
import type { AttestedEvent, ChainHead, LedgerRange } from '../../machines/protocol.ts';
import { CHAIN, CHECKS, contentOf, endsOf, FIRST, NOW, PRODUCER, rangesOf, sha, TABLE } from '../support/bronze.ts';

/** One place where chains may lie, empty at first. */
export interface AuditUnderTest {
  /** Opens the store as a process that has just started. */
  open(): BronzeStore;
}

const COPIERS = 8;
const RANGES = rangesOf(2, 10, 12);
const [P0, P1, P2] = RANGES as [LedgerRange, LedgerRange, LedgerRange];

/** Seals partitions of one chain of ledgers; `fork` makes another chain's. */
async function seal(store: BronzeStore, ranges: readonly LedgerRange[], fork = '', now = NOW): Promise<void> {
  const readBack = () => Promise.reject(new Error('sealing reads nothing back'));
  const place = { store, chain: CHAIN, table: TABLE, readBack, checks: CHECKS };
  for (const range of ranges) {
    const bytes = contentOf(range, 'w1', fork);
    const published = {
      range,
      data: {
        file: `part-${range.start}-${range.end}.parquet`,
        checksum: sha(bytes),
        rowCount: 10,
        byteSize: bytes.length,
      },
      ledgers: endsOf(range, fork),
      writer: { parquet: 'w1' },
      checks: { links: true },
      source: 'file:///lake/',
      found: false,
    };
    await sealPublished(place, { producer: PRODUCER, now: () => now }, { published, attested: null });
  }
}

const placeOf = (store: BronzeStore): ChainPlace => ({ store, chain: CHAIN, table: TABLE });

const attest = (
  store: BronzeStore,
  range: LedgerRange,
  chain: ChainHead = FIRST,
  expected: AttestedEvent | null = null,
) => appendEvent({ ...placeOf(store), backup: null }, { range, chain, storagePrefix: store.prefix, expected });

/** Attests partitions in order as a sequencer does: where another's event stands, its own comes after it. */
async function attestAll(store: BronzeStore, ranges: readonly LedgerRange[]): Promise<ChainHead> {
  let head = FIRST;
  for (const range of ranges) {
    for (let done = false; !done; ) {
      const { attested, sequence, eventHash } = await attest(store, range, head);
      head = { nextSequence: sequence + 1, prevEventHash: eventHash };
      done = attested;
    }
  }
  return head;
}

async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  const error = await promise.then(
    () => new Error('it did not fail'),
    (reason: unknown) => reason,
  );
  if (error instanceof BronzeError) return error;
  throw error;
}

async function chainBytes(store: BronzeStore): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { key } of await store.list(auditPrefix(CHAIN))) {
    found[key] = Buffer.from((await store.get(key)) as Uint8Array).toString();
  }
  return found;
}

/** Copies some events of one store to another. */
async function copyEvents(from: BronzeStore, to: BronzeStore, sequences: readonly number[]): Promise<void> {
  for (const sequence of sequences) {
    const key = eventKey(CHAIN, sequence);
    await to.create(key, (await from.get(key)) as Uint8Array);
  }
}

export function auditConformance(name: string, make: () => AuditUnderTest | Promise<AuditUnderTest>): void {
  describe(`${name}: an audit chain`, () => {
    let place: AuditUnderTest;
    let store: BronzeStore;
    const another = async (fork = '', ranges = RANGES): Promise<BronzeStore> => {
      const other = (await make()).open();
      await seal(other, ranges, fork);
      return other;
    };
    beforeEach(async () => {
      place = await make();
      store = place.open();
    });

    it('is empty where nothing is attested', async () => {
      expect(await readChain(placeOf(store))).toEqual({ events: [], holes: [] });
    });

    it('has one event per partition, in order, each naming the one before', async () => {
      await seal(store, RANGES);
      const head = await attestAll(store, RANGES);
      const { events, holes } = await readChain(placeOf(place.open()));
      expect(holes).toEqual([]);
      expect(events.map(({ range }) => range)).toEqual(RANGES);
      expect(events.map(({ sequence }) => sequence)).toEqual(RANGES.map((_, n) => n));
      expect(events.map(({ prevEventHash }) => prevEventHash)).toEqual([
        null,
        ...events.slice(0, -1).map(({ eventHash }) => eventHash),
      ]);
      expect(head).toEqual({ nextSequence: RANGES.length, prevEventHash: events.at(-1)?.eventHash });
      expect(Object.keys(await chainBytes(store))).toEqual(RANGES.map((_, n) => eventKey(CHAIN, n)));
    });

    it('does not change when it is said again, from here or by another', async () => {
      await seal(store, RANGES);
      const head = await attestAll(store, RANGES);
      const before = await chainBytes(store);
      expect(await attestAll(store, RANGES)).toEqual(head);
      expect(await attestAll(place.open(), RANGES)).toEqual(head);
      expect(await chainBytes(store)).toEqual(before);
    });

    it('is the same, byte for byte, wherever it is written from the same manifests', async () => {
      await seal(store, RANGES);
      await attestAll(store, RANGES);
      const other = await another();
      await attestAll(other, RANGES);
      expect(await chainBytes(other)).toEqual(await chainBytes(store));
    });

    it(`is one chain when ${COPIERS} write it at once`, async () => {
      await seal(store, RANGES);
      const heads = await Promise.all(Array.from({ length: COPIERS }, () => attestAll(place.open(), RANGES)));
      expect(new Set(heads.map(({ prevEventHash }) => prevEventHash)).size).toBe(1);
      const { events, holes } = await readChain(placeOf(place.open()));
      expect(holes).toEqual([]);
      expect(events.map(({ range }) => range)).toEqual(RANGES);
    });

    it('has one event under a sequence that two want for different partitions; the next partition comes after it', async () => {
      await seal(store, [P0, P1]);
      const first = await attest(place.open(), P0);
      const second = await attest(place.open(), P1);
      expect(second).toEqual({ attested: false, sequence: 0, eventHash: first.eventHash });
      const after = { nextSequence: 1, prevEventHash: first.eventHash };
      expect(await attest(store, P1, after)).toMatchObject({ attested: true, sequence: 1 });
      expect((await readChain(placeOf(store))).events).toHaveLength(2);
    });

    it('forks where a later partition stands under the sequence of an earlier one', async () => {
      await seal(store, [P0, P1]);
      await attest(place.open(), P1);
      expect((await failureOf(attest(place.open(), P0))).code).toBe('AUDIT_FORK');
    });

    it('forks where other content stands for the same partition, or the chain went another way', async () => {
      await seal(store, RANGES);
      const theirs = await another('fork');
      await attestAll(theirs, [P0, P1]);
      await copyEvents(theirs, store, [0, 1]);
      const before = await chainBytes(store);
      expect(await failureOf(attest(store, P0))).toMatchObject({ code: 'AUDIT_FORK', retryable: false });
      const elsewhere = { nextSequence: 1, prevEventHash: `sha256:${'0'.repeat(64)}` };
      expect(await failureOf(attest(store, P2, elsewhere))).toMatchObject({ code: 'AUDIT_FORK', retryable: false });
      expect(await chainBytes(store)).toEqual(before);
    });

    it('that attests a partition twice is a fork', async () => {
      await seal(store, RANGES);
      const first = await attest(store, P0);
      await attest(store, P0, { nextSequence: 1, prevEventHash: first.eventHash });
      expect((await failureOf(readChain(placeOf(store)))).code).toBe('AUDIT_FORK');
    });

    it('shows every hole, and takes back exactly the event that was there', async () => {
      const whole = await another();
      await attestAll(whole, RANGES);
      const { events } = await readChain(placeOf(whole));
      await seal(store, RANGES);
      const lost = [0, 3, 4, 10];
      const kept = RANGES.map((_, n) => n).filter((n) => !lost.includes(n));
      await copyEvents(whole, store, kept);
      expect((await readChain(placeOf(store))).holes).toEqual(lost);
      for (const sequence of lost) {
        const event = events[sequence] as AttestedEvent;
        const head = { nextSequence: sequence, prevEventHash: event.prevEventHash };
        expect(await attest(store, event.range, head, event)).toMatchObject({ attested: true, sequence });
      }
      expect(await chainBytes(store)).toEqual(await chainBytes(whole));
    });

    it('takes no event into a hole that comes out otherwise, and writes none', async () => {
      const whole = await another();
      await attestAll(whole, [P0, P1, P2]);
      const { events } = await readChain(placeOf(whole));
      // Sealed at another time: the same ledgers, another manifest.
      await seal(store, [P0, P1, P2], '', '2027-01-01T00:00:00Z');
      await copyEvents(whole, store, [0, 2]);
      const head = { nextSequence: 1, prevEventHash: (events[1] as AttestedEvent).prevEventHash };
      const failure = await failureOf(attest(store, P1, head, events[1] as AttestedEvent));
      expect(failure).toMatchObject({ code: 'AUDIT_HOLE', retryable: false });
      expect(await store.get(eventKey(CHAIN, 1))).toBeNull();
    });

    it('is derived from the stored manifest; without one nothing is written', async () => {
      expect((await failureOf(attest(store, P0))).code).toBe('PARTITION_DAMAGED');
      await store.create(manifestKey(CHAIN, TABLE, P0), Buffer.from('{"half":'));
      expect((await failureOf(attest(store, P0))).code).toBe('MANIFEST_INVALID');
      expect(await chainBytes(store)).toEqual({});
    });

    it('sees one changed byte in any event, and an event in another place', async () => {
      const whole = await another();
      await attestAll(whole, [P0, P1, P2]);
      for (const sequence of [0, 1, 2]) {
        const changed = (await make()).open();
        await copyEvents(
          whole,
          changed,
          [0, 1, 2].filter((n) => n !== sequence),
        );
        const key = eventKey(CHAIN, sequence);
        const text = Buffer.from((await whole.get(key)) as Uint8Array).toString();
        await changed.create(key, Buffer.from(text.replace(/"row_count": ?10/, '"row_count": 11')));
        expect((await failureOf(readChain(placeOf(changed)))).code).toBe('AUDIT_INVALID');
      }
      const moved = (await make()).open();
      await moved.create(eventKey(CHAIN, 0), (await whole.get(eventKey(CHAIN, 1))) as Uint8Array);
      expect((await failureOf(readChain(placeOf(moved)))).code).toBe('AUDIT_INVALID');
    });

    it('passes over names that no copier gives', async () => {
      await seal(store, [P0]);
      await attestAll(store, [P0]);
      for (const below of ['1.json', '0000000001.json.bak', 'notes.txt', '0000000001/x.json']) {
        await store.create(`${auditPrefix(CHAIN)}${below}`, Buffer.from('x'));
      }
      expect((await readChain(placeOf(store))).events).toHaveLength(1);
    });
  });
}
