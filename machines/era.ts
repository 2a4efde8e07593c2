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
import { and, not } from 'xstate';
import { initialContext } from './dispatch.ts';
import { eraSetup, finalSummary } from './era-setup.ts';
import { toFailure } from './errors.ts';
import type { LedgerRange } from './protocol.ts';

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

const ledgersOf = ({ event }: { event: { range: LedgerRange } }) => event;

/** While its children live: what they say of themselves. */
const withPool = eraSetup.createStateConfig({
  on: {
    'wait.declared': { actions: [{ type: 'noteWait', params: ({ event }) => event }, 'progress'] },
    'wait.ended': { actions: [{ type: 'endWait', params: ({ event }) => event }, 'progress'] },
    'sequencer.progressed': { actions: 'progress' },
    'rows.left': { actions: [{ type: 'tellCourier', params: { type: 'delivery.queued' } }, 'progress'] },
    'sequencer.caught_up': { actions: ['noteCaughtUp', 'progress'] },
    'crash.forgiven': { actions: 'forgiveCrash' },
  },
});

/** While a worker has a job. */
const withJobs = eraSetup.createStateConfig({
  on: {
    'worker.progressed': { actions: 'progress' },
    'attempt.failed': { actions: ['countRetry', 'progress'] },
    'partition.staged': {
      guard: { type: 'isPresent', params: ({ event }) => ({ workerId: event.workerId, ticket: event.staged.ticket }) },
      actions: [
        { type: 'takeStaged', params: ({ event }) => event },
        { type: 'passStagedToSequencer', params: ({ event }) => event },
        'dispatch',
        'progress',
      ],
    },
  },
});

/** While something is staged. */
const withCommits = eraSetup.createStateConfig({
  on: {
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
  },
});

const restage = {
  guard: { type: 'mayRestage', params: ledgersOf },
  actions: [{ type: 'takeRestage', params: ledgersOf }, 'dispatch', 'progress'],
} as const;

const respawn = {
  guard: { type: 'mayRespawn', params: actorOf },
  actions: [{ type: 'respawn', params: actorOf }, 'dispatch', 'progress'],
} as const;

const crashed = { target: '#era.crashed', actions: { type: 'noteActorCrash', params: actorOf } } as const;

/** Before it drains: what makes it. */
const untilEnd = eraSetup.createStateConfig({
  on: {
    'sequencer.failed': {
      target: '#era.draining',
      actions: { type: 'stopAtFailure', params: ({ event }) => event },
    },
    'courier.failed': { target: '#era.draining', actions: { type: 'fail', params: ({ event }) => event } },
    'drain.requested': { target: '#era.draining', actions: 'startDrain' },
    'hole.overdue': { actions: ['noteOverdueHole', 'progress'] },
    'xstate.error.actor.*': [
      respawn,
      {
        guard: { type: 'isWorker', params: actorOf },
        target: '#era.draining',
        actions: { type: 'buryWorker', params: actorOf },
      },
      crashed,
    ],
  },
});

export const eraMachine = eraSetup.createMachine({
  id: 'era',
  description:
    'One per active era. Recovers, plans, hands out partitions within the window, waits for ledgers, drains.',
  context: ({ input }) => initialContext(input),
  initial: 'recovering',
  output: ({ context }) => finalSummary(context),
  states: {
    recovering: {
      description: 'Finds out what is durable, and judges it.',
      tags: 'starting',
      entry: 'progress',
      initial: 'opening',
      on: { 'drain.requested': { target: 'draining', actions: 'startDrain' } },
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
          on: { 'effect.progressed': { actions: 'progress' } },
          invoke: {
            src: 'surveyChain',
            input: ({ context, self }) => ({ askedBy: self, eraId: context.spec.eraId }),
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
      on: { 'drain.requested': { target: 'draining', actions: 'startDrain' } },
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
          entry: 'progress',
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
          entry: 'progress',
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
      on: {
        ...withJobs.on,
        'partition.failed': {
          guard: { type: 'isPresent', params: ({ event }) => event },
          target: 'draining',
          actions: { type: 'takeFailure', params: ({ event }) => event },
        },
        ...withCommits.on,
        'restage.requested': [restage, { target: 'draining', actions: { type: 'stopAtVanished', params: ledgersOf } }],
        ...withPool.on,
        ...untilEnd.on,
      },
      always: [
        { guard: 'isFinished', target: 'draining' },
        { guard: 'mustWaitForLedgers', target: 'awaitingLedgers' },
      ],
    },
    awaitingLedgers: {
      description: 'No end, and all that is in the lake is committed: a declared wait for more.',
      tags: ['following', 'waiting'],
      entry: ['declareLedgerWait', 'progress'],
      exit: ['endOwnWait', 'progress'],
      initial: 'judging',
      on: { ...withPool.on, ...untilEnd.on },
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
      on: {
        ...withCommits.on,
        'restage.requested': [
          restage,
          { actions: [{ type: 'stopAtVanished', params: ledgersOf }, 'cancelPointless', 'progress'] },
        ],
        ...withPool.on,
        'sequencer.failed': {
          actions: [{ type: 'stopAtFailure', params: ({ event }) => event }, 'cancelPointless', 'progress'],
        },
        'courier.failed': { actions: [{ type: 'fail', params: ({ event }) => event }, 'cancelPointless', 'progress'] },
        'drain.requested': { actions: ['startDrain', 'cancelPointless', 'progress'] },
        'xstate.error.actor.*': [
          respawn,
          {
            guard: { type: 'isWorker', params: actorOf },
            actions: [{ type: 'buryWorker', params: actorOf }, 'cancelPointless', 'progress'],
          },
          crashed,
        ],
      },
      states: {
        settling: {
          description: 'Until no worker has anything that can still be committed.',
          on: {
            ...withJobs.on,
            'partition.failed': {
              guard: { type: 'isPresent', params: ({ event }) => event },
              actions: [
                { type: 'takeFailure', params: ({ event }) => event },
                'cancelPointless',
                'dispatch',
                'progress',
              ],
            },
            'worker.released': { actions: [{ type: 'release', params: ({ event }) => event }, 'dispatch', 'progress'] },
          },
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
