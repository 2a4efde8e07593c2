// The catalog in PostgreSQL, where it is not like any other: rights, what the database itself refuses, its views.
// What every catalog has to do is in the suite of catalogs.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { LIMITS } from '../../actors/catalog/postgres-session.ts';
import { OLD_CATALOG } from '../support/old-catalog.ts';
import { describePostgres, dsnWith, freshDatabase, freshSchema, inSession, sql } from '../support/postgres.ts';
import { catalogAt, closeCatalogs, dataset, partition, refused } from '../support/postgres-catalog.ts';

closeCatalogs();

describePostgres('rights', (server) => {
  /** A role that may log in, and a catalog as that role. */
  const role = async (dsn: string, rights: string): Promise<string> => {
    const user = `role_${Math.random().toString(36).slice(2)}`;
    await sql(dsn, `CREATE ROLE ${user} LOGIN PASSWORD 'rolepassword'; ${rights.replaceAll('$ROLE', user)}`);
    return dsnWith(dsn, { user, password: 'rolepassword' });
  };
  /** The statements of docs/catalog.md; its role and its database become the test's. */
  const [queries = '', statements = ''] = [...readFileSync('docs/catalog.md', 'utf8').matchAll(/```sql\n(.*?)```/gs)]
    .map(([, block]) => block ?? '')
    // How a DuckDB shell opens the embedded one.
    .filter((block) => !block.startsWith('ATTACH'));
  const LEAST = statements.replace(/.*(CREATE ROLE|GRANT CONNECT|GRANT DELETE).*\n/g, '').replaceAll('copier', '$ROLE');

  it('is given by the statements of docs/catalog.md, whose queries work', async () => {
    const dsn = await freshDatabase(server);
    await catalogAt(dsn).prepare();
    await catalogAt(dsn).record(dataset(), [partition(50_457_424, 50_457_425)]);
    const documented = catalogAt(
      await role(dsn, statements.replace(/.*(CREATE ROLE|GRANT CONNECT).*\n/g, '').replaceAll('copier', '$ROLE')),
    );
    await documented.probe();
    expect(await documented.forget(dataset(), [{ start: 2, end: 9 }])).toBe('recorded');
    expect(queries.split(';').filter((query) => query.trim() !== '')).toHaveLength(5);
    const [coverage, , , where] = await inSession(dsn, async (client) => {
      const results: unknown[][] = [];
      for (const query of queries.split(/;\n/)) if (query.trim() !== '') results.push((await client.query(query)).rows);
      return results;
    });
    expect([coverage, where]).toEqual([
      [expect.objectContaining({ partition_count: '1' })],
      [expect.objectContaining({ era_id: 'pre_p23' })],
    ]);
  });

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
