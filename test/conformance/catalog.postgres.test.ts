// The catalog in PostgreSQL, where it is not like any other: migrations, rights, what the database itself refuses.
// What every catalog has to do is in the suite of catalogs.
import { afterEach, expect, it } from 'vitest';
import { openPostgres } from '../../actors/catalog/postgres.ts';
import { LIMITS } from '../../actors/catalog/postgres-session.ts';
import { CATALOG_VERSION, TABLES } from '../../actors/catalog/rows.ts';
import type { Catalog, DatasetName, PartitionRecord } from '../../actors/ports.ts';
import { OLD_CATALOG, OLD_ROWS } from '../support/old-catalog.ts';
import { describePostgres, dsnWith, freshDatabase, freshSchema, inSession, sql } from '../support/postgres.ts';

const dataset = (versionLabel = 'v1'): DatasetName => ({
  domain: 'mainnet',
  dataset: 'ledgers_lcm_raw',
  chain: { network: 'pubnet', eraId: 'pre_p23', versionLabel },
});

const checksum = (digits: string): string => `sha256:${digits.repeat(32)}`;

function partition(start: number, end: number, change: Partial<PartitionRecord> = {}): PartitionRecord {
  return {
    range: { start, end },
    rowCount: end - start + 1,
    byteSize: 1000,
    checksum: checksum('cc'),
    prevHash: null,
    storagePath: `bronze/part-${start}-${end}.parquet`,
    storageUri: `file:///data/bronze/part-${start}-${end}.parquet`,
    pasEventId: 'pas_evt_0123456789abcdef',
    producerVersion: '2.0.0',
    producerGitSha: 'unknown',
    sourceType: 'local',
    sourceLocation: 'file:///lake',
    createdAt: '2026-11-24T03:04:02.791123456Z',
    checks: { xdr: true, link: true },
    columns: 2,
    ...change,
  };
}

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

