/**
 * S28: estates that the old program left, with its own config.yaml, beside the lake that they were copied from: they are
 * verified, attested, and gone on with; what cannot be taken over is refused, and no event of the old chain is lost.
 */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import type { KillPoint } from '../../actors/kill-points.ts';
import {
  attestedIn,
  dataFile,
  eventFile,
  filesIn,
  manifestFile,
  parquetHashes,
  readJson,
  sealedIn,
} from '../support/estate.ts';
import { makeLake } from '../support/lakes.ts';
import { type LogLine, type Outcome, Scene } from '../support/program.ts';
import { describeShared, SHARED } from '../support/shared.ts';

const TEMPLATES = [
  'pubnet/pubnet-16154623-v0.xdr',
  'testnet/testnet-997-v1.xdr',
  'load/standalone-84-v2.xdr',
  'testnet/testnet-999-v1.xdr',
];
const UNSIGNED = '\nchecks:\n  signatures: off\n';
const OLD_LABELS = ['64000-64009', '64010-64019', '64020-64024'];
const OLD_HEAD = 'sha256:37fa28e0930a464c3f1280a17d4f3d1bdb14570f2441493a10ed2b2a48d4017d';

/** The folder of an estate as the old program left it, with the lake where its config.yaml says that it is. */
function oldScene(which: 'aligned' | 'unaligned'): Scene {
  const scene = new Scene('', [], { checks: { signatures: 'off' } });
  cpSync(join(SHARED, 'old-estate', which), scene.root, { recursive: true });
  cpSync(makeLake({ start: 64000, count: 60, templates: TEMPLATES, sign: 0 }).path, join(scene.root, 'lake'), {
    recursive: true,
  });
  // Its ledgers were re-numbered before the old program copied them, so that their signatures are false.
  appendFileSync(join(scene.root, 'config.yaml'), UNSIGNED);
  return scene;
}

/** The same folder elsewhere. */
function copyOf(scene: Scene): Scene {
  const copy = new Scene('', [], { checks: { signatures: 'off' } });
  cpSync(scene.root, copy.root, { recursive: true });
  return copy;
}

const chainOf = (scene: Scene): string => scene.chain('pubnet', 'pre_p23');

const run = (scene: Scene, env: Record<string, string> = {}): Promise<Outcome> =>
  scene.command('run', '--config', 'config.yaml', env);

const warnings = ({ logs }: Outcome): string[] =>
  logs.filter((line: LogLine) => line.level === 'warn').map((line) => line.msg);

async function expectRun(scene: Scene, env: Record<string, string> = {}): Promise<Outcome> {
  const outcome = await run(scene, env);
  expect(outcome.code, outcome.stdout + outcome.stderr).toBe(0);
  return outcome;
}

async function expectRefused(scene: Scene, code: string, env: Record<string, string> = {}): Promise<Outcome> {
  const outcome = await run(scene, env);
  expect(outcome.code, outcome.stdout + outcome.stderr).toBe(1);
  expect(outcome.stderr).toContain(code);
  return outcome;
}

/** `verify` finds nothing wrong in all partitions; answers the column definitions that it met. */
async function expectVerified(scene: Scene, ...args: string[]): Promise<number[]> {
  const { code, stdout } = await scene.verify('--json', ...args);
  expect(code, stdout).toBe(0);
  const [chain] = JSON.parse(stdout).chains;
  expect(chain).toMatchObject({ not_read: 0, findings: [] });
  return chain.columns;
}

/** SHA-256 by path, which is what a copy of a folder has in common with it. */
const contentOf = (folder: string): Record<string, string> =>
  Object.fromEntries(Object.entries(filesIn(folder)).map(([path, { sha256 }]) => [path, sha256]));

/** What the old program left is as it was, and every event of it is somewhere. */
function expectNothingLost(scene: Scene, which: 'aligned' | 'unaligned' = 'aligned'): void {
  const old = join(SHARED, 'old-estate', which);
  expect(contentOf(scene.data)).toMatchObject(contentOf(join(old, 'data')));
  for (const name of readdirSync(join(old, 'pas-backup')).filter((file) => file !== 'pas-chain-heads.json')) {
    const event = readFileSync(join(old, 'pas-backup', name), 'utf8');
    const places = [scene.backup, join(scene.backup, 'v1.1')].map((folder) => join(folder, name)).filter(existsSync);
    expect(places.map((path) => readFileSync(path, 'utf8'))).toContain(event);
  }
}

