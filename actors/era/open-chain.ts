/** Takes the chain's lock and looks whether this configuration may write to what is there. */
import { toFailure } from '../../machines/errors.ts';
import { chainPrefix } from '../bronze/names.ts';
import { expectBronze } from '../chain/bronze-json.ts';
import type { Effect } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import { fileError } from '../files.ts';
import { acquireLock, type LockOptions } from '../state/lock.ts';

/** Takes the lock (kept from an earlier start of this era in this process) and compares `_bronze.json`; writes nothing else. */
export const openChain: Effect<'openChain'> = (era, _, { signal }) => {
  const opening = open(era, signal);
  // A drain may come before the lock is taken, which has to be given back all the same.
  era.track(opening);
  return opening;
};

async function open(era: RunningEra, signal: AbortSignal): Promise<{ created: boolean }> {
  const { stateDir, chain, copierId, store, files, terms } = era.setup;
  era.locking ??= acquireLock({
    dir: stateDir,
    chain,
    copierId,
    ...(files ? { files } : {}),
    signal: era.closing.signal,
    ...wordsOf(era),
  });
  const lock = await era.locking.catch((error: unknown) => {
    era.locking = null;
    throw error;
  });
  era.lock = lock;
  // Names the owner of whatever is staged from here on, manifests and events included.
  era.staging = store.stagingSpec(chainPrefix(chain), lock.nonce);
  // Before anything is read from it: what is no store at all would give a page of something else for an object.
  await store.check(signal);
  era.termsAreFixed = await expectBronze(era.place, terms, signal);
  return { created: era.termsAreFixed };
}

/** What the lock has to say while it is waited for and held. */
function wordsOf({ log, setup }: RunningEra): Pick<LockOptions, 'onWatch' | 'onMark'> {
  const component = 'lock';
  return {
    onWatch: (holder, upToMs) =>
      log.warn(
        { component, found: holder, wait_seconds: Math.ceil(upToMs / 1_000) },
        'the chain is locked by a process that cannot be looked up from here: its lock is watched for signs of life',
      ),
    onMark: {
      onProblem: (failures, error) => {
        if (failures === 0) log.info({ component }, 'the lock is renewed again');
        else {
          const { message } = toFailure(fileError('state', 'renew the lock in', setup.stateDir, error));
          log.warn({ component, error: message }, 'the lock cannot be renewed; the work goes on');
        }
      },
      onRestored: () => log.warn({ component }, 'somebody removed the lock of this run: it is written again'),
    },
  };
}
