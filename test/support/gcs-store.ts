/**
 * A store on the double of Google Cloud Storage, for suites. A double is not the store: what is tested with it says so
 * in its name.
 */
import { afterAll } from 'vitest';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { parseGcsHandle } from '../../actors/store/gcs-handle.ts';
import { openStore } from '../../actors/store/index.ts';
import type { StoreUnderTest } from '../conformance/store.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from './gcs-double.ts';

let running: Promise<{ double: GcsDouble; proxy: FaultProxy }> | null = null;
let buckets = 0;

/** One double and one proxy before it for a test file; they end with it. */
export function gcsServers(): Promise<{ double: GcsDouble; proxy: FaultProxy }> {
  running ??= (async () => {
    const double = await startGcsDouble();
    return { double, proxy: await startFaultProxy(double.url) };
  })();
  return running;
}

afterAll(async () => {
  if (running === null) return;
  const { double, proxy } = await running;
  await proxy.close();
  await double.close();
});

/** A name that no other test of the file uses, with its bucket. */
export async function freshBucket(options?: { readonly requesterPays?: boolean }): Promise<string> {
  const { double } = await gcsServers();
  const name = `bucket-${++buckets}`;
  double.makeBucket(name, options);
  return name;
}

/** Opens a store whose requests go to `url`; the endpoint is read when it is opened. */
export function openGcs(url: string, bucket: string, prefix: string): BronzeStore {
  process.env.STORAGE_EMULATOR_HOST = url;
  const address = { protocol: 'gcs', bucket, anonymous: false, requesterPays: false } as const;
  return openStore({ backend: 'gcs', address, prefix });
}

export const gcsDouble = (prefix: string) => async (): Promise<StoreUnderTest> => {
  const { double, proxy } = await gcsServers();
  const bucket = await freshBucket();
  return {
    open: () => openGcs(double.url, bucket, prefix),
    backdate: (handle, ms) => double.backdate(bucket, parseGcsHandle(handle).key, ms),
    unreadable: () => {
      const error = { code: 403, message: 'forbidden', errors: [{ reason: 'forbidden', message: 'forbidden' }] };
      proxy.rules.push({ path: bucket, fault: { kind: 'answer', status: 403, body: { error } } });
      return openGcs(proxy.url, bucket, prefix);
    },
  };
};
