// A bucket of Google Cloud Storage, read through Google's own client, on a double and through a proxy that does what
// networks do. It proves nothing about Google's servers.
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GcsAddress, ListedPage, ListOptions } from '../../actors/remote/bucket.ts';
import type { RemoteDomain } from '../../actors/remote/faults.ts';
import { GcsBucket } from '../../actors/remote/gcs-bucket.ts';
import { BronzeError } from '../../machines/errors.ts';
import { crc32cBase64 } from '../support/crc32c.ts';
import type { Fault, FaultProxy } from '../support/fault-proxy.ts';
import type { GcsDouble } from '../support/gcs-double.ts';
import { freshBucket, gcsServers } from '../support/gcs-store.ts';

let double: GcsDouble;
let proxy: FaultProxy;
let name: string;

beforeEach(async () => {
  ({ double, proxy } = await gcsServers());
  name = await freshBucket();
  proxy.log.length = 0;
});
afterEach(() => {
  proxy.rules.length = 0;
  double.tokens = null;
});

function bucketAt(url: string, over: Partial<GcsAddress> = {}, domain: RemoteDomain = 'store'): GcsBucket {
  process.env.STORAGE_EMULATOR_HOST = url;
  return new GcsBucket({ protocol: 'gcs', bucket: name, anonymous: false, requesterPays: false, ...over }, domain);
}

const bucket = (over?: Partial<GcsAddress>, domain?: RemoteDomain): GcsBucket => bucketAt(proxy.url, over, domain);
const always = (fault: Fault): void => void proxy.rules.push({ fault });
const once = (fault: Fault): void => void proxy.rules.push({ nth: 1, fault });

