// An estate damaged in each single part is diagnosed exactly, and repaired where repair is possible; data objects are never
// touched. Most of it in this process; the command itself at the end.
import { appendFileSync, cpSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Difference } from '../../actors/reconcile/kinds.ts';
import { filesBelow, tempFolder } from '../support/bronze.ts';
import { changeCatalog, holdCatalog } from '../support/catalog.ts';
import { eventFile, eventHashOf, manifestFile, readJson } from '../support/estate.ts';
import { runInProcess } from '../support/in-process.ts';
import { makeLake } from '../support/lakes.ts';
import { Scene } from '../support/program.ts';
import { LABELS, Reconciled } from '../support/reconciled.ts';
import { describeShared, SHARED } from '../support/shared.ts';

/** What the old estate was copied from. */
const OLD_LAKE = [
  'pubnet/pubnet-16154623-v0.xdr',
  'testnet/testnet-997-v1.xdr',
  'load/standalone-84-v2.xdr',
  'testnet/testnet-999-v1.xdr',
];

let estate: Reconciled;

beforeAll(async () => {
  estate = await Reconciled.make();
});

beforeEach(() => estate.putBack());

const rangeOf = (n: number) => {
  const [start, end] = (LABELS[n] as string).split('-').map(Number);
  return { start, end };
};

/** Flips one bit in the middle of a file. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] as number) ^ 0b100;
  writeFileSync(path, bytes);
}

/** Changes an event and gives it a hash that fits, as somebody would who wants to deceive. */
function forge(path: string): void {
  const event = readJson(path);
  event.producer.version = '9.9.9';
  event.chain.event_hash = eventHashOf(event);
  writeFileSync(path, `${JSON.stringify(event, null, 2)}\n`);
}

const sql = (...statements: readonly string[]) => changeCatalog(estate.catalogDir, ...statements);

type Case = readonly [name: string, damage: () => unknown, expected: () => Partial<Difference>];

const REPAIRABLE: readonly Case[] = [
  ['the catalog is dropped', () => estate.lose(estate.catalogDir), () => ({ kind: 'catalog.empty' })],
  [
    'the catalog has no tables',
    async () => {
      estate.lose(estate.catalogFile);
      await sql('SELECT 1');
    },
    () => ({ kind: 'catalog.empty' }),
  ],
  [
    'the checkpoint is deleted',
    () => estate.lose(estate.checkpoint),
    () => ({ kind: 'checkpoint.missing', object: estate.checkpoint }),
  ],
  [
    'the checkpoint is cut',
    () => writeFileSync(estate.checkpoint, '{'),
    () => ({ kind: 'checkpoint.corrupt', object: estate.checkpoint }),
  ],
  ['the heads are deleted', () => estate.lose(estate.heads), () => ({ kind: 'heads.missing', object: estate.heads })],
  [
    'the backup folder is deleted',
    () => estate.lose(estate.scene.backup),
    () => ({ kind: 'copy.missing', object: estate.scene.backup }),
  ],
  ...[0, 2, 5].map(
    (n): Case => [
      `manifest ${n} is deleted`,
      () => estate.lose(estate.manifest(n)),
      () => ({ kind: 'manifest.missing', range: rangeOf(n) as Difference['range'] & object }),
    ],
  ),
  ...[0, 2, 5].map(
    (n): Case => [
      `event ${n} is deleted`,
      () => estate.lose(estate.event(n)),
      () => ({ kind: 'event.missing', sequence: n }),
    ],
  ),
  [
    'all events are deleted',
    () => estate.lose(`${estate.chain}/_audit`),
    () => ({ kind: 'event.missing', sequence: 0 }),
  ],
  [
    '_bronze.json is deleted',
    () => estate.lose(`${estate.chain}/_bronze.json`),
    () => ({ kind: 'bronze_json.missing', object: 'sample/whole/v1/_bronze.json' }),
  ],
  [
    'a row is deleted',
    () => sql('DELETE FROM _meta_lineage WHERE ledger_start = 20'),
    () => ({ kind: 'row.missing', range: { start: 20, end: 29 } }),
  ],
  [
    'a row is changed',
    () => sql("UPDATE _meta_lineage SET checksum = replace(checksum, 'a', 'b') WHERE ledger_start = 20"),
    () => ({ kind: 'row.differs', range: { start: 20, end: 29 } }),
  ],
  [
    'a row names another one before it',
    () => sql('UPDATE _meta_lineage SET prev_hash = checksum WHERE ledger_start = 20'),
    () => ({ kind: 'row.prev_hash', range: { start: 20, end: 29 } }),
  ],
  [
    'a row names another event',
    () => sql("UPDATE _meta_lineage SET pas_event_id = 'pas_evt_0000000000000000' WHERE ledger_start = 30"),
    () => ({ kind: 'row.event_id', range: { start: 30, end: 39 } }),
  ],
];

