/**
 * The catalog and the endpoint beside a run of the real program: down, held, back again, lost (S11, S12, S26, S29, S35).
 * The catalog here is the embedded one; outside.postgres.test.ts has PostgreSQL.
 */
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { catalogFile, changeCatalog, holdCatalog, queryCatalog } from '../support/catalog.ts';
import { said } from '../support/copier.ts';
import { eventFile, filesIn, manifestFile, readJson } from '../support/estate.ts';
import { copyOf, sampleEra, sampleLake, sampleScene, takeAway } from '../support/lakes.ts';
import { embeddedRows, expectDelivered, rowsOf } from '../support/outside.ts';
import type { Scene, Settings } from '../support/program.ts';

/** 2-9, 10-19, 20-25. */
const ERA = sampleEra({ ledger_end: 25 });
const PARTITIONS = 3;

const catalogIn = (scene: Scene): string => join(scene.root, 'catalog');
const embedded = (scene: Scene, more: Settings = {}): Settings => ({
  catalog: { backend: 'embedded', dir: catalogIn(scene), ...more },
});
const leftOf = (run: { summary: Awaited<ReturnType<Scene['run']>>['summary'] }) =>
  run.summary?.eras.map((era) => [era.pending_rows, era.undelivered_events]);

/** Copied with neither catalog nor endpoint. */
let plain: Scene;
const servers: AuditServer[] = [];

beforeAll(async () => {
  plain = await sampleScene(ERA);
  expect((await plain.run()).code).toBe(0);
});

afterAll(async () => {
  for (const server of servers) await server.stop();
});

async function endpoint(): Promise<AuditServer> {
  const server = await startAuditServer();
  servers.push(server);
  return server;
}

