/** Lakes on the S3 servers of the tests: their specs, their credentials, their objects. */
import { afterAll, beforeAll } from 'vitest';
import type { SourceSpec } from '../../actors/ports/source.ts';
import type { S3Server } from './servers.ts';

/** Credentials of a server in the environment, where the program's own SDK looks for them. */
export function useCredentials(server: Pick<S3Server, 'accessKeyId' | 'secretAccessKey'>): void {
  const before = { ...process.env };
  beforeAll(() => {
    process.env.AWS_ACCESS_KEY_ID = server.accessKeyId;
    process.env.AWS_SECRET_ACCESS_KEY = server.secretAccessKey;
  });
  afterAll(() => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  });
}

type BucketSpec = Extract<SourceSpec, { mode: 'bucket' }>;

/** The spec of a lake; `endpoint` may be a proxy before the server. */
export const lakeSpec = (
  server: Pick<S3Server, 'endpoint' | 'region'>,
  bucket: string,
  prefix: string,
  over: { readonly endpoint?: string; readonly configured?: BucketSpec['configured'] } = {},
): BucketSpec => ({
  mode: 'bucket',
  address: {
    protocol: 's3',
    bucket,
    endpoint: over.endpoint ?? server.endpoint,
    region: server.region,
    pathStyle: true,
    anonymous: false,
    requesterPays: false,
  },
  prefix,
  configured: over.configured ?? null,
});
