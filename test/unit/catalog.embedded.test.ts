// The embedded catalog's own: who else has the file open, what stands where the file belongs, what an analyst may do.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openEmbedded } from '../../actors/catalog/embedded.ts';
import type { Catalog } from '../../actors/ports/catalog.ts';
import { failureOf, rangesOf, tempFolder } from '../support/bronze.ts';
import {
  catalogFile,
  changeCatalog,
  DATASET,
  holdCatalog,
  lineageOf,
  queryCatalog,
  recordOf,
} from '../support/catalog.ts';

const A = recordOf({ start: 2, end: 11 });
const B = recordOf({ start: 12, end: 21 });

const openIn = (dir: string): Catalog => openEmbedded({ backend: 'embedded', dir });

/** A folder with a catalog that holds A. */
async function withA(): Promise<{ dir: string; catalog: Catalog }> {
  const dir = tempFolder();
  const catalog = openIn(dir);
  await catalog.record(DATASET, [A]);
  return { dir, catalog };
}

/** Every method that opens the file. */
const allOf = (catalog: Catalog, signal?: AbortSignal): Promise<unknown>[] => [
  catalog.prepare(signal),
  catalog.probe(signal),
  catalog.record(DATASET, [B], signal),
  catalog.recordFailure(DATASET, B.range, 'no', signal),
  catalog.rows(DATASET, signal),
  catalog.forget(DATASET, [A.range], signal),
];

async function expectRefused(dir: string, code: string): Promise<string[]> {
  const failures = await Promise.all(allOf(openIn(dir)).map(failureOf));
  for (const failure of failures) expect(failure).toMatchObject({ code, retryable: false });
  return failures.map(({ message }) => message);
}

describe('the file', () => {
  it('is free for another process right after every call, also after one that fails', async () => {
    const { dir, catalog } = await withA();
    const stop = new AbortController();
    const calls: (() => Promise<unknown>)[] = [
      () => catalog.record(DATASET, [B]),
      () => catalog.rows(DATASET),
      () => failureOf(catalog.record(DATASET, [{ ...A, byteSize: 1 }])),
      () => {
        const end = catalog.record(
          DATASET,
          rangesOf(100, 10, 800).map((range) => recordOf(range)),
          stop.signal,
        );
        setTimeout(() => stop.abort(), 30);
        return end.catch(() => catalog.close());
      },
    ];
    for (const call of calls) {
      await call();
      await (await holdCatalog(dir, 'READ_WRITE'))();
    }
  });

  it('that a reader has open takes no rows, can be read, and takes them once he is gone (S35)', async () => {
    const { dir, catalog } = await withA();
    const release = await holdCatalog(dir, 'READ_ONLY');
    const before = readFileSync(catalogFile(dir));
    expect(await catalog.prepare()).toBe('held');
    expect(await catalog.record(DATASET, [B])).toBe('held');
    expect(await catalog.recordFailure(DATASET, B.range, 'no')).toBe('held');
    expect(await catalog.forget(DATASET, [A.range])).toBe('held');
    await catalog.probe();
    expect(await catalog.rows(DATASET)).toEqual([lineageOf(A)]);
    expect(readFileSync(catalogFile(dir)).equals(before)).toBe(true);
    expect(readdirSync(dir)).toEqual(['catalog.duckdb']);
    await release();
    expect(await catalog.record(DATASET, [B])).toBe('recorded');
    expect(await catalog.rows(DATASET)).toEqual([A, B].map(lineageOf));
  });

  it('is opened once at a time, by whatever path it is named', async () => {
    const { dir } = await withA();
    const link = join(tempFolder(), 'link');
    symlinkSync(dir, link);
    const records = rangesOf(12, 10, 12).map((range) => recordOf(range));
    const answers = await Promise.all(
      records.map((record, n) => openIn(n % 2 === 0 ? dir : link).record(DATASET, [record])),
    );
    expect(new Set(answers)).toEqual(new Set(['recorded']));
    expect(await openIn(dir).rows(DATASET)).toEqual([A, ...records].map(lineageOf));
  });

  it('is one of two that are used at once', async () => {
    const catalogs = [openIn(tempFolder()), openIn(tempFolder())];
    const each = catalogs.map(async (catalog) => {
      for (const record of [A, B, A]) expect(await catalog.record(DATASET, [record])).toBe('recorded');
      expect(await catalog.rows(DATASET)).toEqual([A, B].map(lineageOf));
    });
    await Promise.all(each);
  });

  it('that another call has open does not keep a call from being stopped', async () => {
    const { dir, catalog } = await withA();
    const long = catalog.record(
      DATASET,
      rangesOf(12, 10, 1500).map((range) => recordOf(range)),
    );
    let ended = false;
    long.then(() => {
      ended = true;
    });
    const stop = new AbortController();
    const calls = allOf(openIn(dir), stop.signal).map(failureOf);
    setTimeout(() => stop.abort(), 1);
    for (const { code } of await Promise.all(calls)) expect(code).toBe('CANCELLED');
    expect(ended).toBe(false);
    expect(await long).toBe('recorded');
  });

  it('is made again where somebody takes it away', async () => {
    const { dir, catalog } = await withA();
    rmSync(dir, { recursive: true });
    expect(await catalog.rows(DATASET)).toEqual([]);
    expect(await catalog.record(DATASET, [B])).toBe('recorded');
    expect(await catalog.rows(DATASET)).toEqual([lineageOf(B)]);
  });

  it('is not made by looking', async () => {
    const dir = join(tempFolder(), 'a', 'b');
    await openIn(dir).probe();
    expect(await openIn(dir).rows(DATASET)).toEqual([]);
    expect(existsSync(dirname(dir))).toBe(false);
  });

  it('leaves what others are making, and removes what was left an hour ago', async () => {
    const dir = tempFolder();
    for (const [name, age] of [
      ['catalog.duckdb.new-0123456789ab', 60],
      ['catalog.duckdb.new-ba9876543210', 3700],
      ['catalog.duckdb.new-ba9876543210.wal', 3700],
    ] as const) {
      writeFileSync(join(dir, name), 'half');
      const then = Date.now() / 1000 - age;
      utimesSync(join(dir, name), then, then);
    }
    expect(await openIn(dir).prepare()).toBe('ready');
    expect(readdirSync(dir).sort()).toEqual(['catalog.duckdb', 'catalog.duckdb.new-0123456789ab']);
  });
});

