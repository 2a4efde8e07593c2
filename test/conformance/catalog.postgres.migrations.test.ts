// The catalog in PostgreSQL: empty databases, those of the old program, of a newer release, of somebody else.
import { expect, it } from 'vitest';
import { CATALOG_VERSION, TABLES } from '../../actors/catalog/rows.ts';
import type { PartitionRecord } from '../../actors/ports/catalog.ts';
import { OLD_CATALOG, OLD_ROWS } from '../support/old-catalog.ts';
import { describePostgres, freshSchema, inSession, sql } from '../support/postgres.ts';
import { catalogAt, checksum, closeCatalogs, dataset, partition, refused } from '../support/postgres-catalog.ts';

closeCatalogs();

/** The two of OLD_ROWS, as this program would record them. */
const oldPartitions = (): PartitionRecord[] => [
  partition(2, 9999, { checksum: checksum('aa'), columns: 1 }),
  partition(10000, 19999, {
    checksum: checksum('bb'),
    byteSize: 2000,
    prevHash: checksum('aa'),
    columns: 1,
    sourceType: 'unknown',
    sourceLocation: '',
  }),
];

/** Everything that a migration could have touched. */
const everything = (dsn: string): Promise<unknown[]> =>
  inSession(dsn, async (client) => {
    const found: unknown[] = [];
    for (const table of Object.keys(TABLES)) {
      const [there] = (await client.query('SELECT to_regclass($1) AS name', [table])).rows;
      found.push(there.name === null ? null : (await client.query(`SELECT * FROM ${table} ORDER BY 1`)).rows);
    }
    return found;
  });

