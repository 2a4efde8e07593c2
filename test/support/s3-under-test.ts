/**
 * The program's own S3 store in a fresh bucket of a real server. Credentials reach the SDK as they reach it anywhere:
 * through the environment of the process.
 */

import type { BronzeStore, StoreSpec } from '../../actors/ports/store.ts';
import { openStore } from '../../actors/store/index.ts';
import { tempFolder } from './bronze.ts';
import { makeBucket, type S3Server, type TestBucket } from './servers.ts';

export interface S3UnderTest {
  readonly bucket: TestBucket;
  readonly spec: Extract<StoreSpec, { backend: 's3' }>;
  /** As a process that has just started, with the same state folder. */
  open(): BronzeStore;
  /** With a state folder of its own. */
  elsewhere(): BronzeStore;
  unreadable(): BronzeStore;
}

/** Puts a server's credentials where the SDK finds them. */
function useCredentials(server: S3Server): void {
  process.env.AWS_ACCESS_KEY_ID = server.accessKeyId;
  process.env.AWS_SECRET_ACCESS_KEY = server.secretAccessKey;
}

/** `endpoint`: a proxy before the server. */
export async function s3Under(
  server: S3Server,
  prefix = 'bronze/',
  endpoint: string = server.endpoint,
): Promise<S3UnderTest> {
  useCredentials(server);
  const bucket = await makeBucket(server);
  const address = {
    protocol: 's3',
    bucket: bucket.name,
    endpoint,
    region: server.region,
    pathStyle: true,
    anonymous: false,
    requesterPays: false,
  } as const;
  const spec = { backend: 's3', address, prefix, stateDir: tempFolder() } as const;
  return {
    bucket,
    spec,
    open: () => openStore(spec),
    elsewhere: () => openStore({ ...spec, stateDir: tempFolder() }),
    unreadable: () => openStore({ ...spec, address: { ...address, bucket: `${bucket.name}-missing` } }),
  };
}