type ByHand = readonly [...Case, cure: () => unknown];

/** With what mends each by hand, after which everything agrees. */
const BY_HAND: readonly ByHand[] = [
  [
    'one bit is flipped in a data object',
    () => flip(estate.data(3)),
    () => ({
      kind: 'data.checksum',
      object: 'sample/whole/v1/ledgers_lcm_raw/range=30-39/part-30-39.parquet',
      repairable: 'copy',
    }),
    async () => {
      estate.moveAside(estate.data(3));
      expect((await runInProcess(estate.scene)).outcome).toBe('done');
    },
  ],
  [
    'a data object is deleted',
    () => estate.lose(estate.data(1)),
    () => ({ kind: 'data.missing', range: { start: 10, end: 19 }, repairable: 'run' }),
    async () => expect((await runInProcess(estate.scene)).outcome).toBe('done'),
  ],
  ...[0, 2, 5].map(
    (n): ByHand => [
      `event ${n} is altered`,
      () => estate.edit(estate.event(n), (text) => text.replace('"git_sha": "', '"git_sha": "x')),
      () => ({ kind: 'event.altered', sequence: n, repairable: 'copy' }),
      () => estate.moveAside(estate.event(n)),
    ],
  ),
  ...[0, 2, 5].map(
    (n): ByHand => [
      `event ${n} is altered and has a hash that fits`,
      () => forge(estate.event(n)),
      () => ({ kind: 'event.altered', sequence: n, repairable: 'copy' }),
      () => estate.moveAside(estate.event(n)),
    ],
  ),
  [
    'a manifest is altered',
    () => estate.edit(estate.manifest(2), (text) => text.replace('file:///', 'file:////')),
    () => ({ kind: 'manifest.other', range: { start: 20, end: 29 }, repairable: 'copy' }),
    () => estate.moveAside(estate.manifest(2)),
  ],
  [
    'an older copy is changed',
    () => flip(estate.copy(1)),
    () => ({ kind: 'copy.differs', object: estate.copy(1), repairable: 'copy' }),
    () => estate.moveAside(estate.copy(1)),
  ],
  [
    'a row is of a partition that is not there',
    () =>
      sql(
        'UPDATE _meta_lineage SET ledger_start = 60, ledger_end = 63 WHERE ledger_start = 50',
        `INSERT INTO _meta_lineage BY NAME SELECT * REPLACE (nextval('_meta_lineage_id') AS id, 50 AS ledger_start, 59 AS ledger_end) FROM _meta_lineage WHERE ledger_start = 60`,
      ),
    () => ({ kind: 'row.stray', range: { start: 60, end: 63 }, repairable: 'copy' }),
    () => sql('DELETE FROM _meta_lineage WHERE ledger_start = 60'),
  ],
];

describe('S26: an estate that is whole', () => {
  it('agrees, and nothing is written', async () => {
    const { code, kinds } = await estate.reconcile();
    expect([code, kinds]).toEqual([0, []]);
    await estate.expectRepaired();
  });
});

