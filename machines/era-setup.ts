/**
 * What the era's chart (era.ts) is put together from: its types, the actors that it spawns and the effects that it asks
 * for, its delays, guards and actions. What they decide with is in dispatch.ts.
 */
import { assign, cancel, enqueueActions, sendTo, setup, stopChild } from 'xstate';
import { courierActorId, sequencerActorId } from './actor-ids.ts';
import { courierMachine } from './courier.ts';
import {
  behindBy,
  behindText,
  type EraContext,
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
  Parent,
  Pending,
  SequencerEvent,
  StagedPartition,
  SupervisorEvent,
  WorkerEvent,
} from './protocol.ts';
import { assess } from './recovery.ts';
import { sequencerMachine } from './sequencer.ts';
import type { Tag } from './tags.ts';
import { given, typesOf } from './typed.ts';
import { workerMachine } from './worker.ts';

export interface EraInput {
  readonly spec: EraSpec;
  readonly parent: Parent<SupervisorEvent>;
}

const outcomeOf = (context: EraContext): EraOutcome => {
  if (context.failure) return 'failed';
  return context.draining && !isFinished(context) ? 'drained' : 'done';
};

export const finalSummary = (context: EraContext): EraSummary => ({
  ...context.summary,
  outcome: outcomeOf(context),
  // Not beyond a partition behind the frontier that could not be mended.
  nextLedger: Math.min(context.frontier, ...context.outstanding.map((entry) => entry.range.start)),
  failure: context.failure,
});

const judge = (facts: EraFacts, spec: EraSpec) => assess(facts, spec.grid, spec.attests);

export const eraSetup = setup({
  types: typesOf<{
    context: EraContext;
    input: EraInput;
    events: EraEvent;
    output: EraSummary;
    tags: Tag;
    children: Record<string, 'worker' | 'sequencer' | 'courier'>;
  }>(),
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
    isFinished: ({ context }) => isFinished(context),
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
    tellSequencer: sendTo(
      ({ context }) => sequencerActorId(context.spec.eraId),
      (_, event: SequencerEvent) => event,
    ),
    tellCourier: sendTo(
      ({ context }) => courierActorId(context.spec.eraId),
      (_, event: CourierEvent) => event,
    ),
    /** Any event is a sign of life; waiting for something outside is not a stall. */
    progress: sendTo(
      ({ context }) => context.parent,
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
    spawnPool: enqueueActions(({ context, enqueue, self }) => {
      const { spec } = context;
      const { eraId, retryAttempts, retryBackoffMs } = spec;
      const sequencerId = sequencerActorId(eraId);
      enqueue.spawnChild('sequencer', {
        id: sequencerId,
        input: {
          eraId,
          parent: self,
          grid: spec.grid,
          recovered: given(context.recovered, 'what recovery decided'),
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
        input: { eraId, parent: self, catalog: spec.catalog, delivery: spec.delivery, retryBackoffMs },
      });
      const ids = workerIds(spec);
      for (const workerId of ids) {
        enqueue.spawnChild('worker', {
          id: workerId,
          input: { eraId, parent: self, workerId, retryAttempts, retryBackoffMs },
        });
      }
      enqueue.assign({ spawned: true, workers: Object.fromEntries(ids.map((id) => [id, null])) });
    }),
    dispatch: enqueueActions(({ context, enqueue }) => {
      const { assignments, changes } = plan(context);
      enqueue.assign(changes);
      for (const { workerId, job } of assignments) {
        const event: WorkerEvent = { type: 'partition.assigned', job };
        enqueue.sendTo(workerId, event);
      }
    }),
    cancelPointless: enqueueActions(({ context, enqueue }) => {
      const event: WorkerEvent = { type: 'work.cancelled' };
      for (const workerId of pointlessWorkers(context)) enqueue.sendTo(workerId, event);
    }),
    passStagedToSequencer: sendTo(
      ({ context }) => sequencerActorId(context.spec.eraId),
      (_, params: { staged: StagedPartition }): SequencerEvent => ({ type: 'partition.staged', staged: params.staged }),
    ),
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
    /** Staged data vanished once more than is believed to be chance. */
    stopAtVanished: assign(({ context }, { range }: { range: LedgerRange }) =>
      stopAt(context, range.start, {
        code: 'STAGED_GONE',
        message: `what was staged for partition ${rangeLabel(range)} vanished ${RESTAGE_LIMIT + 1} times`,
        retryable: false,
        ...range,
        hint: 'something cleans the staging folder while the copier works',
      }),
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
    respawn: enqueueActions(({ context, enqueue, self }, params: { actorId: string }) => {
      const { eraId, retryAttempts, retryBackoffMs } = context.spec;
      const workerId = params.actorId;
      const job = context.workers[workerId] ?? null;
      enqueue.stopChild(workerId);
      enqueue.spawnChild('worker', {
        id: workerId,
        input: { eraId, parent: self, workerId, retryAttempts, retryBackoffMs },
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
      ({ context }) => context.parent,
      ({ context }): SupervisorEvent => ({
        type: 'era.finished',
        eraId: context.spec.eraId,
        summary: finalSummary(context),
      }),
    ),
    /** What is counted survives in the supervisor, also where this actor is stopped without a word. */
    tellCounts: sendTo(
      ({ context }) => context.parent,
      ({ context }): SupervisorEvent => ({
        type: 'era.counted',
        eraId: context.spec.eraId,
        summary: finalSummary(context),
      }),
    ),
    tellCrashed: sendTo(
      ({ context }) => context.parent,
      ({ context }): SupervisorEvent => ({
        type: 'era.crashed',
        eraId: context.spec.eraId,
        summary: finalSummary(context),
      }),
    ),
  },
});
