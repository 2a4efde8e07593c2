/** The era: opens a chain and a lake, has partitions built and committed, closes the chain. */
import { eraMachine } from '../../machines/era.ts';
import { courier } from '../courier/courier.ts';
import { backOff } from '../effects/back-off.ts';
import type { Perform } from '../effects/effect.ts';
import { sequencer } from '../sequencer/sequencer.ts';
import { worker } from '../worker/worker.ts';
import { closeChain } from './close-chain.ts';
import { compareLake } from './compare-lake.ts';
import { findHead } from './find-head.ts';
import { openChain } from './open-chain.ts';
import { openLake } from './open-lake.ts';
import { surveyChain } from './survey-chain.ts';

/** Milliseconds. */
export interface EraTimes {
  /** Between two looks at the head of a lake that is followed. */
  readonly pollInterval: number;
  /** How long a file at the head that cannot be read, or a hole, is put up with before it is said. */
  readonly headPatience: number;
}

export const era = (perform: Perform, { pollInterval, headPatience }: EraTimes) =>
  eraMachine.provide({
    actors: {
      worker: worker(perform, headPatience),
      sequencer: sequencer(perform),
      courier: courier(perform),
      openChain: perform('openChain', openChain),
      surveyChain: perform('surveyChain', surveyChain),
      openLake: perform('openLake', openLake),
      compareLake: perform('compareLake', compareLake),
      findHead: perform('findHead', findHead),
      closeChain: perform('closeChain', closeChain),
    },
    delays: {
      retryBackoff: ({ context }) => backOff(context.spec.retryBackoffMs, context.failures, context.retryAfterMs),
      pollInterval,
      holePatience: headPatience,
    },
  });