describe('the embedded catalog', () => {
  it('is the default: one row a partition, and a second run changes nothing', async () => {
    const scene = await sampleScene(ERA);
    const { catalog: _, ...settings } = scene.settings;
    scene.settings = settings;
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    expect(leftOf(run)).toEqual([[0, 0]]);
    // catalog.dir is relative to where the program was started.
    const dir = join(scene.root, 'state', 'catalog');
    const rows = await embeddedRows(dir);
    expect(rows).toEqual(rowsOf(scene));
    expect(rows).toHaveLength(PARTITIONS);
    const before = filesIn(scene.data);
    expect((await scene.run()).code).toBe(0);
    expect(filesIn(scene.data)).toEqual(before);
    expect(await embeddedRows(dir)).toEqual(rows);
  });

  it('is filled from Bronze where there is some already, also when it was thrown away (S26, S29)', async () => {
    const scene = plain.copy();
    const before = filesIn(scene.data);
    expect(leftOf(await scene.run({ settings: embedded(scene) }))).toEqual([[0, 0]]);
    expect(await embeddedRows(catalogIn(scene))).toEqual(rowsOf(scene));
    rmSync(join(scene.root, 'catalog'), { recursive: true });
    scene.lose('state', 'pas-backup');
    const status = JSON.parse(
      (await scene.start('status', { settings: embedded(scene), args: ['--json'] }).done).stdout,
    );
    expect(status.eras[0]).toMatchObject({ pending_catalog_rows: PARTITIONS, gaps: [], overlaps: [] });
    expect(leftOf(await scene.run({ settings: embedded(scene) }))).toEqual([[0, 0]]);
    expect(await embeddedRows(catalogIn(scene))).toEqual(rowsOf(scene));
    expect(filesIn(scene.data)).toEqual(before);
  });

  it('`verify` with the configuration compares the rows as well', async () => {
    const scene = plain.copy();
    expect((await scene.run({ settings: embedded(scene) })).code).toBe(0);
    const whole = await scene.start('verify', { settings: embedded(scene) }).done;
    expect(whole.code, said(whole)).toBe(0);
    expect(whole.stdout).toContain(`${PARTITIONS} in the catalog`);
    await changeCatalog(
      catalogIn(scene),
      'UPDATE _meta_lineage SET byte_size = byte_size + 1 WHERE ledger_start = 10',
      'UPDATE _meta_lineage SET ledger_start = 26, ledger_end = 29 WHERE ledger_start = 20',
    );
    const wrong = await scene.start('verify', { settings: embedded(scene), args: ['--json'] }).done;
    expect(wrong.code).toBe(3);
    const { findings } = JSON.parse(wrong.stdout);
    expect(findings.map(({ code, start }: { code: string; start: number }) => [code, start])).toEqual([
      ['CATALOG_CONFLICT', 10],
      ['CATALOG_CONFLICT', 26],
    ]);
  });

  it('without the audit stream rows come from manifests', async () => {
    const scene = await sampleScene(ERA, { pas: { enabled: false } });
    expect((await scene.run({ settings: embedded(scene) })).code).toBe(0);
    const rows = await embeddedRows(catalogIn(scene));
    expect(rows.map(({ start, event, passed }) => [start, event, passed])).toEqual([
      [2, null, true],
      [10, null, true],
      [20, null, true],
    ]);
    rmSync(join(scene.root, 'catalog'), { recursive: true });
    expect(leftOf(await scene.run({ settings: embedded(scene) }))).toEqual([[0, 0]]);
    expect(await embeddedRows(catalogIn(scene))).toEqual(rows);
    // Nor does a state folder that is gone leave any behind.
    for (const strict of [true, false]) {
      rmSync(join(scene.root, 'catalog'), { recursive: true });
      scene.lose('state');
      expect(leftOf(await scene.run({ settings: embedded(scene, { strict }) }))).toEqual([[0, 0]]);
      expect(await embeddedRows(catalogIn(scene))).toEqual(rows);
    }
    // Switched on late: the rows learn their events.
    expect((await scene.run({ settings: { ...embedded(scene), pas: { enabled: true } } })).code).toBe(0);
    expect(await embeddedRows(catalogIn(scene))).toEqual(rowsOf(scene));
  });

  it.each([
    ['READ_ONLY', false],
    ['READ_WRITE', true],
  ] as const)(
    'S35: open in a shell (%s, strict %s): rows are pending, copying goes on, written later',
    async (mode, strict) => {
      const scene = await sampleScene(sampleEra({ ledger_end: 9 }));
      expect((await scene.run({ settings: embedded(scene) })).code).toBe(0);
      const letGo = await holdCatalog(catalogIn(scene), mode);
      scene.change({ eras: [ERA] });
      const held = await scene.run({ settings: embedded(scene, { strict }) });
      expect(held.code, said(held)).toBe(0);
      // Of a writer's shell not even the rows that are there can be seen.
      expect(leftOf(held)).toEqual([[mode === 'READ_ONLY' ? 2 : 3, 0]]);
      await letGo();
      expect(leftOf(await scene.run({ settings: embedded(scene, { strict }) }))).toEqual([[0, 0]]);
      expect(await embeddedRows(catalogIn(scene))).toEqual(rowsOf(scene));
    },
  );

  it.each(['manifest', 'event'] as const)(
    'rows of a chain that recovery mends are written in the same run (%s)',
    async (what) => {
      const scene = plain.copy();
      const chain = scene.chain('sample', 'whole');
      rmSync(what === 'event' ? eventFile(chain, 1) : manifestFile(chain, '10-19'));
      const run = await scene.run({ settings: embedded(scene) });
      expect(run.code, said(run)).toBe(0);
      expect(leftOf(run)).toEqual([[0, 0]]);
      expect(await embeddedRows(catalogIn(scene))).toEqual(rowsOf(scene));
    },
  );

  it('a partition that is refused leaves its reason, and the mended one replaces it', async () => {
    const lake = copyOf((await sampleLake()).path);
    const mend = takeAway(lake, 15);
    const scene = await sampleScene(ERA, { source: { local_path: lake } });
    const run = await scene.run({ settings: embedded(scene) });
    expect(run.code).toBe(1);
    const quality = () =>
      queryCatalog(
        catalogIn(scene),
        'SELECT ledger_start AS start, passed, error_message AS why FROM _meta_quality ORDER BY ledger_start',
      );
    expect(await quality()).toMatchObject([
      { start: 2, passed: true, why: null },
      { start: 10, passed: false, why: expect.stringMatching(/LEDGER_MISSING.*15/) },
    ]);
    mend();
    expect((await scene.run({ settings: embedded(scene) })).code).toBe(0);
    expect((await quality()).map(({ passed, why }) => [passed, why])).toEqual(Array(PARTITIONS).fill([true, null]));
  });

  it('a file that is no database stops the era, in both modes, and says so', async () => {
    const scene = plain.copy();
    for (const strict of [false, true]) {
      const settings = embedded(scene, { strict });
      cpSync(join(import.meta.dirname, 'outside.test.ts'), catalogFile(catalogIn(scene)), { recursive: true });
      const run = await scene.run({ settings });
      expect(run.code).toBe(1);
      expect(run.summary?.eras[0]?.error).toMatchObject({ code: 'CATALOG_SCHEMA' });
    }
  });
});

