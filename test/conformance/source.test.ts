// The source suite on every adapter.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe } from 'vitest';
import type { LakeSource } from '../../actors/ports/source.ts';
import { openSource } from '../../actors/source/index.ts';
import type { LakeNumbers } from '../../actors/source/keys.ts';
import { tempFolder } from '../support/bronze.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { lakeSpec, useCredentials } from '../support/s3-lakes.ts';
import { describeServers, makeBucket, makeGcsBucket, type TestBucket } from '../support/servers.ts';
import { type LakeUnderTest, sourceConformance } from './source.ts';

sourceConformance('local', (): LakeUnderTest => {
  const path = join(tempFolder(), 'lake');
  // A name that no file system takes: every call on it is an error, and none is "not there".
  const broken = join(tempFolder(), 'x'.repeat(300));
  return {
    put: (key, bytes) => {
      mkdirSync(dirname(join(path, key)), { recursive: true });
      writeFileSync(join(path, key), bytes);
    },
    source: (configured) => openSource({ mode: 'local', path, configured: configured ?? null }),
    unreadable: () => openSource({ mode: 'local', path: broken, configured: null }),
  };
});

describe('GCS, a double', () => {
  let double: GcsDouble;
  let bucket: TestBucket;
  let refusing: FaultProxy;
  let made = 0;
  beforeAll(async () => {
    double = await startGcsDouble();
    bucket = await makeGcsBucket(double);
    refusing = await startFaultProxy(double.url);
    refusing.rules.push({ fault: { kind: 'answer', status: 403, body: { error: { code: 403, message: 'no' } } } });
  });
  afterAll(async () => {
    await refusing.close();
    await double.close();
    delete process.env.STORAGE_EMULATOR_HOST;
  });

  sourceConformance('gcs', (): LakeUnderTest => {
    made += 1;
    const prefix = `lakes/${made}/`;
    const address = { protocol: 'gcs', bucket: bucket.name, anonymous: false, requesterPays: false } as const;
    // The library is told by its environment, when the lake is opened.
    const open = (url: string, configured: LakeNumbers | null): LakeSource => {
      process.env.STORAGE_EMULATOR_HOST = url;
      return openSource({ mode: 'bucket', address, prefix, configured });
    };
    return {
      put: (key, bytes) => bucket.put(`${prefix}${key}`, bytes),
      source: (configured) => open(double.url, configured ?? null),
      unreadable: () => open(refusing.url, null),
    };
  });
});

describeServers('source', (server) => {
  useCredentials(server);
  let bucket: TestBucket;
  let refusing: FaultProxy;
  let made = 0;
  beforeAll(async () => {
    bucket = await makeBucket(server);
    refusing = await startFaultProxy(server.endpoint);
    refusing.rules.push({ fault: { kind: 'answer', status: 403, body: '<Error><Code>AccessDenied</Code></Error>' } });
  });
  afterAll(() => refusing.close());

  sourceConformance('s3', (): LakeUnderTest => {
    // Beside other lakes, one of which has a name that begins in the same way.
    made += 1;
    const prefix = `lakes/${made}/`;
    return {
      put: (key, bytes) => bucket.put(`${prefix}${key}`, bytes),
      source: (configured) => openSource(lakeSpec(server, bucket.name, prefix, { configured: configured ?? null })),
      unreadable: () => openSource(lakeSpec(server, bucket.name, prefix, { endpoint: refusing.url })),
    };
  });
});
