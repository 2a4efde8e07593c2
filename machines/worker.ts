/**
 * A partition-worker: idle → building → staging → idle, with backingOff between attempts.
 *
 * - idle: holds nothing; entered at the start and after every answer to the era.
 * - building: reads, checks and builds one partition (a thread does it); left with a result, an error or a cancel.
 * - staging: makes the result durable where no reader sees it. A failure here goes back to *building*: after a failed
 *   fsync the kernel may have dropped the pages, so the same file must never be trusted by trying again.
 * - backingOff: a declared wait before the next attempt.
 *
 * It keeps nothing between partitions and never makes anything visible: that is the sequencer's.
 */
import { and, assign, cancel, raise, sendTo, setup } from 'xstate';
import { THREAD_WAIT } from './dispatch.ts';
import { backoffMs, effect } from './effects.ts';
import { type Failure, toFailure } from './errors.ts';
import { eraActorId, peer } from './peers.ts';
import type { EraEvent, Job, StagedPartition, WorkerEvent } from './protocol.ts';

export interface WorkerInput {
  readonly eraId: string;
  readonly workerId: string;
  readonly retryAttempts: number;
  readonly retryBackoffMs: number;
}

interface WorkerContext extends WorkerInput {
  readonly job: Job | null;
  readonly staged: StagedPartition | null;
  /** Failed attempts at the present job. */
  readonly failures: number;
  readonly failure: Failure | null;
  /** A patient job has waited long enough. */
  readonly impatient: boolean;
}

type InnerEvent = WorkerEvent | { readonly type: 'patience.exhausted' };

const nothing = { job: null, staged: null, failures: 0, failure: null, impatient: false } as const;

export const workerMachine = setup({
  types: {
    context: {} as WorkerContext,
    input: {} as WorkerInput,
    events: {} as InnerEvent,
  },
  actors: {
    buildPartition: effect('buildPartition'),
    stagePartition: effect('stagePartition'),
  },
  delays: {
    retryBackoff: ({ context }) =>
      backoffMs(context.retryBackoffMs, context.failures, context.failure?.retryAfterMs ?? 0),
    headPatience: 600_000,
  },
  guards: {
    canRetry: ({ context }) => {
      const { job, failure } = context;
      if (!job || !failure) return false;
      if (job.patient) return !context.impatient;
      return failure.retryable && context.failures < context.retryAttempts;
    },
    isPresent: ({ context }, params: { ticket: number }) => context.job?.ticket === params.ticket,
    isFirstFailureOfPatientJob: ({ context }) => context.job?.patient === true && context.failures === 1,
  },
  actions: {
    tellEra: sendTo(
      ({ system, context }) => peer(system, eraActorId(context.eraId)),
      (_, event: EraEvent) => event,
    ),
    forgetJob: assign(nothing),
    noteFailure: assign(({ context }, params: { failure: Failure }) => ({
      failures: context.failures + 1,
      failure: params.failure,
      staged: null,
    })),
    startPatience: raise({ type: 'patience.exhausted' }, { delay: 'headPatience', id: 'patience' }),
    endPatience: cancel('patience'),
  },
}).createMachine({
  id: 'worker',
  context: ({ input }) => ({ ...input, ...nothing }),
  initial: 'idle',
  on: {
    'patience.exhausted': { actions: assign({ impatient: true }) },
    'era.lost': '.orphaned',
  },
  states: {
    idle: {
      entry: ['endPatience', 'forgetJob'],
      on: {
        'partition.assigned': { target: 'building', actions: assign({ job: ({ event }) => event.job }) },
      },
    },
    building: {
      invoke: {
        src: 'buildPartition',
        input: ({ context }) => ({
          eraId: context.eraId,
          workerId: context.workerId,
          job: context.job as Job,
          retries: context.failures,
        }),
        onDone: { target: 'staging', actions: assign({ staged: ({ event }) => event.output }) },
        onError: {
          target: 'judging',
          actions: { type: 'noteFailure', params: ({ event }) => ({ failure: toFailure(event.error) }) },
        },
      },
      on: {
        'build.queued': {
          guard: { type: 'isPresent', params: ({ event }) => event },
          actions: {
            type: 'tellEra',
            params: ({ context }) => ({
              type: 'wait.declared',
              actorId: context.workerId,
              reason: THREAD_WAIT,
            }),
          },
        },
        'build.started': {
          guard: { type: 'isPresent', params: ({ event }) => event },
          actions: {
            type: 'tellEra',
            params: ({ context }) => ({ type: 'wait.ended', actorId: context.workerId }),
          },
        },
        'build.progressed': {
          guard: { type: 'isPresent', params: ({ event }) => event },
          actions: {
            type: 'tellEra',
            params: ({ context, event }) => ({
              type: 'worker.progressed',
              workerId: context.workerId,
              range: (context.job as Job).range,
              ledgers: event.ledgers,
              rawBytes: event.rawBytes,
            }),
          },
        },
        'work.cancelled': { target: 'released' },
      },
    },
    staging: {
      invoke: {
        src: 'stagePartition',
        input: ({ context }) => ({ eraId: context.eraId, staged: context.staged as StagedPartition }),
        onDone: {
          target: 'idle',
          actions: {
            type: 'tellEra',
            params: ({ context, event }) => ({
              type: 'partition.staged',
              workerId: context.workerId,
              staged: event.output,
            }),
          },
        },
        onError: {
          target: 'judging',
          actions: { type: 'noteFailure', params: ({ event }) => ({ failure: toFailure(event.error) }) },
        },
      },
      on: { 'work.cancelled': { target: 'released' } },
    },
    judging: {
      always: [
        { guard: and(['canRetry', 'isFirstFailureOfPatientJob']), target: 'backingOff', actions: 'startPatience' },
        { guard: 'canRetry', target: 'backingOff' },
        {
          target: 'idle',
          actions: {
            type: 'tellEra',
            params: ({ context }) => ({
              type: 'partition.failed',
              workerId: context.workerId,
              ticket: (context.job as Job).ticket,
              range: (context.job as Job).range,
              failure: context.failure as Failure,
            }),
          },
        },
      ],
    },
    backingOff: {
      entry: [
        {
          type: 'tellEra',
          params: ({ context }) => ({
            type: 'attempt.failed',
            workerId: context.workerId,
            range: (context.job as Job).range,
            failure: context.failure as Failure,
          }),
        },
        {
          type: 'tellEra',
          params: ({ context }) => ({
            type: 'wait.declared',
            actorId: context.workerId,
            reason: `backing off after ${context.failure?.code ?? 'a failure'}`,
          }),
        },
      ],
      exit: {
        type: 'tellEra',
        params: ({ context }) => ({ type: 'wait.ended', actorId: context.workerId }),
      },
      after: { retryBackoff: 'building' },
      on: { 'work.cancelled': { target: 'released' } },
    },
    released: {
      entry: {
        type: 'tellEra',
        params: ({ context }) => ({ type: 'worker.released', workerId: context.workerId }),
      },
      always: 'idle',
    },
    orphaned: { type: 'final' },
  },
});