describe('S12, S14, S29: repaired', () => {
  it.each(REPAIRABLE)('%s', async (_, damage, expected) => {
    await damage();
    const { code, results } = await estate.reconcile();
    expect(results.chains.map(({ differences }) => differences)).toEqual([
      [expect.objectContaining({ ...expected(), repairable: 'reconcile' })],
    ]);
    expect(code).toBe(3);
    await estate.expectRepaired();
  });

  it('everything at once that can be lost', async () => {
    estate.lose(estate.catalogDir, estate.checkpoint, estate.scene.backup, `${estate.chain}/_bronze.json`);
    for (const n of [1, 4]) estate.lose(estate.manifest(n));
    for (const n of [0, 2, 3]) estate.lose(estate.event(n));
    expect((await estate.reconcile({ quick: true })).code).toBe(3);
    await estate.expectRepaired();
  });

  it('S12: manifests of attested partitions are written again by a run as well, as they were, and nothing is built', async () => {
    const before = filesBelow(estate.scene.bronze);
    estate.lose(...[0, 2, 3, 5].map((n) => estate.manifest(n)));
    const { source } = estate.scene.settings as { source: { local_path: string } };
    const emptied = tempFolder();
    cpSync(join(source.local_path, '.config.json'), join(emptied, '.config.json'));
    estate.scene.change({ source: { ...source, local_path: emptied } });
    try {
      const { outcome, eras } = await runInProcess(estate.scene);
      expect(outcome).toBe('done');
      expect(eras[0]).toMatchObject({ partitions: 0, partitionsFound: 4 });
      expect(filesBelow(estate.scene.bronze)).toEqual(before);
      expect((await estate.reconcile()).kinds).toEqual([]);
    } finally {
      estate.scene.change({ source });
    }
  });

  it('an event whose manifest is gone for good comes back from its copy, by its hash', async () => {
    estate.lose(estate.event(2));
    const manifest = readFileSync(estate.manifest(2));
    estate.edit(estate.manifest(2), (text) => text.replace('file:///', 'file:////'));
    const { code, kinds } = await estate.reconcile({ repair: true, quick: true });
    expect([code, kinds]).toEqual([3, ['manifest.other']]);
    expect(eventHashOf(readJson(estate.event(2)))).toBe(readJson(estate.copy(2)).chain.event_hash);
    writeFileSync(estate.manifest(2), manifest);
    await estate.expectRepaired();
  });
});

describe('S9: not repaired, and left as it is', () => {
  it.each(BY_HAND)('%s', async (_, damage, expected, cure) => {
    await damage();
    const before = estate.dataObjects();
    for (const repair of [false, true]) {
      const { code, results } = await estate.reconcile({ repair });
      expect(results.chains.map(({ differences }) => differences)).toEqual([[expect.objectContaining(expected())]]);
      expect(code).toBe(3);
    }
    expect(estate.dataObjects()).toEqual(before);
    await cure();
    await estate.expectRepaired();
  });

  it('a manifest whose data object was changed as well is not written again', async () => {
    estate.lose(estate.manifest(2));
    flip(estate.data(2));
    const { code, kinds, results } = await estate.reconcile({ repair: true });
    expect(code).toBe(3);
    expect(kinds).toEqual(['manifest.missing', 'data.checksum']);
    expect(results.chains[0]?.repairs).toMatchObject([{ failure: { code: 'PARTITION_DAMAGED' } }]);
  });

  it('a row of a damaged partition is not replaced', async () => {
    flip(estate.data(2));
    await sql(
      'UPDATE _meta_lineage SET row_count = 1 WHERE ledger_start = 20',
      'DELETE FROM _meta_lineage WHERE ledger_start = 40',
    );
    const { kinds } = await estate.reconcile({ repair: true });
    expect(kinds).toEqual(['data.checksum', 'row.differs']);
  });
});

describe('what is not damage', () => {
  it('S35: a catalog that a reader holds open is not compared, and not called right', async () => {
    const release = await holdCatalog(estate.catalogDir, 'READ_WRITE');
    try {
      const { code, kinds } = await estate.reconcile({ quick: true });
      expect([code, kinds]).toEqual([1, ['catalog.held']]);
      estate.lose(estate.checkpoint);
      expect((await estate.reconcile({ quick: true, repair: true })).kinds).toEqual(['catalog.held']);
    } finally {
      await release();
    }
  });

  it('events that were not delivered yet are pending', async () => {
    const settings = { pas: { endpoint: 'http://127.0.0.1:9/events' } };
    const { code, results } = await estate.reconcile({ quick: true, settings });
    expect(results.chains[0]?.differences).toMatchObject([{ kind: 'delivery.pending', sequence: 0 }]);
    expect(code).toBe(0);
  });
});

