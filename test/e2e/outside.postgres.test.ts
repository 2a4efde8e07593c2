/**
 * PostgreSQL beside a run of the real program (S13): down at the start, in the middle, back again, strict and lenient;
 * wrong passwords and rights; two copiers at once on one database.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { filesIn } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import { postgresRows, rowsOf } from '../support/outside.ts';
import { describePostgres, dsnWith, freshDatabase, type OwnPostgres, ownPostgres, sql } from '../support/postgres.ts';
import type { Running, Scene, Settings } from '../support/program.ts';

/** 2-9, 10-19, 20-25. */
const ERA = sampleEra({ ledger_end: 25 });
const PARTITIONS = 3;

const catalog = (dsn: string, strict = false): Settings => ({
  catalog: { backend: 'postgres', postgres_dsn: dsn, strict },
});
const pendingOf = (run: { summary: Awaited<ReturnType<Scene['run']>>['summary'] }) =>
  run.summary?.eras.map((era) => era.pending_rows);
const committedIn = (running: Running): number =>
  running.logs.filter(({ msg }) => msg === 'partition committed').length;

describePostgres('S13: down, and back again', () => {
  let server: OwnPostgres;
  let databases = 0;
  /** Gone with its server. */
  const newDatabase = async (): Promise<string> => {
    const database = `run_${++databases}`;
    await sql(server.dsn, `CREATE DATABASE ${database}`);
    return dsnWith(server.dsn, { database });
  };
  beforeAll(async () => {
    server = await ownPostgres();
  });
  afterAll(async () => server.down());

  it('at the start: strict ends with exit 1 and nothing copied; lenient copies, and the next run writes the rows', async () => {
    const dsn = await newDatabase();
    await server.stop();
    const strict = await sampleScene(ERA, catalog(dsn, true));
    const refused = await strict.run();
    expect(refused.code, said(refused)).toBe(1);
    expect(refused.summary?.eras[0]?.error).toMatchObject({ code: 'CATALOG_UNAVAILABLE' });
    expect(filesIn(strict.data)).toEqual({});

    const lenient = await sampleScene(ERA, catalog(dsn));
    const run = await lenient.run();
    expect(run.code, said(run)).toBe(0);
    expect(pendingOf(run)).toEqual([PARTITIONS]);
    await server.start();
    const status = JSON.parse((await lenient.start('status', { args: ['--json'] }).done).stdout);
    expect(status.eras[0]).toMatchObject({ pending_catalog_rows: PARTITIONS });
    expect(pendingOf(await lenient.run())).toEqual([0]);
    expect(await postgresRows(dsn)).toEqual(rowsOf(lenient));
  });

  it.each([true, false])('in the middle, strict %s: no row is lost', async (strict) => {
    const dsn = await newDatabase();
    const scene = await sampleScene(sampleEra({ partition_size: 3 }), catalog(dsn, strict));
    const running = scene.start('run');
    await running.until(() => committedIn(running) >= 5, 'it was under way');
    await server.stop();
    await running
      .untilLogged(({ code }) => code === 'CATALOG_UNAVAILABLE', 'the database was missed')
      .catch((error) => {
        // Lenient, the run may be through before it wants the next row.
        if (strict) throw error;
      });
    const committed = committedIn(running);
    if (strict) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      expect(committedIn(running)).toBe(committed);
    } else await running.done;
    await server.start();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    if (strict) expect(pendingOf(run)).toEqual([0]);
    else expect(pendingOf(await scene.run())).toEqual([0]);
    expect(await postgresRows(dsn)).toEqual(rowsOf(scene));
  });
});

describePostgres('a run beside it', (server) => {
  it('two eras, two copiers at once: one row a partition, in order', async () => {
    const dsn = await freshDatabase(server);
    const eras = [sampleEra({ era_id: 'before', ledger_end: 63 }), sampleEra({ era_id: 'after', ledger_start: 64 })];
    const scene = await sampleScene(eras, catalog(dsn));
    const other = scene.elsewhere();
    const runs = await Promise.all([scene.run(), other.run()]);
    for (const run of runs) expect(run.code, said(run)).toBe(0);
    expect(pendingOf(await scene.run())).toEqual([0, 0]);
    const rows = await postgresRows(dsn);
    expect(rows).toEqual(rowsOf(scene));
    expect(new Set(rows.map(({ chain }) => chain)).size).toBe(2);
  });

  it('another row of the same ledgers stops the era in both modes; Bronze stays', async () => {
    const dsn = await freshDatabase(server);
    const scene = await sampleScene(ERA, catalog(dsn));
    expect((await scene.run()).code).toBe(0);
    await sql(dsn, `UPDATE _meta_lineage SET checksum = 'sha256:${'1'.repeat(64)}' WHERE ledger_start = 10`);
    const before = filesIn(scene.data);
    const run = await scene.run();
    expect(run.code, said(run)).toBe(1);
    expect(run.summary?.eras[0]?.error).toMatchObject({ code: 'CATALOG_CONFLICT' });
    expect(filesIn(scene.data)).toEqual(before);
  });

  it.each([
    ['a wrong password', (dsn: string) => dsnWith(dsn, { password: 'hunter2-wrong' }), 'CATALOG_DENIED'],
    ['a database that is not there', (dsn: string) => dsnWith(dsn, { database: 'nowhere' }), 'CATALOG_'],
  ])('%s: a coded error that says what to do, in both modes; no password', async (_, change, code) => {
    const scene = await sampleScene(ERA);
    for (const strict of [true, false]) {
      const settings = catalog(change(await freshDatabase(server)), strict);
      const run = await scene.run({ settings });
      expect(run.code, said(run)).toBe(1);
      expect(run.summary?.eras[0]?.error?.code).toContain(code);
      expect(filesIn(scene.data)).toEqual({});
      const online = await scene.start('validate', { settings, args: ['--online'] }).done;
      expect(online.code).toBe(1);
      expect(online.stderr).toContain(code);
      for (const { stdout, stderr } of [run, online]) expect(stdout + stderr).not.toMatch(/hunter2|testpassword/);
    }
  });
});
