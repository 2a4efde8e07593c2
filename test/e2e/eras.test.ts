/** Eras that do not link (S33), and eras that fail beside others that do not (S27). */
import { describe, expect, it } from 'vitest';
import { attestedIn, grid, sealedIn } from '../support/estate.ts';
import { makeLake, sampleEra, sampleScene } from '../support/lakes.ts';
import { Scene } from '../support/program.ts';
import { expectVerified } from '../support/settled.ts';
import { describeShared } from '../support/shared.ts';

describeShared('S33: two eras that do not link', () => {
  const era = (era_id: string, ledger_start: number, ledger_end: number) => ({
    era_id,
    version_label: 'v1',
    network: 'pubnet',
    ledger_start,
    ledger_end,
    partition_size: 10,
  });
  const eras = [era('one', 3, 32), era('two', 33, 62)];
  const good = () => makeLake({ start: 3, count: 60 }).path;
  const forked = () => makeLake({ start: 3, count: 60, defects: { fork: [33] } }).path;

  it.each([
    ['the second a month before the first', 'two', 'one', '30-32'],
    ['the first a month before the second', 'one', 'two', '33-39'],
  ])('%s: found by the later one, not attested, exit 1', async (_, early, late, broken) => {
    const scene = new Scene(forked(), eras);
    expect((await scene.run({ args: ['--eras', early] })).code).toBe(0);
    // Each of the two lakes is sound in itself, and of the network.
    const outcome = await scene.run({
      args: ['--eras', late],
      settings: { source: { local_path: late === 'one' ? good() : forked() } },
    });
    expect(outcome.code).toBe(1);
    expect(outcome.summary?.eras[0]?.error).toMatchObject({ code: 'ERA_LINK_BROKEN', ledger: 33 });
    expect(outcome.stderr).toContain('pubnet/one/v1');
    expect(outcome.stderr).toContain('pubnet/two/v1');
    expect(attestedIn(scene.chain('pubnet', early))).toHaveLength(4);
    expect(attestedIn(scene.chain('pubnet', late))).not.toContain(broken);
    expect(sealedIn(scene.chain('pubnet', late))).not.toContain(broken);
  });

  it('both in one run: at least one of the two is not attested at the border', async () => {
    const scene = new Scene(forked(), eras);
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    const errors = outcome.summary?.eras.flatMap(({ error }) => (error ? [error.code] : []));
    expect(new Set(errors)).toEqual(new Set(['ERA_LINK_BROKEN']));
    const border = [
      attestedIn(scene.chain('pubnet', 'one')).includes('30-32'),
      attestedIn(scene.chain('pubnet', 'two')).includes('33-39'),
    ];
    expect(border).toContain(false);
  });

  it('the same eras of one lake link, whichever comes first', async () => {
    const scene = new Scene(good(), eras);
    expect((await scene.run({ args: ['--eras', 'two'] })).code).toBe(0);
    expect((await scene.run({ args: ['--eras', 'one'] })).code).toBe(0);
    await expectVerified(scene);
  });
});

describe('S27: two eras at once, one of them failing', () => {
  it('the other finishes; exit 1; mended, both are done', async () => {
    const eras = [
      sampleEra({ era_id: 'pre_p23', ledger_end: 63, protocol_max: 21 }),
      sampleEra({ era_id: 'p23_plus', ledger_start: 64 }),
    ];
    const scene = await sampleScene(eras);
    const outcome = await scene.run();
    expect(outcome.code).toBe(1);
    expect(outcome.summary).toMatchObject({
      status: 'failed',
      eras: [
        { era_id: 'pre_p23', status: 'failed', next_ledger: 2, error: { code: 'PROTOCOL_GUARD' } },
        { era_id: 'p23_plus', status: 'done', next_ledger: 128, error: null },
      ],
    });
    expect(sealedIn(scene.chain('sample', 'p23_plus'))).toEqual(grid(64, 127, 10));
    scene.change({ eras: [sampleEra({ era_id: 'pre_p23', ledger_end: 63, protocol_max: 22 }), eras[1]] });
    expect((await scene.run()).code).toBe(0);
    await expectVerified(scene);
  });

  it('eras that are not neighbours do not have to link', async () => {
    const scene = await sampleScene([
      sampleEra({ era_id: 'a', ledger_end: 30 }),
      sampleEra({ era_id: 'b', ledger_start: 40, ledger_end: 60 }),
    ]);
    expect((await scene.run()).code).toBe(0);
    await expectVerified(scene);
  });
});
