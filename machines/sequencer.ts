/**
 * The sequencer of an era: the only actor that makes anything visible, one partition at a time, in ledger order.
 *
 *   waiting → [verifying →] publishing → sealing → attesting → recording → delivering → checkpointing → waiting
 *
 * What each state is for stands in its `description`. Why they are as they are:
 *
 * - Manifest and event are each derived from what is *stored*. The links to neighbouring eras are looked at before
 *   publishing and again before attesting, so that of two eras which finish together the later sees the other.
 * - The row comes before delivery: who hears of a partition finds it in the catalog. The checkpoint comes last, so that a
 *   strict one says recorded and delivered, too.
 * - Where a mode is strict, recording and delivering are passed through once with no partition in hand, before anything
 *   new: what earlier runs left is recorded and delivered then.
 * - After a failure for good nothing more is committed; on a drain, what is staged and can no longer be committed is
 *   removed.
 *
 * Each step has a back-off of its own, a declared wait. A drain ends it, and the two strict waits, by saying why it had
 * to wait: what is half committed is left to the next run. It never commits out of order, never deletes what is
 * published, and never decides by what it remembers where it can decide by what is stored.
 */
import { and, assign, enqueueActions, not, sendTo, setup } from 'xstate';
import { sequencerActorId } from './actor-ids.ts';
import { THREAD_WAIT } from './dispatch.ts';
import { backoffMs, effect } from './effects.ts';
import { type Failure, toFailure } from './errors.ts';
import { sameRange } from './partitions.ts';
import type {
  EraEvent,
  Grid,
  Mode,
  Parent,
  PublishedPartition,
  Recovered,
  SealedPartition,
  SequencerEvent,
  StagedPartition,
} from './protocol.ts';
import {
  afterCommit,
  attestedBefore,
  brokenLink,
  commitFacts,
  inHand,
  manifestInHand,
  mustCatchUp,
  rangeInHand,
  type SequencerContext,
  stagedInHand,
  takeNext,
} from './sequencing.ts';
import type { Tag } from './tags.ts';
import { given, typesOf } from './typed.ts';

export interface SequencerInput {
  readonly eraId: string;
  readonly parent: Parent<EraEvent>;
  readonly grid: Grid;
  readonly recovered: Recovered;
  readonly attests: boolean;
  readonly catalog: Mode;
  readonly delivery: Mode;
  readonly retryAttempts: number;
  readonly retryBackoffMs: number;
}

const failureOf = ({ event }: { event: { error: unknown } }) => ({ failure: toFailure(event.error) });

/** What every step does with an error: back off where a retry can help, otherwise stop for good. */
const retryOrFail = [
  {
    guard: { type: 'canRetry', params: failureOf },
    target: 'backingOff',
    actions: { type: 'noteFailure', params: failureOf },
  },
  { target: '#sequencer.failed', actions: { type: 'noteFailure', params: failureOf } },
] as const;

/** What a strict step does with an error: no number of attempts is too many. */
const waitOrFail = (wait: 'waitingForCatalog' | 'waitingForDelivery') =>
  [
    {
      guard: { type: 'isPassing', params: failureOf },
      target: wait,
      actions: { type: 'noteFailure', params: failureOf },
    },
    { target: '#sequencer.failed', actions: { type: 'noteFailure', params: failureOf } },
  ] as const;

/** The back-off of a step: a declared wait, which a drain cuts short. */
const waitOutside = {
  tags: 'waiting',
  entry: 'declareWait',
  exit: 'endWait',
  // A drain does not hide why it had to wait: the failure is reported, and what is half committed is left to recovery.
  always: { guard: 'isDraining', target: '#sequencer.failed' },
} as const;

