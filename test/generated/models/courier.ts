/** The courier: rounds that end well or badly, something queued at any moment, a drain at any moment. */

import { courierActorId, eraActorId } from '../../../machines/actor-ids.ts';
import { courierMachine } from '../../../machines/courier.ts';
import type { Mode } from '../../../machines/protocol.ts';
import { refTo } from '../../support/stepper.ts';
import { controlled } from '../replay.ts';
import { type Model, send } from '../stepper.ts';

const machine = controlled(courierMachine);

const model = (scenario: string, catalog: Mode, delivery: Mode): Model => ({
  name: 'courier',
  scenario,
  machine,
  id: courierActorId('a'),
  input: { eraId: 'a', parent: refTo(eraActorId('a')), catalog, delivery, retryBackoffMs: 1000 },
  outcomes: ({ name }) =>
    name === 'recordPending'
      ? [
          { name: 'nothing left', output: { left: 0 } },
          { name: 'one is held', output: { left: 1 } },
          { error: 'CATALOG_UNAVAILABLE' },
          { error: 'CATALOG_CONFLICT' },
        ]
      : [{ name: '', output: null }, { error: 'DELIVERY_FAILED' }, { error: 'AUDIT_FORK' }],
  moves: () => [send({ type: 'delivery.queued' }), send({ type: 'courier.drain' }), send({ type: 'era.lost' })],
  key: ({ failures, failure, isLeft, again, draining }) => ({
    failures: Math.min(failures, 3),
    code: failure?.code,
    isLeft,
    again,
    draining,
  }),
});

export const courierModels: readonly Model[] = [
  model('a lenient catalog and a lenient endpoint', 'lenient', 'lenient'),
  model('a lenient endpoint', 'none', 'lenient'),
  model('a strict catalog that a reader holds', 'strict', 'none'),
];