describe('what is no catalog of this release is left as it is', () => {
  const damaged = (bytes: Buffer): Buffer => Buffer.from(bytes).fill(7, 12_288);
  const otherStorage = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    copy.writeBigUInt64LE(9_999n, 12);
    return copy;
  };

  it.each<[string, (whole: Buffer) => Buffer]>([
    ['an empty file', () => Buffer.alloc(0)],
    ['a text', () => Buffer.from('no database\n'.repeat(3000))],
    ['an SQLite database', () => Buffer.concat([Buffer.from('SQLite format 3\0'), Buffer.alloc(20_000)])],
    ['a DuckDB database cut short', (whole) => whole.subarray(0, 5000)],
    ['a DuckDB database that was damaged', damaged],
    ['a DuckDB database of a storage version that is not known', otherStorage],
  ])('%s', async (_, make) => {
    const { dir } = await withA();
    const bytes = make(readFileSync(catalogFile(dir)));
    writeFileSync(catalogFile(dir), bytes);
    const messages = await expectRefused(dir, 'CATALOG_SCHEMA');
    for (const message of messages) expect(message).toContain(catalogFile(dir));
    expect(readFileSync(catalogFile(dir)).equals(bytes)).toBe(true);
    expect(readdirSync(dir)).toEqual(['catalog.duckdb']);
  });

  it('a folder, a symbolic link, a file where the folder belongs', async () => {
    const folder = tempFolder();
    mkdirSync(catalogFile(folder));
    await expectRefused(folder, 'CATALOG_SCHEMA');
    const link = tempFolder();
    symlinkSync('/nowhere', catalogFile(link));
    await expectRefused(link, 'CATALOG_SCHEMA');
    const file = join(tempFolder(), 'file');
    writeFileSync(file, '');
    await expectRefused(file, 'CATALOG_SCHEMA');
    await expectRefused(join(file, 'below'), 'CATALOG_SCHEMA');
  });

  it.each<[string, string[], string]>([
    ['a newer version', ['UPDATE _meta_schema SET version = 2'], 'version 2'],
    ['a table of another kind', ['DROP TABLE _meta_quality', 'CREATE TABLE _meta_quality (a INT)'], '_meta_quality'],
    ['a column of another type', ['ALTER TABLE _meta_changes ALTER description TYPE BLOB'], 'description is BLOB'],
    ['a table that is missing', ['DROP TABLE _meta_changes'], '_meta_changes.id is missing'],
    ['no version', ['DELETE FROM _meta_schema'], 'version'],
  ])('%s', async (_, statements, told) => {
    const { dir } = await withA();
    await changeCatalog(dir, ...statements);
    const lineage = await queryCatalog(dir, 'FROM _meta_lineage');
    for (const message of await expectRefused(dir, 'CATALOG_SCHEMA')) expect(message).toContain(told);
    expect(await queryCatalog(dir, 'FROM _meta_lineage')).toEqual(lineage);
  });

  it('tables of the same names in a database of somebody else', async () => {
    const dir = tempFolder();
    await changeCatalog(dir, 'CREATE TABLE _meta_lineage (id INT)', 'INSERT INTO _meta_lineage VALUES (7)');
    await expectRefused(dir, 'CATALOG_SCHEMA');
    expect(await queryCatalog(dir, 'FROM _meta_lineage')).toEqual([{ id: 7 }]);
  });
});

