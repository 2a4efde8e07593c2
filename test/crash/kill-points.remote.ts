/**
 * The real program with its Bronze in a bucket, killed at every kill point and started again, with and without its state
 * folder (S5, S14, S29): the outcome is that of a run that nothing disturbed. Where the state folder was kept, no upload
 * and no staging object is left.
 */
import { beforeAll, expect, it } from 'vitest';
import { KILL_POINTS, type KillPoint } from '../../actors/kill-points.ts';
import { type Cut, expectDone, newCopier, said, undisturbed } from '../support/copier.ts';
import { everything, expectNothingHalfVisible, expectWhole, type Reference } from '../support/outcome.ts';
import { type RemoteKind, type RemoteScene, remoteScene } from '../support/remote-scene.ts';

// Partitions 56-63 and 64-71, of two eras. One thread, so that hits in threads are counted in one place.
const CUT: Cut = { start: 56, end: 71, size: 8 };
const SETTINGS = { perf: { threads: 1 } };

/** Each test starts the program five times, and several tests run at once. */
const PATIENCE_MS = 180_000;

/** Places that only a local disk has: folders to make, names to remove. */
const LOCAL_ONLY: readonly KillPoint[] = [
  'folder:after-mkdir',
  'publish:after-fsync',
  'create:after-unlink',
  'create:after-fsync',
];
/** Reached only by a run that finds a dead holder's lock, or what a dead run had staged. */
const RECOVERY_ONLY: readonly KillPoint[] = ['lock:after-claim', 'lock:after-takeover', 'sweep:before-unlink'];

/** What leaves something for a sweep to find differs: an unfinished upload of GCS is seen by nobody. */
export interface KilledTwice {
  readonly sweepAfter: string;
}

/** The suite on one place; call it within `describe`. */
export function killedEverywhere(kindOf: () => RemoteKind, { sweepAfter }: KilledTwice): void {
  let reference: Reference;
  beforeAll(async () => {
    reference = await undisturbed(await newCopier(CUT, SETTINGS));
  });

  const fresh = async (): Promise<RemoteScene> => remoteScene(kindOf(), await newCopier(CUT, SETTINGS));

  async function killedAt(scene: RemoteScene, at: string): Promise<void> {
    const run = await scene.run({ env: { BRONZE_KILL_AT: at } });
    expect(run.signal, `${at} was never reached: ${said(run)}`).toBe('SIGKILL');
    expectNothingHalfVisible(await scene.look(), reference);
  }

  /** `proof`: also `verify`, and one more run. Elsewhere the same bytes are compared with those that were verified. */
  async function expectRecovered(scene: RemoteScene, kept: boolean, proof: boolean): Promise<void> {
    await expectDone(scene);
    expectWhole(await scene.look(), reference, { kept });
    if (kept) expect(await scene.leftovers()).toEqual([]);
    if (!proof) return;
    const verdict = await scene.verify('--json');
    expect(verdict.code, said(verdict)).toBe(0);
    expect(JSON.parse(verdict.stdout)).toMatchObject({ ok: true, findings: [] });
    // One more run leaves everything alone.
    const before = everything(scene);
    await expectDone(scene);
    expect(everything(await scene.look())).toEqual(before);
  }

  const reached = KILL_POINTS.filter((at) => !RECOVERY_ONLY.includes(at) && !LOCAL_ONLY.includes(at));

  it.concurrent.each(reached)(
    '%s',
    async (at) => {
      const scene = await fresh();
      await killedAt(scene, at);
      await expectRecovered(scene, true, at.startsWith('commit:'));
    },
    PATIENCE_MS,
  );

  it.concurrent.each(reached.filter((at) => !/^(lock|journal|checkpoint|copies)/.test(at)))(
    '%s, and the state folder is lost',
    async (at) => {
      const scene = await fresh();
      await killedAt(scene, at);
      scene.lose('state', 'pas-backup');
      await expectRecovered(scene, false, at === 'commit:after-seal');
    },
    PATIENCE_MS,
  );

  it.concurrent.each([
    ['journal:after-rename', 'lock:after-claim'],
    ['journal:after-rename', 'lock:after-takeover'],
    [sweepAfter, 'sweep:before-unlink'],
    ['staging:finished#2', 'sweep:before-unlink'],
    ['commit:after-publish#2', 'publish:before-link'],
    ['commit:after-seal#2', 'commit:before-attest'],
  ])(
    '%s, then %s',
    async (first, second) => {
      const scene = await fresh();
      await killedAt(scene, first);
      await killedAt(scene, second);
      await expectRecovered(scene, true, false);
    },
    PATIENCE_MS,
  );
}
