/** The sequencer: commits what workers have staged, one partition after another, in ledger order. */
import { sequencerActorId } from '../../machines/peers.ts';
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
      // Strict, the era waits for these: what they have done says that they are alive.
      recordPending: perform('recordPending', (era, input, tools) =>
        recordPending(era, input, tools, () =>
          tools.tell(sequencerActorId(input.eraId), { type: 'effect.progressed' }),
        ),
      ),
      deliverPending: perform('deliverPending', (era, input, tools) =>
        deliverPending(era, input, tools, () =>
          tools.tell(sequencerActorId(input.eraId), { type: 'effect.progressed' }),
        ),
      ),
      writeCheckpoint: perform('writeCheckpoint', writeCheckpoint),
      discardStaged: perform('discardStaged', discardStaged),
    },
    delays: { retryBackoff },
  });
