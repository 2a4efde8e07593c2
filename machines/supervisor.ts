/**
 * One per process: starting → running → draining → stopped | done | failed. What each state is for stands in its
 * `description`.
 *
 * It also holds the circuit breaker: an era that no event moves for `stallTimeout`, while nobody in it declared that it
 * waits for something outside, is restarted in sequential mode (one worker, window of one); a second time, it fails.
 * It decides nothing about partitions and does no I/O.
 */
import { type AnyActorRef, and, assign, enqueueActions, setup } from 'xstate';
import { courierActorId, eraActorId, sequencerActorId } from './actor-ids.ts';
import { emptySummary, workerIds } from './dispatch.ts';
import { eraMachine } from './era.ts';
import { type Failure, toFailure } from './errors.ts';
import type { EraEvent, EraSpec, EraSummary, OrphanEvent, SupervisorEvent } from './protocol.ts';
import type { Tag } from './tags.ts';
import { typesOf } from './typed.ts';

export interface SupervisorInput {
  readonly eras: readonly EraSpec[];
}

interface EraStatus {
  readonly spec: EraSpec;
  /** What it did before it was restarted, added up; null where it never was. */
  readonly earlier: EraSummary | null;
  /** What the present actor said last. */
  readonly counted: EraSummary | null;
  /** Set when it is over. */
  readonly summary: EraSummary | null;
  readonly recentCrashes: number;
  readonly breakerTrips: number;
}

interface SupervisorContext {
  readonly eras: Readonly<Record<string, EraStatus>>;
  readonly draining: boolean;
}

type RunOutcome = 'done' | 'stopped' | 'failed';

export interface RunSummary {
  readonly outcome: RunOutcome;
  readonly breakerTrips: number;
  readonly eras: readonly EraSummary[];
}

const timerId = (eraId: string): string => `stall:${eraId}`;

/** Counts add up over restarts; where it stands is what the last one said. */
function addUp(earlier: EraSummary | null, later: EraSummary): EraSummary {
  if (!earlier) return later;
  return {
    ...later,
    partitions: earlier.partitions + later.partitions,
    partitionsFound: later.partitionsFound,
    ledgers: earlier.ledgers + later.ledgers,
    sourceBytes: earlier.sourceBytes + later.sourceBytes,
    rawBytes: earlier.rawBytes + later.rawBytes,
    bronzeBytes: earlier.bronzeBytes + later.bronzeBytes,
    retries: earlier.retries + later.retries,
    restages: earlier.restages + later.restages,
    crashes: earlier.crashes + later.crashes,
  };
}

const blank = (spec: EraSpec, failure: Failure): EraSummary => ({
  ...emptySummary(spec.eraId),
  outcome: 'failed',
  nextLedger: spec.grid.ledgerStart,
  failure,
});

/** Everything that was counted for an era, up to the end of its present actor. */
const soFar = (era: EraStatus, last: EraSummary | null): EraSummary | null => {
  const present = last ?? era.counted;
  return present ? addUp(era.earlier, present) : era.earlier;
};

const update = (context: SupervisorContext, eraId: string, changes: Partial<EraStatus>): Partial<SupervisorContext> => {
  const status = context.eras[eraId];
  return status ? { eras: { ...context.eras, [eraId]: { ...status, ...changes } } } : {};
};

/** `era:pre_p23` → `pre_p23` */
const eraOf = (actorId: string): string => actorId.slice(eraActorId('').length);

const all = (context: SupervisorContext): EraStatus[] => Object.values(context.eras);

