// The catalog in BigQuery, on a double of it: the suite of every catalog, and what is BigQuery's own.
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openBigQuery } from '../../actors/catalog/bigquery.ts';
import { pageCompressor } from '../../actors/parquet/compression.ts';
import { LedgerParquetWriter } from '../../actors/parquet/parquet-writer.ts';
import type { Catalog, PartitionRecord } from '../../actors/ports/catalog.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { type BigQueryDouble, startBigQueryDouble } from '../support/bigquery-double.ts';
import { failureOf } from '../support/bronze.ts';
import { DATASET, lineageOf, recordOf } from '../support/catalog.ts';
import { MemoryStaging } from '../support/small-lake.ts';
import { makeFacts } from '../support/written-rows.ts';
import { catalogConformance } from './catalog.ts';

let double: BigQueryDouble;
let places = 0;

beforeAll(async () => {
  double = await startBigQueryDouble();
  process.env.BIGQUERY_EMULATOR_HOST = double.url;
});
afterAll(() => double.close());

const opened = (dataset: string, more: { location?: string; load?: boolean } = {}): Catalog =>
  openBigQuery({ backend: 'bigquery', project: `p-${places}`, dataset, location: null, load: false, ...more });

catalogConformance('BigQuery (a double)', async () => {
  const dataset = `catalog_${++places}`;
  return {
    open: () => opened(dataset),
    query: (sql) => double.sql(sql.replaceAll(/\b(_meta_\w+)/g, `\`p.${dataset}.$1\``)),
  };
});

