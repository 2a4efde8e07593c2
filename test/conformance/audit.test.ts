// The audit suite on every store: one line each.
import { openStore } from '../../actors/store/index.ts';
import { tempFolder } from '../support/bronze.ts';
import { gcsDouble } from '../support/gcs-store.ts';
import { s3Under } from '../support/s3-under-test.ts';
import { describeServers } from '../support/servers.ts';
import { auditConformance } from './audit.ts';

auditConformance('local', () => {
  const root = tempFolder();
  return { open: () => openStore({ backend: 'local', root, prefix: 'bronze/' }) };
});
auditConformance('GCS, a double', gcsDouble('bronze/'));
describeServers('the audit chain', (server) => {
  auditConformance(server.name, () => s3Under(server));
});