async function failureOf(promise: Promise<unknown>): Promise<BronzeError> {
  const error = await promise.then(
    (value) => new Error(`it did not fail: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof BronzeError) return error;
  throw error;
}

async function listed(of: GcsBucket, prefix: string, options?: ListOptions): Promise<ListedPage[]> {
  const pages: ListedPage[] = [];
  for await (const page of of.list(prefix, options)) pages.push(page);
  return pages;
}

const api = (status: number, message: string, reason: string, headers: Record<string, string> = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: { error: { code: status, message, errors: [{ message, domain: 'global', reason }] } },
});

describe('get', () => {
  it('is one request', async () => {
    double.put(name, 'a/b c+d%.xdr.zst', Buffer.from('content'));
    const bytes = await bucket().get('a/b c+d%.xdr.zst', 100);
    expect(Buffer.from(bytes as Uint8Array).toString()).toBe('content');
    expect(proxy.counts()).toEqual({ 'GET objects.media': 1 });
    expect(proxy.log[0]?.headers.authorization).toBeUndefined();
  });

  it('takes what is empty, and refuses what is larger than was meant', async () => {
    double.put(name, 'empty', Buffer.alloc(0));
    double.put(name, 'large', Buffer.alloc(101));
    expect(await bucket().get('empty', 100)).toHaveLength(0);
    expect(await failureOf(bucket().get('large', 100))).toMatchObject({ code: 'STORE_IO', retryable: false });
    expect((await failureOf(bucket({}, 'source').get('large', 100))).code).toBe('OBJECT_TOO_LARGE');
  });

  it('is null where there is none, in the words of the store alone', async () => {
    expect(await bucket().get('none', 100)).toBeNull();
    expect(await bucket().stat('none')).toBeNull();
    for (const words of ['<html><title>404 Not Found</title></html>', '404 page not found', '{"message":"no route"}']) {
      proxy.rules.length = 0;
      always({ kind: 'answer', status: 404, body: words });
      expect((await failureOf(bucket().get('none', 100))).code, words).toBe('ENDPOINT_INVALID');
      expect((await failureOf(bucket().stat('none'))).code, words).toBe('ENDPOINT_INVALID');
    }
  });

  it.each<Fault>([
    { kind: 'cut-body', afterBytes: 3 },
    { kind: 'short-body', bytes: 3 },
    { kind: 'refuse' },
    { kind: 'lose-answer' },
    api(503, 'Backend Error', 'backendError'),
    { kind: 'answer', status: 429, body: 'slow down' },
  ])('is tried again after %o', async (fault) => {
    double.put(name, 'a', Buffer.from('content'));
    once(fault);
    expect(Buffer.from((await bucket().get('a', 100)) as Uint8Array).toString()).toBe('content');
    expect(proxy.count()).toBe(2);
  });

  it('waits as long as it is told', async () => {
    double.put(name, 'a', Buffer.from('content'));
    once(api(429, 'slow down', 'rateLimitExceeded', { 'retry-after': '1' }));
    const start = performance.now();
    await bucket().get('a', 100);
    expect(performance.now() - start).toBeGreaterThan(950);
  });

  it('never gives less than the object, though it be all that comes', async () => {
    double.put(name, 'a', Buffer.from('content'));
    always({ kind: 'short-body', bytes: 3 });
    expect(await failureOf(bucket().get('a', 100))).toMatchObject({ code: 'STORE_IO', retryable: true });
    expect(proxy.count()).toBe(6);
  }, 30_000);

  it('ends when its signal fires: before the head, amid the body, amid a pause', async () => {
    double.put(name, 'a', Buffer.alloc(100_000));
    const faults: Fault[] = [
      { kind: 'delay', ms: 20_000 },
      { kind: 'stall-body', afterBytes: 10 },
      api(503, 'Backend Error', 'backendError', { 'retry-after': '9' }),
    ];
    for (const fault of faults) {
      proxy.rules.length = 0;
      always(fault);
      const start = performance.now();
      expect((await failureOf(bucket().get('a', 200_000, AbortSignal.timeout(100)))).code).toBe('CANCELLED');
      expect(performance.now() - start).toBeLessThan(2_000);
    }
  });
});

describe('look and range', () => {
  it('tell the facts, and read exactly that version', async () => {
    double.put(name, 'a', Buffer.from('0123456789'));
    const facts = await bucket().stat('a');
    expect(facts).toMatchObject({ key: 'a', size: 10, version: String(double.generation(name, 'a')) });
    expect(facts?.modifiedMs).toBeGreaterThan(Date.now() - 60_000);
    expect(facts?.crc32c).toBe(crc32cBase64(Buffer.from('0123456789')));
    if (facts === null) return;
    expect(Buffer.from(await bucket().range(facts, 3, 4)).toString()).toBe('3456');
    expect(Buffer.from(await bucket().range(facts, 0, 10)).toString()).toBe('0123456789');
    double.put(name, 'a', Buffer.from('9876543210'));
    expect(await failureOf(bucket().range(facts, 3, 4))).toMatchObject({ code: 'STORE_IO', retryable: false });
  });

  it('do not take the whole for a part', async () => {
    double.put(name, 'a', Buffer.from('0123456789'));
    const facts = await bucket().stat('a');
    always({ kind: 'strip-header', header: 'range' });
    if (facts !== null) expect((await failureOf(bucket().range(facts, 0, 4))).code).toBe('STORE_IO');
  });
});

describe('list', () => {
  it('goes on page by page, from a key on, without it', async () => {
    const keys = Array.from({ length: 2_345 }, (_, n) => `p/${String(n).padStart(5, '0')}`);
    for (const key of keys) double.put(name, key, Buffer.alloc(0));
    double.put(name, 'q', Buffer.alloc(0));
    const pages = await listed(bucket(), 'p/');
    expect(pages.map(({ objects }) => objects.length)).toEqual([1000, 1000, 345]);
    expect(pages.flatMap(({ objects }) => objects.map(({ key }) => key))).toEqual(keys);
    const after = await listed(bucket(), 'p/', { startAfter: 'p/02000' });
    expect(after.flatMap(({ objects }) => objects.map(({ key }) => key))).toEqual(keys.slice(2001));
    const between = await listed(bucket(), 'p/', { startAfter: 'p/02000x' });
    expect(between.flatMap(({ objects }) => objects.map(({ key }) => key))).toEqual(keys.slice(2001));
  });

  it('tells folders', async () => {
    for (const key of ['p/a/1', 'p/a/2', 'p/b/1', 'p/c']) double.put(name, key, Buffer.alloc(1));
    const pages = await listed(bucket(), 'p/', { delimiter: '/' });
    expect(pages.flatMap(({ folders }) => folders)).toEqual(['p/a/', 'p/b/']);
    expect(pages.flatMap(({ objects }) => objects.map(({ key, size }) => [key, size]))).toEqual([['p/c', 1]]);
  });

  it('is never empty because something else answered', async () => {
    for (const body of ['<html>Please log in</html>', '', '{}', '{"items":[]}', '[]']) {
      proxy.rules.length = 0;
      always({ kind: 'answer', status: 200, body });
      expect((await failureOf(listed(bucket(), 'p/'))).code, body).toBe('ENDPOINT_INVALID');
      expect((await failureOf(bucket().check('p/'))).code, body).toBe('ENDPOINT_INVALID');
    }
  });
});

describe('check', () => {
  it('is content with an empty bucket', async () => {
    await bucket().check('p/');
    expect(proxy.counts()).toEqual({ 'GET objects.list': 1 });
  });

  it.each<[string, Fault]>([
    ['CREDENTIALS_INVALID', api(401, 'Invalid Credentials', 'authError')],
    ['STORE_DENIED', api(403, 'does not have storage.objects.list access', 'forbidden')],
    ['STORE_IO', api(403, 'Rate limit exceeded', 'rateLimitExceeded')],
    ['ENDPOINT_INVALID', { kind: 'answer', status: 302, headers: { location: 'http://127.0.0.1:9/login' } }],
    ['ENDPOINT_INVALID', { kind: 'answer', status: 400, body: '<html>Bad Request</html>' }],
    ['STORE_IO', api(400, 'Invalid argument', 'invalid')],
  ])(
    'says %s',
    async (code, fault) => {
      always(fault);
      expect((await failureOf(bucket().check(''))).code).toBe(code);
    },
    30_000,
  );

  it('says what is missing', async () => {
    expect((await failureOf(bucket({ bucket: 'nobodys' }).check(''))).code).toBe('BUCKET_MISSING');
    expect((await failureOf(bucket({ bucket: 'nobodys' }).get('a', 10))).code).toBe('BUCKET_MISSING');
    expect((await failureOf(bucket({ bucket: 'nobodys' }).stat('a'))).code).toBe('BUCKET_MISSING');
    double.tokens = { allowed: 'token' };
    expect((await failureOf(bucket({ anonymous: true }).check(''))).code).toBe('CREDENTIALS_INVALID');
  });

  it('says when nothing, or something else, listens there', async () => {
    const nobody = createServer();
    await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
    const { port } = nobody.address() as AddressInfo;
    await new Promise((resolve) => nobody.close(resolve));
    const failure = await failureOf(bucketAt(`http://127.0.0.1:${port}`).check(''));
    expect(failure).toMatchObject({ code: 'STORE_IO', retryable: true });
    expect(failure.message).toContain('ECONNREFUSED');
  }, 30_000);

  it('says what credentials lack, without asking anybody', async () => {
    const { HOME } = process.env;
    const settings = { METADATA_SERVER_DETECTION: 'none', HOME: '/nowhere' };
    Object.assign(process.env, settings);
    try {
      const none = await failureOf(bucketAt('').check(''));
      expect(none).toMatchObject({ code: 'CREDENTIALS_INVALID', retryable: false });
      process.env.GOOGLE_APPLICATION_CREDENTIALS = '/nowhere/key.json';
      name = 'another';
      expect((await failureOf(bucketAt('').check(''))).code).toBe('CREDENTIALS_INVALID');
    } finally {
      for (const key of [...Object.keys(settings), 'GOOGLE_APPLICATION_CREDENTIALS']) delete process.env[key];
      if (HOME !== undefined) process.env.HOME = HOME;
    }
  });

  it('has the requester pay where it is so configured', async () => {
    name = await freshBucket({ requesterPays: true });
    expect((await failureOf(bucket().check(''))).code).toBe('STORE_DENIED');
    process.env.GOOGLE_CLOUD_PROJECT = 'payer';
    try {
      await bucket({ requesterPays: true }).check('');
      expect(proxy.log.at(-1)?.query.get('userProject')).toBe('payer');
    } finally {
      delete process.env.GOOGLE_CLOUD_PROJECT;
    }
  });
});

