/**
 * What a catalog must keep on every backend: of docs/failure-model.md, "Of a catalog and of an endpoint", the
 * assumptions 1, 2, 3, 5, 7 and 10. It uses the port, and a backend's own client only to look at tables that the port
 * does not show.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Catalog, DatasetName, PartitionRecord } from '../../actors/ports/catalog.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { failureOf, rangesOf } from '../support/bronze.ts';
import { DATASET, lineageOf, recordOf } from '../support/catalog.ts';

/** Integers as number, times as Date, JSON as text or parsed. */
export type SeenRow = Readonly<Record<string, unknown>>;

/** One place for a catalog, empty at first: nothing is prepared. */
export interface CatalogUnderTest {
  /** Opens it as a process that has just started. */
  open(): Catalog;
  /** Looks at the tables from outside. */
  query(sql: string): Promise<readonly SeenRow[]>;
  /** Removes the place. */
  remove?(): Promise<void>;
}

const RANGES = rangesOf(2, 10, 6);
const [R0, R1, R2, R3] = RANGES as [LedgerRange, LedgerRange, LedgerRange, LedgerRange];
const RECORDS = RANGES.map((range) => recordOf(range));
const [P0, P1, P2, P3] = RECORDS as [PartitionRecord, PartitionRecord, PartitionRecord, PartitionRecord];
const MANY = rangesOf(2, 64, 1000).map((range) => recordOf(range));

const version = (versionLabel: string): DatasetName => ({ ...DATASET, chain: { ...DATASET.chain, versionLabel } });

/** Until nobody else is at it: what a copier does that was told `held`. */
async function insist<T>(call: () => Promise<T | 'held'>): Promise<T> {
  for (;;) {
    const answer = await call();
    if (answer !== 'held') return answer as T;
  }
}

/** A catalog that another process can hold open, so that nobody writes it. */
export interface HeldUnderTest extends CatalogUnderTest {
  /** Keeps it open until the answer is called. */
  hold(): Promise<() => Promise<void>>;
}

