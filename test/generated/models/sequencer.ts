/** The sequencer: new partitions in any order, everything that recovery can leave to it, every step failing. */
import { eraActorId, sequencerActorId } from '../../../machines/actor-ids.ts';
import type { AgendaItem, LedgerRange, Mode, Recovered } from '../../../machines/protocol.ts';
import { sequencerMachine } from '../../../machines/sequencer.ts';
import { attestedEvent, lastHashOf, sealedPartition, stagedPartition } from '../../support/pure-values.ts';
import { type Loose, refTo } from '../../support/stepper.ts';
import { controlled } from '../replay.ts';
import { type Asked, type Model, type Move, type Outcome, type Situation, send } from '../stepper.ts';

const machine = controlled(sequencerMachine);
const range = (start: number): LedgerRange => ({ start, end: start + 9 });
const PASSING = { error: 'STORE_IO' } as const;
const LASTING = { error: 'PARTITION_CONFLICT' } as const;

function outcomes({ name, input }: Asked, context: Loose): readonly Outcome[] {
  const answer = (output: unknown): Outcome => ({ name: '', output });
  switch (name) {
    case 'verifySealed':
      return [answer(input.sealed), PASSING, LASTING];
    case 'publishPartition':
      return [answer({ ...input.staged, found: false }), PASSING, LASTING, { error: 'STAGED_GONE' }];
    case 'sealPartition':
      return [answer(sealedPartition((input.published ?? input.attested).range)), PASSING, LASTING];
    case 'attestPartition': {
      const sequence: number = input.chain.nextSequence;
      const done = { attested: true, sequence, eventHash: `h${sequence}` };
      const isFirst = sequence <= context.next / 10;
      const other = { name: 'another stands there', output: { ...done, attested: false } };
      return [answer(done), PASSING, LASTING, ...(isFirst && input.expected === null ? [other] : [])];
    }
    case 'recordPartition':
      return [answer({ pending: false }), { name: 'pending', output: { pending: true } }, PASSING, LASTING];
    case 'recordPending':
      return [answer({ left: 0 }), { name: 'left', output: { left: 1 } }, PASSING, LASTING];
    default:
      return [answer(null), PASSING, LASTING];
  }
}

const stagedEvent = (start: number, linked: boolean): Move => {
  const one = stagedPartition({ range: range(start), ticket: start, correlationId: 'c', patient: false }, 0);
  const staged = linked ? one : { ...one, ledgers: { ...one.ledgers, previousHash: 'of another network' } };
  return send(
    { type: 'partition.staged', staged } as never,
    `partition.staged ${start}${linked ? '' : ', broken link'}`,
  );
};

interface Scenario {
  readonly scenario: string;
  readonly agenda: readonly AgendaItem[];
  /** First ledger of the grid that is not sealed. */
  readonly frontier: number;
  /** Starts of the partitions that workers may deliver. */
  readonly delivers: readonly number[];
  readonly attests: boolean;
  readonly catalog?: Mode;
  readonly delivery?: Mode;
}