describe('an analyst', () => {
  it('finds the tables, the views and UTC to the microsecond', async () => {
    const { dir } = await withA();
    const tables = await queryCatalog(dir, 'SELECT table_name AS name FROM information_schema.tables ORDER BY name');
    expect(tables.map(({ name }) => name)).toEqual([
      '_meta_changes',
      '_meta_coverage',
      '_meta_datasets',
      '_meta_gaps',
      '_meta_lineage',
      '_meta_quality',
      '_meta_schema',
    ]);
    // The manifest says …02.000456789Z.
    for (const table of ['_meta_lineage', '_meta_quality', '_meta_changes', '_meta_datasets']) {
      const [row] = await queryCatalog(dir, `SELECT created_at::VARCHAR AS at FROM ${table}`);
      expect(row).toEqual({ at: '2026-01-02 00:00:02.000456' });
    }
    expect(await queryCatalog(dir, "SELECT checks->>'links' AS links FROM _meta_quality")).toEqual([{ links: 'true' }]);
  });

  it('may keep tables and columns of his own, add rows, and drop a view, which comes back', async () => {
    const dir = tempFolder();
    await changeCatalog(dir, 'CREATE TABLE notes AS SELECT 42 AS n');
    const catalog = openIn(dir);
    expect(await catalog.rows(DATASET)).toEqual([]);
    expect(await catalog.prepare()).toBe('ready');
    await catalog.record(DATASET, [A]);
    await changeCatalog(
      dir,
      'ALTER TABLE _meta_lineage ADD COLUMN remark VARCHAR',
      'DROP VIEW _meta_coverage',
      `INSERT INTO _meta_changes (dataset_id, change_type, description, created_at)
       SELECT id, 'correction', 'by hand', now() FROM _meta_datasets`,
    );
    expect(await catalog.record(DATASET, [B])).toBe('recorded');
    expect(await catalog.rows(DATASET)).toEqual([A, B].map(lineageOf));
    expect(await queryCatalog(dir, 'SELECT partition_count FROM _meta_coverage')).toEqual([{ partition_count: 2 }]);
    expect(await queryCatalog(dir, 'FROM notes')).toEqual([{ n: 42 }]);
    expect(await queryCatalog(dir, 'SELECT count(DISTINCT id) AS n FROM _meta_changes')).toEqual([{ n: 3 }]);
  });
});

it('rows of the old program, with nothing but what it knew, are completed and take their place', async () => {
  const dir = tempFolder();
  await openIn(dir).prepare();
  const old = recordOf(A.range, { columns: 1, sourceType: 'gcs' });
  await changeCatalog(
    dir,
    `INSERT INTO _meta_datasets (domain, dataset, version, era_id, network, created_at, updated_at)
     VALUES ('${DATASET.domain}', '${DATASET.dataset}', 'v1', 'pre_p23', 'pubnet', '2025-01-01', '2025-01-01')`,
    `INSERT INTO _meta_lineage (dataset_id, ledger_start, ledger_end, row_count, byte_size, checksum, storage_path, producer_version, created_at)
     SELECT id, 2, 11, ${old.rowCount}, ${old.byteSize}, '${old.checksum}', '', '1.1', '2025-01-01' FROM _meta_datasets`,
    `INSERT INTO _meta_quality (dataset_id, ledger_start, ledger_end, passed, created_at)
     SELECT id, 2, 11, true, '2025-01-01' FROM _meta_datasets`,
  );
  const catalog = openIn(dir);
  expect(await catalog.rows(DATASET)).toEqual([
    { ...lineageOf(old), prevHash: null, storagePath: '', storageUri: '', pasEventId: null },
  ]);
  // Alone it says already that what follows has other columns: only the old program leaves no backfill row.
  await catalog.record(DATASET, [B]);
  const found = (): ReturnType<typeof queryCatalog> =>
    queryCatalog(dir, 'SELECT change_type, ledger_start FROM _meta_changes ORDER BY ALL');
  const schemaChange = { change_type: 'schema_change', ledger_start: 12 };
  expect(await found()).toEqual([{ change_type: 'backfill', ledger_start: 12 }, schemaChange]);
  await catalog.record(DATASET, [old]);
  expect(await catalog.rows(DATASET)).toEqual([lineageOf(old), lineageOf(B)]);
  expect(await found()).toHaveLength(3);
  const [row] = await queryCatalog(
    dir,
    `SELECT l.producer_version, l.source_type, l.created_at::DATE::VARCHAR AS at, q.checks, q.created_at::DATE::VARCHAR AS checked
     FROM _meta_lineage l JOIN _meta_quality q USING (ledger_start) WHERE ledger_start = 2`,
  );
  expect(row).toEqual({
    producer_version: '1.1',
    source_type: 'gcs',
    at: '2025-01-01',
    checks: '{"links":true,"results":false}',
    checked: '2025-01-01',
  });
});
