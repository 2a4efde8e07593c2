/** Configurations against what is there: changed ones (S15), ranges at the edges (S24), mistakes (S25). */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { attestedIn, filesIn, grid, namesIn, partitionsOf, readJson, sealedIn } from '../support/estate.ts';
import { makeLake, SAMPLE_SOURCE, SMALL, sampleEra, sampleLake, sampleScene } from '../support/lakes.ts';
import { Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { describeShared } from '../support/shared.ts';

const chainOf = (scene: Scene): string => scene.chain('sample', 'whole');

describe('S15: a configuration changed on an existing estate', () => {
  let estate: Scene;
  beforeAll(async () => {
    estate = await sampleScene(sampleEra({ ledger_end: 25 }));
    expect((await estate.run()).code).toBe(0);
    expect(sealedIn(chainOf(estate))).toEqual(['2-9', '10-19', '20-25']);
  });

  it.each([
    ['partition_size', { partition_size: 20 }, 'partition_size: stored 10, configured 20'],
    ['partition_origin', { partition_origin: 2 }, 'partition_origin: stored 0, configured 2'],
    ['ledger_start', { ledger_start: 12 }, 'ledger_start: stored 2, configured 12'],
  ])('%s: refused with the difference named', async (key, change, difference) => {
    const scene = estate.copy();
    const before = filesIn(scene.data);
    scene.change({ eras: [sampleEra({ ledger_end: 49, ...change })] });
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'BRONZE_MISMATCH', check: key, found: difference });
    expect(outcome.stderr).toContain(difference);
    expect(outcome.stderr).toContain('version_label');
    expect(filesIn(scene.data)).toEqual(before);
    const online = await scene.start('validate', { args: ['--online'] }).done;
    expect(online.code).toBe(1);
    expect(online.stderr).toContain(difference);
  });

  it('several differences are named together; another version_label lies beside', async () => {
    const scene = estate.copy();
    const changed = sampleEra({ ledger_end: 49, partition_size: 7, partition_origin: 3 });
    const { stderr } = await scene.run({ settings: { eras: [changed] } });
    expect(stderr).toContain('partition_size: stored 10, configured 7; partition_origin: stored 0, configured 3');
    expect((await scene.run({ settings: { eras: [{ ...changed, version_label: 'v2' }] } })).code).toBe(0);
    expect(sealedIn(scene.chain('sample', 'whole', 'v2'))).toEqual(grid(2, 49, 7, 3));
    await expectVerified(scene);
  });

  it('ledger_end raised off the grid goes on after the clipped partition', async () => {
    const scene = estate.copy();
    const before = filesIn(chainOf(scene));
    scene.change({ eras: [sampleEra({ ledger_end: 43 })] });
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(['2-9', '10-19', '20-25', '26-29', '30-39', '40-43']);
    scene.change({ eras: [sampleEra({ ledger_end: 44 })] });
    expect((await scene.run()).code).toBe(0);
    expect(attestedIn(chainOf(scene)).slice(-2)).toEqual(['40-43', '44-44']);
    expect(filesIn(chainOf(scene))).toMatchObject(before);
    await expectVerified(scene);
  });

  it('ledger_end raised before any partition fills a cell is no other grid to verify', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 12 }));
    expect((await scene.run()).code).toBe(0);
    scene.change({ eras: [sampleEra({ ledger_end: 15 })] });
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(['2-9', '10-12', '13-15']);
    await expectVerified(scene);
  });

  it('ledger_end lowered: nothing is lost, nothing is done', async () => {
    const scene = estate.copy();
    const before = filesIn(scene.data);
    scene.change({ eras: [sampleEra({ ledger_end: 19 })] });
    expect((await scene.run()).code).toBe(0);
    expect(filesIn(scene.data)).toEqual(before);
  });

  it('an era boundary inside the grid clips both eras', async () => {
    const eras = [
      sampleEra({ era_id: 'pre_p23', ledger_end: 63, protocol_max: 22 }),
      sampleEra({ era_id: 'p23_plus', ledger_start: 64, protocol_min: 23 }),
    ];
    const scene = await sampleScene(eras);
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(scene.chain('sample', 'pre_p23'))).toEqual(grid(2, 63, 10));
    expect(sealedIn(scene.chain('sample', 'p23_plus'))).toEqual(grid(64, 127, 10));
    const verified = await scene.verify('--json');
    expect(verified.code, verified.stdout).toBe(0);
    expect(JSON.parse(verified.stdout).chains).toHaveLength(2);
  });

  it.each([
    ['protocol_max', { protocol_max: 22 }, 64, grid(2, 59, 10), '23'],
    ['protocol_min', { protocol_min: 23 }, 2, [], '22'],
  ])('a ledger outside %s stops the era there', async (_, guard, ledger, sealed, found) => {
    const scene = await sampleScene(sampleEra(guard));
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'PROTOCOL_GUARD', ledger });
    expect(String(outcome.summary?.eras[0]?.error?.found)).toContain(found);
    expect(partitionsOf(chainOf(scene)).map(({ label }) => label)).toEqual(sealed);
  });

  it('a first try with a wrong configuration fixes nothing', async () => {
    const scene = await sampleScene(sampleEra({ partition_size: 7 }), { source: { local_path: '/nowhere' } });
    expect((await scene.run()).code).toBe(1);
    expect(namesIn(scene.data).filter((name) => name.endsWith('_bronze.json'))).toEqual([]);
    scene.change({ source: { local_path: (await sampleLake()).path }, eras: [sampleEra({ ledger_end: 19 })] });
    expect((await scene.run()).code).toBe(0);
  });
});

