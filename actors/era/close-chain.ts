/** The end of an era: what was cancelled has ended, what this run staged is removed, the lock is given back. */
import { setTimeout as sleep } from 'node:timers/promises';
import { toFailure } from '../../machines/errors.ts';
import type { Pending } from '../../machines/protocol.ts';
import { chainPrefix } from '../bronze/names.ts';
import type { Effect } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import { countUndelivered } from '../endpoint/deliver.ts';

/** How long a cancelled effect may take to end before the era is closed without it, ms. */
const CLOSE_PATIENCE_MS = 10_000;
/** How long the catalog is asked, at the end, for what it has not got, ms; without an answer all is counted that may be missing. */
const COUNT_PATIENCE_MS = 15_000;

export const closeChain: Effect<'closeChain'> = (era, _, { signal }) => close(era, signal);

/** Closes an era whether or not its machine has; the second time there is nothing left to do. */
export async function close(era: RunningEra, signal?: AbortSignal): Promise<Pending | null> {
  for (const build of era.builds.values()) build.abort();
  era.builds.clear();
  era.closing.abort();
  era.closing = new AbortController();
  // What hangs must not keep the process from ending: the next run takes over from a dead holder.
  const patience = new AbortController();
  const ended = Promise.allSettled(era.underWay).finally(() => patience.abort());
  await Promise.race([ended, sleep(CLOSE_PATIENCE_MS, null, { signal: patience.signal }).catch(() => null)]);
  const { lock } = era;
  if (lock === null) return null;
  const { store, chain, buildsElsewhere } = era.setup;
  // A remote worker may have finished for a dead run since the chain was surveyed.
  const late = buildsElsewhere ? lock.orphaned : [];
  try {
    await store.sweep(chainPrefix(chain), [lock.nonce, ...late], signal);
    if (late.length > 0) await lock.swept();
  } catch (error) {
    era.log.warn(
      { component: 'store', error: error instanceof Error ? error.message : String(error) },
      'what this run staged could not be removed; the next run does it',
    );
    // The journal keeps the nonce: releasing would lose it.
    return null;
  }
  const pending = await pendingOf(era);
  await lock.release(!era.isPrepared);
  era.lock = null;
  era.locking = null;
  return pending;
}

/** Null where it cannot be told. Never throws: the lock has to be given back. */
async function pendingOf({ setup, recorder, isSurveyed, log }: RunningEra): Promise<Pending | null> {
  const { delivery, store, chain, table } = setup;
  if (!isSurveyed) return null;
  try {
    const rows = (await recorder?.pending(AbortSignal.timeout(COUNT_PATIENCE_MS))) ?? 0;
    const patience = AbortSignal.timeout(COUNT_PATIENCE_MS);
    const events = delivery && (await countUndelivered({ store, chain, table, ...delivery }, patience));
    return { rows, events: events ?? 0 };
  } catch (error) {
    log.warn({ component: 'audit', error: toFailure(error).message }, 'what is undelivered cannot be counted');
    return null;
  }
}
