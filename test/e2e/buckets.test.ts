// The main job between any two places: a lake on a disk, on Ceph or in the double of GCS, to Bronze on any of the three
// (S26, S29). The same bytes everywhere; found finished when run again, also without the state folder.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Cut, expectDone, newCopier, said, undisturbed } from '../support/copier.ts';
import { readJson } from '../support/estate.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { sampleLake } from '../support/lakes.ts';
import { everything, expectWhole, type Reference } from '../support/outcome.ts';
import { merge, type Scene, type Settings } from '../support/program.ts';
import {
  environmentFor,
  lakeIn,
  type RemoteKind,
  RemoteScene,
  remoteScene,
  sourceIn,
} from '../support/remote-scene.ts';
import { describeServer } from '../support/servers.ts';

// Two eras of three partitions each, and ledgers of both kinds.
const CUT: Cut = { start: 43, end: 85, size: 8 };
const PLACES = ['local', 's3', 'gcs'] as const;
type Where = (typeof PLACES)[number];

describeServer('ceph', 'and the double of GCS, and a local disk', (server) => {
  let double: GcsDouble;
  let reference: Reference;
  const lakes = new Map<RemoteKind['protocol'], string>();
  const kinds = (): Record<'s3' | 'gcs', RemoteKind> => ({
    s3: { protocol: 's3', server },
    gcs: { protocol: 'gcs', double },
  });

  beforeAll(async () => {
    double = await startGcsDouble();
    reference = await undisturbed(await newCopier(CUT));
    const { path } = await sampleLake();
    for (const protocol of ['s3', 'gcs'] as const) {
      lakes.set(protocol, (await lakeIn(kinds()[protocol], path)).name);
    }
  });
  afterAll(() => double.close());

  async function sceneOf(from: Where, to: Where): Promise<Scene> {
    const scene = await newCopier(CUT);
    if (from !== 'local') {
      scene.change({ source: sourceIn(kinds()[from], lakes.get(from) as string) });
      Object.assign(scene.environment, environmentFor(kinds()[from]));
    }
    return to === 'local' ? scene : remoteScene(kinds()[to], scene);
  }

  interface Planned {
    readonly eras: readonly { readonly source_objects: number; readonly requests: number }[];
    readonly store_enforces: { readonly create: boolean; readonly publish: boolean } | null;
  }

  async function planOf(scene: Scene): Promise<Planned> {
    const plan = await scene.start('plan', { args: ['--json'] }).done;
    expect(plan.code, said(plan)).toBe(0);
    return JSON.parse(plan.stdout) as Planned;
  }

  const look = async (scene: Scene): Promise<Scene> => (scene instanceof RemoteScene ? scene.look() : scene);

  describe.each(PLACES)('a lake: %s', (from) => {
    it.each(PLACES)('Bronze: %s', async (to) => {
      const scene = await sceneOf(from, to);
      const planned = await planOf(scene);
      expect(planned.eras.map(({ source_objects, requests }) => [source_objects, requests])).toEqual([
        [21, 21],
        [22, 22],
      ]);
      // It touched nothing, and so does not know yet what a store that speaks S3 enforces.
      if (scene instanceof RemoteScene) expect(await scene.bucket.list()).toEqual([]);
      expect(planned.store_enforces).toEqual(to === 's3' ? null : { create: true, publish: true });
      await expectDone(scene);
      if (to === 's3') expect((await planOf(scene)).store_enforces).toEqual({ create: true, publish: false });
      // Manifests name their source: the only thing in Bronze that differs from place to place.
      const source = readJson(
        (await look(scene)).bronze,
        'sample/before/v1/ledgers_lcm_raw/range=43-47/_manifest.json',
      );
      const scheme = { local: 'file://', s3: 's3://', gcs: 'gs://' }[from];
      expect(source.source.startsWith(scheme), source.source).toBe(true);
      const from_ = { ...reference, documents: {} };
      for (const [path, document] of Object.entries(reference.documents)) {
        const named = path.endsWith('_manifest.json')
          ? merge(document as Settings, { source: source.source })
          : document;
        Object.assign(from_.documents, { [path]: named });
      }
      expectWhole(scene, from_, { kept: true });
      if (scene instanceof RemoteScene) {
        expect(await scene.leftovers()).toEqual([]);
        if (to === 's3') {
          const size = source.tables.ledgers_lcm_raw.byte_size;
          expect(source.parts.reduce((sum: number, part: { size: number }) => sum + part.size, 0)).toBe(size);
        }
      }
      const verdict = await scene.verify('--json');
      expect(verdict.code, said(verdict)).toBe(0);
      expect(JSON.parse(verdict.stdout)).toMatchObject({ ok: true, findings: [] });
      const status = await scene.start('status', { args: ['--json'] }).done;
      expect(status.code, said(status)).toBe(0);
      for (const lose of [[], ['state', 'pas-backup']]) {
        scene.lose(...lose);
        const { bronze } = everything(scene);
        expect(await expectDone(scene)).toMatchObject({ built: 0 });
        expect(everything(await look(scene)).bronze).toEqual(bronze);
      }
    });
  });
});