export const sequencerMachine = setup({
  types: typesOf<{
    context: SequencerContext;
    input: SequencerInput;
    events: SequencerEvent;
    tags: Tag;
  }>(),
  actors: {
    verifySealed: effect('verifySealed'),
    publishPartition: effect('publishPartition'),
    checkNeighbours: effect('checkNeighbours'),
    sealPartition: effect('sealPartition'),
    attestPartition: effect('attestPartition'),
    recordPartition: effect('recordPartition'),
    recordPending: effect('recordPending'),
    deliverPending: effect('deliverPending'),
    writeCheckpoint: effect('writeCheckpoint'),
    discardStaged: effect('discardStaged'),
  },
  delays: {
    retryBackoff: ({ context }) =>
      backoffMs(context.retryBackoffMs, context.failures, context.failure?.retryAfterMs ?? 0),
  },
  guards: {
    canTakeNext: ({ context }) => takeNext(context) !== null,
    isDraining: ({ context }) => context.draining,
    linkIsBroken: ({ context }) => brokenLink(context) !== null,
    isBuilt: ({ context }) => context.current?.staged != null,
    isHeld: (_, params: { left: number }) => params.left > 0,
    /** Another partition's event stands there: a second copier was faster. Ours comes after it. */
    isTakenByAnother: (_, params: { attested: boolean }) => !params.attested,
    isRefill: ({ context }) => context.current?.item?.kind === 'refill',
    isReseal: ({ context }) => context.current?.item?.kind === 'reseal',
    isRestored: ({ context }) => ['restore', 'reseal'].includes(context.current?.item?.kind ?? ''),
    isAttestedAlready: ({ context }) => context.current?.item?.kind === 'attested',
    attests: ({ context }) => context.attests,
    hasStaged: ({ context }) => context.buffer.length > 0,
    mustCatchUp: ({ context }) => mustCatchUp(context),
    hasCurrent: ({ context }) => context.current !== null,
    hasCatalog: ({ context }) => context.catalog !== 'none',
    isCatalogStrict: ({ context }) => context.catalog === 'strict',
    isDeliveryStrict: ({ context }) => context.delivery === 'strict',
    isRowPending: (_, params: { pending: boolean }) => params.pending,
    isPassing: (_, params: { failure: Failure }) => params.failure.retryable,
    mayBePending: ({ context }, params: { failure: Failure }) =>
      context.catalog === 'lenient' && params.failure.retryable,
    canRetry: ({ context }, params: { failure: Failure }) =>
      params.failure.retryable && context.failures + 1 < context.retryAttempts,
    stagedIsGone: ({ context }, params: { failure: Failure }) =>
      params.failure.code === 'STAGED_GONE' && !context.draining,
  },
  actions: {
    tellEra: sendTo(
      ({ context }) => context.parent,
      (_, event: EraEvent) => event,
    ),
    keepStaged: assign(({ context }, params: { staged: StagedPartition }) => {
      const { staged } = params;
      const others = context.buffer.filter((kept) => !sameRange(kept.range, staged.range));
      return { buffer: [...others, staged].sort((a, b) => a.range.start - b.range.start) };
    }),
    takeNext: assign(({ context }) => ({ current: takeNext(context), failures: 0, failure: null })),
    noteFailure: assign(({ context }, params: { failure: Failure }) => ({
      failures: context.failures + 1,
      failure: params.failure,
    })),
    keepPublished: assign(({ context }, params: { published: PublishedPartition }) => ({
      current: { ...inHand(context), published: params.published },
    })),
    keepSealed: assign(({ context }, params: { sealed: SealedPartition }) => ({
      current: { ...inHand(context), sealed: params.sealed },
    })),
    advanceChain: assign((_, params: { sequence: number; eventHash: string }) => ({
      chain: { nextSequence: params.sequence + 1, prevEventHash: params.eventHash },
    })),
    noteBrokenLink: assign(({ context }) => ({ failure: brokenLink(context) })),
    forgetFailures: assign({ failures: 0, failure: null }),
    leaveRowPending: assign(({ context }) => ({ current: { ...inHand(context), rowPending: true } })),
    noteCaughtUp: assign({ caughtUp: true }),
    startDrain: assign({ draining: true }),
    dropStaged: assign(({ context }) => ({
      buffer: context.buffer.filter((staged) => staged.ticket !== context.current?.staged?.ticket),
      current: null,
      failures: 0,
      failure: null,
    })),
    announceStep: enqueueActions(({ context, enqueue }, params: { step: string }) => {
      // Without a partition in hand it catches up on what earlier runs left, before the next one.
      const { current, next } = context;
      enqueue.sendTo(context.parent, {
        type: 'sequencer.progressed',
        step: params.step,
        range: current?.range ?? { start: next, end: next },
      });
    }),
    announceCommit: sendTo(
      ({ context }) => context.parent,
      ({ context }): EraEvent => commitFacts(inHand(context)),
    ),
    commit: assign(({ context }) => afterCommit(context)),
    declareWait: sendTo(
      ({ context }) => context.parent,
      ({ context }): EraEvent => ({
        type: 'wait.declared',
        actorId: sequencerActorId(context.eraId),
        reason: `backing off after ${context.failure?.code ?? 'a failure'}`,
      }),
    ),
    declareStrictWait: sendTo(
      ({ context }) => context.parent,
      ({ context }, params: { whom: string }): EraEvent => ({
        type: 'wait.declared',
        actorId: sequencerActorId(context.eraId),
        reason: `waiting for ${params.whom} after ${context.failure?.code ?? 'a failure'}`,
      }),
    ),
    declareThreadWait: sendTo(
      ({ context }) => context.parent,
      ({ context }): EraEvent => ({
        type: 'wait.declared',
        actorId: sequencerActorId(context.eraId),
        reason: THREAD_WAIT,
      }),
    ),
    endWait: sendTo(
      ({ context }) => context.parent,
      ({ context }): EraEvent => ({ type: 'wait.ended', actorId: sequencerActorId(context.eraId) }),
    ),
  },
}).createMachine({
  id: 'sequencer',
  description:
    'Exactly one per era. The only actor that makes anything visible, one partition at a time, in ledger order.',
  context: ({ input }) => ({
    eraId: input.eraId,
    parent: input.parent,
    grid: input.grid,
    attests: input.attests,
    catalog: input.catalog,
    delivery: input.delivery,
    retryAttempts: input.retryAttempts,
    retryBackoffMs: input.retryBackoffMs,
    agenda: input.recovered.agenda,
    next: input.recovered.frontier,
    chain: input.recovered.chain,
    lastHash: input.recovered.lastHash,
    buffer: [],
    current: null,
    caughtUp: input.catalog !== 'strict' && input.delivery !== 'strict',
    failures: 0,
    failure: null,
    draining: false,
  }),
  initial: 'waiting',
  on: {
    'partition.staged': { actions: { type: 'keepStaged', params: ({ event }) => event } },
    'sequencer.drain': { actions: 'startDrain' },
    'era.lost': '.orphaned',
    'effect.queued': { actions: 'declareThreadWait' },
    'effect.started': { actions: 'endWait' },
    'effect.progressed': { actions: { type: 'announceStep', params: { step: 'still at it' } } },
  },
  states: {
    waiting: {
      description: 'The next partition is not here yet; later ones are kept. Left when it is, or when the era drains.',
      tags: 'idle',
      always: [
        { guard: 'mustCatchUp', target: 'recording' },
        { guard: 'canTakeNext', target: 'choosing', actions: 'takeNext' },
        { guard: 'isDraining', target: 'discarding' },
      ],
    },
    /** Which step the partition in hand starts with. */
    choosing: {
      description: 'With which step does the partition in hand begin?',
      always: [
        { guard: 'linkIsBroken', target: 'failed', actions: 'noteBrokenLink' },
        { guard: 'isBuilt', target: 'publishing' },
        { guard: 'isReseal', target: 'sealing' },
        { guard: 'isRefill', target: 'attesting.writing' },
        { target: 'verifying' },
      ],
    },
    verifying: {
      description: 'Sealed by an earlier run: its bytes are read before anything is said of it.',
      entry: ['forgetFailures', { type: 'announceStep', params: { step: 'verifying' } }],
      initial: 'working',
      states: {
        working: {
          description: 'Reads it back, row by row.',
          invoke: {
            src: 'verifySealed',
            input: ({ context, self }) => ({
              askedBy: self,
              eraId: context.eraId,
              sealed: manifestInHand(context),
            }),
            onDone: [
              { guard: and(['attests', 'isAttestedAlready']), target: '#sequencer.recording' },
              { target: '#sequencer.attesting' },
            ],
            onError: retryOrFail,
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          ...waitOutside,
          after: { retryBackoff: 'working' },
        },
      },
    },
    publishing: {
      description: 'The staged file becomes visible under its final name.',
      entry: ['forgetFailures', { type: 'announceStep', params: { step: 'publishing' } }],
      initial: 'checkingLinks',
      states: {
        checkingLinks: {
          description: 'Do the ledgers link to the neighbouring eras?',
          invoke: {
            src: 'checkNeighbours',
            input: ({ context }) => ({
              eraId: context.eraId,
              range: inHand(context).range,
              ledgers: stagedInHand(context).ledgers,
            }),
            onDone: 'writing',
            onError: retryOrFail,
          },
        },
        writing: {
          description: 'Gives it its name. What was staged and has vanished is asked for again.',
          invoke: {
            src: 'publishPartition',
            input: ({ context, self }) => ({
              askedBy: self,
              eraId: context.eraId,
              staged: stagedInHand(context),
              attested: attestedBefore(inHand(context)),
            }),
            onDone: {
              target: '#sequencer.sealing',
              actions: { type: 'keepPublished', params: ({ event }) => ({ published: event.output }) },
            },
            onError: [
              {
                guard: { type: 'stagedIsGone', params: failureOf },
                target: '#sequencer.waiting',
                actions: [
                  {
                    type: 'tellEra',
                    params: ({ context }) => ({
                      type: 'restage.requested',
                      range: inHand(context).range,
                    }),
                  },
                  'dropStaged',
                ],
              },
              ...retryOrFail,
            ],
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          ...waitOutside,
          after: { retryBackoff: 'checkingLinks' },
        },
      },
    },
    sealing: {
      description: 'The manifest, from what is stored.',
      entry: ['forgetFailures', { type: 'announceStep', params: { step: 'sealing' } }],
      initial: 'working',
      states: {
        working: {
          description: 'Writes the manifest.',
          invoke: {
            src: 'sealPartition',
            input: ({ context, self }) => ({
              askedBy: self,
              eraId: context.eraId,
              published: context.current?.published ?? null,
              attested: attestedBefore(inHand(context)),
            }),
            onDone: [
              {
                guard: 'isRestored',
                target: '#sequencer.waiting',
                actions: ['announceCommit', 'commit'],
              },
              {
                target: '#sequencer.attesting',
                actions: { type: 'keepSealed', params: ({ event }) => ({ sealed: event.output }) },
              },
            ],
            onError: retryOrFail,
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          ...waitOutside,
          after: { retryBackoff: 'working' },
        },
      },
    },
    attesting: {
      description: 'The event of the audit chain, from the stored manifest.',
      entry: ['forgetFailures', { type: 'announceStep', params: { step: 'attesting' } }],
      initial: 'checkingLinks',
      states: {
        checkingLinks: {
          description: 'Once more: of two eras that finish together the later one sees the other.',
          invoke: {
            src: 'checkNeighbours',
            input: ({ context }) => ({
              eraId: context.eraId,
              range: inHand(context).range,
              ledgers: manifestInHand(context).ledgers,
            }),
            // Without the audit stream the links are looked at all the same: of two eras the later sees the other.
            onDone: [{ guard: 'attests', target: 'writing' }, { target: '#sequencer.recording' }],
            onError: retryOrFail,
          },
        },
        writing: {
          description: 'Writes it at the end of the chain.',
          invoke: {
            src: 'attestPartition',
            input: ({ context }) => {
              const expected = attestedBefore(inHand(context));
              return {
                eraId: context.eraId,
                range: inHand(context).range,
                chain: expected
                  ? { nextSequence: expected.sequence, prevEventHash: expected.prevEventHash }
                  : context.chain,
                expected,
              };
            },
            onDone: [
              {
                guard: 'isRefill',
                target: '#sequencer.waiting',
                actions: ['announceCommit', 'commit'],
              },
              {
                guard: { type: 'isTakenByAnother', params: ({ event }) => event.output },
                target: 'writing',
                reenter: true,
                actions: { type: 'advanceChain', params: ({ event }) => event.output },
              },
              {
                target: '#sequencer.recording',
                actions: { type: 'advanceChain', params: ({ event }) => event.output },
              },
            ],
            onError: retryOrFail,
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          ...waitOutside,
          after: { retryBackoff: [{ guard: 'isRefill', target: 'writing' }, { target: 'checkingLinks' }] },
        },
      },
    },
    recording: {
      description: 'The row in the catalog, where there is one.',
      entry: 'forgetFailures',
      initial: 'choosing',
      states: {
        choosing: {
          description: 'Is there a catalog, and a partition in hand?',
          always: [
            { guard: and(['hasCatalog', 'hasCurrent']), target: 'working' },
            { guard: 'isCatalogStrict', target: 'catchingUp' },
            { target: '#sequencer.delivering' },
          ],
        },
        working: {
          description: 'Writes the row. Lenient, one that cannot be written now is left to the courier.',
          entry: { type: 'announceStep', params: { step: 'recording' } },
          invoke: {
            src: 'recordPartition',
            input: ({ context }) => ({ eraId: context.eraId, range: inHand(context).range }),
            onDone: [
              {
                guard: { type: 'isRowPending', params: ({ event }) => event.output },
                target: '#sequencer.delivering',
                actions: 'leaveRowPending',
              },
              { target: '#sequencer.delivering' },
            ],
            onError: [
              {
                guard: { type: 'mayBePending', params: failureOf },
                target: '#sequencer.delivering',
                actions: 'leaveRowPending',
              },
              ...waitOrFail('waitingForCatalog'),
            ],
          },
        },
        catchingUp: {
          description: 'Strict, before anything new: rows that earlier runs left.',
          invoke: {
            src: 'recordPending',
            input: ({ context, self }) => ({ askedBy: self, eraId: context.eraId }),
            // What a reader keeps from being written is the courier's, here as for a single row.
            onDone: [
              {
                guard: { type: 'isHeld', params: ({ event }) => event.output },
                target: '#sequencer.delivering',
                actions: { type: 'tellEra', params: { type: 'rows.left' } },
              },
              { target: '#sequencer.delivering' },
            ],
            onError: waitOrFail('waitingForCatalog'),
          },
        },
        waitingForCatalog: {
          description: 'Strict: a declared wait, without end.',
          ...waitOutside,
          entry: { type: 'declareStrictWait', params: { whom: 'the catalog' } },
          after: { retryBackoff: 'choosing' },
        },
      },
    },
    delivering: {
      description: 'Strict: all events up to this one go to the endpoint.',
      entry: 'forgetFailures',
      initial: 'choosing',
      states: {
        choosing: {
          description: 'Is delivery strict?',
          always: [
            { guard: 'isDeliveryStrict', target: 'working' },
            { guard: 'hasCurrent', target: '#sequencer.checkpointing' },
            { target: '#sequencer.caughtUp' },
          ],
        },
        working: {
          description: 'Delivers. Lenient, that is left to the courier.',
          entry: { type: 'announceStep', params: { step: 'delivering' } },
          invoke: {
            src: 'deliverPending',
            input: ({ context, self }) => ({ askedBy: self, eraId: context.eraId }),
            onDone: [{ guard: 'hasCurrent', target: '#sequencer.checkpointing' }, { target: '#sequencer.caughtUp' }],
            onError: waitOrFail('waitingForDelivery'),
          },
        },
        waitingForDelivery: {
          description: 'Strict: a declared wait, without end.',
          ...waitOutside,
          entry: { type: 'declareStrictWait', params: { whom: 'the endpoint' } },
          after: { retryBackoff: 'working' },
        },
      },
    },
    /** Only where a mode is strict: the era may not end before. */
    caughtUp: {
      description: 'Strict: what earlier runs left is recorded and delivered.',
      entry: ['noteCaughtUp', { type: 'tellEra', params: { type: 'sequencer.caught_up' } }],
      always: 'waiting',
    },
    checkpointing: {
      description: 'The partition is committed with this.',
      entry: ['forgetFailures', { type: 'announceStep', params: { step: 'checkpointing' } }],
      initial: 'working',
      states: {
        working: {
          description: 'Writes the checkpoint.',
          invoke: {
            src: 'writeCheckpoint',
            input: ({ context }) => ({
              eraId: context.eraId,
              range: inHand(context).range,
              checksum: manifestInHand(context).data.checksum,
            }),
            onDone: { target: '#sequencer.waiting', actions: ['announceCommit', 'commit'] },
            onError: retryOrFail,
          },
        },
        backingOff: {
          description: 'A declared wait after a failure that may pass.',
          ...waitOutside,
          after: { retryBackoff: 'working' },
        },
      },
    },
    failed: {
      description: 'A conflict, or no attempts are left: nothing more is committed; waits for the drain.',
      tags: 'failed',
      entry: {
        type: 'tellEra',
        params: ({ context }) => ({
          type: 'sequencer.failed',
          range: rangeInHand(context),
          failure: given(context.failure, 'a failure'),
        }),
      },
      always: { guard: 'isDraining', target: 'discarding' },
    },
    discarding: {
      description: 'Removes what is staged and can no longer be committed.',
      always: { guard: not('hasStaged'), target: 'drained' },
      invoke: {
        src: 'discardStaged',
        input: ({ context }) => ({ eraId: context.eraId, handles: context.buffer.map((staged) => staged.handle) }),
        // What cannot be removed now is swept with everything else of this run, or by the next one.
        onDone: 'drained',
        onError: 'drained',
      },
    },
    drained: {
      description: 'Nothing is left to do.',
      type: 'final',
      entry: { type: 'tellEra', params: { type: 'sequencer.drained' } },
    },
    orphaned: { description: 'Its era is lost: it ends without a word.', type: 'final', tags: 'orphaned' },
  },
});
