/**
 * The short way to an object of a lake, at real stores that check signatures and at the double of GCS: what is plain
 * comes by one request that the SDK did not make; whatever else is answered goes the long way, and what comes out is what
 * the SDK makes of it.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bucket } from '../../actors/remote/bucket.ts';
import { openBucket } from '../../actors/remote/index.ts';
import type { BronzeError } from '../../machines/errors.ts';
import { type Fault, type FaultProxy, type SeenRequest, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { useCredentials } from '../support/s3-lakes.ts';
import { describeServers, makeBucket, makeGcsBucket, type TestBucket } from '../support/servers.ts';

const BODY = 'what is stored';
const KEYS = [
  'plain.zst',
  'with space/and+plus=.zst',
  'ümläut/ledger ✓.zst',
  "quotes'(!)*~.zst",
  'per%cent%2Fand&amp;?query#hash.zst',
  'double//slash.zst',
];
const LIMIT = 1_000;

interface Scene {
  readonly bucket: TestBucket;
  readonly url: string;
  open(url: string): Bucket;
  /** Whether a request is one of the SDK. */
  isLong(request: SeenRequest): boolean;
}

interface Case {
  readonly name: string;
  readonly fault: Fault;
  /** What comes out where it lasts: a code, the bytes, or that there is nothing. */
  readonly lasting: string | null;
}

function shortWay(makeScene: () => Promise<Scene>, cases: readonly Case[]): void {
  let scene: Scene;
  let proxy: FaultProxy;
  let bucket: Bucket;

  beforeAll(async () => {
    scene = await makeScene();
    proxy = await startFaultProxy(scene.url);
    bucket = scene.open(proxy.url);
    for (const key of KEYS) await scene.bucket.put(key, Buffer.from(BODY));
  });
  afterAll(() => proxy.close());

  async function get(key = 'plain.zst'): Promise<{ outcome: string | null; ways: boolean[] }> {
    proxy.log.splice(0);
    const outcome = await bucket.get(key, LIMIT).then(
      (bytes) => (bytes === null ? null : Buffer.from(bytes).toString()),
      (error: BronzeError) => error.code,
    );
    return { outcome, ways: proxy.log.map(scene.isLong) };
  }

  it.each(KEYS)('%s: one request, and none of the SDK', async (key) => {
    expect(await get(key)).toEqual({ outcome: BODY, ways: [false] });
  });

  it('what is not there: the long way says so', async () => {
    expect(await get('nothing.zst')).toEqual({ outcome: null, ways: [false, true] });
  });

  it.each(cases)('$name, once: the same bytes, the long way', async ({ fault }) => {
    proxy.rules.splice(0, proxy.rules.length, { fault, nth: 1 });
    try {
      expect(await get()).toEqual({ outcome: BODY, ways: [false, true] });
      // And the short way again.
      expect(await get()).toEqual({ outcome: BODY, ways: [false] });
    } finally {
      proxy.rules.splice(0);
    }
  });

  it.each(cases)('$name, lasting: what the SDK makes of it', async ({ fault, lasting }) => {
    proxy.rules.splice(0, proxy.rules.length, { fault });
    try {
      const { outcome, ways } = await get();
      expect([outcome, ways[0], ways.slice(1).every((isLong) => isLong)]).toEqual([lasting, false, true]);
      expect(ways.length).toBeGreaterThan(1);
    } finally {
      proxy.rules.splice(0);
    }
    expect(await get()).toEqual({ outcome: BODY, ways: [false] });
  });

  it('where it fails again and again it is left alone', async () => {
    proxy.rules.push({ fault: { kind: 'answer', status: 403, body: 'no' } });
    try {
      for (let n = 0; n < 8; n++) expect((await get()).ways).toEqual([false, true]);
      expect((await get()).ways).toEqual([true]);
    } finally {
      proxy.rules.splice(0);
    }
  });
}