export const supervisorMachine = setup({
  types: typesOf<{
    context: SupervisorContext;
    input: SupervisorInput;
    events: SupervisorEvent;
    output: RunSummary;
    tags: Tag;
    children: Record<string, 'era'>;
  }>(),
  actors: { era: eraMachine },
  delays: { stallTimeout: 300_000, stallGrace: 5_000, crashMemory: 3_600_000 },
  guards: {
    allOver: ({ context }) => all(context).every((era) => era.summary !== null),
    anyFailed: ({ context }) => all(context).some((era) => era.summary?.outcome === 'failed'),
    anyDrained: ({ context }) => all(context).some((era) => era.summary?.outcome === 'drained'),
    isRunning: ({ context }, params: { eraId: string }) => context.eras[params.eraId]?.summary === null,
    mayRestart: ({ context }, params: { eraId: string }) => {
      const era = context.eras[params.eraId];
      return era !== undefined && !context.draining && era.recentCrashes < era.spec.respawnLimit;
    },
    /** The second time, or while the process is to end: a fresh era would begin anew what was to stop. */
    mustGiveUp: ({ context }, params: { eraId: string }) =>
      context.draining || (context.eras[params.eraId]?.breakerTrips ?? 0) > 0,
  },
  actions: {
    /** Diagnostics of a stall; the runtime provides it. */
    dumpDiagnostics: (_, _params: { eraId: string; reason: string }) => {},
    spawnEras: enqueueActions(({ context, enqueue, self }) => {
      for (const { spec } of all(context)) {
        enqueue.spawnChild('era', { id: eraActorId(spec.eraId), input: { spec, parent: self } });
      }
    }),
    /** Before an era that threw is stopped and perhaps replaced: see OrphanEvent. */
    endOrphans: enqueueActions(({ context, enqueue, self }, params: { eraId: string }) => {
      const { eraId } = params;
      const spec = context.eras[eraId]?.spec;
      const left: Readonly<Record<string, AnyActorRef | undefined>> =
        self.getSnapshot().children[eraActorId(eraId)]?.getSnapshot().children ?? {};
      for (const id of [sequencerActorId(eraId), courierActorId(eraId), ...(spec ? workerIds(spec) : [])]) {
        const ref = left[id];
        if (ref) enqueue.sendTo(ref, { type: 'era.lost' } satisfies OrphanEvent);
      }
    }),
    watch: enqueueActions(({ enqueue }, params: { eraId: string; waiting: boolean }) => {
      enqueue.cancel(timerId(params.eraId));
      if (params.waiting) return;
      enqueue.raise(
        { type: 'stall.suspected', eraId: params.eraId },
        { delay: 'stallTimeout', id: timerId(params.eraId) },
      );
    }),
    /** After a pause of the whole process every timer is due at once: what waits to be delivered comes first. */
    waitForSignOfLife: enqueueActions(({ enqueue }, params: { eraId: string }) => {
      enqueue.raise(
        { type: 'stall.detected', eraId: params.eraId },
        { delay: 'stallGrace', id: timerId(params.eraId) },
      );
    }),
    takeCounts: assign(({ context }, params: { eraId: string; summary: EraSummary }) =>
      update(context, params.eraId, { counted: params.summary }),
    ),
    takeSummary: enqueueActions(({ context, enqueue }, params: { eraId: string; summary: EraSummary }) => {
      enqueue.cancel(timerId(params.eraId));
      const earlier = context.eras[params.eraId]?.earlier ?? null;
      enqueue.assign(update(context, params.eraId, { summary: addUp(earlier, params.summary) }));
    }),
    restart: enqueueActions(
      ({ context, enqueue, self }, params: { eraId: string; summary: EraSummary | null; sequential: boolean }) => {
        const era = context.eras[params.eraId];
        if (!era) return;
        const id = eraActorId(params.eraId);
        const spec = params.sequential ? { ...era.spec, workers: 1, queueSize: 1 } : era.spec;
        enqueue.cancel(timerId(params.eraId));
        enqueue.stopChild(id);
        enqueue.assign(
          update(context, params.eraId, {
            spec,
            earlier: soFar(era, params.summary),
            counted: null,
            recentCrashes: era.recentCrashes + (params.sequential ? 0 : 1),
            breakerTrips: era.breakerTrips + (params.sequential ? 1 : 0),
          }),
        );
        enqueue.spawnChild('era', { id, input: { spec, parent: self } });
        if (!params.sequential) {
          enqueue.raise({ type: 'crash.forgiven', eraId: params.eraId }, { delay: 'crashMemory' });
        }
      },
    ),
    giveUp: enqueueActions(({ context, enqueue }, params: { eraId: string; failure: Failure }) => {
      const era = context.eras[params.eraId];
      if (!era) return;
      enqueue.cancel(timerId(params.eraId));
      enqueue.stopChild(eraActorId(params.eraId));
      const known = soFar(era, null);
      const last = { ...blank(era.spec, params.failure), ...(known ? { nextLedger: known.nextLedger } : {}) };
      enqueue.assign(
        update(context, params.eraId, {
          summary: addUp(known, last),
          breakerTrips: era.breakerTrips + (params.failure.code === 'STALLED' ? 1 : 0),
        }),
      );
    }),
    forgiveCrash: assign(({ context }, params: { eraId: string }) =>
      update(context, params.eraId, {
        recentCrashes: Math.max((context.eras[params.eraId]?.recentCrashes ?? 1) - 1, 0),
      }),
    ),
    startDrain: assign({ draining: true }),
    tellEras: enqueueActions(({ context, enqueue }) => {
      const event: EraEvent = { type: 'drain.requested' };
      for (const { spec, summary } of all(context)) {
        if (summary === null) enqueue.sendTo(eraActorId(spec.eraId), event);
      }
    }),
  },
}).createMachine({
  id: 'supervisor',
  description: 'One per run. Spawns the eras, restarts what crashed under a budget, drains, holds the circuit breaker.',
  context: ({ input }) => ({
    eras: Object.fromEntries(
      input.eras.map((spec) => [
        spec.eraId,
        { spec, earlier: null, counted: null, summary: null, recentCrashes: 0, breakerTrips: 0 },
      ]),
    ),
    draining: false,
  }),
  output: ({ context }) => {
    const eras = all(context).flatMap((era) => era.summary ?? []);
    const trips = all(context).reduce((sum, era) => sum + era.breakerTrips, 0);
    const failed = eras.some((era) => era.outcome === 'failed');
    const drained = eras.some((era) => era.outcome === 'drained');
    return { outcome: failed ? 'failed' : drained ? 'stopped' : 'done', breakerTrips: trips, eras };
  },
  initial: 'starting',
  on: {
    'era.progressed': {
      guard: { type: 'isRunning', params: ({ event }) => event },
      actions: { type: 'watch', params: ({ event }) => event },
    },
    'era.counted': { actions: { type: 'takeCounts', params: ({ event }) => event } },
    'era.finished': { actions: { type: 'takeSummary', params: ({ event }) => event } },
    'era.crashed': [
      {
        guard: { type: 'mayRestart', params: ({ event }) => event },
        actions: {
          type: 'restart',
          params: ({ event }) => ({ eraId: event.eraId, summary: event.summary, sequential: false }),
        },
      },
      { actions: { type: 'takeSummary', params: ({ event }) => event } },
    ],
    'xstate.error.actor.*': [
      {
        guard: { type: 'mayRestart', params: ({ event }) => ({ eraId: eraOf(event.actorId) }) },
        actions: [
          { type: 'endOrphans', params: ({ event }) => ({ eraId: eraOf(event.actorId) }) },
          {
            type: 'restart',
            params: ({ event }) => ({ eraId: eraOf(event.actorId), summary: null, sequential: false }),
          },
        ],
      },
      {
        actions: [
          { type: 'endOrphans', params: ({ event }) => ({ eraId: eraOf(event.actorId) }) },
          {
            type: 'giveUp',
            params: ({ event }) => ({
              eraId: eraOf(event.actorId),
              failure: {
                code: 'ACTOR_CRASHED',
                message: `${event.actorId} crashed: ${toFailure(event.error).message}`,
                retryable: false,
              },
            }),
          },
        ],
      },
    ],
    'stall.suspected': { actions: { type: 'waitForSignOfLife', params: ({ event }) => event } },
    'stall.detected': [
      {
        guard: { type: 'mustGiveUp', params: ({ event }) => event },
        actions: [
          {
            type: 'dumpDiagnostics',
            params: ({ event }) => ({ eraId: event.eraId, reason: 'stalled again, or while draining' }),
          },
          {
            type: 'giveUp',
            params: ({ event }) => ({
              eraId: event.eraId,
              failure: {
                code: 'STALLED',
                message: `era ${event.eraId} made no progress for longer than stall_timeout_ms, with one worker or while draining: it is given up`,
                retryable: false,
              },
            }),
          },
        ],
      },
      {
        actions: [
          { type: 'dumpDiagnostics', params: ({ event }) => ({ eraId: event.eraId, reason: 'stalled' }) },
          {
            type: 'restart',
            params: ({ event }) => ({ eraId: event.eraId, summary: null, sequential: true }),
          },
        ],
      },
    ],
    'crash.forgiven': { actions: { type: 'forgiveCrash', params: ({ event }) => event } },
  },
  states: {
    starting: { description: 'Spawns an era actor for every active era.', entry: 'spawnEras', always: 'running' },
    running: {
      description: 'Eras work, isolated from each other. One whose actor crashed is started afresh, under a budget.',
      on: { 'drain.requested': { target: 'draining', actions: ['startDrain', 'tellEras'] } },
      always: [
        { guard: and(['allOver', 'anyFailed']), target: 'failed' },
        { guard: 'allOver', target: 'done' },
      ],
    },
    draining: {
      description: 'A signal asked for the end; every era is told, and says what it left.',
      always: [
        { guard: and(['allOver', 'anyFailed']), target: 'failed' },
        { guard: and(['allOver', 'anyDrained']), target: 'stopped' },
        { guard: 'allOver', target: 'done' },
      ],
    },
    done: { description: 'All that was asked for is committed.', type: 'final' },
    stopped: { description: 'Drained before all of it was committed.', type: 'final' },
    failed: { description: 'At least one era failed.', type: 'final', tags: 'failed' },
  },
});
