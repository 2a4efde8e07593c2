/**
 * What the sequencer's chart (sequencer.ts) is put together from: its types, the effects that it asks for, its guards and
 * actions. What they decide with is in sequencing.ts.
 */
import { assign, enqueueActions, sendTo, setup } from 'xstate';
import { sequencerActorId } from './actor-ids.ts';
import { THREAD_WAIT } from './dispatch.ts';
import { backoffMs, effect } from './effects.ts';
import type { Failure } from './errors.ts';
import { sameRange } from './partitions.ts';
import type { EraEvent, PublishedPartition, SealedPartition, SequencerEvent, StagedPartition } from './protocol.ts';
import {
  afterCommit,
  brokenLink,
  commitFacts,
  inHand,
  mustCatchUp,
  type SequencerContext,
  type SequencerInput,
  takeNext,
} from './sequencing.ts';
import type { Tag } from './tags.ts';
import { typesOf } from './typed.ts';

export const sequencerSetup = setup({
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
});
