/** A command that works on a chain for a moment, under its lock: `reconcile --repair` and `give-up`. */

import { chainPrefix } from '../../actors/bronze/names.ts';
import type { EraSetup } from '../../actors/effects/setup.ts';
import { acquireLock } from '../../actors/state/lock.ts';

/** Holds the chain's lock while `work` runs, so that no copier of this state folder is beside it. Throws LOCK_HELD. */
export async function locked<T>({ stateDir, chain, copierId, store }: EraSetup, work: () => Promise<T>): Promise<T> {
  const lock = await acquireLock({ dir: stateDir, chain, copierId });
  try {
    // What is created below carries the holder's name, so that whoever comes next can sweep it.
    store.stagingSpec(chainPrefix(chain), lock.nonce);
    return await work();
  } finally {
    await store.sweep(chainPrefix(chain), [lock.nonce]).catch(() => 0);
    await lock.release();
  }
}
