// A store that does not know conditions at all, as Backblaze B2 answers: 501. The answers are a proxy's, before a real
// Ceph gateway. Everything is fenced then, small objects too.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { BronzeError } from '../../machines/errors.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type S3UnderTest, s3Under } from '../support/s3-under-test.ts';
import { describeServer } from '../support/servers.ts';

const CHAIN = 'pubnet/pre_p23/v1/';
const OWNER = 'holder000001';
const KEY = `${CHAIN}ledgers_lcm_raw/range=2-9/part-2-9.parquet`;
const MANIFEST = `${CHAIN}ledgers_lcm_raw/range=2-9/_manifest.json`;

describeServer('ceph', 'a store that does not know conditions', (server) => {
  let proxy: FaultProxy;
  beforeAll(async () => {
    proxy = await startFaultProxy(server.endpoint);
    proxy.rules.push({
      operation: ['PutObject', 'CompleteMultipartUpload'],
      header: { 'if-none-match': '*' },
      fault: {
        kind: 'answer',
        status: 501,
        headers: { 'content-type': 'application/xml' },
        body: '<?xml version="1.0"?><Error><Code>NotImplemented</Code><Message>no such header</Message></Error>',
      },
    });
  });
  afterAll(() => proxy.close());

  async function prepared(): Promise<{ place: S3UnderTest; store: BronzeStore }> {
    const place = await s3Under(server, 'bronze/', proxy.url);
    const store = place.open();
    store.stagingSpec(CHAIN, OWNER);
    await store.prepare();
    return { place, store };
  }

  async function staged(store: BronzeStore, text: string): Promise<string> {
    const writer = openStagingWriter(store.stagingSpec(CHAIN, OWNER), { name: 'part', key: KEY });
    await writer.write(Buffer.from(text));
    const handle = await writer.finish();
    await store.stage(handle, text.length);
    return handle;
  }

  const textOf = async (store: BronzeStore, key: string): Promise<string> =>
    Buffer.from((await store.get(key)) as Uint8Array).toString();

  it('is found out, and leaves nothing of the probe', async () => {
    const { place, store } = await prepared();
    expect(await store.conditions()).toEqual({ create: false, publish: false });
    expect(await place.bucket.list()).toEqual([]);
    expect(await place.bucket.uploads()).toEqual([]);
    // What `plan` says without touching the store.
    expect(await place.open().conditions()).toEqual({ create: false, publish: false });
  });

  it('creates once, and never replaces', async () => {
    const { place, store } = await prepared();
    expect(await store.create(MANIFEST, Buffer.from('first'))).toBe('created');
    expect(await store.create(MANIFEST, Buffer.from('second'))).toBe('exists');
    expect(await place.elsewhere().create(MANIFEST, Buffer.from('third'))).toBe('exists');
    expect(await textOf(store, MANIFEST)).toBe('first');
    expect(await place.bucket.uploads()).toEqual([]);
  });

  it('publishes once, and never replaces; what is late finds nothing', async () => {
    const { place, store } = await prepared();
    const [one, two] = [await staged(store, 'first'), await staged(store, 'second')];
    expect(await store.publish(one, KEY)).toBe('published');
    // Its upload was taken by the fence.
    expect(await store.publish(two, KEY)).toBe('exists');
    expect(await place.open().publish(await staged(store, 'third'), KEY)).toBe('exists');
    expect(await textOf(store, KEY)).toBe('first');
    await store.sweep(CHAIN, [OWNER]);
    expect(await place.bucket.uploads()).toEqual([]);
  });

  it('has one content at the most of several who create at once', async () => {
    const { place } = await prepared();
    const stores = [place.open(), place.elsewhere(), place.elsewhere()];
    const answers = await Promise.all(
      stores.map((store, n) =>
        store.create(MANIFEST, Buffer.from(`content of ${n}`)).catch((error: unknown) => {
          // Each may take the others' uploads until it gives up, which a retry of the machines mends.
          if (error instanceof BronzeError && error.retryable) return 'busy';
          throw error;
        }),
      ),
    );
    const created = answers.flatMap((answer, n) => (answer === 'created' ? [n] : []));
    expect(created.length).toBeLessThanOrEqual(1);
    if (created.length === 1) expect(await textOf(place.open(), MANIFEST)).toBe(`content of ${created[0]}`);
  });
});