describe('S24: ranges at the edges', () => {
  it.each([0, 1, 2])('ledger_start %i begins at ledger 2', async (ledger_start) => {
    const scene = await sampleScene(sampleEra({ ledger_start, ledger_end: 19 }));
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(['2-9', '10-19']);
    expect(readJson(chainOf(scene), '_bronze.json').ledger_start).toBe(2);
  });

  it('partition_size 1', async () => {
    const scene = await sampleScene(sampleEra({ ledger_end: 20, partition_size: 1 }));
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(grid(2, 20, 1));
    await expectVerified(scene);
  });

  it('the largest partition_size, one partition for the whole era', async () => {
    const scene = await sampleScene(sampleEra({ partition_size: 4294967295 }));
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(['2-127']);
    await expectVerified(scene);
  });

  it('an era of one ledger, and an origin inside the era', async () => {
    const scene = await sampleScene(sampleEra({ ledger_start: 77, ledger_end: 77, partition_origin: 5 }));
    expect((await scene.run()).code).toBe(0);
    expect(sealedIn(chainOf(scene))).toEqual(['77-77']);
    const other = await sampleScene(sampleEra({ ledger_start: 8, ledger_end: 31, partition_origin: 5 }));
    expect((await other.run()).code).toBe(0);
    expect(sealedIn(chainOf(other))).toEqual(['8-14', '15-24', '25-31']);
  });

  it('an era up to ledger 4294967295 that the lake does not have is a gap', async () => {
    const scene = await sampleScene(
      sampleEra({ ledger_start: 4294967290, ledger_end: 4294967295, partition_size: 1000 }),
    );
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'LEDGER_MISSING', ledger: 4294967290 });
  });
});

describeShared('S24: the last ledgers there can be', () => {
  it('up to 4294967295: right, and finished', async () => {
    const { path, expected } = makeLake({ start: 4294967270, count: 26, templates: SMALL, perPartition: 1 });
    const scene = new Scene(path, {
      era_id: 'last',
      version_label: 'v1',
      network: 'pubnet',
      ledger_start: 4294967270,
      ledger_end: 4294967295,
      partition_size: 10,
    });
    const outcome = await scene.run();
    expect(outcome.code, outcome.stderr).toBe(0);
    expect(outcome.summary?.eras[0]).toMatchObject({ ledgers: expected.length, status: 'done' });
    expect(sealedIn(scene.chain('pubnet', 'last'))).toEqual([
      '4294967270-4294967279',
      '4294967280-4294967289',
      '4294967290-4294967295',
    ]);
    await expectVerified(scene);
    expect((await scene.run()).code).toBe(0);
  });
});

describe('S25: mistakes in the configuration', () => {
  it.each([
    ['an unknown key', (text: string) => `${text}sorce: {}\n`, /bronze\.yaml:\d+:1: sorce:.*nearest: source/],
    [
      '10k',
      (text: string) => text.replace('partition_size: 10', 'partition_size: 10k'),
      /:8:\d+: eras\[0\]\.partition_size/,
    ],
    ['1e6', (text: string) => text.replace('ledger_end: 127', 'ledger_end: 1e6'), /:7:\d+: eras\[0\]\.ledger_end/],
    ['a wrong type', (text: string) => `${text}pas: yes please\n`, /:\d+:\d+: pas:/],
    ['an empty file', () => '', /bronze\.yaml/],
    ['two documents', (text: string) => `${text}---\n${text}`, /bronze\.yaml:\d+/],
    ['an end before its start', (text: string) => text.replace('ledger_end: 127', 'ledger_end: 1'), /ledger_end/],
    ['not YAML', () => 'eras: [', /bronze\.yaml:\d+/],
  ])('%s: exit 2 for validate and run, with file, line and key', async (_, change, shown) => {
    const scene = await sampleScene();
    const text = [
      'eras:',
      '  -',
      '    era_id: whole',
      '    version_label: v1',
      '    network: sample',
      '    ledger_start: 2',
      '    ledger_end: 127',
      '    partition_size: 10',
      'source:',
      `  local_path: ${JSON.stringify((await sampleLake()).path)}`,
      `  network_passphrase: ${JSON.stringify(SAMPLE_SOURCE.network_passphrase)}`,
      '',
    ].join('\n');
    const file = join(scene.root, 'bronze.yaml');
    writeFileSync(file, text);
    expect((await scene.command('validate', '--config', file)).code).toBe(0);
    writeFileSync(file, change(text));
    for (const command of ['validate', 'run'] as const) {
      const outcome = await scene.command(command, '--config', file);
      expect(outcome.code, `${command}: ${outcome.stdout}${outcome.stderr}`).toBe(2);
      expect(outcome.stderr).toMatch(shown);
    }
    expect(namesIn(scene.root)).toEqual(['bronze.yaml']);
  });
});