export function catalogConformance(name: string, make: () => Promise<CatalogUnderTest>): void {
  describe(`${name}: a catalog`, () => {
    let place: CatalogUnderTest;
    let catalog: Catalog;
    const opened: Catalog[] = [];
    const another = (): Catalog => {
      opened.push(place.open());
      return opened.at(-1) as Catalog;
    };
    beforeEach(async () => {
      place = await make();
      catalog = another();
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((each) => each.close()));
      await place.remove?.();
    });

    const prepared = async (records: readonly PartitionRecord[] = []): Promise<void> => {
      await catalog.prepare();
      if (records.length > 0) expect(await catalog.record(DATASET, records)).toBe('recorded');
    };
    const rows = (dataset = DATASET) => another().rows(dataset);

    /** The rows of a table without its keys, in order, for comparison. */
    const seen = async (table: string, columns: string): Promise<SeenRow[]> => {
      return [...(await place.query(`SELECT ${columns} FROM ${table} ORDER BY ${columns}`))];
    };
    const quality = async () => {
      const found = await seen('_meta_quality', 'ledger_start, ledger_end, passed, error_message, created_at');
      const checks = await place.query('SELECT checks FROM _meta_quality ORDER BY ledger_start, ledger_end');
      return found.map((row, n): SeenRow => {
        const value = checks[n]?.checks ?? null;
        return { ...row, checks: typeof value === 'string' ? JSON.parse(value) : value };
      });
    };
    const changes = () =>
      seen('_meta_changes', 'change_type, ledger_start, ledger_end, old_version, new_version, description');
    const everything = async () => [
      await seen('_meta_datasets', 'domain, dataset, version, era_id, network, schema_hash, description'),
      await seen(
        '_meta_lineage',
        'ledger_start, ledger_end, row_count, byte_size, checksum, prev_hash, storage_path, storage_uri, ' +
          'pas_event_id, producer_version, producer_git_sha, source_type, source_location, created_at',
      ),
      await quality(),
      await seen('_meta_changes', 'change_type, ledger_start, ledger_end, created_at'),
      await changes(),
    ];

    describe('that is empty', () => {
      it('reads as empty, whether or not it was prepared, and takes a forget', async () => {
        expect(await catalog.rows(DATASET)).toEqual([]);
        await prepared();
        expect(await catalog.rows(DATASET)).toEqual([]);
        expect(await catalog.forget(DATASET, [R0])).toBe('recorded');
        expect(await catalog.record(DATASET, [])).toBe('recorded');
        expect(await rows()).toEqual([]);
      });

      it('can be probed, which makes nothing that prepare would not', async () => {
        await catalog.probe();
        expect(await catalog.prepare()).toBe('ready');
        await catalog.probe();
        expect(await rows()).toEqual([]);
      });

      it('is prepared twice, and by two at once, with nothing lost', async () => {
        expect(await Promise.all([insist(() => catalog.prepare()), insist(() => another().prepare())])).toEqual([
          'ready',
          'ready',
        ]);
        await catalog.record(DATASET, [P0]);
        expect(await another().prepare()).toBe('ready');
        expect(await rows()).toEqual([lineageOf(P0)]);
      });
    });

    describe('that records', () => {
      it('shows all of it to everybody, in ledger order, once it has answered', async () => {
        await prepared(RECORDS);
        expect(await rows()).toEqual(RECORDS.map(lineageOf));
      });

      it('loses nothing of a row: nulls, the last ledger there is, large sizes, any text', async () => {
        const odd = `o'brien "x" \\ $1 ; DROP TABLE _meta_lineage; -- {} %s 日本 ✓`;
        const dataset = {
          domain: odd,
          dataset: 'ledgers_lcm_raw',
          chain: { network: odd, eraId: 'É', versionLabel: 'v1' },
        };
        const records = [
          recordOf({ start: 2, end: 2 }, { prevHash: null, pasEventId: null, storagePath: odd, storageUri: odd }),
          recordOf(
            { start: 4_294_957_296, end: 4_294_967_295 },
            { byteSize: 5_000_000_000_000, sourceLocation: odd, sourceType: 'unknown', checks: {} },
          ),
        ];
        await catalog.prepare();
        await catalog.record(dataset, records);
        expect(await rows(dataset)).toEqual(records.map(lineageOf));
        expect(await rows()).toEqual([]);
      });

      it('keeps data sets apart that differ in one name', async () => {
        await prepared([P0]);
        const others: DatasetName[] = [
          { ...DATASET, domain: 'bronze.other' },
          { ...DATASET, dataset: 'other' },
          version('v2'),
          { ...DATASET, chain: { ...DATASET.chain, eraId: 'p23' } },
          { ...DATASET, chain: { ...DATASET.chain, network: 'testnet' } },
        ];
        for (const [n, other] of others.entries()) {
          expect(await rows(other)).toEqual([]);
          // Would overlap in the same data set.
          await catalog.record(other, [recordOf({ start: 5, end: 20 + n })]);
        }
        for (const [n, other] of others.entries()) {
          expect(await rows(other)).toEqual([lineageOf(recordOf({ start: 5, end: 20 + n }))]);
        }
        expect(await rows()).toEqual([lineageOf(P0)]);
      });

      it('does not change when it is said again, by anybody, in whole or in part', async () => {
        await prepared(RECORDS);
        const before = await everything();
        for (const again of [RECORDS, [P2], [P0, P3], RECORDS.slice(0, 2)]) {
          expect(await another().record(DATASET, again)).toBe('recorded');
        }
        expect(await rows()).toEqual(RECORDS.map(lineageOf));
        expect(await everything()).toEqual(before);
      });

      it('comes out the same whichever order it is said in, and takes late requests', async () => {
        const old = recordOf(R1, { columns: 1, sourceType: 'unknown' });
        const written: unknown[] = [];
        for (const order of [
          [
            [P0, old],
            [P2, P3],
          ],
          [[P3], [P2], [P0, old], [P2]],
          [[old], [P3], [P2], [P0], [old, P2]],
        ]) {
          await place.remove?.();
          place = await make();
          catalog = another();
          await catalog.prepare();
          for (const batch of order) expect(await catalog.record(DATASET, batch)).toBe('recorded');
          expect(await rows()).toEqual([P0, old, P2, P3].map(lineageOf));
          written.push(await everything());
        }
        for (const each of written) expect(each).toEqual(written[0]);
      });

      it('is written once by two at once', async () => {
        await prepared();
        const both = [RECORDS, [P1, P2, P3]].map((records) => insist(() => another().record(DATASET, records)));
        expect(await Promise.all(both)).toEqual(['recorded', 'recorded']);
        expect(await rows()).toEqual(RECORDS.map(lineageOf));
        expect(await quality()).toHaveLength(RECORDS.length);
        expect(await changes()).toHaveLength(RECORDS.length);
        expect(await seen('_meta_datasets', 'version')).toEqual([{ version: 'v1' }]);
      });

      it('takes a thousand partitions at once, and again', async () => {
        await prepared(MANY);
        expect(await rows()).toEqual(MANY.map(lineageOf));
        expect(await catalog.record(DATASET, MANY)).toBe('recorded');
        expect(await rows()).toHaveLength(MANY.length);
      });

      it('fills what an earlier row has left empty, and changes nothing else in it', async () => {
        const bare = { ...P1, prevHash: null, pasEventId: null };
        await prepared([P0, bare]);
        expect(await rows()).toEqual([P0, bare].map(lineageOf));
        await catalog.record(DATASET, [P1]);
        expect(await rows()).toEqual([P0, P1].map(lineageOf));
        await catalog.record(DATASET, [bare]);
        await catalog.record(DATASET, [{ ...P1, pasEventId: 'pas_evt_other', prevHash: 'sha256:other' }]);
        expect(await rows()).toEqual([P0, P1].map(lineageOf));
      });
    });

    describe('that refuses', () => {
      it('a range that shares ledgers with a recorded one, in whichever way, naming both', async () => {
        await prepared([P1]);
        const shared = '5-14 11-12 12-12 12-20 12-22 14-15 21-21 21-40 2-100'.split(' ');
        for (const range of shared) {
          const [start, end] = range.split('-').map(Number) as [number, number];
          const refused = recordOf({ start, end });
          const failure = await failureOf(catalog.record(DATASET, [refused]));
          expect(failure).toMatchObject({ code: 'CATALOG_CONFLICT', retryable: false });
          for (const told of [range, '12-21', refused.checksum, P1.checksum]) expect(failure.message).toContain(told);
        }
        expect(await rows()).toEqual([lineageOf(P1)]);
      });

      it('other content of a range, naming both', async () => {
        await prepared([P0, P1]);
        for (const over of [{ checksum: `sha256:${'0'.repeat(64)}` }, { rowCount: 9 }, { byteSize: 1 }]) {
          const failure = await failureOf(another().record(DATASET, [{ ...P1, ...over }]));
          expect(failure).toMatchObject({ code: 'CATALOG_CONFLICT', retryable: false });
          expect(failure.message).toContain(P1.checksum);
          expect(failure.message).toContain(over.checksum ?? P1.checksum);
        }
        expect(await rows()).toEqual([P0, P1].map(lineageOf));
      });

      it('all of a record of which one partition is refused', async () => {
        await prepared([P1]);
        const before = await everything();
        const bad = { ...P1, byteSize: 1 };
        for (const batch of [
          [P0, bad],
          [bad, P2],
          [P0, bad, P2],
          [P0, P1, recordOf({ start: 30, end: 40 }), P3],
        ]) {
          expect((await failureOf(catalog.record(DATASET, batch))).code).toBe('CATALOG_CONFLICT');
        }
        // Of a data set that is not there, with a contradiction in itself.
        const itself = catalog.record(version('v9'), [P0, recordOf({ start: 5, end: 20 })]);
        expect((await failureOf(itself)).code).toBe('CATALOG_CONFLICT');
        expect(await rows()).toEqual([lineageOf(P1)]);
        expect(await everything()).toEqual(before);
      });

      it('one of two that disagree at once', async () => {
        await prepared();
        const other = recordOf({ start: 15, end: 24 });
        const ends = await Promise.allSettled(
          [P1, other].map((record) => insist(() => another().record(DATASET, [record]))),
        );
        expect(ends.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
        const refused = ends.find((end) => end.status === 'rejected');
        expect(refused?.reason).toMatchObject({ code: 'CATALOG_CONFLICT' });
        expect(await rows()).toEqual([lineageOf(ends[0]?.status === 'fulfilled' ? P1 : other)]);
      });
    });

    describe('that forgets', () => {
      it('removes exactly the ranges named, and takes them again', async () => {
        await prepared(RECORDS);
        await catalog.record(version('v2'), RECORDS);
        const before = await everything();
        const ranges = [R1, R3, { start: 2, end: 5 }, { start: 2, end: 31 }, { start: 500, end: 600 }];
        expect(await another().forget(DATASET, ranges)).toBe('recorded');
        const left = RECORDS.filter((record) => record !== P1 && record !== P3);
        expect(await rows()).toEqual(left.map(lineageOf));
        expect(await rows(version('v2'))).toEqual(RECORDS.map(lineageOf));
        expect(await quality()).toHaveLength(left.length + RECORDS.length);
        const backfills = (await changes()).filter((row) => row.change_type === 'backfill');
        expect(backfills).toHaveLength(left.length + RECORDS.length);
        expect(await catalog.forget(DATASET, ranges)).toBe('recorded');
        await catalog.record(DATASET, [P1, P3]);
        expect(await rows()).toEqual(RECORDS.map(lineageOf));
        expect(await everything()).toEqual(before);
      });
    });

    describe('its quality rows', () => {
      it('say what was recomputed, when the copy was made', async () => {
        await prepared([P0, recordOf(R1, { checks: {} })]);
        expect(await quality()).toEqual([
          {
            ledger_start: 2,
            ledger_end: 11,
            passed: true,
            error_message: null,
            checks: { links: true, results: false },
            created_at: new Date('2026-01-02T00:00:02.000Z'),
          },
          expect.objectContaining({ ledger_start: 12, passed: true, checks: {} }),
        ]);
      });

      it('say that a partition was refused, and why, until it passes', async () => {
        await prepared([P0]);
        const refused = { ledger_start: 12, ledger_end: 21, passed: false };
        await another().recordFailure(DATASET, R1, "the link's broken: ünï");
        await another().recordFailure(DATASET, R1, "the link's broken: ünï");
        expect((await quality())[1]).toMatchObject({ ...refused, error_message: "the link's broken: ünï" });
        await catalog.recordFailure(DATASET, R1, 'still');
        expect((await quality())[1]).toMatchObject({ ...refused, error_message: 'still' });
        expect(await rows()).toEqual([lineageOf(P0)]);
        await catalog.record(DATASET, [P1]);
        const after = await quality();
        expect(after).toHaveLength(2);
        expect(after[1]).toMatchObject({ ...refused, passed: true, error_message: null, checks: P1.checks });
        expect(after[1]?.created_at).toEqual(new Date('2026-01-02T00:00:12.000Z'));
      });

      it('of partitions that passed are not replaced by a failure, however late it comes', async () => {
        await prepared([P0, P1]);
        const before = await quality();
        expect(await another().recordFailure(DATASET, R1, 'late')).toBe('recorded');
        expect(await quality()).toEqual(before);
        expect(await rows()).toEqual([P0, P1].map(lineageOf));
      });

      it('of a failure can be the first that is said of a data set, and do not count as a partition', async () => {
        await prepared();
        expect(await catalog.recordFailure(DATASET, R0, 'no')).toBe('recorded');
        expect(await rows()).toEqual([]);
        await catalog.record(DATASET, [P0]);
        expect(await rows()).toEqual([lineageOf(P0)]);
        expect(await quality()).toEqual([expect.objectContaining({ passed: true, error_message: null })]);
      });
    });

    describe('its change rows', () => {
      const backfill = ({ range }: PartitionRecord, columns: 1 | 2) => ({
        change_type: 'backfill',
        ledger_start: range.start,
        ledger_end: range.end,
        old_version: null,
        new_version: `columns ${columns}`,
        description: expect.stringContaining(`${range.start}-${range.end}`),
      });
      const schemaChange = {
        change_type: 'schema_change',
        ledger_start: 22,
        ledger_end: 31,
        old_version: 'columns 1',
        new_version: 'columns 2',
        description: expect.any(String),
      };
      const old = [R0, R1].map((range) => recordOf(range, { columns: 1 }));

      it('are one for each partition, and one where the columns change', async () => {
        await prepared([...old, P2, P3]);
        const expected = [
          ...old.map((record) => backfill(record, 1)),
          ...[P2, P3].map((record) => backfill(record, 2)),
          schemaChange,
        ];
        expect(await changes()).toEqual(expected);
        await catalog.forget(DATASET, [R2]);
        await catalog.record(DATASET, [P2]);
        expect(await changes()).toEqual(expected);
      });

      it('tell of other columns also where the two sides are recorded one after the other', async () => {
        for (const batches of [
          [old, [P2]],
          [[P2], old],
        ]) {
          await place.remove?.();
          place = await make();
          catalog = another();
          await catalog.prepare();
          for (const batch of batches) await catalog.record(DATASET, batch);
          expect((await changes()).filter((row) => row.change_type !== 'backfill')).toEqual([schemaChange]);
        }
      });

      it('tell once of a version beside another one', async () => {
        await prepared([P0]);
        for (const partition of [P0, P1, P0]) await catalog.record(version('v2'), [partition]);
        await catalog.record(DATASET, [P1]);
        expect((await changes()).filter((row) => row.change_type === 'correction')).toEqual([
          expect.objectContaining({ ledger_start: null, ledger_end: null, old_version: 'v1', new_version: 'v2' }),
        ]);
      });
    });

    it('says what it covers, and where the gaps are', async () => {
      const [, , , , P4, P5] = RECORDS as [PartitionRecord, ...PartitionRecord[]];
      await prepared([P0, P1, P3, P5 as PartitionRecord]);
      const of = {
        domain: DATASET.domain,
        dataset: DATASET.dataset,
        version: 'v1',
        era_id: 'pre_p23',
        network: 'pubnet',
      };
      const names = 'domain, dataset, version, era_id, network';
      const coverage = (): Promise<SeenRow[]> =>
        seen(
          '_meta_coverage',
          `${names}, min_ledger, max_ledger, partition_count, total_rows, total_bytes, gap_count, missing_ledgers`,
        );
      const sum = (records: readonly PartitionRecord[]): number =>
        records.reduce((all, { byteSize }) => all + byteSize, 0);
      const bounds = { ...of, min_ledger: 2, max_ledger: 61 };
      expect(await coverage()).toEqual([
        {
          ...bounds,
          partition_count: 4,
          total_rows: 40,
          total_bytes: sum([P0, P1, P3, P5 as PartitionRecord]),
          gap_count: 2,
          missing_ledgers: 20,
        },
      ]);
      expect(await seen('_meta_gaps', `${names}, gap_start, gap_end`)).toEqual([
        { ...of, gap_start: 22, gap_end: 31 },
        { ...of, gap_start: 42, gap_end: 51 },
      ]);
      await catalog.record(DATASET, [P2, P4 as PartitionRecord]);
      expect(await coverage()).toEqual([
        { ...bounds, partition_count: 6, total_rows: 60, total_bytes: sum(RECORDS), gap_count: 0, missing_ledgers: 0 },
      ]);
      expect(await seen('_meta_gaps', `${names}, gap_start, gap_end`)).toEqual([]);
    });

    describe('that is to stop', () => {
      it('does nothing for a signal that has fired', async () => {
        await prepared([P0]);
        const gone = AbortSignal.abort(new Error('stop it'));
        const calls = [
          catalog.prepare(gone),
          catalog.probe(gone),
          catalog.record(DATASET, [P1], gone),
          catalog.recordFailure(DATASET, R1, 'no', gone),
          catalog.rows(DATASET, gone),
          catalog.forget(DATASET, [R0], gone),
        ];
        for (const { code } of await Promise.all(calls.map(failureOf))) expect(code).toBe('CANCELLED');
        expect(await rows()).toEqual([lineageOf(P0)]);
      });

      it('ends soon, with all of a record or nothing of it, and takes it again', async () => {
        await prepared();
        for (const afterMs of [0, 5, 40]) {
          const stop = new AbortController();
          const end = catalog.record(DATASET, MANY, stop.signal).catch((error: unknown) => error);
          const timer = setTimeout(() => stop.abort(new Error('stop it')), afterMs);
          const answer = await end;
          clearTimeout(timer);
          if (answer !== 'recorded') expect(answer).toMatchObject({ code: 'CANCELLED' });
          const left = await rows();
          expect([0, MANY.length]).toContain(left?.length);
          for (const table of ['_meta_quality', '_meta_changes']) {
            expect(await place.query(`SELECT COUNT(*) AS n FROM ${table}`)).toEqual([{ n: left?.length }]);
          }
        }
        expect(await catalog.record(DATASET, MANY)).toBe('recorded');
        expect(await rows()).toEqual(MANY.map(lineageOf));
      });
    });
  });
}