describe('BigQuery (a double)', () => {
  let dataset: string;
  const P0 = recordOf({ start: 2, end: 11 });
  const P1 = recordOf({ start: 12, end: 21 });
  /** Jobs of this test, without what made the tables. */
  let before: number;
  const jobs = (): string[] => double.jobs().slice(before);
  const prepared = async (more = {}): Promise<Catalog> => {
    const catalog = opened(dataset, more);
    await catalog.prepare();
    before = double.jobs().length;
    return catalog;
  };

  beforeEach(() => {
    dataset = `own_${++places}`;
    before = double.jobs().length;
  });
  afterEach(() => {
    Object.assign(double, {
      faults: () => null,
      jobFaults: () => null,
      jobMs: 0,
      pageRows: 10_000,
      objects: () => null,
    });
  });

  describe('the data set', () => {
    it('is made on demand, where it is configured to be, and once', async () => {
      const catalog = opened(dataset, { location: 'europe-west3' });
      expect(await catalog.record(DATASET, [P0])).toBe('recorded');
      expect(await opened(dataset, { location: 'EUROPE-WEST3' }).rows(DATASET)).toEqual([lineageOf(P0)]);
      const made = double.count('datasets.insert') + double.count('tables.insert');
      await opened(dataset).prepare();
      expect(double.count('datasets.insert') + double.count('tables.insert')).toBe(made);
    });

    it('is used where it lies, but for another location than the one configured', async () => {
      double.makeDataset(dataset, 'EU');
      const failure = await failureOf(opened(dataset, { location: 'US' }).prepare());
      expect(failure).toMatchObject({ code: 'CATALOG_SCHEMA', retryable: false });
      expect(failure.message).toMatch(/lies in EU.*says US/);
      expect(double.table(dataset, '_meta_schema')).toBeNull();
      await opened(dataset).record(DATASET, [P0]);
      expect(await opened(dataset).rows(DATASET)).toEqual([lineageOf(P0)]);
    });

    it('is no catalog where tables of its names are something else, or of a newer release', async () => {
      await prepared();
      await double.sql(`UPDATE \`p.${dataset}._meta_schema\` SET version = 99`);
      const newer = opened(dataset);
      for (const call of [() => newer.prepare(), () => newer.probe(), () => newer.rows(DATASET)]) {
        const failure = await failureOf(call());
        expect(failure).toMatchObject({ code: 'CATALOG_SCHEMA', retryable: false });
      }
      const schema = double.table(dataset, '_meta_lineage')?.schema as { fields: { name: string }[] };
      const { fields } = schema;
      schema.fields = fields.filter(({ name }) => name !== 'checksum');
      expect((await failureOf(opened(dataset).prepare())).message).toContain('_meta_lineage.checksum is missing');
      schema.fields = fields;
    });

    it('has a name that fits into a statement', () => {
      for (const name of ['a`b', 'a.b', 'a b', '']) expect(() => opened(name)).toThrow(/names no data set/);
    });
  });

  describe('that refuses', () => {
    it.each([
      [403, 'accessDenied', 'CATALOG_DENIED'],
      [403, 'billingNotEnabled', 'CATALOG_DENIED'],
      [401, 'authError', 'CREDENTIALS_INVALID'],
      [400, 'invalid', 'CATALOG_SCHEMA'],
    ])('%i %s: %s, said at once', async (status, reason, code) => {
      const catalog = await prepared();
      const asked = double.log.length;
      double.faults = () => ({ refusal: { status, reason, message: 'No: Bearer abc.def' } });
      const calls = [
        () => catalog.rows(DATASET),
        () => catalog.probe(),
        () => catalog.record(DATASET, [P0]),
        () => catalog.prepare(),
      ];
      for (const call of calls) {
        const failure = await failureOf(call());
        expect(failure).toMatchObject({ code, retryable: false });
        expect(failure.message).not.toContain('abc.def');
      }
      expect(double.log.length - asked).toBe(4);
    });

    it.each([
      [503, 'backendError'],
      [429, 'rateLimitExceeded'],
      [403, 'rateLimitExceeded'],
      [403, 'quotaExceeded'],
    ])('%i %s passes', async (status, reason) => {
      const catalog = await prepared();
      double.faults = ({ operation, n }) => (n % 2 === 1 && operation !== '' ? { refusal: { status, reason } } : null);
      expect(await catalog.record(DATASET, [P0])).toBe('recorded');
      expect(await catalog.rows(DATASET)).toEqual([lineageOf(P0)]);
    });

    it('for longer: the catalog is not available, and nothing is taken for empty', async () => {
      const catalog = await prepared();
      await catalog.record(DATASET, [P0]);
      for (const fault of [{ refusal: { status: 503, reason: 'backendError' } }, { cut: 'before' as const }]) {
        double.faults = () => fault;
        expect(await failureOf(catalog.rows(DATASET))).toMatchObject({ code: 'CATALOG_UNAVAILABLE', retryable: true });
      }
      double.faults = () => ({ page: { status: 404, text: '<html>Not Found</html>' } });
      expect(await failureOf(catalog.rows(DATASET))).toMatchObject({ code: 'CATALOG_SCHEMA' });
      double.faults = () => ({ page: { status: 200, text: '{"kind": "bigquery#dat' } });
      expect(await failureOf(catalog.rows(DATASET))).toMatchObject({ code: 'CATALOG_UNAVAILABLE' });
    });

    it('nobody, because there are no credentials', async () => {
      const { BIGQUERY_EMULATOR_HOST: host, GOOGLE_APPLICATION_CREDENTIALS: file } = process.env;
      delete process.env.BIGQUERY_EMULATOR_HOST;
      process.env.GOOGLE_APPLICATION_CREDENTIALS = '/nowhere/key.json';
      try {
        expect(await failureOf(opened(dataset).prepare())).toMatchObject({ code: 'CREDENTIALS_INVALID' });
      } finally {
        process.env.BIGQUERY_EMULATOR_HOST = host;
        if (file === undefined) delete process.env.GOOGLE_APPLICATION_CREDENTIALS;
        else process.env.GOOGLE_APPLICATION_CREDENTIALS = file;
      }
    });
  });

  describe('a job', () => {
    it('whose answer is lost is found again, and not done twice', async () => {
      const catalog = await prepared();
      const from = double.count('jobs.insert');
      double.faults = ({ operation, n }) => (operation === 'jobs.insert' && n === from + 1 ? { cut: 'after' } : null);
      expect(await catalog.record(DATASET, [P0, P1])).toBe('recorded');
      expect(jobs()).toHaveLength(1);
      expect(await catalog.rows(DATASET)).toEqual([P0, P1].map(lineageOf));
    });

    it('that has failed gets a successor, when it is asked for again', async () => {
      const catalog = await prepared();
      double.jobFaults = () => ({ reason: 'backendError', message: 'try again' });
      expect(await failureOf(catalog.record(DATASET, [P0]))).toMatchObject({ code: 'CATALOG_UNAVAILABLE' });
      expect(await catalog.rows(DATASET)).toEqual([]);
      double.jobFaults = () => null;
      expect(await opened(dataset).record(DATASET, [P0])).toBe('recorded');
      const [first, second, ...more] = jobs();
      expect([second, more]).toEqual([`${first}_2`, []]);
      expect(await catalog.rows(DATASET)).toEqual([lineageOf(P0)]);
    });

    it('that BigQuery aborts for another transaction is planned anew', async () => {
      const catalog = await prepared();
      let times = 0;
      double.jobFaults = () => {
        times += 1;
        const message = 'Transaction is aborted due to concurrent update against table p:d._meta_writes.';
        return times === 1 ? { reason: 'invalidQuery', message } : null;
      };
      expect(await catalog.record(DATASET, [P0])).toBe('recorded');
      expect(times).toBe(2);
      expect(await catalog.rows(DATASET)).toEqual([lineageOf(P0)]);
    });

    it('of a plan that is too old does nothing', async () => {
      const catalog = await prepared();
      double.jobMs = 300;
      const late = catalog.record(DATASET, [P0]);
      await expect.poll(() => jobs().length).toBe(1);
      // Before the job begins.
      await double.sql(`UPDATE \`p.${dataset}._meta_writes\` SET writes = writes + 1 WHERE TRUE`);
      double.jobMs = 0;
      expect(await late).toBe('recorded');
      expect(jobs()).toHaveLength(2);
      expect(new Set(jobs().map((id) => id.replace(/_\d$/, ''))).size).toBe(2);
      expect(await catalog.rows(DATASET)).toEqual([lineageOf(P0)]);
    });

    it('that is refused for good is no catalog of ours', async () => {
      const catalog = await prepared();
      double.jobFaults = () => ({ reason: 'invalidQuery', message: 'Unrecognized name: nonsense' });
      const failure = await failureOf(catalog.record(DATASET, [P0]));
      expect(failure).toMatchObject({ code: 'CATALOG_SCHEMA', retryable: false });
      expect(failure.message).toContain('Unrecognized name: nonsense');
    });

    it('is left when its signal fires, and found by the next call', async () => {
      const catalog = await prepared();
      double.jobMs = 1_000;
      const stop = new AbortController();
      const end = failureOf(catalog.record(DATASET, [P0], stop.signal));
      await expect.poll(() => jobs().length).toBe(1);
      const fired = performance.now();
      stop.abort();
      expect((await end).code).toBe('CANCELLED');
      expect(performance.now() - fired).toBeLessThan(500);
      expect(await opened(dataset).record(DATASET, [P0])).toBe('recorded');
      expect(jobs()).toHaveLength(1);
    });

    it('and a request that hangs ends with its signal', async () => {
      const catalog = await prepared();
      double.faults = () => ({ delayMs: 3_000 });
      const fired = performance.now();
      expect((await failureOf(catalog.rows(DATASET, AbortSignal.timeout(100)))).code).toBe('CANCELLED');
      expect(performance.now() - fired).toBeLessThan(2_000);
    });

    it('that reads is read to its end: page by page, and when it was not done at once', async () => {
      const catalog = await prepared();
      const records = Array.from({ length: 7 }, (_, n) => recordOf({ start: 2 + n, end: 2 + n }));
      await catalog.record(DATASET, records);
      double.pageRows = 2;
      double.faults = ({ operation }) => (operation === 'queries.post' ? { incomplete: true } : null);
      expect(await catalog.rows(DATASET)).toEqual(records.map(lineageOf));
    });
  });

  describe('loading', () => {
    const objects = new Map<string, Uint8Array>();

    /** A partition as Parquet in a bucket, and its record. */
    async function stored(range: LedgerRange): Promise<PartitionRecord> {
      const sink = new MemoryStaging();
      const compressor = pageCompressor({ codec: 'zstd', level: 1 });
      const writer = new LedgerParquetWriter({ chain: DATASET.chain, range, compressor }, sink);
      for (let n = range.start; n <= range.end; n++) {
        const { facts, xdr } = makeFacts(n, Buffer.from(`ledger ${n}`));
        writer.add(facts, xdr);
      }
      await writer.finish();
      const storageUri = `gs://bkt/${recordOf(range).storagePath}`;
      objects.set(storageUri, sink.bytes);
      const checksum = `sha256:${createHash('sha256').update(sink.bytes).digest('hex')}`;
      return recordOf(range, { storageUri, checksum, byteSize: sink.bytes.length });
    }

    const loaded = () => double.sql(`SELECT * FROM \`p.${dataset}.ledgers_lcm_raw\` ORDER BY ledger_sequence`);
    const loads = (): string[] => jobs().filter((id) => id.startsWith('bronze_pubnet'));
    let A: PartitionRecord;
    let B: PartitionRecord;
    beforeAll(async () => {
      A = await stored({ start: 2, end: 5 });
      B = await stored({ start: 6, end: 9 });
    });
    beforeEach(() => {
      double.objects = (uri) => objects.get(uri) ?? null;
    });

    it('puts every ledger into a table of the right types, by a job of each partition, once', async () => {
      const catalog = await prepared({ load: true });
      await catalog.record(DATASET, [A, B]);
      const rows = await loaded();
      expect(rows.map((row) => row.ledger_sequence)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
      expect(rows[0]).toMatchObject({
        close_time: new Date(1_700_000_000_002),
        network: 'pubnet',
        bronze_version: 'v1',
      });
      expect(loads().sort()).toEqual(
        [A, B].map(
          ({ range, checksum }) => `bronze_pubnet_pre_p23_v1_${range.start}_${range.end}_${checksum.slice(7, 23)}`,
        ),
      );
      const table = double.table(dataset, 'ledgers_lcm_raw');
      expect(table).toMatchObject({
        clustering: { fields: ['ledger_sequence'] },
        rangePartitioning: { field: 'ledger_sequence', range: { start: '0', end: '200000000', interval: '100000' } },
      });
      const schema = table?.schema as { fields: { name: string; type: string }[] } | undefined;
      const types = Object.fromEntries(schema?.fields.map(({ name, type }) => [name, type]) ?? []);
      expect(types).toMatchObject({
        ledger_sequence: 'INTEGER',
        close_time: 'TIMESTAMP',
        xdr_bytes: 'BYTES',
        ledger_hash: 'STRING',
      });
      // Again, by somebody else, and after its rows were forgotten.
      await opened(dataset, { load: true }).record(DATASET, [A, B]);
      await catalog.forget(DATASET, [A.range, B.range]);
      await catalog.record(DATASET, [A, B]);
      expect(loads()).toHaveLength(2);
      expect(await loaded()).toHaveLength(8);
      expect(await catalog.rows(DATASET)).toEqual([A, B].map(lineageOf));
    });

    it('is done once by two at once, and where an answer is lost', async () => {
      await prepared({ load: true });
      double.jobMs = 50;
      const lost = new Set<string>();
      double.faults = ({ operation, name }) => {
        if (operation !== 'jobs.insert' || lost.has(name)) return null;
        lost.add(name);
        return { cut: 'after' };
      };
      const both = [0, 1].map(() => opened(dataset, { load: true }).record(DATASET, [A]));
      expect(await Promise.all(both)).toEqual(['recorded', 'recorded']);
      expect(loads()).toHaveLength(1);
      expect(await loaded()).toHaveLength(4);
    });

    it('that fails records nothing, and is done by the next job', async () => {
      const catalog = await prepared({ load: true });
      double.jobFaults = (id) => (id.startsWith('bronze_pubnet') ? { reason: 'backendError', message: 'no' } : null);
      expect(await failureOf(catalog.record(DATASET, [A]))).toMatchObject({
        code: 'CATALOG_UNAVAILABLE',
        retryable: true,
      });
      expect(await catalog.rows(DATASET)).toEqual([]);
      double.jobFaults = () => null;
      expect(await catalog.record(DATASET, [A])).toBe('recorded');
      const [first] = loads();
      expect(loads()).toEqual([first, `${first}_2`]);
      expect(await loaded()).toHaveLength(4);
    });

    it('is done again where the table was emptied, and refused where it holds a part', async () => {
      const catalog = await prepared({ load: true });
      await catalog.record(DATASET, [A]);
      await catalog.forget(DATASET, [A.range]);
      await double.sql(`DELETE FROM \`p.${dataset}.ledgers_lcm_raw\` WHERE ledger_sequence = 3`);
      const failure = await failureOf(catalog.record(DATASET, [A]));
      expect(failure).toMatchObject({ code: 'CATALOG_CONFLICT', details: { start: 2, end: 5 } });
      await double.sql(`DELETE FROM \`p.${dataset}.ledgers_lcm_raw\` WHERE TRUE`);
      await catalog.record(DATASET, [A]);
      expect(loads()).toHaveLength(2);
      expect(await loaded()).toHaveLength(4);
    });

    it('needs an object in a bucket', async () => {
      const catalog = await prepared({ load: true });
      objects.set('gs://bkt/other', Buffer.from('no Parquet'));
      for (const [storageUri, words] of [
        ['gs://bkt/nowhere', /Not found: URI gs:/],
        ['gs://bkt/other', /the job failed/],
        ['file:///data/x', /not in GCS/],
      ] as const) {
        const failure = await failureOf(catalog.record(DATASET, [{ ...A, storageUri, checksum: P0.checksum }]));
        expect(failure).toMatchObject({ code: 'CATALOG_SCHEMA', retryable: false });
        expect(failure.message).toMatch(words);
      }
      expect(await catalog.rows(DATASET)).toEqual([]);
    });
  });
});