const common = (words: (code: string) => unknown): Case[] => [
  { name: '403', fault: { kind: 'answer', status: 403, body: words('AccessDenied') }, lasting: 'SOURCE_DENIED' },
  { name: '503', fault: { kind: 'answer', status: 503, body: words('SlowDown') }, lasting: 'SOURCE_READ' },
  { name: 'a reset connection', fault: { kind: 'refuse' }, lasting: 'SOURCE_READ' },
  { name: 'a body that is cut', fault: { kind: 'cut-body', afterBytes: 4 }, lasting: 'SOURCE_READ' },
];

describe('GCS, a double: the short way', () => {
  let double: GcsDouble;
  const before = process.env.STORAGE_EMULATOR_HOST;
  afterAll(async () => {
    await double.close();
    if (before === undefined) delete process.env.STORAGE_EMULATOR_HOST;
    else process.env.STORAGE_EMULATOR_HOST = before;
  });
  const json = (reason: string): unknown => ({ error: { message: reason, errors: [{ message: reason, reason }] } });
  const ok = { 'x-goog-generation': '1' };
  shortWay(async () => {
    double = await startGcsDouble();
    const bucket = await makeGcsBucket(double);
    return {
      bucket,
      url: double.url,
      open: (url) => {
        process.env.STORAGE_EMULATOR_HOST = url;
        const place = { protocol: 'gcs', bucket: bucket.name, anonymous: false, requesterPays: false } as const;
        return openBucket(place, 'source');
      },
      isLong: ({ headers }) => headers['x-goog-api-client'] !== undefined || headers['user-agent'] !== undefined,
    };
  }, [
    ...common(json),
    {
      name: 'an expired token',
      fault: { kind: 'answer', status: 401, body: json('authError') },
      lasting: 'CREDENTIALS_INVALID',
    },
    {
      name: 'a redirect',
      fault: { kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:1/' } },
      lasting: 'ENDPOINT_INVALID',
    },
    { name: 'a short body', fault: { kind: 'short-body', bytes: 4 }, lasting: 'SOURCE_READ' },
    {
      name: 'a wrong checksum',
      fault: { kind: 'answer', status: 200, headers: { ...ok, 'x-goog-hash': 'crc32c=AAAAAA==' }, body: BODY },
      lasting: 'SOURCE_READ',
    },
    {
      name: 'a long body',
      fault: { kind: 'answer', status: 200, headers: ok, body: 'x'.repeat(LIMIT + 1) },
      lasting: 'OBJECT_TOO_LARGE',
    },
    {
      name: 'what is no object',
      fault: { kind: 'answer', status: 200, body: '<html></html>' },
      lasting: 'ENDPOINT_INVALID',
    },
  ]);
});

describeServers('the short way', (server) => {
  useCredentials(server);
  const xml = (code: string): string =>
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told</Message></Error>`;
  shortWay(async () => {
    const bucket = await makeBucket(server);
    return {
      bucket,
      url: server.endpoint,
      open: (endpoint) =>
        openBucket(
          {
            protocol: 's3',
            bucket: bucket.name,
            endpoint,
            region: server.region,
            pathStyle: true,
            anonymous: false,
            requesterPays: false,
          },
          'source',
        ),
      isLong: ({ headers }) => headers['amz-sdk-request'] !== undefined,
    };
  }, [
    ...common(xml),
    {
      name: 'an expired token',
      fault: { kind: 'answer', status: 400, body: xml('ExpiredToken') },
      lasting: 'CREDENTIALS_INVALID',
    },
    {
      name: 'a redirect',
      fault: { kind: 'answer', status: 301, body: xml('PermanentRedirect') },
      lasting: 'BUCKET_REGION',
    },
    {
      name: 'a passing redirect',
      fault: { kind: 'answer', status: 307, body: xml('TemporaryRedirect') },
      lasting: 'SOURCE_READ',
    },
    {
      name: 'a wrong checksum',
      fault: { kind: 'answer', status: 200, headers: { 'x-amz-checksum-crc32': 'AAAAAA==' }, body: BODY },
      lasting: 'SOURCE_READ',
    },
    {
      name: 'a long body',
      fault: { kind: 'answer', status: 200, body: 'x'.repeat(LIMIT + 1) },
      lasting: 'OBJECT_TOO_LARGE',
    },
  ]);
});
