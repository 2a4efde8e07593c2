/** An era with stand-ins for its children: what they may say in each situation, every effect failing, crashes, drains. */

import { eraActorId, SUPERVISOR_ID, sequencerActorId } from '../../../machines/actor-ids.ts';
import { eraMachine } from '../../../machines/era.ts';
import { BronzeError, toFailure } from '../../../machines/errors.ts';
import type { EraFacts, EraSpec, Job, LedgerRange } from '../../../machines/protocol.ts';
import { eraSpec } from '../../support/pure.ts';
import { attestedEvent, noFacts, sealedPartition, stagedPartition } from '../../support/pure-values.ts';
import { type Loose, refTo } from '../../support/stepper.ts';
import { controlled } from '../replay.ts';
import { type Asked, crash, type Model, type Move, type Outcome, type Situation, send } from '../stepper.ts';

const machine = controlled(eraMachine);
const PASSING = { error: 'STORE_IO' } as const;
const LASTING = { error: 'STORE_DENIED' } as const;
const FIRST: LedgerRange = { start: 10, end: 19 };
const failure = toFailure(new BronzeError('LEDGER_MISSING', 'it is not there'));

const whole = (range: LedgerRange) => ({
  range,
  dataBytes: 1,
  hasManifest: true,
  manifest: sealedPartition(range),
});

/** What a survey may find. */
const FACTS = {
  nothing: noFacts,
  'the first is sealed': { ...noFacts, partitions: [whole(FIRST)] },
  'the first is attested': {
    ...noFacts,
    partitions: [whole(FIRST)],
    events: [attestedEvent(0, FIRST, null)],
    checkpoint: { range: FIRST, checksum: sealedPartition(FIRST).data.checksum },
  },
  'a hole in the chain': { ...noFacts, events: [attestedEvent(1, { start: 20, end: 29 }, 'event-0')] },
} satisfies Record<string, EraFacts>;

interface Scenario {
  readonly scenario: string;
  readonly spec: EraSpec;
  readonly facts: readonly (keyof typeof FACTS)[];
  /** How often one partition may vanish after it was staged. */
  readonly restages: number;
  /** What a look at the head may find, by what lies beyond the first ledger asked for. */
  readonly heads?: readonly {
    readonly name: string;
    readonly ledgers: number;
    readonly hole: boolean;
    readonly isShort?: true;
  }[];
  /** Whether the waits and signs of life of its children are part of it. */
  readonly chatter?: boolean;
}

function outcomesOf(scenario: Scenario, { name, input }: Asked): readonly Outcome[] {
  switch (name) {
    case 'openChain':
      return [{ name: '', output: { created: true } }, PASSING, LASTING];
    case 'surveyChain':
      return [...scenario.facts.map((found) => ({ name: found, output: FACTS[found] })), PASSING, LASTING];
    case 'openLake':
      return [{ name: '', output: { source: 'file:///lake' } }, PASSING, LASTING];
    case 'compareLake':
      return [
        { name: '', output: { behind: null } },
        { name: 'it is behind', output: { behind: { head: 9 } } },
        PASSING,
        LASTING,
      ];
    case 'findHead':
      return [
        ...(scenario.heads ?? []).map((head) => ({
          name: head.name,
          output: {
            head: head.isShort ? FIRST.end - 1 : input.from + 20,
            contiguousTo: input.from - 1 + head.ledgers,
            holeAt: head.hole ? input.from + head.ledgers : null,
          },
        })),
        PASSING,
        LASTING,
      ];
    default:
      return [{ name: '', output: { rows: 0, events: 1 } }, PASSING];
  }
}