describePostgres('migrations', (server) => {
  it('makes the tables of rows.ts in an empty database, and is content when asked again', async () => {
    const dsn = await freshSchema(server);
    const catalog = catalogAt(dsn);
    await expect(catalog.probe()).resolves.toBeUndefined();
    expect(await everything(dsn)).toEqual([null, null, null, null, null]);
    expect(await catalog.rows(dataset())).toEqual([]);
    expect(await catalog.prepare()).toBe('ready');
    expect(await catalog.prepare()).toBe('ready');
    await catalog.probe();
    expect(await sql(dsn, 'SELECT version FROM _meta_schema')).toEqual([{ version: CATALOG_VERSION }]);
    for (const [name, { columns }] of Object.entries(TABLES)) {
      const found = await sql(
        dsn,
        `SELECT column_name AS name, is_nullable = 'NO' AS required FROM information_schema.columns
         WHERE table_name = $1 AND data_type <> 'character varying'`,
        [name],
      );
      for (const column of columns) {
        const it = found.find((one) => one.name === column.name);
        expect(it, `${name}.${column.name}`).toBeDefined();
        if (column.required) expect(it?.required, `${name}.${column.name}`).toBe(true);
      }
      expect(found).toHaveLength(columns.length);
    }
  });

  it('takes over the old program’s database: rows stay, what is missing is added, its readers may still read', async () => {
    const dsn = await freshSchema(server);
    const reader = `reader_${Date.now()}`;
    await sql(dsn, `${OLD_CATALOG}; ${OLD_ROWS}; CREATE ROLE ${reader}; GRANT SELECT ON _meta_coverage TO ${reader}`);
    const before = await sql(dsn, 'SELECT * FROM _meta_lineage ORDER BY id');
    const catalog = catalogAt(dsn);
    expect(await catalog.rows(dataset())).toHaveLength(2);
    await catalog.probe();
    await catalog.prepare();
    const after = await sql(dsn, 'SELECT * FROM _meta_lineage ORDER BY id');
    expect(after).toEqual(before.map((row) => ({ ...row, pas_event_id: null })));
    // The labels of this release have 64 characters, not 32.
    const long = dataset('v'.repeat(64));
    await catalog.record(long, [partition(2, 9)]);
    expect(await catalog.rows(long)).toHaveLength(1);
    expect(await sql(dsn, `SELECT has_table_privilege('${reader}', '_meta_coverage', 'SELECT') AS may`)).toEqual([
      { may: true },
    ]);
    await sql(dsn, `DROP OWNED BY ${reader}; DROP ROLE ${reader}`);
  });

  it('fills in what the old program left out of equal rows, and nothing else', async () => {
    const dsn = await freshSchema(server);
    await sql(dsn, `${OLD_CATALOG}; ${OLD_ROWS}`);
    const catalog = catalogAt(dsn);
    await catalog.prepare();
    const before = await sql(dsn, 'SELECT * FROM _meta_lineage ORDER BY id');
    await catalog.record(dataset(), [...oldPartitions(), partition(20000, 29999, { prevHash: checksum('bb') })]);
    const [one, two, three] = await sql(dsn, 'SELECT * FROM _meta_lineage ORDER BY id');
    const event = 'pas_evt_0123456789abcdef';
    const uri = (range: string): string => `file:///data/bronze/part-${range}.parquet`;
    expect(one).toEqual({
      ...before[0],
      storage_uri: uri('2-9999'),
      pas_event_id: event,
      source_type: 'local',
      source_location: 'file:///lake',
    });
    expect(two).toEqual({
      ...before[1],
      storage_uri: uri('10000-19999'),
      pas_event_id: event,
      prev_hash: checksum('aa'),
      source_type: 'unknown',
      source_location: null,
    });
    expect(three).toMatchObject({ ledger_start: '20000', producer_version: '2.0.0' });
    const changes = 'SELECT change_type, old_version, new_version, ledger_start FROM _meta_changes ORDER BY id';
    expect(await sql(dsn, changes)).toEqual([
      { change_type: 'backfill', old_version: null, new_version: 'columns 1', ledger_start: '2' },
      { change_type: 'backfill', old_version: null, new_version: 'columns 1', ledger_start: '10000' },
      { change_type: 'backfill', old_version: null, new_version: 'columns 2', ledger_start: '20000' },
      { change_type: 'schema_change', old_version: 'columns 1', new_version: 'columns 2', ledger_start: '20000' },
    ]);
    const all = await everything(dsn);
    await catalog.record(dataset(), oldPartitions());
    expect(await everything(dsn)).toEqual(all);
  });

  it('is made once where five processes start at once, time and again', async () => {
    const old = `${OLD_CATALOG}; ${OLD_ROWS}`;
    for (const before of ['', old, old, old, old, old, old]) {
      const dsn = await freshSchema(server);
      if (before !== '') await sql(dsn, before);
      const outcomes = await Promise.all([1, 2, 3, 4, 5].map(() => catalogAt(dsn).prepare()));
      expect(outcomes).toEqual(Array(5).fill('ready'));
      expect(await sql(dsn, 'SELECT count(*)::int AS n FROM _meta_schema')).toEqual([{ n: 1 }]);
    }
  });

  it('refuses tables of a newer release, and what is not whole', async () => {
    const dsn = await freshSchema(server);
    const catalog = catalogAt(dsn);
    await catalog.prepare();
    const broken = async (statement: string, ...said: string[]): Promise<void> => {
      await sql(dsn, statement);
      await expect(catalog.prepare()).rejects.toEqual(refused('CATALOG_SCHEMA', ...said));
      await expect(catalog.probe()).rejects.toEqual(refused('CATALOG_SCHEMA', ...said));
    };
    await broken('INSERT INTO _meta_schema VALUES (99)', 'version 99');
    await sql(dsn, 'DELETE FROM _meta_schema WHERE version = 99');
    await broken('DROP VIEW _meta_gaps', '_meta_gaps is missing');
    await sql(dsn, 'CREATE VIEW _meta_gaps AS SELECT 1');
    await broken('ALTER TABLE _meta_lineage DROP CONSTRAINT meta_lineage_no_overlap', 'no_overlap is missing');
    await broken('ALTER TABLE _meta_lineage DROP COLUMN pas_event_id', 'no column pas_event_id');
  });

  it('refuses what is somebody else’s, and changes nothing', async () => {
    const cases: [string, string][] = [
      ['CREATE TABLE _meta_lineage (id int, what text)', '_meta_lineage'],
      ['CREATE TABLE _meta_schema (name text)', '_meta_schema'],
      [OLD_CATALOG.replace('checksum varchar(128)', 'checksum bytea'), '_meta_lineage.checksum is bytea'],
      [`${OLD_CATALOG}; CREATE VIEW _meta_gaps AS SELECT 1 AS a`, '_meta_gaps'],
      ['CREATE VIEW _meta_coverage AS SELECT 1 AS a', '_meta_coverage'],
      ['CREATE VIEW _meta_datasets AS SELECT 1 AS id', '_meta_datasets is no table'],
    ];
    for (const [statement, said] of cases) {
      const dsn = await freshSchema(server);
      await sql(dsn, statement);
      const relations = 'SELECT relname FROM pg_class WHERE relname LIKE $1 ORDER BY 1';
      const before = await sql(dsn, relations, ['%meta_%']);
      await expect(catalogAt(dsn).probe()).rejects.toEqual(refused('CATALOG_SCHEMA', said));
      await expect(catalogAt(dsn).prepare()).rejects.toEqual(refused('CATALOG_SCHEMA', said));
      expect(await sql(dsn, relations, ['%meta_%'])).toEqual(before);
    }
  });

  it('refuses rows of the old program that overlap, naming them, and changes nothing', async () => {
    const dsn = await freshSchema(server);
    await sql(
      dsn,
      `${OLD_CATALOG}; ${OLD_ROWS}; INSERT INTO _meta_lineage (dataset_id, ledger_start, ledger_end,
      row_count, byte_size, checksum, storage_path, producer_version) VALUES (1, 15000, 24999, 1, 1, 'sha256:dd', '', '')`,
    );
    const said = ['10000-19999 (sha256:bbbb', '15000-24999 (sha256:dd)', 'nothing was changed'];
    const before = await everything(dsn);
    await expect(catalogAt(dsn).probe()).rejects.toEqual(refused('CATALOG_CONFLICT', ...said));
    await expect(catalogAt(dsn).prepare()).rejects.toEqual(refused('CATALOG_CONFLICT', ...said));
    expect(await everything(dsn)).toEqual(before);
    await sql(dsn, 'DELETE FROM _meta_lineage WHERE ledger_start = 15000');
    expect(await catalogAt(dsn).prepare()).toBe('ready');
  });

  it('names what stands in the way of a migration, and leaves the rest as it was', async () => {
    const dsn = await freshSchema(server);
    await sql(dsn, `${OLD_CATALOG}; CREATE VIEW mine AS SELECT * FROM _meta_coverage`);
    await expect(catalogAt(dsn).prepare()).rejects.toEqual(refused('CATALOG_SCHEMA', 'view mine depends on'));
    expect(await sql(dsn, "SELECT to_regclass('_meta_schema') AS there")).toEqual([{ there: null }]);
  });
});
