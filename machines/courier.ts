/**
 * The courier of an era delivers what may be late: pending catalog rows, and events over HTTP where delivery is lenient.
 *
 * - idle: nothing known to be left.
 * - recording, then delivering: all rows that are missing, all events that were not acknowledged. One does not wait for
 *   the other: where the catalog is down, events still go out.
 * - backingOff: the other side is down, or a reader holds the catalog. Tried again for ever: no commit waits for it.
 * - failed: the other side refuses in a way that no retry can help. The era is told, and ends.
 * - drained: told to end. Once more everything is tried; the era, which has a limit of time, counts what is left.
 *
 * It starts with what earlier runs left, where the sequencer does not do so itself because a mode is strict. It never
 * holds a commit and never decides what is recorded or delivered: the chain does.
 */
import { assign, not, sendTo, setup } from 'xstate';
import { backoffMs, effect } from './effects.ts';
import { type Failure, toFailure } from './errors.ts';
import { eraActorId, peer } from './peers.ts';
import type { CourierEvent, EraEvent, Mode } from './protocol.ts';

export interface CourierInput {
  readonly eraId: string;
  readonly catalog: Mode;
  readonly delivery: Mode;
  readonly retryBackoffMs: number;
}

interface CourierContext extends CourierInput {
  /** Rounds in a row that left something. */
  readonly failures: number;
  /** Why the other side could not be told, in the present round. */
  readonly failure: Failure | null;
  /** The present round has left something. */
  readonly isLeft: boolean;
  /** Something was queued while a round was under way. */
  readonly again: boolean;
  readonly draining: boolean;
}

const failureOf = ({ event }: { event: { error: unknown } }) => ({ failure: toFailure(event.error) });

export const courierMachine = setup({
  types: { context: {} as CourierContext, input: {} as CourierInput, events: {} as CourierEvent },
  actors: { recordPending: effect('recordPending'), deliverPending: effect('deliverPending') },
  delays: {
    retryBackoff: ({ context }) =>
      backoffMs(context.retryBackoffMs, context.failures, context.failure?.retryAfterMs ?? 0),
  },
  guards: {
    isLenient: ({ context }) => context.catalog === 'lenient' || context.delivery === 'lenient',
    hasCatalog: ({ context }) => context.catalog !== 'none',
    delivers: ({ context }) => context.delivery === 'lenient',
    isQueuedAgain: ({ context }) => context.again,
    isLeft: ({ context }) => context.isLeft,
    isDraining: ({ context }) => context.draining,
    isPassing: (_, params: { failure: Failure }) => params.failure.retryable,
    isHeld: (_, params: { left: number }) => params.left > 0,
  },
  actions: {
    startRound: assign({ again: false, isLeft: false, failure: null }),
    noteFailure: assign((_, params: { failure: Failure }) => ({ isLeft: true, failure: params.failure })),
    noteHeld: assign({ isLeft: true }),
    countRound: assign({ failures: ({ context }) => (context.isLeft ? context.failures + 1 : 0) }),
    queueAgain: assign({ again: true }),
    startDrain: assign({ draining: true }),
    tellFailed: sendTo(
      ({ system, context }) => peer(system, eraActorId(context.eraId)),
      ({ context }): EraEvent => ({ type: 'courier.failed', failure: context.failure as Failure }),
    ),
    tellDrained: sendTo(({ system, context }) => peer(system, eraActorId(context.eraId)), {
      type: 'courier.drained',
    } satisfies EraEvent),
  },
}).createMachine({
  id: 'courier',
  context: ({ input }) => ({
    ...input,
    failures: 0,
    failure: null,
    isLeft: false,
    again: false,
    draining: false,
  }),
  initial: 'starting',
  on: {
    'delivery.queued': { actions: 'queueAgain' },
    'courier.drain': { actions: 'startDrain' },
    'era.lost': '.orphaned',
  },
  states: {
    starting: { always: [{ guard: 'isLenient', target: 'choosing' }, { target: 'idle' }] },
    idle: {
      always: [
        { guard: 'isQueuedAgain', target: 'choosing' },
        { guard: 'isDraining', target: 'drained' },
      ],
    },
    choosing: {
      entry: 'startRound',
      always: [{ guard: 'hasCatalog', target: 'recording' }, { target: 'delivering' }],
    },
    recording: {
      invoke: {
        src: 'recordPending',
        input: ({ context }) => ({ eraId: context.eraId }),
        onDone: [
          { guard: { type: 'isHeld', params: ({ event }) => event.output }, target: 'recorded', actions: 'noteHeld' },
          { target: 'recorded' },
        ],
        onError: [
          {
            guard: { type: 'isPassing', params: failureOf },
            target: 'recorded',
            actions: { type: 'noteFailure', params: failureOf },
          },
          { target: 'failed', actions: { type: 'noteFailure', params: failureOf } },
        ],
      },
    },
    recorded: { always: [{ guard: 'delivers', target: 'delivering' }, { target: 'judging' }] },
    delivering: {
      invoke: {
        src: 'deliverPending',
        input: ({ context }) => ({ eraId: context.eraId }),
        onDone: 'judging',
        onError: [
          {
            guard: { type: 'isPassing', params: failureOf },
            target: 'judging',
            actions: { type: 'noteFailure', params: failureOf },
          },
          { target: 'failed', actions: { type: 'noteFailure', params: failureOf } },
        ],
      },
    },
    judging: {
      entry: 'countRound',
      always: [
        { guard: not('isLeft'), target: 'idle' },
        // What is left now is the next run's.
        { guard: 'isDraining', target: 'drained' },
        { target: 'backingOff' },
      ],
    },
    backingOff: {
      on: { 'courier.drain': { target: 'choosing', actions: 'startDrain' } },
      after: { retryBackoff: 'choosing' },
    },
    failed: {
      entry: 'tellFailed',
      always: { guard: 'isDraining', target: 'drained' },
    },
    drained: { type: 'final', entry: 'tellDrained' },
    orphaned: { type: 'final' },
  },
});
