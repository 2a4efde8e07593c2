// Several damages at once: as many differences, what is brought back the same way said once, and no copy believed.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { eventHash } from '../../actors/bronze/event.ts';
import { manifestKey } from '../../actors/bronze/names.ts';
import { compare } from '../../actors/reconcile/compare.ts';
import { CHAIN, TABLE, tempFolder } from '../support/bronze.ts';
import {
  at,
  change,
  copyOf,
  copyPath,
  gathered,
  key,
  lose,
  pathOf,
  RANGES,
  type Scene,
  sceneIn,
  wholeScene,
} from '../support/compared.ts';

let whole: Scene;

beforeAll(async () => {
  whole = await wholeScene();
});

const copy = (): Scene => copyOf(whole);

describe('several damages are as many differences', () => {
  const kindsOf = async (scene: Scene) =>
    compare(await gathered(scene)).map(({ kind, sequence, range, repairable }) => ({
      kind,
      at: sequence ?? RANGES.findIndex((other) => other.start === range?.start),
      repairable,
    }));
  const otherSource = (scene: Scene, n: number) =>
    change(pathOf(scene, manifestKey(CHAIN, TABLE, at(n))), 'file:///lake/', 'file:///kale/');

  it('an event and its manifest: the event comes from its copy, and shows the manifest up', async () => {
    const scene = copy();
    lose(scene, key(2));
    otherSource(scene, 2);
    expect(await kindsOf(scene)).toEqual([
      { kind: 'manifest.other', at: 2, repairable: 'copy' },
      { kind: 'event.missing', at: 2, repairable: 'reconcile' },
    ]);
  });

  it('many events, from manifests and from copies, and one that nothing gives', async () => {
    const scene = copy();
    for (const n of [0, 1, 2, 4]) lose(scene, key(n));
    otherSource(scene, 1);
    // 0 and 4 follow from manifests, 1 and 2 come from copies; what is brought back the same way is said once.
    expect((await kindsOf(scene)).filter(({ kind }) => kind === 'event.missing')).toEqual(
      [0, 1, 4].map((n) => ({ kind: 'event.missing', at: n, repairable: 'reconcile' })),
    );
    rmSync(copyPath(scene, 1));
    rmSync(copyPath(scene, 0));
    expect((await kindsOf(scene)).filter(({ kind }) => kind === 'event.missing')).toEqual([
      { kind: 'event.missing', at: 0, repairable: 'no' },
      { kind: 'event.missing', at: 2, repairable: 'reconcile' },
      { kind: 'event.missing', at: 4, repairable: 'reconcile' },
    ]);
  });

  it('a copy is never believed for anything but its hash', async () => {
    const scene = copy();
    lose(scene, key(2));
    otherSource(scene, 2);
    const forged = JSON.parse(readFileSync(copyPath(scene, 2), 'utf8'));
    forged.timestamp = '2026-01-02T03:04:06Z';
    forged.chain.event_hash = eventHash(forged);
    writeFileSync(copyPath(scene, 2), JSON.stringify(forged));
    expect((await kindsOf(scene)).filter(({ kind }) => kind.startsWith('event'))).toEqual([
      { kind: 'event.missing', at: 2, repairable: 'no' },
    ]);
  });

  it('a lost end whose copy says something else than the manifest is left alone', async () => {
    const scene = copy();
    lose(scene, key(5));
    otherSource(scene, 5);
    expect(await kindsOf(scene)).toEqual([{ kind: 'event.missing', at: 5, repairable: 'copy' }]);
  });

  it('S29: of an empty place nothing differs, and of a state folder that is lost only what is in it', async () => {
    const empty = sceneIn(tempFolder());
    empty.rows = [];
    expect(compare(await gathered(empty))).toEqual([]);
    const bereft = copy();
    rmSync(bereft.state, { recursive: true });
    rmSync(bereft.backup, { recursive: true });
    expect((await kindsOf(bereft)).map(({ kind }) => kind)).toEqual(['copy.missing', 'checkpoint.missing']);
  });

  it('storage that was moved is one difference of the catalog', async () => {
    const scene = copy();
    scene.rows = whole.rows;
    expect(compare(await gathered(scene))).toMatchObject([{ kind: 'row.moved', range: { start: 2, end: 61 } }]);
  });
});