function workerMoves(context: Loose, scenario: Scenario): Move[] {
  return Object.entries(context.workers as Record<string, Job | null>).flatMap(([workerId, job]) => {
    const n = workerId.slice(workerId.lastIndexOf(':') + 1);
    const say = (event: { readonly type: string }, name = event.type): Move =>
      send({ ...event, workerId } as never, `${name} by worker ${n}`);
    if (!job) {
      const staged = stagedPartition({ range: FIRST, ticket: 999, correlationId: 'c', patient: false }, 0);
      return [
        say({ type: 'partition.staged', staged } as never, 'partition.staged, long replaced,'),
        say(
          { type: 'partition.failed', ticket: 999, range: FIRST, failure } as never,
          'partition.failed, long replaced,',
        ),
        crash(workerId),
      ];
    }
    const { range, ticket } = job;
    const pointless = context.draining || (context.stopBefore !== null && range.start >= context.stopBefore);
    return [
      say({ type: 'partition.staged', staged: stagedPartition(job, 0) } as never, `partition.staged ${range.start}`),
      say({ type: 'partition.failed', ticket, range, failure } as never, `partition.failed ${range.start}`),
      ...(pointless ? [say({ type: 'worker.released' })] : []),
      crash(workerId),
      ...(scenario.chatter
        ? [
            say({ type: 'worker.progressed', range, ledgers: 3, rawBytes: 9 } as never),
            say({ type: 'attempt.failed', range, failure } as never),
            workerId in context.waits
              ? say({ type: 'wait.ended', actorId: workerId } as never)
              : say({ type: 'wait.declared', actorId: workerId, reason: 'backing off' } as never),
          ]
        : []),
    ];
  });
}

function sequencerMoves(context: Loose, scenario: Scenario): Move[] {
  const next = (context.outstanding as Loose[])
    .filter((entry) => entry.phase === 'staged' || entry.phase === 'agenda')
    .sort((a, b) => a.range.start - b.range.start)[0];
  if (!next || context.stopBefore === next.range.start) return [];
  const { range } = next;
  const facts = {
    range,
    rows: 10,
    bronzeBytes: 1,
    sourceBytes: 1,
    rawBytes: 1,
    retries: 0,
    alreadyThere: next.phase === 'agenda',
    rowPending: false,
    correlationId: '',
  };
  const mayVanish = next.phase === 'staged' && next.restages < scenario.restages;
  return [
    ...(range.start <= context.frontier
      ? [
          send({ type: 'partition.committed', facts } as never, `partition.committed ${range.start}`),
          ...(scenario.spec.catalog === 'none'
            ? []
            : [
                send(
                  { type: 'partition.committed', facts: { ...facts, rowPending: true } } as never,
                  `partition.committed ${range.start}, its row pending`,
                ),
              ]),
        ]
      : []),
    send({ type: 'sequencer.failed', range, failure } as never, `sequencer.failed ${range.start}`),
    ...(mayVanish ? [send({ type: 'restage.requested', range } as never, `restage.requested ${range.start}`)] : []),
    ...(scenario.chatter ? [send({ type: 'sequencer.progressed', step: 'publishing', range } as never)] : []),
  ];
}

/** Strict: what the sequencer says while it records and delivers what earlier runs left, with no partition in hand. */
function catchingUp(context: Loose, scenario: Scenario, actorId: string): Move[] {
  const range = { start: context.frontier, end: context.frontier };
  const chatter = [
    send({ type: 'sequencer.progressed', step: 'delivering', range } as never, 'sequencer.progressed, catching up'),
    actorId in context.waits
      ? send({ type: 'wait.ended', actorId } as never, 'wait.ended by the sequencer')
      : send({ type: 'wait.declared', actorId, reason: 'backing off' } as never, 'wait.declared by the sequencer'),
    send({ type: 'sequencer.failed', range, failure } as never, 'sequencer.failed, catching up'),
  ];
  return [
    send({ type: 'sequencer.caught_up' }),
    send({ type: 'rows.left' }),
    ...(scenario.chatter && context.stopBefore === null ? chatter : []),
  ];
}

function movesOf(scenario: Scenario, at: Situation): Move[] {
  const { context, value } = at.snapshot as { context: Loose; value: unknown };
  const state = JSON.stringify(value);
  const sequencer = sequencerActorId(scenario.spec.eraId);
  const isSurveying = state === '{"recovering":"surveying"}';
  const isDrained = state === '{"draining":"closing"}' || state === '{"draining":"delivering"}';
  return [
    ...(context.draining ? [] : [send({ type: 'drain.requested' })]),
    ...(isSurveying ? [send({ type: 'effect.progressed' })] : []),
    ...(context.spawned && !isDrained ? [...workerMoves(context, scenario), ...sequencerMoves(context, scenario)] : []),
    ...(at.children.includes(sequencer) ? [crash(sequencer)] : []),
    ...(state === '{"draining":"discarding"}' ? [send({ type: 'sequencer.drained' })] : []),
    ...(state === '{"draining":"delivering"}' ? [send({ type: 'courier.drained' })] : []),
    ...(context.spawned && !context.caughtUp && !isDrained ? catchingUp(context, scenario, sequencer) : []),
    ...(scenario.spec.delivery !== 'lenient' || !context.spawned || state === '{"draining":"closing"}'
      ? []
      : [send({ type: 'courier.failed', failure } as never)]),
  ];
}

