/** The courier: tells catalog and endpoint, beside the copying, what they have still to be told. */
import { courierMachine } from '../../machines/courier.ts';
import { retryBackoff } from '../effects/back-off.ts';
import type { Perform } from '../effects/effect.ts';
import { deliverPending } from './deliver-pending.ts';
import { recordPending } from './record-pending.ts';

export const courier = (perform: Perform) =>
  courierMachine.provide({
    actors: {
      recordPending: perform('recordPending', recordPending),
      deliverPending: perform('deliverPending', deliverPending),
    },
    delays: { retryBackoff },
  });
