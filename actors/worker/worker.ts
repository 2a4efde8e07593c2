/** The worker: builds one partition after another, where no reader sees them. */
import { workerMachine } from '../../machines/worker.ts';
import { retryBackoff } from '../effects/back-off.ts';
import type { Perform } from '../effects/effect.ts';
import { buildPartition } from './build-partition.ts';
import { stagePartition } from './stage-partition.ts';

/** `headPatience`: how long a file at the head that cannot be read is put up with, ms. */
export const worker = (perform: Perform, headPatience: number) =>
  workerMachine.provide({
    actors: {
      buildPartition: perform('buildPartition', buildPartition),
      stagePartition: perform('stagePartition', stagePartition),
    },
    delays: { retryBackoff, headPatience },
  });
