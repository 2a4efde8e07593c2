/** Where an era commits, with a way to read partitions back in a thread. */
import type { Asker, SequencerEvent } from '../../machines/protocol.ts';
import type { RunningEra } from '../effects/running-era.ts';
import type { CommitPlace } from './read-partition.ts';

/** The sequencer is told how the read-back of a partition goes, which can take long. */
export function commitPlaceOf({ place, setup }: RunningEra, askedBy: Asker<SequencerEvent>): CommitPlace {
  const { storeSpec, checks, pool } = setup;
  const report = (type: 'effect.queued' | 'effect.started' | 'effect.progressed') => () => askedBy.send({ type });
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
