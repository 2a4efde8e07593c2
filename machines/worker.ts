/**
 * A partition-worker: idle → building → staging → idle, with backingOff between attempts. What each state is for stands
 * in its `description`.
 *
 * A failure while staging goes back to *building*: after a failed fsync the kernel may have dropped the pages, so the
 * same file must never be trusted by trying again. It keeps nothing between partitions and never makes anything visible:
 * that is the sequencer's.
 */
import { and, assign, cancel, raise, sendTo, setup } from 'xstate';
import { THREAD_WAIT } from './dispatch.ts';
import { backoffMs, effect } from './effects.ts';
import { type Failure, toFailure } from './errors.ts';
import type { EraEvent, Job, Parent, StagedPartition, WorkerEvent } from './protocol.ts';
import type { Tag } from './tags.ts';
import { given, typesOf } from './typed.ts';

export interface WorkerInput {
  readonly eraId: string;
  readonly parent: Parent<EraEvent>;
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
  types: typesOf<{
    context: WorkerContext;
    input: WorkerInput;
    events: InnerEvent;
    tags: Tag;
  }>(),
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
      ({ context }) => context.parent,
      (_, event: EraEvent) => event,
    ),
    declareThreadWait: sendTo(
      ({ context }) => context.parent,
      ({ context }, { reason }: { reason?: string }): EraEvent => ({
        type: 'wait.declared',
        actorId: context.workerId,
        reason: reason ?? THREAD_WAIT,
      }),
    ),
    endWait: sendTo(
      ({ context }) => context.parent,
      ({ context }): EraEvent => ({ type: 'wait.ended', actorId: context.workerId }),
    ),
    tellProgress: sendTo(
      ({ context }) => context.parent,
      ({ context }, { ledgers, rawBytes }: { ledgers: number; rawBytes: number }): EraEvent => ({
        type: 'worker.progressed',
        workerId: context.workerId,
        range: given(context.job, 'a job').range,
        ledgers,
        rawBytes,
      }),
    ),
    takeJob: assign((_, params: { job: Job }) => ({ job: params.job })),
    keepStaged: assign((_, params: { staged: StagedPartition }) => ({ staged: params.staged })),
    noteImpatience: assign({ impatient: true }),
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
  description: 'A fixed pool per era. Builds one partition and stages it where no reader sees it.',
  context: ({ input }) => ({ ...input, ...nothing }),
  initial: 'idle',
  on: {
    'patience.exhausted': { actions: 'noteImpatience' },
    'era.lost': '.orphaned',
  },
  states: {
    idle: {
      description: 'Holds nothing: at the start and after every answer to the era.',
      tags: 'idle',
      entry: ['endPatience', 'forgetJob'],
      on: {
        'partition.assigned': {
          target: 'building',
          actions: { type: 'takeJob', params: ({ event }) => event },
        },
        // Too late: the answer is on its way.
        'work.cancelled': {},
      },
    },
    building: {
      description: 'A thread reads, checks and builds one partition.',
      invoke: {
        src: 'buildPartition',
        input: ({ context, self }) => ({
          askedBy: self,
          eraId: context.eraId,
          workerId: context.workerId,
          job: given(context.job, 'a job'),
          retries: context.failures,
        }),
        onDone: {
          target: 'staging',
          actions: { type: 'keepStaged', params: ({ event }) => ({ staged: event.output }) },
        },
        onError: {
          target: 'judging',
          actions: { type: 'noteFailure', params: ({ event }) => ({ failure: toFailure(event.error) }) },
        },
      },
      on: {
        'build.queued': {
          guard: { type: 'isPresent', params: ({ event }) => event },
          actions: { type: 'declareThreadWait', params: ({ event }) => event },
        },
        'build.started': { guard: { type: 'isPresent', params: ({ event }) => event }, actions: 'endWait' },
        'build.progressed': {
          guard: { type: 'isPresent', params: ({ event }) => event },
          actions: { type: 'tellProgress', params: ({ event }) => event },
        },
        'work.cancelled': { target: 'released' },
      },
    },
    staging: {
      description: 'Makes the file durable where no reader sees it. A failure leads back to building.',
      invoke: {
        src: 'stagePartition',
        input: ({ context }) => ({ eraId: context.eraId, staged: given(context.staged, 'a built partition') }),
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
      description: 'Can another attempt help?',
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
              ticket: given(context.job, 'a job').ticket,
              range: given(context.job, 'a job').range,
              failure: given(context.failure, 'a failure'),
            }),
          },
        },
      ],
    },
    backingOff: {
      description: 'A declared wait before the next attempt.',
      tags: 'waiting',
      entry: [
        {
          type: 'tellEra',
          params: ({ context }) => ({
            type: 'attempt.failed',
            workerId: context.workerId,
            range: given(context.job, 'a job').range,
            failure: given(context.failure, 'a failure'),
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
      exit: 'endWait',
      after: { retryBackoff: 'building' },
      on: { 'work.cancelled': { target: 'released' } },
    },
    released: {
      description: 'Its work was cancelled, and it has let go of it.',
      entry: {
        type: 'tellEra',
        params: ({ context }) => ({ type: 'worker.released', workerId: context.workerId }),
      },
      always: 'idle',
    },
    orphaned: { description: 'Its era is lost: it ends without a word.', type: 'final', tags: 'orphaned' },
  },
});
