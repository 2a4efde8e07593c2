/** The courier: deliveries that end well or badly, events queued at any moment, a drain at any moment. */
import { courierMachine } from '../../../machines/courier.ts';
import { courierActorId, eraActorId } from '../../../machines/peers.ts';
import { controlled } from '../replay.ts';
import { type Model, send } from '../stepper.ts';

export const courierModels: readonly Model[] = [
  {
    name: 'courier',
    scenario: 'an endpoint that comes and goes',
    machine: controlled(courierMachine),
    id: courierActorId('a'),
    input: { eraId: 'a', retryBackoffMs: 1000 },
    peers: [eraActorId('a')],
    outcomes: () => [
      { name: 'nothing left', output: { left: 0 } },
      { name: 'one left', output: { left: 1 } },
      { error: 'STORE_IO' },
    ],
    moves: () => [send({ type: 'delivery.queued' }), send({ type: 'courier.drain' }), send({ type: 'era.lost' })],
    key: ({ failures, left, again }) => ({ failures: Math.min(failures, 3), left: Math.min(left, 2), again }),
  },
];
