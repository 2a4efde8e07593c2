/**
 * The courier of an era delivers what may be late: pending catalog rows, and events over HTTP where delivery is lenient.
 * What each state is for stands in its `description`.
 *
 * Recording does not hold up delivering: where the catalog is down, events still go out. What fails in passing is tried
 * again for ever: no commit waits for it. Told to end, it tries everything once more; the era, which has a limit of
 * time, counts what is left.
 *
 * It starts with what earlier runs left, where the sequencer does not do so itself because a mode is strict. It never
 * holds a commit and never decides what is recorded or delivered: the chain does.
 */
import { assign, not, sendTo, setup } from 'xstate';
import { backoffMs, effect } from './effects.ts';
import { type Failure, toFailure } from './errors.ts';
import type { CourierEvent, EraEvent, Mode, Parent } from './protocol.ts';
import type { Tag } from './tags.ts';
import { given, typesOf } from './typed.ts';

export interface CourierInput {
  readonly eraId: string;
  readonly parent: Parent<EraEvent>;
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
  types: typesOf<{
    context: CourierContext;
    input: CourierInput;
    events: CourierEvent;
    tags: Tag;
  }>(),
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
      ({ context }) => context.parent,
      ({ context }): EraEvent => ({ type: 'courier.failed', failure: given(context.failure, 'a failure') }),
    ),
    tellDrained: sendTo(({ context }) => context.parent, {
      type: 'courier.drained',
    } satisfies EraEvent),
  },
}).createMachine({
  id: 'courier',
  description: 'One per era. Delivers what may be late; never holds a commit.',
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
    starting: {
      description: 'Does it have anything to do in this run?',
      always: [{ guard: 'isLenient', target: 'choosing' }, { target: 'idle' }],
    },
    idle: {
      description: 'Nothing known to be left.',
      tags: 'idle',
      always: [
        { guard: 'isQueuedAgain', target: 'choosing' },
        { guard: 'isDraining', target: 'drained' },
      ],
    },
    choosing: {
      description: 'A round begins.',
      entry: 'startRound',
      always: [{ guard: 'hasCatalog', target: 'recording' }, { target: 'delivering' }],
    },
    recording: {
      description: 'Writes all rows that are missing.',
      invoke: {
        src: 'recordPending',
        input: ({ context }) => ({ askedBy: null, eraId: context.eraId }),
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
    recorded: {
      description: 'Rows are through; where the catalog is down, events still go out.',
      always: [{ guard: 'delivers', target: 'delivering' }, { target: 'judging' }],
    },
    delivering: {
      description: 'Delivers all events that were not acknowledged, in order.',
      invoke: {
        src: 'deliverPending',
        input: ({ context }) => ({ askedBy: null, eraId: context.eraId }),
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
      description: 'Was anything left?',
      entry: 'countRound',
      always: [
        { guard: not('isLeft'), target: 'idle' },
        // What is left now is the next run's.
        { guard: 'isDraining', target: 'drained' },
        { target: 'backingOff' },
      ],
    },
    backingOff: {
      description: 'The other side is down, or a reader holds the catalog: again, without end. No commit waits for it.',
      tags: 'waiting',
      on: { 'courier.drain': { target: 'choosing', actions: 'startDrain' } },
      after: { retryBackoff: 'choosing' },
    },
    failed: {
      description: 'The other side refuses in a way that no attempt can help: the era ends.',
      tags: 'failed',
      entry: 'tellFailed',
      always: { guard: 'isDraining', target: 'drained' },
    },
    drained: {
      description: 'Told to end, and through once more. What is left is counted by the era.',
      type: 'final',
      entry: 'tellDrained',
    },
    orphaned: { description: 'Its era is lost: it ends without a word.', type: 'final', tags: 'orphaned' },
  },
});