const refused = (code: string, ...said: string[]) =>
  expect.objectContaining({
    code,
    message: expect.stringMatching(
      new RegExp(said.map((one) => one.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*')),
    ),
  });

const open: Catalog[] = [];
const catalogAt = (dsn: string, limits = LIMITS): Catalog => {
  const catalog = openPostgres({ backend: 'postgres', dsn }, limits);
  open.push(catalog);
  return catalog;
};
afterEach(async () => {
  for (const catalog of open.splice(0)) await catalog.close();
});

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

  it('is made once where five processes start at once', async () => {
    for (const old of ['', `${OLD_CATALOG}; ${OLD_ROWS}`]) {
      const dsn = await freshSchema(server);
      if (old !== '') await sql(dsn, old);
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

describePostgres('rights', (server) => {
  /** A role that may log in, and a catalog as that role. */
  const role = async (dsn: string, rights: string): Promise<string> => {
    const user = `role_${Math.random().toString(36).slice(2)}`;
    await sql(dsn, `CREATE ROLE ${user} LOGIN PASSWORD 'rolepassword'; ${rights.replaceAll('$ROLE', user)}`);
    return dsnWith(dsn, { user, password: 'rolepassword' });
  };
  const LEAST = `
    GRANT USAGE ON SCHEMA public TO $ROLE;
    GRANT SELECT ON _meta_schema, _meta_coverage, _meta_gaps TO $ROLE;
    GRANT SELECT, INSERT, UPDATE ON _meta_datasets, _meta_lineage, _meta_quality TO $ROLE;
    GRANT SELECT, INSERT ON _meta_changes TO $ROLE;
    GRANT USAGE ON SEQUENCE _meta_datasets_id_seq, _meta_lineage_id_seq, _meta_quality_id_seq, _meta_changes_id_seq
      TO $ROLE`;

  it('needs no right to create where everything is made', async () => {
    const dsn = await freshDatabase(server);
    await catalogAt(dsn).prepare();
    const least = catalogAt(await role(dsn, LEAST));
    await least.probe();
    expect(await least.prepare()).toBe('ready');
    await least.record(dataset(), [partition(2, 9)]);
    await least.record(dataset(), [partition(2, 9), partition(10, 19)]);
    await least.recordFailure(dataset(), { start: 20, end: 29 }, 'LINK_BROKEN');
    expect(await least.rows(dataset())).toHaveLength(2);
    await expect(least.forget(dataset(), [{ start: 2, end: 9 }])).rejects.toEqual(
      refused('CATALOG_DENIED', 'permission denied for table _meta_lineage'),
    );
    expect(await sql(dsn, 'SELECT count(*)::int AS n FROM _meta_lineage')).toEqual([{ n: 2 }]);
  });

  it('names every right that is missing', async () => {
    const dsn = await freshDatabase(server);
    await catalogAt(dsn).prepare();
    const lacking = LEAST.replace('INSERT, UPDATE ON _meta_datasets', 'UPDATE ON _meta_datasets').replace(
      '_meta_lineage_id_seq,',
      '',
    );
    const catalog = catalogAt(await role(dsn, lacking));
    const said = ['INSERT on _meta_lineage', 'USAGE on public._meta_lineage_id_seq'];
    await expect(catalog.probe()).rejects.toEqual(refused('CATALOG_DENIED', ...said));
    await expect(catalog.prepare()).rejects.toEqual(refused('CATALOG_DENIED', ...said));
  });

  it('says what a role may not make or migrate', async () => {
    const empty = await freshDatabase(server);
    await expect(catalogAt(await role(empty, '')).prepare()).rejects.toEqual(
      refused('CATALOG_DENIED', 'CREATE on schema public'),
    );
    const old = await freshDatabase(server);
    await sql(old, OLD_CATALOG);
    const grants = 'GRANT ALL ON SCHEMA public TO $ROLE; GRANT ALL ON ALL TABLES IN SCHEMA public TO $ROLE';
    const catalog = catalogAt(await role(old, grants));
    await expect(catalog.probe()).rejects.toEqual(refused('CATALOG_DENIED', 'ownership of', '_meta_lineage'));
    await expect(catalog.prepare()).rejects.toEqual(refused('CATALOG_DENIED', 'ownership of', '_meta_lineage'));
    const nowhere = catalogAt(await role(empty, 'ALTER ROLE $ROLE SET search_path = nowhere'));
    await expect(nowhere.probe()).rejects.toEqual(refused('CATALOG_DENIED', 'USAGE on a schema'));
  });

  it('finds its tables where search_path has them', async () => {
    const dsn = await freshDatabase(server);
    await sql(dsn, 'CREATE SCHEMA "Bronze Copier"');
    const there = dsnWith(dsn, { parameters: { options: '-c search_path="Bronze\\ Copier"' } });
    const catalog = catalogAt(there.replaceAll('+', '%20'));
    await catalog.prepare();
    await catalog.record(dataset(), [partition(2, 9)]);
    expect(await sql(dsn, 'SELECT count(*)::int AS n FROM "Bronze Copier"._meta_lineage')).toEqual([{ n: 1 }]);
  });
});

describePostgres('what the database itself refuses', (server) => {
  const insert = `INSERT INTO _meta_lineage (dataset_id, ledger_start, ledger_end, row_count, byte_size, checksum,
    storage_path, producer_version) VALUES (1, $1, $2, 1, 1, 'sha256:ee', '', '')`;

  it('refuses ranges that share a ledger, whoever inserts them', async () => {
    const dsn = await freshSchema(server);
    const catalog = catalogAt(dsn);
    await catalog.prepare();
    await catalog.record(dataset(), [partition(2, 9), partition(10, 19)]);
    await catalog.record(dataset('v2'), [partition(5, 14)]);
    for (const range of [
      [19, 29],
      [2, 9],
      [3, 4],
      [1, 100],
    ]) {
      await expect(sql(dsn, insert, range)).rejects.toMatchObject({ code: expect.stringMatching(/^(23P01|23505)$/) });
    }
    await sql(dsn, insert, [20, 29]);
  });

  it('names both where somebody inserts past the program while it records', async () => {
    const dsn = await freshSchema(server);
    const catalog = catalogAt(dsn);
    await catalog.prepare();
    await catalog.record(dataset(), [partition(2, 9)]);
    const recording = await inSession(dsn, async (client) => {
      await client.query('BEGIN');
      await client.query(insert, [15, 24]);
      // Sees no row, inserts, and waits for the end of this transaction.
      const waiting = catalog.record(dataset(), [partition(10, 19)]).then(
        () => null,
        (error: unknown) => error,
      );
      const waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
      while ((await sql(dsn, waits)).length === 0) await new Promise((done) => setTimeout(done, 20));
      await client.query('COMMIT');
      return waiting;
    });
    expect(recording).toEqual(refused('CATALOG_CONFLICT', '10-19 (sha256:cc', '15-24 (sha256:ee'));
    expect(await catalog.rows(dataset())).toHaveLength(2);
  });

  it('ends a wait for somebody’s lock, and a call whose signal fires', async () => {
    const dsn = await freshSchema(server);
    const catalog = catalogAt(dsn, { ...LIMITS, lockMs: 200 });
    await catalog.prepare();
    await inSession(dsn, async (client) => {
      await client.query('BEGIN; LOCK TABLE _meta_lineage');
      await expect(catalog.record(dataset(), [partition(2, 9)])).rejects.toEqual(
        refused('CATALOG_UNAVAILABLE', 'SQLSTATE 55P03'),
      );
      const statement = catalogAt(dsn, { ...LIMITS, statementMs: 200 });
      await expect(statement.rows(dataset())).rejects.toEqual(refused('CATALOG_UNAVAILABLE', 'SQLSTATE 57014'));
      const call = catalogAt(dsn, { ...LIMITS, callMs: 300 });
      await expect(call.rows(dataset())).rejects.toEqual(refused('CATALOG_UNAVAILABLE', 'no answer within 300 ms'));
      const patient = catalogAt(dsn);
      const stop = new AbortController();
      setTimeout(() => stop.abort(), 200);
      await expect(patient.rows(dataset(), stop.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
      await expect(patient.rows(dataset(), stop.signal)).rejects.toMatchObject({ code: 'CANCELLED' });
      await client.query('ROLLBACK');
      // Nobody kept a client: there are two at the most.
      expect(await Promise.all([1, 2, 3, 4].map(() => patient.rows(dataset())))).toEqual([[], [], [], []]);
      expect(await catalog.record(dataset(), [partition(2, 9)])).toBe('recorded');
    });
  });

  it('writes nothing while the database is read-only, and may be asked again', async () => {
    const dsn = await freshDatabase(server);
    await catalogAt(dsn).prepare();
    const name = new URL(dsn).pathname.slice(1);
    await sql(server, `ALTER DATABASE ${name} SET default_transaction_read_only = on`);
    const catalog = catalogAt(dsn);
    const said = refused('CATALOG_UNAVAILABLE', 'the database is read-only');
    await expect(catalog.probe()).rejects.toEqual(said);
    await expect(catalog.prepare()).rejects.toEqual(said);
    await expect(catalog.record(dataset(), [partition(2, 9)])).rejects.toEqual(said);
    expect(await catalog.rows(dataset())).toEqual([]);
    await sql(server, `ALTER DATABASE ${name} RESET default_transaction_read_only`);
    // The same catalog, in a new session.
    expect(await catalog.record(dataset(), [partition(2, 9)])).toBe('recorded');
  });

  it('is durable where the role’s setting is not', async () => {
    const dsn = await freshDatabase(server);
    const off = dsnWith(dsn, { parameters: { options: '-c synchronous_commit=off' } }).replaceAll('+', '%20');
    const catalog = catalogAt(off);
    await catalog.prepare();
    await sql(
      dsn,
      `
      CREATE TABLE seen (setting text);
      CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NEW; END $$;
      CREATE TRIGGER see AFTER INSERT ON _meta_lineage FOR EACH ROW EXECUTE FUNCTION see()`,
    );
    await catalog.record(dataset(), [partition(2, 9)]);
    expect(await sql(dsn, 'SELECT setting FROM seen')).toEqual([{ setting: 'on' }]);
  });
});

describePostgres('views', (server) => {
  it('tell what is covered and what is missing in between', async () => {
    const dsn = await freshSchema(server);
    const catalog = catalogAt(dsn);
    await catalog.prepare();
    await catalog.record(dataset(), [partition(2, 9), partition(10, 19), partition(30, 39), partition(41, 50)]);
    await catalog.record(dataset('v2'), [partition(2, 9, { createdAt: '2026-11-25T00:00:00Z' })]);
    const name = { domain: 'mainnet', dataset: 'ledgers_lcm_raw', era_id: 'pre_p23', network: 'pubnet' };
    expect(await sql(dsn, 'SELECT * FROM _meta_gaps ORDER BY version, gap_start')).toEqual([
      { ...name, version: 'v1', gap_start: '20', gap_end: '29' },
      { ...name, version: 'v1', gap_start: '40', gap_end: '40' },
    ]);
    const coverage = await sql(dsn, 'SELECT * FROM _meta_coverage ORDER BY version');
    expect(coverage).toEqual([
      {
        ...name,
        version: 'v1',
        min_ledger: '2',
        max_ledger: '50',
        partition_count: '4',
        total_rows: '38',
        total_bytes: '4000',
        gap_count: '2',
        missing_ledgers: '11',
      },
      expect.objectContaining({ version: 'v2', gap_count: '0', missing_ledgers: '0' }),
    ]);
    expect(Object.keys(coverage[0] ?? {}).join(' ')).toBe(
      'domain dataset version era_id network min_ledger max_ledger partition_count total_rows total_bytes gap_count missing_ledgers',
    );
    expect(
      await sql(dsn, "SELECT old_version, new_version FROM _meta_changes WHERE change_type = 'correction'"),
    ).toEqual([{ old_version: 'v1', new_version: 'v2' }]);
  });
});
