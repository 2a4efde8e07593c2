/** Sends all events to the endpoint that it has not acknowledged, in order. */
import { BronzeError } from '../../machines/errors.ts';
import type { Effect } from '../effects/effect.ts';
import { deliverEvents } from '../endpoint/deliver.ts';
import type { Delivered } from '../ports/delivery.ts';

/** Strict, the era waits for it: every event that is sent says that it is alive, and there may be thousands. */
export const deliverPending: Effect<'deliverPending'> = async (era, { askedBy }, { signal }) => {
  const { delivery, store, chain, table } = era.setup;
  if (delivery === null) throw new BronzeError('INTERNAL', 'events are to be delivered, and there is no endpoint');
  const onProblem = (problem: string): void => era.log.warn({ component: 'audit' }, problem);
  const onBegin = (delivered: Delivered | null): void => {
    era.delivered = delivered === null ? 0 : delivered.sequence + 1;
  };
  const onDelivered = (delivered: Delivered): void => {
    onBegin(delivered);
    askedBy?.send({ type: 'effect.progressed' });
  };
  await deliverEvents({ store, chain, table, ...delivery, onProblem, onBegin, onDelivered }, signal);
  return null;
};
