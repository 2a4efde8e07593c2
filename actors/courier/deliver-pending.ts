/** Sends all events to the endpoint that it has not acknowledged, in order. */
import { BronzeError } from '../../machines/errors.ts';
import type { Tools } from '../effects/effect.ts';
import type { RunningEra } from '../effects/running-era.ts';
import { deliverEvents } from '../endpoint/deliver.ts';
import type { Delivered } from '../ports/delivery.ts';

/** `onProgress` after every event: there may be thousands of them. */
export async function deliverPending(
  era: RunningEra,
  _: unknown,
  { signal }: Tools,
  onProgress?: () => void,
): Promise<null> {
  const { delivery, store, chain, table } = era.setup;
  if (delivery === null) throw new BronzeError('INTERNAL', 'events are to be delivered, and there is no endpoint');
  const onProblem = (problem: string): void => era.log.warn({ component: 'audit' }, problem);
  const onBegin = (delivered: Delivered | null): void => {
    era.delivered = delivered === null ? 0 : delivered.sequence + 1;
  };
  const onDelivered = (delivered: Delivered): void => {
    onBegin(delivered);
    onProgress?.();
  };
  await deliverEvents({ store, chain, table, ...delivery, onProblem, onBegin, onDelivered }, signal);
  return null;
}
