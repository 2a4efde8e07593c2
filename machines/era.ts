/**
 * One era of one run: recovering → planning → copying (⇄ awaitingLedgers) → draining → done | failed. What each state is
 * for stands in its `description`.
 *
 * After a failure at ledger n, everything before n is still finished and committed; after a signal, what is staged
 * without a gap is. Then the sequencer discards the rest, the courier is given a limited time for what is left, what it
 * leaves is counted, and the lock is given back.
 *
 * It decides what is built and in what order; it never makes anything visible and never touches a file.
 */
import { and, assign, cancel, enqueueActions, not, sendTo, setup, stopChild } from 'xstate';
import { courierMachine } from './courier.ts';
import {
  behindBy,
  behindText,
  type EraContext,
  initialContext,
  isFinished,
  isSettled,
  isWaiting,
  lakeBehind,
  nextOfGrid,
  plan,
  pointlessWorkers,
  RESTAGE_LIMIT,
  setPhase,
  stopAt,
  takeCommit,
  takeHead,
  takeOver,
  without,
  workerIds,
} from './dispatch.ts';
import { backoffMs, effect } from './effects.ts';
import { type Failure, toFailure } from './errors.ts';
import { rangeLabel, sameRange } from './partitions.ts';
import { courierActorId, peer, SUPERVISOR_ID, sequencerActorId } from './peers.ts';
import type {
  CourierEvent,
  EraEvent,
  EraFacts,
  EraOutcome,
  EraSpec,
  EraSummary,
  LakeCompared,
  LakeHead,
  LedgerRange,
  Pending,
  Recovered,
  SequencerEvent,
  StagedPartition,
  SupervisorEvent,
  WorkerEvent,
} from './protocol.ts';
import { assess } from './recovery.ts';
import { sequencerMachine } from './sequencer.ts';
import type { Tag } from './tags.ts';
import { workerMachine } from './worker.ts';

export interface EraInput {
  readonly spec: EraSpec;
}

const failureOf = ({ event }: { event: { error: unknown } }) => ({ failure: toFailure(event.error) });

const actorOf = ({ event }: { event: { actorId: string; error: unknown } }) => event;

/**
 * Every attempt begins with the first step of its phase again. So failures are forgotten where a phase ends, not after
 * each step: a second step that always fails would else be tried for ever, as the first one succeeds each time.
 */
const retryOrFail = [
  {
    guard: { type: 'canRetry', params: failureOf },
    target: 'backingOff',
    actions: { type: 'noteFailure', params: failureOf },
  },
  { target: '#era.draining', actions: { type: 'fail', params: failureOf } },
] as const;

const outcomeOf = (context: EraContext): EraOutcome => {
  if (context.failure) return 'failed';
  return context.draining && !isFinished(context) ? 'drained' : 'done';
};

const finalSummary = (context: EraContext): EraSummary => ({
  ...context.summary,
  outcome: outcomeOf(context),
  // Not beyond a partition behind the frontier that could not be mended.
  nextLedger: Math.min(context.frontier, ...context.outstanding.map((entry) => entry.range.start)),
  failure: context.failure,
});

const judge = (facts: EraFacts, spec: EraSpec) => assess(facts, spec.grid, spec.attests);