describe('the command', () => {
  it('prints differences for people and for machines, repairs, and says so in its exit code', async () => {
    const { scene } = estate;
    estate.lose(estate.event(2));
    flip(estate.data(4));
    const seen = await scene.start('reconcile', { args: ['--json'] }).done;
    expect(seen.code, seen.stderr).toBe(3);
    expect(JSON.parse(seen.stdout)).toMatchObject({
      ok: false,
      chains: [{ chain: 'sample/whole/v1', partitions: 6, events: 5, rows: 6, data_read: 6, data_not_read: 0 }],
      differences: [{ kind: 'data.checksum' }, { kind: 'event.missing' }],
      failures: [],
    });
    const mended = await scene.start('reconcile', { args: ['--repair', '--quick'] }).done;
    expect(mended.code, mended.stdout + mended.stderr).toBe(0);
    expect(mended.stdout).toMatch(
      /repaired event\.missing[\s\S]*not read: the bytes of 6 data objects[\s\S]*OK: all that was looked at agrees/,
    );
    const text = await scene.start('reconcile').done;
    expect(text.code).toBe(3);
    expect(text.stdout).toMatch(
      /data\.checksum\n {2}what: .*part-40-49.*\n {2}where: .*\n {2}cause: .*\n {2}cure: .*\nNOT OK: 1 difference: 1 somebody/,
    );
  });

  it('S7: does not repair beside a copier, and says who it is', async () => {
    const { scene } = estate;
    estate.lose(estate.checkpoint);
    const lock = `${scene.state}/lock_sample_whole_v1.json`;
    writeFileSync(
      lock,
      JSON.stringify({
        host: 'elsewhere',
        boot_id: 'b',
        pid: 1,
        process_start: '1',
        nonce: '0'.repeat(32),
        acquired_at: 'now',
        copier_id: 'another-copier',
      }),
    );
    const { code, results } = await estate.reconcile({ repair: true, quick: true });
    expect(code).toBe(1);
    expect(results.failures).toMatchObject([{ code: 'LOCK_HELD', message: expect.stringContaining('another-copier') }]);
    const { results: looked } = await estate.reconcile({ quick: true });
    expect(looked.chains[0]?.atWork).toContain('another-copier');
  });
});

describeShared('S28: an estate of the old program', () => {
  it('is one difference, which a run mends; then it agrees, and what only a copy brings back is told as that', async () => {
    const scene = new Scene('', []);
    cpSync(join(SHARED, 'old-estate', 'aligned'), scene.root, { recursive: true });
    cpSync(makeLake({ start: 64000, count: 60, templates: OLD_LAKE, sign: 0 }).path, join(scene.root, 'lake'), {
      recursive: true,
    });
    // Its ledgers were re-numbered before the old program copied them, so that their signatures are false.
    appendFileSync(join(scene.root, 'config.yaml'), '\nchecks:\n  signatures: off\n');
    const reconcile = async (...more: string[]) => {
      const { code, stdout, stderr } = await scene.command('reconcile', '--config', 'config.yaml', '--json', ...more);
      expect(stderr).toBe('');
      return { code, ...JSON.parse(stdout) };
    };
    expect(await reconcile()).toMatchObject({
      code: 3,
      differences: [{ kind: 'bronze_json.missing', repairable: 'run' }],
    });
    expect((await scene.command('run', '--config', 'config.yaml')).code).toBe(0);
    expect(await reconcile()).toMatchObject({ code: 0, ok: true, differences: [] });

    const chain = scene.chain('pubnet', 'pre_p23');
    rmSync(eventFile(chain, 1));
    rmSync(join(chain, '_bronze.json'));
    expect(await reconcile('--repair')).toMatchObject({ code: 0, repairs: [{ repaired: true }, { repaired: true }] });
    const manifest = manifestFile(chain, '64010-64019');
    renameSync(manifest, join(scene.root, 'aside.json'));
    expect(await reconcile()).toMatchObject({
      code: 3,
      differences: [{ kind: 'manifest.missing', repairable: 'reconcile' }],
    });
    expect(await reconcile('--repair')).toMatchObject({ code: 0, repairs: [{ repaired: true }] });
    expect(readFileSync(manifest)).toEqual(readFileSync(join(scene.root, 'aside.json')));
  });
});
