/** The sequencer: commits what workers have staged, one partition after another, in ledger order. */
import { sequencerMachine } from '../../machines/sequencer.ts';
import { deliverPending } from '../courier/deliver-pending.ts';
import { recordPending } from '../courier/record-pending.ts';
import { retryBackoff } from '../effects/back-off.ts';
import type { Perform } from '../effects/effect.ts';
import { attestPartition } from './attest-partition.ts';
import { checkNeighbours } from './check-neighbours.ts';
import { discardStaged } from './discard-staged.ts';
import { publishPartition } from './publish-partition.ts';
import { recordPartition } from './record-partition.ts';
import { sealPartition } from './seal-partition.ts';
import { verifySealed } from './verify-sealed.ts';
import { writeCheckpoint } from './write-checkpoint.ts';

export const sequencer = (perform: Perform) =>
  sequencerMachine.provide({
    actors: {
      verifySealed: perform('verifySealed', verifySealed),
      publishPartition: perform('publishPartition', publishPartition),
      checkNeighbours: perform('checkNeighbours', checkNeighbours),
      sealPartition: perform('sealPartition', sealPartition),
      attestPartition: perform('attestPartition', attestPartition),
      recordPartition: perform('recordPartition', recordPartition),
      recordPending: perform('recordPending', recordPending),
      deliverPending: perform('deliverPending', deliverPending),
      writeCheckpoint: perform('writeCheckpoint', writeCheckpoint),
      discardStaged: perform('discardStaged', discardStaged),
    },
    delays: { retryBackoff },
  });
