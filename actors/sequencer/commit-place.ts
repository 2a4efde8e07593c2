/** Where an era commits, with a way to read partitions back in a thread. */
import { sequencerActorId } from '../../machines/peers.ts';
import type { Tools } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import type { CommitPlace } from './read-partition.ts';

/** The sequencer is told how the read-back of a partition goes, which can take long. */
export function commitPlaceOf({ place, setup }: RunningEra, { tell }: Tools): CommitPlace {
  const { storeSpec, checks, pool, eraId } = setup;
  const report = (type: 'effect.queued' | 'effect.started' | 'effect.progressed') => () =>
    tell(sequencerActorId(eraId), { type });
  return {
    ...place,
    checks,
    readBack: (task, signal) =>
      pool.run(
        { ...task, kind: 'readback', store: storeSpec },
        {
          onQueued: report('effect.queued'),
          onStarted: report('effect.started'),
          onProgress: report('effect.progressed'),
          ...(signal ? { signal } : {}),
        },
      ),
  };
}
