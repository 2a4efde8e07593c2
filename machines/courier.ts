/**
 * The courier of an era delivers what may be late: events over HTTP, pending catalog rows.
 *
 * - idle: nothing known to be undelivered.
 * - delivering: the effect delivers, in order, until nothing is left or something fails.
 * - backingOff: the other side is down. Tried again for ever: in lenient mode a commit never waits for it.
 * - drained: told to end; what is left is counted and belongs to the next run.
 *
 * It never holds a commit and never decides what is delivered: the chain does.
 */
import { assign, sendTo, setup } from 'xstate';
import { backoffMs, effect } from './effects.ts';
import { eraActorId, peer } from './peers.ts';
import type { CourierEvent, EraEvent } from './protocol.ts';

export interface CourierInput {
  readonly eraId: string;
  readonly retryBackoffMs: number;
}

interface CourierContext extends CourierInput {
  readonly failures: number;
  readonly left: number;
  /** Something was queued while a delivery was under way. */
  readonly again: boolean;
}

export const courierMachine = setup({
  types: { context: {} as CourierContext, input: {} as CourierInput, events: {} as CourierEvent },
  actors: { deliverPending: effect('deliverPending') },
  delays: { retryBackoff: ({ context }) => backoffMs(context.retryBackoffMs, context.failures) },
  guards: { isQueuedAgain: ({ context }) => context.again },
  actions: {
    tellDrained: sendTo(
      ({ system, context }) => peer(system, eraActorId(context.eraId)),
      ({ context }): EraEvent => ({ type: 'courier.drained', left: context.left }),
    ),
  },
}).createMachine({
  id: 'courier',
  context: ({ input }) => ({ ...input, failures: 0, left: 0, again: false }),
  initial: 'idle',
  on: { 'courier.drain': '.drained', 'era.lost': '.orphaned' },
  states: {
    idle: {
      always: { guard: 'isQueuedAgain', target: 'delivering' },
      on: { 'delivery.queued': 'delivering' },
    },
    delivering: {
      entry: assign({ again: false }),
      invoke: {
        src: 'deliverPending',
        input: ({ context }) => ({ eraId: context.eraId }),
        onDone: { target: 'idle', actions: assign({ failures: 0, left: ({ event }) => event.output.left }) },
        onError: { target: 'backingOff', actions: assign({ failures: ({ context }) => context.failures + 1 }) },
      },
      on: { 'delivery.queued': { actions: assign({ again: true, left: ({ context }) => context.left + 1 }) } },
    },
    backingOff: {
      after: { retryBackoff: 'delivering' },
      on: { 'delivery.queued': { actions: assign({ left: ({ context }) => context.left + 1 }) } },
    },
    drained: { type: 'final', entry: 'tellDrained' },
    orphaned: { type: 'final' },
  },
});
