/**
 * Whose word a history is: every signature of a validator is verified before a partition is published and when it is read
 * back, and who signed stands in manifests and events. Real ledgers of testnet and pubnet, and histories forged of them.
 */
import { rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { attestedIn, dataFile, eventFile, manifestFile, readJson, sealedIn } from '../support/estate.ts';
import { ARCHIVE, archiveLedgers, forge, forgersKey, lakeOf } from '../support/forged.ts';
import { makeLake, PUBNET, SMALL } from '../support/lakes.ts';
import { Scene, type Settings } from '../support/program.ts';
import { describeShared } from '../support/shared.ts';

/** The Stellar Development Foundation's three on testnet. */
const SDF = [
  'GC2V2EFSXN6SQTWVYA5EPJPBWWIMSD2XQNKUOHGEKB535AQE2I6IXV2Z',
  'GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y',
  'GCUCJTIYXSOXKBSNFGNFWW5MUQ54HKRPGJUTQFJ5RQXZXNOLNXYDHRAP',
];

const era = (ledger_start: number, ledger_end: number, over: Settings = {}): Settings => ({
  era_id: 'e',
  version_label: 'v1',
  network: 'testnet',
  ledger_start,
  ledger_end,
  partition_size: 100,
  ...over,
});

interface Ends {
  readonly ledgers: { readonly signers?: Record<string, number> };
  readonly checks: Record<string, boolean>;
}
const chainOf = (scene: Scene): string => scene.chain('testnet', 'e');
const manifests = (scene: Scene): Ends[] =>
  sealedIn(chainOf(scene)).map((label) => readJson(manifestFile(chainOf(scene), label)));

describeShared('S41: ledgers of testnet, signed by its validators', () => {
  let all: Buffer[];
  beforeAll(() => {
    all = archiveLedgers();
  });
  const cut = (from: number, to: number): Buffer[] => all.slice(from - ARCHIVE.first, to + 1 - ARCHIVE.first);

  it('are copied with all 10,046 signatures verified, and verify counts them', async () => {
    const scene = new Scene(lakeOf(all), era(2, ARCHIVE.last, { partition_size: 2_000 }));
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    const counts = manifests(scene).map(({ ledgers }) => ledgers.signers ?? {});
    expect(new Set(counts.flatMap(Object.keys))).toEqual(new Set(SDF));
    const sum = counts.flatMap((of) => Object.values(of)).reduce((a, b) => a + b, 0);
    expect(sum).toBe(10_046);
    expect(manifests(scene).every(({ checks }) => checks.signatures)).toBe(true);
    const verdict = await scene.verify('--json');
    expect(verdict.code, said(verdict)).toBe(0);
    const [chain] = JSON.parse(verdict.stdout).chains;
    expect(Object.values(chain.signers as Record<string, number>).reduce((a, b) => a + b, 0)).toBe(10_046);
  });

  it('forged from 5000 on with the old signatures are refused at 5001', async () => {
    const history = forge(cut(4_900, 5_100), { first: 4_900, from: 5_000 });
    const scene = new Scene(lakeOf(history, 4_900), era(4_900, 5_100));
    const run = await scene.run();
    expect(run.code, said(run)).toBe(1);
    expect(run.summary?.eras[0]?.error).toMatchObject({ code: 'SIGNATURE_INVALID', ledger: 5_001 });
    expect(sealedIn(chainOf(scene))).toEqual(['4900-4999']);
  });

  it('forged and signed anew by the forger are a chain, and his key stands in it', async () => {
    const history = forge(cut(4_900, 5_099), { first: 4_900, from: 5_000, forger: 'mallory' });
    const scene = new Scene(lakeOf(history, 4_900), era(4_900, 5_099));
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    const [before, after] = manifests(scene).map(({ ledgers }) => ledgers.signers ?? {});
    expect(Object.keys(before ?? {}).sort()).toEqual([...SDF].sort());
    expect(after).toEqual({ [forgersKey('mallory').text]: 100 });
  });

  it('copied unseen are found by verify, which can be told not to look', async () => {
    const history = forge(cut(4_900, 5_099), { first: 4_900, from: 5_000 });
    const scene = new Scene(lakeOf(history, 4_900), era(4_900, 5_099), { checks: { signatures: 'off' } });
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    expect(manifests(scene).map(({ checks, ledgers }) => [checks.signatures, ledgers.signers])).toEqual([
      [false, undefined],
      [false, undefined],
    ]);
    const verdict = await scene.command('verify', scene.data, '--json');
    expect(verdict.code, said(verdict)).toBe(3);
    expect(JSON.parse(verdict.stdout).findings).toMatchObject([
      { code: 'SIGNATURE_INVALID', ledger: 5_001, check: 'signature' },
    ]);
    const blind = await scene.command('verify', scene.data, '--signatures', 'off');
    expect(blind.code, said(blind)).toBe(0);
    expect(blind.stdout).toContain('signatures not looked at');
    const asConfigured = await scene.command('verify', '--config', scene.config());
    expect(asConfigured.code, said(asConfigured)).toBe(0);
    const unknown = await scene.command('verify', scene.data, '--signatures', 'some');
    expect(unknown.code).toBe(2);
  });

  it('are sealed again as they were attested, whatever is looked at now', async () => {
    const lake = lakeOf(cut(4_900, 5_099), 4_900);
    for (const [then, now] of [
      ['all', 'off'],
      ['off', 'all'],
    ]) {
      const scene = new Scene(lake, era(4_900, 5_099), { checks: { signatures: then as string } });
      expect((await scene.run()).code).toBe(0);
      const manifest = manifestFile(chainOf(scene), '4900-4999');
      const before = readJson(manifest);
      rmSync(manifest);
      scene.change({ checks: { signatures: now as string } });
      const run = await scene.run();
      expect(run.code, said(run)).toBe(0);
      expect(readJson(manifest)).toEqual(before);
      const verdict = await scene.verify();
      expect(verdict.code, said(verdict)).toBe(0);
      // And the data as well, built anew from the lake.
      rmSync(dirname(dataFile(chainOf(scene), '4900-4999')), { recursive: true });
      const again = await scene.run();
      expect(again.code, said(again)).toBe(0);
      expect(readJson(manifest)).toEqual(before);
    }
  });

  it('go on where an estate of before has said nothing of signatures', async () => {
    const lake = lakeOf(cut(4_900, 5_099), 4_900);
    const scene = new Scene(lake, era(4_900, 4_999), { checks: { signatures: 'off' } });
    expect((await scene.run()).code).toBe(0);
    scene.change({ eras: [era(4_900, 5_099)], checks: { signatures: 'all' } });
    const run = await scene.run();
    expect(run.code, said(run)).toBe(0);
    expect(manifests(scene).map(({ ledgers }) => ledgers.signers === undefined)).toEqual([true, false]);
    expect(attestedIn(chainOf(scene))).toHaveLength(2);
    const events = [0, 1].map((sequence) => readJson(eventFile(chainOf(scene), sequence)) as Ends);
    expect(events.map(({ ledgers }) => ledgers.signers === undefined)).toEqual([true, false]);
    const verdict = await scene.verify();
    expect(verdict.code, said(verdict)).toBe(0);
  });
});

describeShared('made lakes', () => {
  it('one false signature among good ones refuses its partition', async () => {
    const lake = makeLake({ start: 1_000, count: 30, templates: SMALL, badSignatures: [1_015] });
    const scene = new Scene(lake.path, era(1_000, 1_029, { network: 'pubnet', partition_size: 10 }));
    const run = await scene.run();
    expect(run.code, said(run)).toBe(1);
    expect(run.summary?.eras[0]?.error).toMatchObject({ code: 'SIGNATURE_INVALID', ledger: 1_015 });
  });

  it('real ledgers that were re-numbered carry signatures that are false', async () => {
    const lake = makeLake({ start: 63_000_000, count: 10, templates: PUBNET, sign: 0 });
    const scene = new Scene(lake.path, era(63_000_000, 63_000_009, { network: 'pubnet', partition_size: 10 }));
    const run = await scene.run();
    expect(run.code, said(run)).toBe(1);
    expect(run.summary?.eras[0]?.error).toMatchObject({ code: 'SIGNATURE_INVALID', ledger: 63_000_000 });
  });
});