const model = (scenario: Scenario): Model => ({
  name: 'era',
  scenario: scenario.scenario,
  machine,
  id: eraActorId(scenario.spec.eraId),
  input: { spec: scenario.spec, parent: refTo(SUPERVISOR_ID) },
  outcomes: (asked) => outcomesOf(scenario, asked),
  moves: (at) => movesOf(scenario, at),
  key: (context) => ({
    frontier: context.frontier,
    cursor: context.cursor,
    target: context.target,
    available: context.available,
    hole: [context.holeAt, context.holeOverdue],
    outstanding: context.outstanding.map((entry: Loose) => [
      entry.range.start,
      entry.phase,
      entry.counted,
      entry.restages,
    ]),
    workers: Object.values(context.workers as Record<string, Job | null>).map((job) => job?.range.start ?? null),
    crashes: context.recentCrashes,
    waits: Object.keys(context.waits),
    failures: context.failures,
    failure: context.failure?.code,
    stopBefore: context.stopBefore,
    draining: context.draining,
    spawned: context.spawned,
    caughtUp: context.caughtUp,
  }),
});

const grid = (ledgerEnd: number | null) => ({ size: 10, origin: 0, ledgerStart: 10, ledgerEnd });
const small = { workers: 1, queueSize: 2, retryAttempts: 2, respawnLimit: 1 };
const SHORT = { name: 'it ends before what is committed', ledgers: 0, hole: false, isShort: true } as const;
const HEADS = [
  { name: 'nothing new', ledgers: 0, hole: false },
  { name: 'a partition', ledgers: 10, hole: false },
  { name: 'a hole', ledgers: 0, hole: true },
];

export const eraModels: readonly Model[] = [
  model({
    scenario: 'a strict catalog',
    spec: eraSpec({ ...small, grid: grid(29), catalog: 'strict' }),
    facts: ['nothing', 'the first is attested'],
    restages: 0,
  }),
  model({
    scenario: 'two partitions, with a catalog and an endpoint',
    spec: eraSpec({ ...small, grid: grid(29), catalog: 'lenient', delivery: 'lenient' }),
    facts: ['nothing', 'the first is sealed', 'a hole in the chain'],
    restages: 1,
  }),
  model({
    scenario: 'one partition that vanishes again and again',
    spec: eraSpec({ ...small, grid: grid(19) }),
    facts: ['nothing', 'the first is attested'],
    restages: 6,
    chatter: true,
  }),
  model({
    scenario: 'two workers',
    spec: eraSpec({ ...small, workers: 2, respawnLimit: 0, grid: grid(29) }),
    facts: ['nothing'],
    restages: 0,
  }),
  model({
    scenario: 'unbounded',
    spec: eraSpec({ ...small, respawnLimit: 0, grid: grid(null), stopAfter: 29 }),
    facts: ['nothing'],
    restages: 0,
    heads: HEADS,
  }),
  model({
    scenario: 'unbounded, a strict catalog and an endpoint',
    spec: eraSpec({ ...small, grid: grid(null), stopAfter: 19, catalog: 'strict', delivery: 'lenient' }),
    facts: ['nothing'],
    restages: 0,
    heads: HEADS.slice(0, 2),
    chatter: true,
  }),
  model({
    scenario: 'unbounded, once',
    spec: eraSpec({ ...small, respawnLimit: 0, grid: grid(null), once: true }),
    facts: ['nothing'],
    restages: 0,
    heads: HEADS,
  }),
  model({
    scenario: 'unbounded, of a lake that gets shorter and grows again',
    spec: eraSpec({ ...small, respawnLimit: 0, grid: grid(null), stopAfter: 29 }),
    facts: ['the first is attested'],
    restages: 0,
    heads: [...HEADS.filter(({ hole }) => !hole), SHORT],
  }),
  model({
    scenario: 'unbounded, once, of a lake that is too short',
    spec: eraSpec({ ...small, respawnLimit: 0, grid: grid(null), once: true }),
    facts: ['the first is attested'],
    restages: 0,
    heads: [SHORT],
  }),
];