export const eraMachine = setup({
  types: {
    context: {} as EraContext,
    input: {} as EraInput,
    events: {} as EraEvent,
    output: {} as EraSummary,
    tags: {} as Tag,
    children: {} as Record<string, 'worker' | 'sequencer' | 'courier'>,
  },
  actors: {
    worker: workerMachine,
    sequencer: sequencerMachine,
    courier: courierMachine,
    openChain: effect('openChain'),
    surveyChain: effect('surveyChain'),
    openLake: effect('openLake'),
    compareLake: effect('compareLake'),
    findHead: effect('findHead'),
    closeChain: effect('closeChain'),
  },
  delays: {
    retryBackoff: ({ context }) => backoffMs(context.spec.retryBackoffMs, context.failures, context.retryAfterMs),
    pollInterval: 5_000,
    holePatience: 600_000,
    courierPatience: 10_000,
    crashMemory: 3_600_000,
  },
  guards: {
    nothingToCopy: ({ context }) =>
      context.frontier > context.target && context.outstanding.every((entry) => entry.phase === 'agenda'),
    hasCommitted: ({ context }) => context.frontier > context.spec.grid.ledgerStart,
    isBehind: ({ context }) => context.behind !== null,
    mustCompare: ({ context }) => !context.compared,
    /** An era with an end does not wait for its lake. */
    endsEarly: ({ context }, { behind }: LakeCompared) =>
      behind !== null && context.spec.grid.ledgerEnd !== null && context.frontier <= context.target,
    /** A run that ends with the lake does not wait for it either. */
    cannotWaitForLake: ({ context }, params: { head: number | null }) =>
      context.spec.once && context.frontier <= context.target && behindBy(context, params.head) !== null,
    isUnbounded: ({ context }) => context.spec.grid.ledgerEnd === null,
    isUsable: ({ context }, params: { facts: EraFacts }) => 'recovered' in judge(params.facts, context.spec),
    mustEndEarly: ({ context }) => context.failure !== null || context.draining,
    mustEnd: ({ context }) => context.failure !== null || context.draining || isFinished(context),
    mustWaitForLedgers: ({ context }) =>
      context.spec.grid.ledgerEnd === null &&
      context.outstanding.length === 0 &&
      nextOfGrid(context) === null &&
      context.frontier <= context.target,
    hasLedgers: ({ context }) => nextOfGrid(context) !== null || context.frontier > context.target,
    isSettled: ({ context }) => isSettled(context),
    isSpawned: ({ context }) => context.spawned,
    hasCourierWork: ({ context }) => context.spec.catalog !== 'none' || context.spec.delivery === 'lenient',
    leavesWork: ({ context }, params: { rowPending: boolean }) =>
      params.rowPending || context.spec.delivery === 'lenient',
    hasFailed: ({ context }) => context.failure !== null,
    canRetry: ({ context }, params: { failure: Failure }) =>
      params.failure.retryable && context.failures + 1 < context.spec.retryAttempts,
    isPassing: (_, params: { failure: Failure }) => params.failure.retryable,
    isPresent: ({ context }, params: { workerId: string; ticket: number }) =>
      context.workers[params.workerId]?.ticket === params.ticket,
    mayRestage: ({ context }, params: { range: LedgerRange }) =>
      (context.outstanding.find((entry) => sameRange(entry.range, params.range))?.restages ?? 0) < RESTAGE_LIMIT,
    isWorker: ({ context }, params: { actorId: string }) => params.actorId in context.workers,
    mayRespawn: ({ context }, params: { actorId: string }) =>
      params.actorId in context.workers && context.recentCrashes < context.spec.respawnLimit,
  },
  actions: {
    tellSupervisor: sendTo(
      ({ system }) => peer(system, SUPERVISOR_ID),
      (_, event: SupervisorEvent) => event,
    ),
    tellSequencer: sendTo(
      ({ system, context }) => peer(system, sequencerActorId(context.spec.eraId)),
      (_, event: SequencerEvent) => event,
    ),
    tellCourier: sendTo(
      ({ system, context }) => peer(system, courierActorId(context.spec.eraId)),
      (_, event: CourierEvent) => event,
    ),
    /** Any event is a sign of life; waiting for something outside is not a stall. */
    progress: sendTo(
      ({ system }) => peer(system, SUPERVISOR_ID),
      ({ context }): SupervisorEvent => ({
        type: 'era.progressed',
        eraId: context.spec.eraId,
        waiting: isWaiting(context),
      }),
    ),
    noteFailure: assign(({ context }, params: { failure: Failure }) => ({
      failures: context.failures + 1,
      retryAfterMs: params.failure.retryAfterMs ?? 0,
      waits: { ...context.waits, era: `backing off after ${params.failure.code}` },
    })),
    endOwnWait: assign({ waits: ({ context }) => without(context.waits, 'era') }),
    declareLedgerWait: assign({
      waits: ({ context }) => ({
        ...context.waits,
        era:
          context.behind !== null
            ? `waiting for the lake: ${behindText(context.frontier, context.behind.head)}`
            : context.holeAt === null
              ? 'waiting for ledgers'
              : `waiting for ledger ${context.holeAt}, which is missing although later ones are there`,
      }),
    }),
    fail: assign(({ context }, params: { failure: Failure }) => ({
      ...stopAt(context, context.frontier, params.failure),
      waits: without(context.waits, 'era'),
    })),
    failAssessment: assign(({ context }, params: { facts: EraFacts }) => {
      const judged = judge(params.facts, context.spec);
      return 'failure' in judged ? stopAt(context, context.frontier, judged.failure) : {};
    }),
    takeOver: assign(({ context }, params: { facts: EraFacts }) => {
      const judged = judge(params.facts, context.spec);
      return 'recovered' in judged ? takeOver(context, judged.recovered) : {};
    }),
    takeHead: assign(({ context }, params: { head: LakeHead }) => takeHead(context, params.head)),
    watchHole: enqueueActions(({ context, enqueue }, params: { head: LakeHead }) => {
      if (params.head.holeAt === context.holeAt) return;
      enqueue.cancel('hole');
      if (params.head.holeAt !== null) enqueue.raise({ type: 'hole.overdue' }, { delay: 'holePatience', id: 'hole' });
    }),
    noteComparison: assign({ compared: true }),
    failBehind: assign(({ context }, params: { head: number | null }) => {
      const failure = lakeBehind(context.frontier, params.head);
      return { ...stopAt(context, context.frontier, failure), behind: { head: params.head } };
    }),
    forgetFailures: assign({ failures: 0 }),
    spawnPool: enqueueActions(({ context, enqueue }) => {
      const { spec } = context;
      const { eraId, retryAttempts, retryBackoffMs } = spec;
      const sequencerId = sequencerActorId(eraId);
      enqueue.spawnChild('sequencer', {
        id: sequencerId,
        systemId: sequencerId,
        input: {
          eraId,
          grid: spec.grid,
          recovered: context.recovered as Recovered,
          attests: spec.attests,
          catalog: spec.catalog,
          delivery: spec.delivery,
          retryAttempts,
          retryBackoffMs,
        },
      });
      const courierId = courierActorId(eraId);
      enqueue.spawnChild('courier', {
        id: courierId,
        systemId: courierId,
        input: { eraId, catalog: spec.catalog, delivery: spec.delivery, retryBackoffMs },
      });
      const ids = workerIds(spec);
      for (const workerId of ids) {
        enqueue.spawnChild('worker', {
          id: workerId,
          systemId: workerId,
          input: { eraId, workerId, retryAttempts, retryBackoffMs },
        });
      }
      enqueue.assign({ spawned: true, workers: Object.fromEntries(ids.map((id) => [id, null])) });
    }),
    dispatch: enqueueActions(({ context, enqueue }) => {
      const { assignments, changes } = plan(context);
      enqueue.assign(changes);
      for (const { workerId, job } of assignments) {
        const event: WorkerEvent = { type: 'partition.assigned', job };
        enqueue.sendTo(({ system }) => peer(system, workerId), event);
      }
    }),
    cancelPointless: enqueueActions(({ context, enqueue }) => {
      const event: WorkerEvent = { type: 'work.cancelled' };
      for (const workerId of pointlessWorkers(context)) enqueue.sendTo(({ system }) => peer(system, workerId), event);
    }),
    takeStaged: assign(({ context }, params: { workerId: string; staged: StagedPartition }) => ({
      workers: { ...context.workers, [params.workerId]: null },
      waits: without(context.waits, params.workerId),
      outstanding: setPhase(context, params.staged.range, 'staged'),
    })),
    release: assign(({ context }, params: { workerId: string }) => {
      const job = context.workers[params.workerId];
      return {
        workers: { ...context.workers, [params.workerId]: null },
        waits: without(context.waits, params.workerId),
        outstanding: job ? setPhase(context, job.range, 'line') : context.outstanding,
      };
    }),
    takeFailure: assign(({ context }, params: { workerId: string; range: LedgerRange; failure: Failure }) => ({
      ...stopAt(context, params.range.start, params.failure),
      workers: { ...context.workers, [params.workerId]: null },
      waits: without(context.waits, params.workerId),
      outstanding: setPhase(context, params.range, 'line'),
    })),
    stopAtFailure: assign(({ context }, params: { range: LedgerRange; failure: Failure }) =>
      stopAt(context, params.range.start, params.failure),
    ),
    takeCommit: assign(({ context, event }) =>
      event.type === 'partition.committed' ? takeCommit(context, event.facts) : {},
    ),
    takeRestage: assign(({ context }, params: { range: LedgerRange }) => ({
      summary: { ...context.summary, restages: context.summary.restages + 1 },
      outstanding: context.outstanding.map((entry) =>
        sameRange(entry.range, params.range)
          ? { ...entry, phase: 'line' as const, restages: entry.restages + 1 }
          : entry,
      ),
    })),
    countRetry: assign(({ context }) => ({ summary: { ...context.summary, retries: context.summary.retries + 1 } })),
    respawn: enqueueActions(({ context, enqueue }, params: { actorId: string }) => {
      const { eraId, retryAttempts, retryBackoffMs } = context.spec;
      const workerId = params.actorId;
      const job = context.workers[workerId] ?? null;
      enqueue.stopChild(workerId);
      enqueue.spawnChild('worker', {
        id: workerId,
        systemId: workerId,
        input: { eraId, workerId, retryAttempts, retryBackoffMs },
      });
      enqueue.assign({
        workers: { ...context.workers, [workerId]: null },
        waits: without(context.waits, workerId),
        outstanding: job ? setPhase(context, job.range, 'line') : context.outstanding,
        recentCrashes: context.recentCrashes + 1,
        summary: { ...context.summary, crashes: context.summary.crashes + 1 },
      });
      enqueue.raise({ type: 'crash.forgiven' }, { delay: 'crashMemory' });
    }),
    buryWorker: enqueueActions(({ context, enqueue }, params: { actorId: string; error: unknown }) => {
      const job = context.workers[params.actorId] ?? null;
      enqueue.stopChild(params.actorId);
      enqueue.assign({
        workers: without(context.workers, params.actorId),
        waits: without(context.waits, params.actorId),
        summary: { ...context.summary, crashes: context.summary.crashes + 1 },
        ...stopAt(context, job?.range.start ?? context.frontier, {
          code: 'RESPAWN_LIMIT',
          message: `${params.actorId} crashed once more than respawn_limit (${context.spec.respawnLimit} an hour) allows: ${toFailure(params.error).message}`,
          retryable: false,
          ...(job ? job.range : {}),
        }),
        outstanding: job ? setPhase(context, job.range, 'line') : context.outstanding,
      });
    }),
    noteActorCrash: assign(({ context }, params: { actorId: string; error: unknown }) => ({
      failure: {
        code: 'ACTOR_CRASHED' as const,
        message: `${params.actorId} crashed: ${toFailure(params.error).message}`,
        retryable: false,
      },
      stopBefore: context.frontier,
    })),
    noteWait: assign(({ context }, params: { actorId: string; reason: string }) => ({
      waits: { ...context.waits, [params.actorId]: params.reason },
    })),
    endWait: assign(({ context }, params: { actorId: string }) => ({
      waits: without(context.waits, params.actorId),
    })),
    noteCaughtUp: assign({ caughtUp: true }),
    /** Bounded by the courier's patience: no stall. */
    declareDeliveryWait: assign({ waits: ({ context }) => ({ ...context.waits, era: 'delivering what is left' }) }),
    stopCourier: stopChild(({ context }) => courierActorId(context.spec.eraId)),
    notePending: assign(({ context }, params: { pending: Pending | null }) => ({
      summary: { ...context.summary, pending: params.pending },
    })),
    startDrain: assign({ draining: true }),
    noteOverdueHole: assign({ holeOverdue: true }),
    forgiveCrash: assign({ recentCrashes: ({ context }) => Math.max(context.recentCrashes - 1, 0) }),
    stopWatchingHole: cancel('hole'),
    tellFinished: sendTo(
      ({ system }) => peer(system, SUPERVISOR_ID),
      ({ context }): SupervisorEvent => ({
        type: 'era.finished',
        eraId: context.spec.eraId,
        summary: finalSummary(context),
      }),
    ),
    /** What is counted survives in the supervisor, also where this actor is stopped without a word. */
    tellCounts: sendTo(
      ({ system }) => peer(system, SUPERVISOR_ID),
      ({ context }): SupervisorEvent => ({
        type: 'era.counted',
        eraId: context.spec.eraId,
        summary: finalSummary(context),
      }),
    ),
    tellCrashed: sendTo(
      ({ system }) => peer(system, SUPERVISOR_ID),
      ({ context }): SupervisorEvent => ({
        type: 'era.crashed',
        eraId: context.spec.eraId,
        summary: finalSummary(context),
      }),
    ),
  },
}).createMachine({
  id: 'era',
  description:
    'One per active era. Recovers, plans, hands out partitions within the window, waits for ledgers, drains.',
  context: ({ input }) => initialContext(input.spec),
  initial: 'recovering',
  output: ({ context }) => finalSummary(context),
  on: {
    'wait.declared': { actions: [{ type: 'noteWait', params: ({ event }) => event }, 'progress'] },
    'wait.ended': { actions: [{ type: 'endWait', params: ({ event }) => event }, 'progress'] },
    'worker.progressed': { actions: 'progress' },
    'sequencer.progressed': { actions: 'progress' },
    'attempt.failed': { actions: ['countRetry', 'progress'] },
    'partition.staged': {
      guard: { type: 'isPresent', params: ({ event }) => ({ workerId: event.workerId, ticket: event.staged.ticket }) },
      actions: [
        { type: 'takeStaged', params: ({ event }) => event },
        { type: 'tellSequencer', params: ({ event }) => ({ type: 'partition.staged', staged: event.staged }) },
        'dispatch',
        'progress',
      ],
    },
    'partition.failed': {
      guard: { type: 'isPresent', params: ({ event }) => event },
      actions: [{ type: 'takeFailure', params: ({ event }) => event }, 'cancelPointless', 'dispatch', 'progress'],
    },
    'worker.released': { actions: [{ type: 'release', params: ({ event }) => event }, 'dispatch', 'progress'] },
    'partition.committed': [
      {
        guard: { type: 'leavesWork', params: ({ event }) => event.facts },
        actions: [
          'takeCommit',
          { type: 'tellCourier', params: { type: 'delivery.queued' } },
          'tellCounts',
          'dispatch',
          'progress',
        ],
      },
      { actions: ['takeCommit', 'tellCounts', 'dispatch', 'progress'] },
    ],
    'restage.requested': [
      {
        guard: { type: 'mayRestage', params: ({ event }) => event },
        actions: [{ type: 'takeRestage', params: ({ event }) => event }, 'dispatch', 'progress'],
      },
      {
        actions: [
          {
            type: 'stopAtFailure',
            params: ({ event }) => ({
              range: event.range,
              failure: {
                code: 'STAGED_GONE',
                message: `what was staged for partition ${rangeLabel(event.range)} vanished ${RESTAGE_LIMIT + 1} times`,
                retryable: false,
                ...event.range,
                hint: 'something cleans the staging folder while the copier works',
              },
            }),
          },
          'cancelPointless',
          'progress',
        ],
      },
    ],
    'sequencer.failed': {
      actions: [{ type: 'stopAtFailure', params: ({ event }) => event }, 'cancelPointless', 'progress'],
    },
    'rows.left': { actions: [{ type: 'tellCourier', params: { type: 'delivery.queued' } }, 'progress'] },
    'sequencer.caught_up': { actions: ['noteCaughtUp', 'progress'] },
    'courier.failed': { actions: [{ type: 'fail', params: ({ event }) => event }, 'cancelPointless', 'progress'] },
    'drain.requested': { actions: ['startDrain', 'cancelPointless', 'progress'] },
    'hole.overdue': { actions: ['noteOverdueHole', 'progress'] },
    'crash.forgiven': { actions: 'forgiveCrash' },
    'xstate.error.actor.*': [
      {
        guard: { type: 'mayRespawn', params: actorOf },
        actions: [{ type: 'respawn', params: ({ event }) => event }, 'dispatch', 'progress'],
      },
      {
        guard: { type: 'isWorker', params: actorOf },
        actions: [{ type: 'buryWorker', params: ({ event }) => event }, 'cancelPointless', 'progress'],
      },
      { target: '.crashed', actions: { type: 'noteActorCrash', params: ({ event }) => event } },
    ],
  },
  states: {
    recovering: {
      description: 'Finds out what is durable, and judges it.',
      tags: 'starting',
      entry: 'progress',
      initial: 'opening',
      always: { guard: 'mustEndEarly', target: 'draining' },
      states: {
        opening: {
          description: 'Takes the lock, compares _bronze.json. Nothing else is written yet.',
          invoke: {
            src: 'openChain',
            input: ({ context }) => ({ eraId: context.spec.eraId }),
            onDone: 'surveying',
            onError: retryOrFail,
          },
        },
        surveying: {
          description:
            'Reads manifests, events and what is remembered of them, judges, and makes ready what is written to.',
          entry: 'progress',
          invoke: {
            src: 'surveyChain',
            input: ({ context }) => ({ eraId: context.spec.eraId }),
            onDone: [
              {
                guard: { type: 'isUsable', params: ({ event }) => ({ facts: event.output }) },
                target: '#era.planning',
                actions: [{ type: 'takeOver', params: ({ event }) => ({ facts: event.output }) }, 'forgetFailures'],
              },
              {
                target: '#era.draining',
                actions: { type: 'failAssessment', params: ({ event }) => ({ facts: event.output }) },
              },
            ],
            onError: retryOrFail,
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          tags: 'waiting',
          entry: 'progress',
          exit: ['endOwnWait', 'progress'],
          after: { retryBackoff: 'opening' },
        },
      },
    },
    planning: {
      description: 'Opens the lake. Skipped where nothing is left to copy.',
      tags: 'starting',
      entry: 'progress',
      initial: 'choosing',
      always: { guard: 'mustEndEarly', target: 'draining' },
      states: {
        choosing: {
          description: 'Is anything left to copy?',
          always: [{ guard: 'nothingToCopy', target: '#era.copying', actions: 'spawnPool' }, { target: 'openingLake' }],
        },
        openingLake: {
          description: 'Reads how the lake is laid out, and of which network it is.',
          invoke: {
            src: 'openLake',
            input: ({ context }) => ({ eraId: context.spec.eraId }),
            onDone: [
              { guard: 'hasCommitted', target: 'comparingLake' },
              { guard: 'isUnbounded', target: 'findingHead' },
              { target: '#era.copying', actions: ['forgetFailures', 'spawnPool'] },
            ],
            onError: retryOrFail,
          },
        },
        comparingLake: {
          description: 'Is it the lake that the committed partitions came from? Reads a ledger or two of it.',
          invoke: {
            src: 'compareLake',
            input: ({ context }) => ({ eraId: context.spec.eraId }),
            onDone: [
              {
                guard: { type: 'endsEarly', params: ({ event }) => event.output },
                target: '#era.draining',
                actions: { type: 'failBehind', params: ({ event }) => ({ head: event.output.behind?.head ?? null }) },
              },
              { guard: 'isUnbounded', target: 'findingHead' },
              { target: '#era.copying', actions: ['forgetFailures', 'spawnPool'] },
            ],
            onError: retryOrFail,
          },
        },
        findingHead: {
          description: 'Looks how far the lake reaches, where the era has no end.',
          invoke: {
            src: 'findHead',
            input: ({ context }) => ({ eraId: context.spec.eraId, from: context.cursor }),
            onDone: [
              {
                guard: { type: 'cannotWaitForLake', params: ({ event }) => ({ head: event.output.head }) },
                target: '#era.draining',
                actions: { type: 'failBehind', params: ({ event }) => ({ head: event.output.head }) },
              },
              {
                target: '#era.copying',
                actions: [
                  { type: 'watchHole', params: ({ event }) => ({ head: event.output }) },
                  { type: 'takeHead', params: ({ event }) => ({ head: event.output }) },
                  'forgetFailures',
                  'spawnPool',
                ],
              },
            ],
            onError: retryOrFail,
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          tags: 'waiting',
          entry: 'progress',
          exit: ['endOwnWait', 'progress'],
          after: { retryBackoff: 'choosing' },
        },
      },
    },
    copying: {
      description: 'Hands partitions to idle workers within the window; passes what is staged to the sequencer.',
      tags: 'copying',
      entry: ['dispatch', 'progress'],
      always: [
        { guard: 'mustEnd', target: 'draining' },
        { guard: 'mustWaitForLedgers', target: 'awaitingLedgers' },
      ],
    },
    awaitingLedgers: {
      description: 'No end, and all that is in the lake is committed: a declared wait for more.',
      tags: ['following', 'waiting'],
      entry: ['declareLedgerWait', 'progress'],
      exit: ['endOwnWait', 'progress'],
      initial: 'judging',
      always: { guard: 'mustEnd', target: 'draining' },
      states: {
        polling: {
          description: 'Looks how far the lake reaches now.',
          invoke: {
            src: 'findHead',
            input: ({ context }) => ({ eraId: context.spec.eraId, from: context.cursor }),
            onDone: {
              target: 'judging',
              actions: [
                { type: 'watchHole', params: ({ event }) => ({ head: event.output }) },
                { type: 'takeHead', params: ({ event }) => ({ head: event.output }) },
              ],
            },
            onError: [
              { guard: { type: 'isPassing', params: failureOf }, target: 'sleeping' },
              { target: '#era.draining', actions: { type: 'fail', params: failureOf } },
            ],
          },
        },
        judging: {
          description: 'Is there a whole partition more?',
          always: [
            { guard: 'mustCompare', target: 'comparing' },
            { guard: 'hasLedgers', target: '#era.copying' },
            { guard: 'isBehind', target: 'lakeBehind', actions: 'declareLedgerWait' },
            { target: 'sleeping', actions: 'declareLedgerWait' },
          ],
        },
        comparing: {
          description: 'The lake became shorter than what is committed, or grew again: is it still the same one?',
          invoke: {
            src: 'compareLake',
            input: ({ context }) => ({ eraId: context.spec.eraId }),
            onDone: { target: 'judging', actions: 'noteComparison' },
            onError: [
              { guard: { type: 'isPassing', params: failureOf }, target: 'sleeping' },
              { target: '#era.draining', actions: { type: 'fail', params: failureOf } },
            ],
          },
        },
        lakeBehind: {
          description: 'The lake ends before what is committed: a declared wait, and somebody should know.',
          entry: 'progress',
          after: { pollInterval: 'polling' },
        },
        sleeping: { description: 'Until the next look.', after: { pollInterval: 'polling' } },
      },
    },
    draining: {
      description: 'No new partitions. What is before a failure, or staged without a gap, is still committed.',
      tags: 'draining',
      entry: ['stopWatchingHole', 'cancelPointless', 'dispatch', 'progress'],
      initial: 'settling',
      states: {
        settling: {
          description: 'Until no worker has anything that can still be committed.',
          always: [
            { guard: and(['isSpawned', 'isSettled']), target: 'discarding' },
            { guard: not('isSpawned'), target: 'closing' },
          ],
        },
        discarding: {
          description: 'The sequencer commits what is contiguous and removes the rest of what is staged.',
          entry: { type: 'tellSequencer', params: { type: 'sequencer.drain' } },
          on: {
            'sequencer.drained': [{ guard: 'hasCourierWork', target: 'delivering' }, { target: 'closing' }],
          },
        },
        delivering: {
          description: 'The courier has a limited time for rows and events that are left.',
          tags: 'waiting',
          entry: ['declareDeliveryWait', { type: 'tellCourier', params: { type: 'courier.drain' } }, 'progress'],
          on: { 'courier.drained': 'closing' },
          after: { courierPatience: { target: 'closing', actions: 'stopCourier' } },
          exit: 'endOwnWait',
        },
        closing: {
          description: 'Counts what is left, removes what this run staged, gives the lock back.',
          entry: 'progress',
          invoke: {
            src: 'closeChain',
            input: ({ context }) => ({ eraId: context.spec.eraId }),
            onDone: {
              target: 'closed',
              actions: { type: 'notePending', params: ({ event }) => ({ pending: event.output }) },
            },
            // What could not be given back is taken over by the next run: its holder is provably dead then.
            onError: 'closed',
          },
        },
        closed: {
          description: 'How did it end?',
          always: [{ guard: 'hasFailed', target: '#era.failed' }, { target: '#era.done' }],
        },
      },
    },
    done: {
      description: 'All that was asked for is committed, or a signal ended it.',
      type: 'final',
      entry: 'tellFinished',
    },
    failed: {
      description: 'Something cannot be committed; what was committed before it stays.',
      tags: 'failed',
      type: 'final',
      entry: 'tellFinished',
    },
    /** A child that cannot be replaced threw: the supervisor starts this era afresh, from what is durable. */
    crashed: {
      description: 'A child that cannot be replaced threw: the supervisor starts the era afresh.',
      tags: ['starting', 'failed'],
      type: 'final',
      entry: 'tellCrashed',
    },
  },
});