describe('what is told of a failure', () => {
  it('holds no address of a session, no header and no token', async () => {
    always({
      kind: 'answer',
      status: 500,
      body: 'see https://x.example/o?upload_id=SECRET&a=b for Bearer SECRET.TOKEN',
    });
    const failure = await failureOf(
      bucket().once({
        action: 'upload to',
        key: 'a',
        request: {
          method: 'PUT',
          path: `${proxy.url}/upload/storage/v1/b/${name}/o?upload_id=SECRET`,
          headers: { authorization: 'Bearer SECRET' },
        },
        read: async () => true,
      }),
    );
    const told = (error: unknown): string =>
      error instanceof Error
        ? [error.message, error.stack, JSON.stringify(error), told(error.cause)].join('\n')
        : String(error);
    expect(told(failure)).not.toContain('SECRET');
    expect(failure.message).toContain('https://x.example/o');
  });
});

describe('an object that was stored in gzip', () => {
  it('is read as it is stored', async () => {
    const stored = gzipSync('content');
    const seen: string[] = [];
    const listener: RequestListener = (request, response) => {
      seen.push(String(request.headers['accept-encoding']));
      response.writeHead(200, {
        'x-goog-generation': '1',
        'x-goog-stored-content-encoding': 'gzip',
        'content-encoding': 'gzip',
        'content-length': stored.length,
        'x-goog-hash': `crc32c=${crc32cBase64(stored)},md5=x`,
      });
      response.end(stored);
    };
    const server = createServer(listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const at = bucketAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      expect(Buffer.compare((await at.get('a', 1000)) as Uint8Array, stored)).toBe(0);
      expect(seen).toEqual(['gzip']);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
