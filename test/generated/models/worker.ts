/** A worker: jobs with and without patience, builds and stagings that end in every way, a cancel at any moment. */
import { eraActorId, workerActorId } from '../../../machines/actor-ids.ts';
import type { Job } from '../../../machines/protocol.ts';
import { workerMachine } from '../../../machines/worker.ts';
import { stagedPartition } from '../../support/pure-values.ts';
import { refTo } from '../../support/stepper.ts';
import { controlled } from '../replay.ts';
import { type Asked, type Model, type Outcome, send } from '../stepper.ts';

const job = (ticket: number, patient: boolean): Job => ({
  range: { start: 10 * ticket, end: 10 * ticket + 9 },
  ticket,
  correlationId: `c${ticket}`,
  patient,
});

const JOBS = [job(1, false), job(2, true)];

function outcomes(asked: Asked): readonly Outcome[] {
  const output =
    asked.name === 'buildPartition' ? stagedPartition(asked.input.job, asked.input.retries) : asked.input.staged;
  return [{ name: '', output }, { error: 'STORE_IO' }, { error: 'LEDGER_MISSING' }];
}

export const workerModels: readonly Model[] = [
  {
    name: 'worker',
    scenario: 'three attempts',
    machine: controlled(workerMachine),
    id: workerActorId('a', 1),
    input: {
      eraId: 'a',
      parent: refTo(eraActorId('a')),
      workerId: workerActorId('a', 1),
      retryAttempts: 3,
      retryBackoffMs: 1000,
    },
    outcomes,
    moves: () => [
      ...JOBS.map((one) =>
        send({ type: 'partition.assigned', job: one } as never, `partition.assigned${one.patient ? ', patient' : ''}`),
      ),
      send({ type: 'work.cancelled' }),
      send({ type: 'era.lost' }),
      ...['build.queued', 'build.started', 'build.progressed'].flatMap((type) =>
        [1, 2].map((ticket) => send({ type, ticket, ledgers: 3, rawBytes: 9 } as never, `${type}, ticket ${ticket}`)),
      ),
    ],
    key: ({ job: one, failures, failure, impatient, staged }) => ({
      ticket: one?.ticket,
      failures: Math.min(failures, 3),
      code: failure?.code,
      impatient,
      staged: staged !== null,
    }),
  },
];
