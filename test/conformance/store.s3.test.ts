// The store suite on real S3 servers: Ceph's gateway, which keeps the condition on a put and not on a completion, so
// that uploads are fenced; and moto, which keeps both.
import { s3Under } from '../support/s3-under-test.ts';
import { describeServer } from '../support/servers.ts';
import { storeConformance } from './store.ts';

describeServer('ceph', 'a store', (server) => {
  storeConformance('ceph', () => s3Under(server), { ageless: true, fences: true });
  storeConformance('ceph, without a prefix', () => s3Under(server, ''), { ageless: true, fences: true });
});

// It says of every upload that it began in 2010.
describeServer('moto', 'a store', (server) => {
  storeConformance('moto', () => s3Under(server), { ageless: true, strangersLookOld: true, remembers: true });
});
