/** The supervisor of two eras that end in every way, crash, stall and drain, in any order. */

import { eraActorId, SUPERVISOR_ID } from '../../../machines/actor-ids.ts';
import { BronzeError, toFailure } from '../../../machines/errors.ts';
import type { EraOutcome, EraSummary } from '../../../machines/protocol.ts';
import { supervisorMachine } from '../../../machines/supervisor.ts';
import { eraSpec } from '../../support/pure.ts';
import type { Loose } from '../../support/stepper.ts';
import { controlled } from '../replay.ts';
import { crash, type Model, type Move, type Situation, send } from '../stepper.ts';

const ERAS = ['a', 'b'];
const failure = toFailure(new BronzeError('LEDGER_MISSING', 'it is not there'));

const summary = (eraId: string, outcome: EraOutcome): EraSummary => ({
  eraId,
  outcome,
  nextLedger: 20,
  partitions: 1,
  partitionsFound: 0,
  ledgers: 10,
  sourceBytes: 1,
  rawBytes: 1,
  bronzeBytes: 1,
  retries: 0,
  restages: 0,
  crashes: 0,
  pending: null,
  failure: outcome === 'failed' ? failure : null,
});

function movesOf(at: Situation): Move[] {
  const { context } = at.snapshot as { context: Loose };
  const running = ERAS.filter((eraId) => context.eras[eraId].summary === null);
  return [
    ...(context.draining ? [] : [send({ type: 'drain.requested' })]),
    ...ERAS.map((eraId) => send({ type: 'era.progressed', eraId, waiting: false } as never, `${eraId} progressed`)),
    ...running.flatMap((eraId) => [
      send({ type: 'era.counted', eraId, summary: summary(eraId, 'done') } as never, `${eraId} counted`),
      send({ type: 'era.progressed', eraId, waiting: true } as never, `${eraId} waits`),
      ...(['done', 'failed', ...(context.draining ? ['drained' as const] : [])] as const).map((outcome) =>
        send(
          { type: 'era.finished', eraId, summary: summary(eraId, outcome) } as never,
          `${eraId} finished: ${outcome}`,
        ),
      ),
      send(
        { type: 'era.crashed', eraId, summary: summary(eraId, 'failed') } as never,
        `${eraId} says that it cannot go on`,
      ),
      crash(eraActorId(eraId)),
    ]),
  ];
}

export const supervisorModels: readonly Model[] = [
  {
    name: 'supervisor',
    scenario: 'two eras, one restart each',
    machine: controlled(supervisorMachine),
    id: SUPERVISOR_ID,
    input: { eras: ERAS.map((eraId) => eraSpec({ eraId, respawnLimit: 1 })) },
    outcomes: () => [],
    moves: movesOf,
    key: ({ eras, draining }) => ({
      draining,
      eras: ERAS.map((eraId) => {
        const era = eras[eraId];
        return [era.summary?.outcome, era.recentCrashes, era.breakerTrips, era.spec.workers];
      }),
    }),
  },
];