describeShared('S28: an estate of the old program whose grid is the configured one', () => {
  let adopted: Scene;
  beforeAll(async () => {
    adopted = oldScene('aligned');
    await expectRun(adopted);
  });

  it('is announced by plan, status and validate --online, which leave everything as it is', async () => {
    const scene = oldScene('aligned');
    const before = [filesIn(scene.data), filesIn(scene.backup), filesIn(scene.state)];
    for (const command of ['plan', 'status']) {
      const { code, stdout } = await scene.command(command, '--config', 'config.yaml');
      expect(code, stdout).toBe(0);
      expect(stdout).toContain('adopts 3 partitions of the old program (bronze-copier v0.1.0), ledgers 64000 to 64024');
      expect(stdout).not.toContain('mend');
    }
    const plan = await scene.command('plan', '--config', 'config.yaml', '--json');
    expect(JSON.parse(plan.stdout).eras[0]).toMatchObject({
      partitions_to_mend: 0,
      to_adopt: { partitions: 3, chain_head: OLD_HEAD, warnings: [] },
    });
    expect((await scene.command('validate', '--online', '--config', 'config.yaml')).code).toBe(0);
    expect(await expectVerified(scene)).toEqual([1]);
    expect([filesIn(scene.data), filesIn(scene.backup), filesIn(scene.state)]).toEqual(before);
  });

  it('is proved ledger by ledger like any other, once its log is signed', async () => {
    const scene = copyOf(adopted);
    const [file, out] = [join(scene.root, 'signing.key'), join(scene.root, 'ledger.proof')];
    const key = (await scene.command('pas', 'keygen', '--out', file, '--origin', 'example.com/bronze')).stdout.trim();
    const config = readFileSync(join(scene.root, 'config.yaml'), 'utf8');
    const signed = config.replace(/^pas:.*$/m, `$&\n  signing_key: ${file}\n  origin: example.com/bronze`);
    writeFileSync(join(scene.root, 'config.yaml'), signed);
    await expectRun(scene);
    for (const ledger of [64_000, 64_012, 64_024]) {
      const made = await scene.command('prove', String(ledger), scene.data, '--out', out);
      expect(made.code, made.stderr).toBe(0);
      const verdict = await scene.command('check-proof', out, '--key', key, '--json');
      expect([verdict.code, JSON.parse(verdict.stdout)]).toMatchObject([0, { ok: true, ledger: { sequence: ledger } }]);
    }
  });

  it('is adopted by its own command line: recorded, attested, its events kept', async () => {
    const scene = oldScene('aligned');
    const before = filesIn(scene.data);
    const outcome = await scene.command('-config', 'config.yaml');
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(warnings(outcome)).toEqual([]);
    expect(filesIn(scene.data)).toMatchObject(before);
    expect(readJson(chainOf(scene), '_bronze.json')).toMatchObject({
      columns: 2,
      storage_prefix: 'bronze/',
      partition_size: 10,
      partition_origin: 0,
      ledger_start: 64000,
      adopted: { columns: 1, program: 'bronze-copier v0.1.0', partitions: 3, chain_head: OLD_HEAD, events: 3 },
    });
    expect(attestedIn(chainOf(scene))).toEqual(OLD_LABELS);
    const event = readJson(eventFile(chainOf(scene), 2));
    const manifest = readJson(manifestFile(chainOf(scene), '64020-64024'));
    expect(event).toMatchObject({ timestamp: manifest.created_at, producer: manifest.producer });
    const { 'pas-chain-heads.json': heads, ...events } = contentOf(join(scene.backup, 'v1.1'));
    expect(contentOf(join(SHARED, 'old-estate/aligned/pas-backup'))).toMatchObject(events);
    expect(Object.keys(events)).toHaveLength(3);
    expect(heads).toBeDefined();
    expect(readJson(scene.backup, 'v1.1/pas-chain-heads.json')).toEqual({ 'pubnet/pre_p23/v1': OLD_HEAD });
    expectNothingLost(scene);
    expect(await expectVerified(scene, '--events', scene.backup)).toEqual([1]);
    expect((await scene.command('pas', 'verify', 'pas-backup/v1.1')).code).toBe(0);
  });

  it('is adopted once: the next runs write nothing, here, without state, and elsewhere', async () => {
    const scene = copyOf(adopted);
    const { data, backup } = scene;
    const before = [filesIn(data), filesIn(backup)];
    await expectRun(scene);
    scene.lose('state');
    await expectRun(scene);
    expect([filesIn(data), filesIn(backup)]).toEqual(before);
    // Another machine has Bronze, and not the backup folder: our copies are written, the old events are not missed.
    scene.lose('state', 'pas-backup');
    await expectRun(scene);
    expect(filesIn(data)).toEqual(before[0]);
    expect(Object.keys(filesIn(backup))).not.toContain('v1.1/pas-chain-heads.json');
    expect(contentOf(adopted.backup)).toMatchObject(contentOf(backup));
    // And one where the old folder comes to light afterwards.
    cpSync(join(SHARED, 'old-estate/aligned/pas-backup'), backup, { recursive: true });
    await expectRun(scene);
    expect(filesIn(data)).toEqual(before[0]);
    expect(contentOf(backup)).toEqual(contentOf(adopted.backup));
  });

  it('is gone on with: the clipped cell first, by the new definition, links and all', async () => {
    const scene = copyOf(adopted);
    const before = filesIn(scene.data);
    await expectRun(scene, { LEDGER_END: '64059' });
    const labels = [...OLD_LABELS, '64025-64029', '64030-64039', '64040-64049', '64050-64059'];
    expect(sealedIn(chainOf(scene))).toEqual(labels);
    expect(attestedIn(chainOf(scene))).toEqual(labels);
    expect(filesIn(scene.data)).toMatchObject(before);
    const last = readJson(eventFile(chainOf(scene), 2)).ledgers.last_hash;
    expect(readJson(manifestFile(chainOf(scene), '64025-64029'))).toMatchObject({
      columns: 2,
      ledgers: { previous_hash: last },
    });
    expect(await expectVerified(scene, '--events', scene.backup)).toEqual([1, 2]);
    // Lost from among both definitions, it is a finding.
    rmSync(join(chainOf(scene), '_bronze.json'));
    expect((await scene.verify()).stdout).toContain('_bronze.json is missing');
  });

  it('is not gone on with from another history', async () => {
    const scene = copyOf(adopted);
    scene.lose('lake');
    const other = makeLake({ start: 64000, count: 60, templates: TEMPLATES.slice(1) });
    cpSync(other.path, join(scene.root, 'lake'), { recursive: true });
    const before = filesIn(scene.data);
    await expectRefused(scene, 'LAKE_CONTRADICTS', { LEDGER_END: '64059' });
    expect(filesIn(scene.data)).toEqual(before);
  });

  it('is copied again beside it, under another version_label, by the environment of the old program', async () => {
    const scene = oldScene('aligned');
    const before = filesIn(chainOf(scene));
    await expectRun(scene, { VERSION_LABEL: 'v2', MAX_IN_FLIGHT_PARTITIONS: '2' });
    expect(sealedIn(scene.chain('pubnet', 'pre_p23', 'v2'))).toEqual(OLD_LABELS);
    expect(filesIn(chainOf(scene))).toEqual(before);
  });

  it('with a bit flipped is damaged: nothing is attested of that partition, or after it', async () => {
    const scene = oldScene('aligned');
    const path = dataFile(chainOf(scene), '64010-64019');
    const whole = readFileSync(path);
    const flipped = Buffer.from(whole);
    // In the ledgers themselves, which the small columns do not show.
    flipped[whole.length >> 1] = (flipped[whole.length >> 1] as number) ^ 1;
    writeFileSync(path, flipped);
    const outcome = await expectRefused(scene, 'PARTITION_DAMAGED');
    expect(outcome.stderr).toContain('part-64010-64019.parquet');
    expect(attestedIn(chainOf(scene))).toEqual(['64000-64009']);
    writeFileSync(path, whole);
    await expectRun(scene);
    expect(contentOf(scene.data)).toEqual(contentOf(adopted.data));
    expect(contentOf(scene.backup)).toEqual(contentOf(adopted.backup));
  });

  it('with an event that was altered is refused; without the events it is adopted, with a warning', async () => {
    const scene = oldScene('aligned');
    const name = 'pubnet_pre_p23_v1_64010-64019.json';
    const path = join(scene.backup, name);
    writeFileSync(path, readFileSync(path, 'utf8').replace('"byte_size": 47472', '"byte_size": 47473'));
    const before = [filesIn(scene.data), filesIn(scene.backup)];
    const outcome = await expectRefused(scene, 'AUDIT_INVALID');
    expect(outcome.stderr).toContain(path);
    expect(outcome.stderr).toContain('move the events of this chain out of');
    expect((await scene.command('plan', '--config', 'config.yaml')).stdout).toContain('AUDIT_INVALID');
    expect([filesIn(scene.data), filesIn(scene.backup)]).toEqual(before);

    renameSync(scene.backup, join(scene.root, 'aside'));
    const without = await expectRun(scene);
    expect(warnings(without).join()).toContain('no events of the old program');
    expect(readJson(chainOf(scene), '_bronze.json').adopted).toMatchObject({ chain_head: null, events: 0 });
    expect(attestedIn(chainOf(scene))).toEqual(OLD_LABELS);
    expect(await expectVerified(scene)).toEqual([1]);
  });

  it('without an audit stream is recorded and verified, and attested once there is one', async () => {
    const scene = oldScene('aligned');
    const backup = filesIn(scene.backup);
    await expectRun(scene, { PAS_ENABLED: 'false' });
    expect(readJson(chainOf(scene), '_bronze.json').adopted).toMatchObject({ chain_head: OLD_HEAD });
    expect(attestedIn(chainOf(scene))).toEqual([]);
    expect(filesIn(scene.backup)).toEqual(backup);
    expect(await expectVerified(scene)).toEqual([1]);
    await expectRun(scene);
    expect(contentOf(scene.data)).toEqual(contentOf(adopted.data));
    expect(contentOf(scene.backup)).toEqual(contentOf(adopted.backup));
  });

  it.each(['64000-64009', '64020-64024'])(
    'without an audit stream is not taken for verified because its checkpoint says so (%s)',
    async (label) => {
      const scene = oldScene('aligned');
      const path = dataFile(chainOf(scene), label);
      const bytes = readFileSync(path);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      writeFileSync(path, bytes);
      const { stderr } = await expectRefused(scene, 'PARTITION_DAMAGED', { PAS_ENABLED: 'false' });
      expect(stderr).toContain(`part-${label}.parquet`);
    },
  );

  it('with an unfit ledger_start, or what recovery would refuse, fixes nothing', async () => {
    const scene = oldScene('aligned');
    const before = [filesIn(scene.data), filesIn(scene.backup)];
    const env = { LEDGER_START: '63000' };
    expect((await expectRefused(scene, 'BRONZE_MISMATCH', env)).stderr).toContain('set ledger_start: 64000');
    for (const words of [['plan'], ['validate', '--online']]) {
      const said = await scene.command(...words, '--config', 'config.yaml', env);
      expect(said.stdout + said.stderr).toContain('set ledger_start: 64000');
    }
    expect([filesIn(scene.data), filesIn(scene.backup)]).toEqual(before);
    // Not sealed, and across the grid.
    const stray = dataFile(chainOf(scene), '64025-64039');
    mkdirSync(dirname(stray), { recursive: true });
    writeFileSync(stray, 'PAR1');
    await expectRefused(scene, 'PARTITION_OVERLAP');
    expect(existsSync(join(chainOf(scene), '_bronze.json'))).toBe(false);
    expect(filesIn(scene.backup)).toEqual(before[1]);
  });

  it('that lost its last partition and event, or _bronze.json, is found out by verify', async () => {
    const scene = copyOf(adopted);
    rmSync(join(chainOf(scene), 'ledgers_lcm_raw/range=64020-64024'), { recursive: true });
    rmSync(eventFile(chainOf(scene), 2));
    const cut = await scene.verify();
    expect(cut.code).toBe(3);
    expect(cut.stdout).toContain('LEDGER_MISSING: partitions of the old program were adopted up to ledger 64024');
    rmSync(join(chainOf(scene), '_bronze.json'));
    expect((await scene.verify()).stdout).toContain('_bronze.json is missing');
  });

  it('gets back an event or a manifest that was lost; a file of the old program only a copy brings back', async () => {
    const scene = copyOf(adopted);
    for (const lost of [eventFile(chainOf(scene), 1), manifestFile(chainOf(scene), '64010-64019')]) {
      rmSync(lost);
      await expectRun(scene);
      expect(contentOf(scene.data)).toEqual(contentOf(adopted.data));
    }
    const path = dataFile(chainOf(scene), '64010-64019');
    const bytes = readFileSync(path);
    rmSync(path);
    const before = contentOf(scene.data);
    const outcome = await expectRefused(scene, 'AUDIT_ORPHAN');
    expect(outcome.stderr).toContain('only a copy brings back');
    expect(contentOf(scene.data)).toEqual(before);
    writeFileSync(path, bytes);
    await expectRun(scene);
    expect(contentOf(scene.data)).toEqual(contentOf(adopted.data));
  });

  it('with a hole is filled from the lake, and what lies behind the hole is taken over row by row', async () => {
    const scene = oldScene('aligned');
    scene.lose('pas-backup');
    rmSync(join(chainOf(scene), 'ledgers_lcm_raw/range=64010-64019'), { recursive: true });
    await expectRun(scene);
    expect(attestedIn(chainOf(scene))).toEqual(OLD_LABELS);
    expect(await expectVerified(scene)).toEqual([1, 2]);
    const old = parquetHashes(join(SHARED, 'old-estate/aligned/data/bronze/pubnet/pre_p23/v1'));
    const now = parquetHashes(chainOf(scene));
    expect(Object.keys(old).filter((name) => now[name] === old[name])).toHaveLength(2);
  });

  const kills: [KillPoint, number][] = [
    // `_bronze.json` is just there.
    ['create:after-link', 1],
    // The old events are kept, and their head is about to be.
    ['copies:before-rename', 1],
    // Attested, and the old event still in the place of the copy.
    ['commit:after-attest', 1],
    // The copy has replaced it; the heads are the old ones.
    ['copies:after-rename', 2],
  ];
  it.each(kills)(
    'killed at %s (%i) while it is adopted loses nothing, and is adopted by the next run',
    async (at, hit) => {
      const scene = oldScene('aligned');
      const killed = await run(scene, { BRONZE_KILL_AT: `${at}#${hit}` });
      expect(killed.signal, killed.stdout + killed.stderr).toBe('SIGKILL');
      expectNothingLost(scene);
      if (hit === 1) scene.lose('state');
      await expectRun(scene);
      expectNothingLost(scene);
      const kept = Object.entries(contentOf(scene.data)).filter(([path]) => !path.includes('_staging/'));
      expect(Object.fromEntries(kept)).toEqual(contentOf(adopted.data));
      expect(contentOf(scene.backup)).toEqual(contentOf(adopted.backup));
    },
  );
});

