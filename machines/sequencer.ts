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
import { and, not } from 'xstate';
import { toFailure } from './errors.ts';
import { sequencerSetup } from './sequencer-setup.ts';
import { attestedBefore, inHand, initialContext, manifestInHand, rangeInHand, stagedInHand } from './sequencing.ts';
import { given } from './typed.ts';

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

export const sequencerMachine = sequencerSetup.createMachine({
  id: 'sequencer',
  description:
    'Exactly one per era. The only actor that makes anything visible, one partition at a time, in ledger order.',
  context: ({ input }) => initialContext(input),
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
