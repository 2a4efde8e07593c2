/**
 * The real program with its Bronze in a bucket, killed at every kill point that its store has a part in, and started
 * again, with and without its state folder (S5, S14, S29): the outcome is that of a run that nothing disturbed. Where the
 * state folder was kept, no upload and no staging object is left. (The points while a lock is taken, within a journal, a
 * copy or a checkpoint lie between two steps on the local disk, whatever the store: kill-points.test.ts has them. What a
 * bucket looks like there, it looks like at the points around them, which are here.)
 */
import { beforeAll, expect, it } from 'vitest';
import { KILL_POINTS, type KillPoint } from '../../actors/kill-points.ts';
import { type Cut, expectDone, newCopier, said, undisturbed } from '../support/copier.ts';
import { everything, expectNothingHalfVisible, expectWhole, type Reference } from '../support/outcome.ts';
import { type RemoteKind, type RemoteScene, remoteScene } from '../support/remote-scene.ts';
import { expectVerified } from '../support/settled.ts';

// Partitions 56-63 and 64-71, of two eras. One thread, so that hits in threads are counted in one place.
const CUT: Cut = { start: 56, end: 71, size: 8 };
const SETTINGS = { perf: { threads: 1 } };

/** Each test starts the program up to four times, and several tests run at once. */
const PATIENCE_MS = 180_000;

/** Places that only a local disk has: folders to make, names to remove. */
const LOCAL_ONLY: readonly KillPoint[] = [
  'folder:after-mkdir',
  'publish:after-fsync',
  'create:after-unlink',
  'create:after-fsync',
];
/**
 * Places amid what is kept beside every store, on the local disk or in a catalog, and of `reconcile`; a lock is given back
 * after the store's own journal.
 */
const BESIDE =
  /^(lock:(before|after)-link|journal:|copies:|checkpoint:|reconcile:|give-up:|commit:(before|after)-(record|head))/;
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

  /**
   * `proof`: every row is read back, and one more run changes nothing; for one point `verify` itself goes to the bucket.
   * Elsewhere the same bytes are compared with those that were verified.
   */
  async function expectRecovered(scene: RemoteScene, kept: boolean, proof: 'verify' | 'rows' | null): Promise<void> {
    await expectDone(scene);
    expectWhole(await scene.look(), reference, { kept });
    if (kept) expect(await scene.leftovers()).toEqual([]);
    if (proof === null) return;
    if (proof === 'rows') await expectVerified(scene);
    else {
      const verdict = await scene.verify('--json');
      expect(verdict.code, said(verdict)).toBe(0);
      expect(JSON.parse(verdict.stdout)).toMatchObject({ ok: true, findings: [] });
    }
    const before = everything(scene);
    await expectDone(scene);
    expect(everything(await scene.look())).toEqual(before);
  }

  const proofAt = (at: KillPoint) => (at === 'commit:after-seal' ? 'verify' : at.startsWith('commit:') ? 'rows' : null);

  const reached = KILL_POINTS.filter(
    (at) => !RECOVERY_ONLY.includes(at) && !LOCAL_ONLY.includes(at) && !BESIDE.test(at),
  );

  it.concurrent.each(reached)(
    '%s',
    async (at) => {
      const scene = await fresh();
      await killedAt(scene, at);
      await expectRecovered(scene, true, proofAt(at));
    },
    PATIENCE_MS,
  );

  it.concurrent.each(reached.filter((at) => at !== 'lock:before-release'))(
    '%s, and the state folder is lost',
    async (at) => {
      const scene = await fresh();
      await killedAt(scene, at);
      scene.lose('state', 'pas-backup');
      await expectRecovered(scene, false, at === 'commit:after-seal' ? 'verify' : null);
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
      await expectRecovered(scene, true, null);
    },
    PATIENCE_MS,
  );
}