describe('S11: the endpoint', () => {
  const posting = (server: AuditServer, more: Settings = {}): Settings => ({ pas: { endpoint: server.url, ...more } });

  it('gets every event in order; a second run posts none', async () => {
    const server = await endpoint();
    const scene = await sampleScene(ERA);
    expect(leftOf(await scene.run({ settings: posting(server) }))).toEqual([[0, 0]]);
    expectDelivered(scene, server);
    expect((await scene.run({ settings: posting(server) })).code).toBe(0);
    expect(server.seen).toHaveLength(PARTITIONS);
    // The place of delivery is lost: all of them again, and the endpoint keeps one of each.
    scene.lose('state');
    expect((await scene.run({ settings: posting(server) })).code).toBe(0);
    expect(server.seen).toHaveLength(2 * PARTITIONS);
    expectDelivered(scene, server);
  });

  it('down for a whole run: counted, shown, and delivered by the next one', async () => {
    const server = await endpoint();
    await server.stop();
    const scene = await sampleScene(ERA);
    const run = await scene.run({ settings: posting(server) });
    expect(run.code, said(run)).toBe(0);
    expect(leftOf(run)).toEqual([[0, PARTITIONS]]);
    expect(run.logs.some(({ code, level }) => code === 'DELIVERY_FAILED' && level === 'warn')).toBe(true);
    const status = await scene.start('status', { settings: posting(server) }).done;
    expect(status.stdout).toContain(`${PARTITIONS} events are not delivered yet`);
    await server.start();
    expect(leftOf(await scene.run({ settings: posting(server) }))).toEqual([[0, 0]]);
    expectDelivered(scene, server);
  });

  it('`pas deliver` delivers what is left, and says what it could not', async () => {
    const server = await endpoint();
    const scene = plain.copy();
    server.behave = (_, n) => (n === 0 ? null : { kind: 'answer', status: 503 });
    const first = await scene.start('pas', { settings: posting(server), args: ['deliver'] }).done;
    expect(first.code, said(first)).toBe(1);
    expect(first.stderr).toContain('DELIVERY_FAILED');
    server.behave = () => null;
    const second = await scene.start('pas', { settings: posting(server), args: ['deliver'] }).done;
    expect(second.code, said(second)).toBe(0);
    expectDelivered(scene, server);
    // The first one was noted.
    expect(server.seen.filter(({ eventId }) => eventId === server.seen[0]?.eventId)).toHaveLength(1);
  });

  it('strict: down, the commit waits; back, it goes on; nothing is committed meanwhile', async () => {
    const server = await endpoint();
    await server.stop();
    const scene = await sampleScene(ERA);
    const running = scene.start('run', { settings: posting(server, { strict: true }) });
    await running.untilLogged(({ code }) => code === 'DELIVERY_FAILED', 'the endpoint was missed');
    expect(running.logs.filter(({ msg }) => msg === 'partition committed')).toEqual([]);
    await server.start();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expectDelivered(scene, server);
  });

  it('strict: a signal ends the wait; the next run goes on with the event that waited', async () => {
    const server = await endpoint();
    await server.stop();
    const scene = await sampleScene(ERA);
    const running = scene.start('run', { settings: posting(server, { strict: true }) });
    await running.untilLogged(({ code }) => code === 'DELIVERY_FAILED', 'the endpoint was missed');
    running.kill('SIGTERM');
    const drained = await running.done;
    expect(drained.code, said(drained)).toBe(1);
    expect(drained.summary?.eras[0]?.error).toMatchObject({ code: 'DELIVERY_FAILED' });
    await server.start();
    expect((await scene.run({ settings: posting(server, { strict: true }) })).code).toBe(0);
    expectDelivered(scene, server);
  });

  it('S8: every answer lost once: no event is there twice', async () => {
    const server = await endpoint();
    const met = new Set<string>();
    server.behave = ({ eventId }) => {
      if (met.has(eventId)) return null;
      met.add(eventId);
      return { kind: 'cut', keeps: true };
    };
    const scene = await sampleScene(ERA);
    expect(leftOf(await scene.run({ settings: posting(server, { strict: true }) }))).toEqual([[0, 0]]);
    expectDelivered(scene, server);
  });

  it('another event under the same id is a fork: the era fails, Bronze stays', async () => {
    const server = await endpoint();
    const scene = plain.copy();
    const theirs = readJson(join(scene.chain('sample', 'whole'), '_audit', '0000000001.json'));
    theirs.chain.event_hash = `sha256:${'0'.repeat(64)}`;
    server.kept.set(theirs.event_id, Buffer.from(JSON.stringify(theirs)));
    const before = filesIn(scene.data);
    const run = await scene.run({ settings: posting(server) });
    expect(run.code).toBe(1);
    expect(run.summary?.eras[0]?.error).toMatchObject({ code: 'AUDIT_FORK' });
    expect(filesIn(scene.data)).toEqual(before);
  });

  it('a web page with status 200 is no acknowledgement; no password is shown', async () => {
    const server = await endpoint();
    server.behave = () => ({ kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' });
    const scene = plain.copy();
    const url = server.url.replace('http://', 'http://copier:hunter2@');
    const run = await scene.run({ settings: { pas: { endpoint: url } } });
    expect(run.code).toBe(0);
    expect(leftOf(run)).toEqual([[0, PARTITIONS]]);
    const online = await scene.start('validate', { settings: { pas: { endpoint: url } }, args: ['--online'] }).done;
    expect(online.code).toBe(1);
    expect(online.stderr).toContain('DELIVERY_FAILED');
    for (const { stdout, stderr } of [run, online]) expect(stdout + stderr).not.toContain('hunter2');
  });
});

describe('S12: copies of events', () => {
  it('lost: written again from `_audit/`; no fork, no second event', async () => {
    const scene = plain.copy();
    const events = filesIn(scene.data);
    const heads = join(scene.backup, 'pas-chain-heads.json');
    const good = readFileSync(heads, 'utf8');
    for (const spoil of [() => rmSync(scene.backup, { recursive: true }), () => rmSync(heads)]) {
      spoil();
      expect((await scene.run()).code).toBe(0);
      expect(readFileSync(heads, 'utf8')).toBe(good);
      expect(filesIn(scene.data)).toEqual(events);
    }
  });
});