/** Partitions of ten ledgers from 10 on, up to 39. */
function model(of: Scenario): Model {
  const { scenario, agenda, frontier, delivers, attests, catalog = 'none', delivery = 'none' } = of;
  const first = agenda[0]?.range.start ?? frontier;
  const recovered: Recovered = {
    frontier,
    chain: { nextSequence: first / 10 - 1, prevEventHash: null },
    lastHash: lastHashOf(first - 1),
    agenda,
  };
  return {
    name: 'sequencer',
    scenario,
    machine,
    id: sequencerActorId('a'),
    input: {
      eraId: 'a',
      parent: refTo(eraActorId('a')),
      grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: 39 },
      recovered,
      attests,
      catalog,
      delivery,
      retryAttempts: 2,
      retryBackoffMs: 1000,
    },
    outcomes,
    moves: (at: Situation) => {
      const { context } = at.snapshot as { context: Loose };
      const isHere = (start: number): boolean =>
        start < context.next && !context.agenda.some((item: AgendaItem) => item.range.start === start);
      const wanted = delivers.filter(
        (start) =>
          !isHere(start) && !context.buffer.some((staged: { range: LedgerRange }) => staged.range.start === start),
      );
      return [
        ...wanted.flatMap((start, n) => [stagedEvent(start, true), ...(n === 0 ? [stagedEvent(start, false)] : [])]),
        ...(['effect.queued', 'effect.started', 'effect.progressed'] as const).map((type) => send({ type })),
        ...(context.draining ? [] : [send({ type: 'sequencer.drain' })]),
        send({ type: 'era.lost' }),
      ];
    },
    key: (context) => ({
      agenda: context.agenda.length,
      next: context.next,
      sequence: context.chain.nextSequence,
      buffer: context.buffer.map((staged: Loose) => [staged.range.start, staged.ledgers.previousHash.length]),
      current: context.current && {
        ...Object.fromEntries(Object.entries(context.current).map(([name, value]) => [name, value !== null])),
        rowPending: context.current.rowPending,
        start: context.current.range.start,
      },
      caughtUp: context.caughtUp,
      failures: Math.min(context.failures, 3),
      code: context.failure?.code,
      draining: context.draining,
    }),
  };
}

export const sequencerModels: readonly Model[] = [
  model({ scenario: 'two new partitions', agenda: [], frontier: 20, delivers: [20, 30], attests: true }),
  model({ scenario: 'without the audit stream', agenda: [], frontier: 30, delivers: [30], attests: false }),
  model({
    scenario: 'a lost partition, then a lost event',
    agenda: [
      { kind: 'restore', range: range(10), event: attestedEvent(0, range(10), null) },
      { kind: 'refill', range: range(20), event: attestedEvent(1, range(20), 'event-0') },
    ],
    frontier: 40,
    delivers: [10],
    attests: true,
  }),
  model({
    scenario: 'a lost manifest, then new ones',
    agenda: [{ kind: 'reseal', range: range(10), event: attestedEvent(0, range(10), null) }],
    frontier: 30,
    delivers: [30],
    attests: true,
    catalog: 'strict',
  }),
  model({
    scenario: 'sealed, then a clipped one to copy',
    agenda: [
      { kind: 'sealed', range: range(20), sealed: sealedPartition(range(20)) },
      { kind: 'copy', range: range(30) },
    ],
    frontier: 30,
    delivers: [30],
    attests: true,
  }),
  model({
    scenario: 'attested, the checkpoint behind',
    agenda: [{ kind: 'attested', range: range(30), sealed: sealedPartition(range(30)) }],
    frontier: 40,
    delivers: [],
    attests: true,
  }),
  model({
    scenario: 'sealed, without the audit stream',
    agenda: [{ kind: 'sealed', range: range(30), sealed: sealedPartition(range(30)) }],
    frontier: 40,
    delivers: [],
    attests: false,
  }),
  ...(
    [
      ['a lenient catalog', 'lenient', 'none'],
      ['a strict catalog', 'strict', 'none'],
      ['a strict endpoint', 'none', 'strict'],
      ['a lenient catalog and a strict endpoint', 'lenient', 'strict'],
      ['both strict', 'strict', 'strict'],
    ] as const
  ).map(([scenario, catalog, delivery]) =>
    model({
      scenario,
      agenda: [{ kind: 'attested', range: range(20), sealed: sealedPartition(range(20)) }],
      frontier: 30,
      delivers: [30],
      attests: true,
      catalog,
      delivery,
    }),
  ),
  model({
    scenario: 'a lost event, both strict',
    agenda: [{ kind: 'refill', range: range(30), event: attestedEvent(2, range(30), 'event-1') }],
    frontier: 40,
    delivers: [],
    attests: true,
    catalog: 'strict',
    delivery: 'strict',
  }),
];