describeShared('S28: an estate of the old program whose grid began at its ledger_start', () => {
  it('is refused with the origin that fits; with it, it is adopted and gone on with', async () => {
    const scene = oldScene('unaligned');
    const before = [filesIn(scene.data), filesIn(scene.backup)];
    const outcome = await expectRefused(scene, 'BRONZE_MISMATCH');
    expect(outcome.stderr).toContain('its grid began at its ledger_start, 64003; set partition_origin: 3');
    for (const words of [['plan'], ['status'], ['validate', '--online']]) {
      const said = await scene.command(...words, '--config', 'config.yaml');
      expect(said.code).toBe(1);
      expect(said.stdout + said.stderr).toContain('set partition_origin: 3');
    }
    expect([filesIn(scene.data), filesIn(scene.backup)]).toEqual(before);

    const config = join(scene.root, 'config.yaml');
    const text = readFileSync(config, 'utf8');
    writeFileSync(config, text.replace('partition_size: 10', 'partition_size: 10\n  partition_origin: 3'));
    await expectRun(scene);
    expect(attestedIn(chainOf(scene))).toEqual(['64003-64012', '64013-64019']);
    expectNothingLost(scene, 'unaligned');
    expect(await expectVerified(scene)).toEqual([1]);
    await expectRun(scene, { LEDGER_END: '64040' });
    expect(attestedIn(chainOf(scene)).slice(2)).toEqual(['64020-64022', '64023-64032', '64033-64040']);
    expectNothingLost(scene, 'unaligned');
    expect(await expectVerified(scene)).toEqual([1, 2]);
    const done = filesIn(scene.data);
    await expectRun(scene, { LEDGER_END: '64040' });
    expect(filesIn(scene.data)).toEqual(done);
  });
});