/** What a catalog that can be held open keeps besides (assumption 7). */
export function heldCatalogConformance(name: string, make: () => Promise<HeldUnderTest>): void {
  describe(`${name}: a catalog that another process holds open`, () => {
    it('says so in every call, and nothing is written', async () => {
      const place = await make();
      const catalog = place.open();
      const everything = async (): Promise<unknown[]> => {
        const rows: unknown[] = [];
        for (const table of ['_meta_datasets', '_meta_lineage', '_meta_quality', '_meta_changes']) {
          rows.push(await place.query(`SELECT * FROM ${table} ORDER BY ALL`));
        }
        return rows;
      };
      await catalog.prepare();
      expect(await catalog.record(DATASET, [P0])).toBe('recorded');
      const before = await everything();
      const release = await place.hold();
      try {
        expect(await catalog.record(DATASET, [P1])).toBe('held');
        expect(await catalog.recordFailure(DATASET, R1, 'no')).toBe('held');
        expect(await catalog.forget(DATASET, [R0])).toBe('held');
        expect(await place.open().prepare()).toBe('held');
        expect(await place.open().rows(DATASET)).toBeNull();
        await catalog.probe();
      } finally {
        await release();
      }
      expect(await everything()).toEqual(before);
      expect(await catalog.record(DATASET, [P1])).toBe('recorded');
      expect(await place.open().rows(DATASET)).toEqual([P0, P1].map(lineageOf));
      await catalog.close();
    });
  });
}
