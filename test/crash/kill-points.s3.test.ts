// The real program killed at every kill point, with its Bronze on Ceph.
import { describeServer } from '../support/servers.ts';
import { killedEverywhere } from './kill-points.remote.ts';

describeServer('ceph', 'killed at every kill point', (server) => {
  killedEverywhere(() => ({ protocol: 's3', server }), { sweepAfter: 'staging:opened' });
});
