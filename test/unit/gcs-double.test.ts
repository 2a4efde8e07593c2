// The double of Google Cloud Storage, driven through Google's own client: what that client understands of its answers.
import { createHash } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { type File, Storage } from '@google-cloud/storage';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { crc32cBase64 } from '../support/crc32c.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';

const STEP = 256 * 1024;
let double: GcsDouble;
let storage: Storage;

beforeEach(async () => {
  double = await startGcsDouble();
  double.makeBucket('bkt');
  storage = new Storage({
    apiEndpoint: double.url,
    projectId: 'p',
    useAuthWithCustomEndpoint: false,
    // The client's own patience would hide what the double answers, and take seconds.
    retryOptions: { autoRetry: false },
  });
});
afterEach(() => double.close());

const file = (name: string): File => storage.bucket('bkt').file(name);
const small = { resumable: false } as const;
const asNew = { preconditionOpts: { ifGenerationMatch: 0 } } as const;
const bytesOf = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, n) => (n * 7 + (n >> 8)) & 0xff));

/** Whole buffers at once: vitest compares them element by element, which takes seconds. */
function expectBytes(actual: Buffer | null | undefined, expected: Buffer): void {
  expect(actual?.length).toBe(expected.length);
  expect(actual?.equals(expected)).toBe(true);
}

/** Status and reason of a refusal, as the client tells them. */
async function refusal(promise: Promise<unknown>): Promise<{ code: unknown; reason: unknown; message: string }> {
  try {
    await promise;
  } catch (cause) {
    const error = cause as { code?: unknown; message: string; errors?: { reason?: unknown }[] };
    return { code: error.code, reason: error.errors?.[0]?.reason, message: error.message };
  }
  throw new Error('nothing was refused');
}

it('CRC32C is that of RFC 3720', () => {
  // Its appendix B.4, and the check value of the polynomial.
  expect(Buffer.from(crc32cBase64(Buffer.alloc(32)), 'base64').toString('hex')).toBe('8a9136aa');
  expect(Buffer.from(crc32cBase64(Buffer.from('123456789')), 'base64').toString('hex')).toBe('e3069283');
});

describe('buckets', () => {
  it('are made, once, and told about', async () => {
    await storage.createBucket('another');
    expect((await refusal(storage.createBucket('another'))).code).toBe(409);
    const [metadata] = await storage.bucket('another').getMetadata();
    expect(metadata).toMatchObject({ kind: 'storage#bucket', name: 'another' });
    expect(await storage.bucket('bkt').exists()).toEqual([true]);
  });

  it('that are not there are not found, whatever is asked of them', async () => {
    const none = storage.bucket('none');
    expect(await none.exists()).toEqual([false]);
    const asked = [() => none.getFiles(), () => none.file('x').save('x', small), () => none.file('x').getMetadata()];
    for (const ask of asked) expect(await refusal(ask())).toMatchObject({ code: 404, reason: 'notFound' });
  });

  it('whose requester pays want to know who', async () => {
    double.makeBucket('paid', { requesterPays: true });
    const message = 'Bucket is a requester pays bucket but no user project provided.';
    expect(await refusal(storage.bucket('paid').getFiles())).toMatchObject({ code: 400, message });
    expect(await refusal(storage.bucket('paid').file('x').save('x', small))).toMatchObject({ code: 400, message });
    const paying = storage.bucket('paid', { userProject: 'p' });
    await paying.file('x').save('x');
    expect((await paying.getFiles())[0].map(({ name }) => name)).toEqual(['x']);
    // The client leaves a bucket's userProject out of downloads; they have to be told.
    expect((await refusal(paying.file('x').download())).code).toBe(400);
    expect((await paying.file('x').download({ userProject: 'p' }))[0].toString()).toBe('x');
  });
});

describe('one request', () => {
  it('stores bytes, checksums, type and custom metadata', async () => {
    const bytes = bytesOf(1000);
    await file('a/x y').save(bytes, { ...small, contentType: 'text/x', metadata: { metadata: { lineage: '1' } } });
    const [metadata] = await file('a/x y').getMetadata();
    expect(metadata).toMatchObject({
      kind: 'storage#object',
      name: 'a/x y',
      bucket: 'bkt',
      size: '1000',
      contentType: 'text/x',
      metageneration: '1',
      metadata: { lineage: '1' },
      crc32c: crc32cBase64(bytes),
      md5Hash: createHash('md5').update(bytes).digest('base64'),
    });
    expect(Date.now() - Date.parse(metadata.timeCreated!)).toBeLessThan(60_000);
    expect(metadata.updated).toBe(metadata.timeCreated);
    expect(double.stored('bkt', 'a/x y')).toEqual(bytes);
    expect(double.count('objects.insert')).toBe(1);
  });

  it('an empty object, and one whose bytes look like the boundary', async () => {
    await file('empty').save('', small);
    await file('lines').save('--\r\n\r\n--x\r\n', small);
    expect(double.stored('bkt', 'empty')).toEqual(Buffer.alloc(0));
    expect((await file('empty').download())[0]).toHaveLength(0);
    expect(double.stored('bkt', 'lines')?.toString()).toBe('--\r\n\r\n--x\r\n');
  });

  it('ifGenerationMatch 0 only where there is nothing, N only over N', async () => {
    await file('x').save('one', { ...small, ...asNew });
    expect(await refusal(file('x').save('two', { ...small, ...asNew }))).toMatchObject({
      code: 412,
      reason: 'conditionNotMet',
    });
    const first = double.generation('bkt', 'x');
    await file('x').save('two', { ...small, preconditionOpts: { ifGenerationMatch: first } });
    expect(double.generation('bkt', 'x')).toBeGreaterThan(first);
    const again = file('x').save('three', { ...small, preconditionOpts: { ifGenerationMatch: first } });
    expect((await refusal(again)).code).toBe(412);
    expect(double.stored('bkt', 'x')?.toString()).toBe('two');
  });

  it('a checksum that does not hold stores nothing', async () => {
    const promised = file('x').save('x', { ...small, validation: false, metadata: { crc32c: 'AAAAAA==' } });
    expect((await refusal(promised)).code).toBe(400);
    expect(double.stored('bkt', 'x')).toBeNull();
  });
});

describe('resumable uploads', () => {
  it('a stream in chunks, and its last one', async () => {
    const bytes = bytesOf(STEP * 2 + 100);
    await file('x').save(bytes, { chunkSize: STEP, ...asNew, contentType: 'text/x' });
    expectBytes(double.stored('bkt', 'x'), bytes);
    expect(double.count('uploads.put')).toBe(3);
    expect(double.log.filter(({ status }) => status === 308)).toHaveLength(2);
    expect((await file('x').getMetadata())[0].contentType).toBe('text/x');
    expect(double.uploads('bkt')).toEqual([]);
  });

  it('a stream in one request of unknown length', async () => {
    const bytes = bytesOf(STEP + 5);
    await file('x').save(bytes);
    expectBytes(double.stored('bkt', 'x'), bytes);
    expect(double.count('uploads.put')).toBe(1);
  });

  it('the condition counts at the start', async () => {
    double.put('bkt', 'x', Buffer.from('there'));
    await expect(file('x').save(bytesOf(STEP), { chunkSize: STEP, ...asNew })).rejects.toThrow();
    expect(double.log.at(-1)).toMatchObject({ operation: 'uploads.start', status: 412 });
  });

  it('and again at the end', async () => {
    double.faults = ({ operation, n }) => {
      if (operation === 'uploads.put' && n === 2) double.put('bkt', 'x', Buffer.from('there'));
      return null;
    };
    await expect(file('x').save(bytesOf(STEP + 1), { chunkSize: STEP, ...asNew })).rejects.toThrow();
    expect(double.log.at(-1)).toMatchObject({ operation: 'uploads.put', status: 412 });
    expect(double.stored('bkt', 'x')?.toString()).toBe('there');
  });

  it('goes on after a lost answer, from what the status says', async () => {
    const patient = new Storage({ apiEndpoint: double.url, projectId: 'p', useAuthWithCustomEndpoint: false });
    double.faults = ({ operation, n }) => (operation === 'uploads.put' && n === 2 ? { cut: 'after' } : null);
    const bytes = bytesOf(STEP * 3);
    await patient
      .bucket('bkt')
      .file('x')
      .save(bytes, { chunkSize: STEP, ...asNew });
    expectBytes(double.stored('bkt', 'x'), bytes);
    expect(double.count('uploads.status')).toBe(1);
  });

  describe('a session, as its address is used', () => {
    const put = async (uri: string, body: Buffer | null, range: string) => {
      const init = { method: 'PUT', headers: { 'content-range': range } };
      const response = await fetch(uri, body === null ? init : { ...init, body: new Uint8Array(body) });
      return { status: response.status, range: response.headers.get('range'), body: await response.text() };
    };

    it('tells how far it is, before, between and after', async () => {
      const [uri] = await file('x').createResumableUpload(asNew);
      expect(await put(uri, null, 'bytes */*')).toMatchObject({ status: 308, range: null });
      expect(double.uploads('bkt')).toMatchObject([{ name: 'x', size: 0 }]);
      const bytes = bytesOf(STEP + 3);
      const first = await put(uri, bytes.subarray(0, STEP), `bytes 0-${STEP - 1}/*`);
      expect(first).toMatchObject({ status: 308, range: `bytes=0-${STEP - 1}` });
      expect(await put(uri, null, `bytes */${STEP + 3}`)).toMatchObject({ status: 308, range: `bytes=0-${STEP - 1}` });
      // The first chunk a second time is taken once.
      expect(await put(uri, bytes.subarray(0, STEP), `bytes 0-${STEP - 1}/*`)).toMatchObject({ status: 308 });
      const last = `bytes ${STEP}-${STEP + 2}/${STEP + 3}`;
      const done = await put(uri, bytes.subarray(STEP), last);
      expect(done.status).toBe(200);
      expect(JSON.parse(done.body)).toMatchObject({ name: 'x', size: String(STEP + 3) });
      expect(await put(uri, null, 'bytes */*')).toEqual(done);
      expect(await put(uri, bytes.subarray(STEP), last)).toEqual(done);
      expectBytes(double.stored('bkt', 'x'), bytes);
    });

    it('a total that is reached ends it', async () => {
      const [uri] = await file('x').createResumableUpload();
      await put(uri, bytesOf(STEP), `bytes 0-${STEP - 1}/*`);
      expect((await put(uri, null, `bytes */${STEP}`)).status).toBe(200);
      expectBytes(double.stored('bkt', 'x'), bytesOf(STEP));
    });

    it('keeps steps of 256 KiB of what is not the end, refuses gaps and miscounts', async () => {
      const [uri] = await file('x').createResumableUpload();
      const kept = { status: 308, range: `bytes=0-${STEP - 1}` };
      expect(await put(uri, bytesOf(STEP + 9), `bytes 0-${STEP + 8}/*`)).toMatchObject(kept);
      expect((await put(uri, bytesOf(STEP), `bytes ${STEP * 2}-${STEP * 3 - 1}/*`)).status).toBe(503);
      expect((await put(uri, bytesOf(9), `bytes ${STEP}-${STEP + 9}/*`)).status).toBe(400);
      expect((await put(uri, bytesOf(9), 'bytes nine')).status).toBe(400);
      expect(double.stored('bkt', 'x')).toBeNull();
    });

    it('ends unfinished when it is cancelled or forgotten', async () => {
      const [cancelled] = await file('x').createResumableUpload();
      expect((await fetch(cancelled, { method: 'DELETE' })).status).toBe(499);
      expect((await put(cancelled, null, 'bytes */*')).status).toBe(404);
      const [forgotten] = await file('x').createResumableUpload();
      expect(double.dropUploads('bkt')).toBe(1);
      expect((await put(forgotten, null, 'bytes */*')).status).toBe(404);
    });
  });
});

describe('reading', () => {
  const bytes = bytesOf(3000);
  beforeEach(() => double.put('bkt', 'x', bytes));

  it('the whole, whose checksum the client verifies', async () => {
    expect((await file('x').download())[0]).toEqual(bytes);
    const got: Record<string, unknown>[] = [];
    const stream = file('x').createReadStream();
    stream.on('response', ({ headers }: { headers: Record<string, unknown> }) => got.push(headers));
    await text(stream);
    expect(got[0]).toMatchObject({
      'content-length': '3000',
      'x-goog-hash': `crc32c=${crc32cBase64(bytes)},md5=${createHash('md5').update(bytes).digest('base64')}`,
      'x-goog-generation': String(double.generation('bkt', 'x')),
      'x-goog-stored-content-length': '3000',
    });
  });

  it('ranges: inside, open, from the end, past the end', async () => {
    expect((await file('x').download({ start: 10, end: 19 }))[0]).toEqual(bytes.subarray(10, 20));
    expect(double.log.at(-1)).toMatchObject({ operation: 'objects.media', status: 206 });
    expect((await file('x').download({ start: 2990 }))[0]).toEqual(bytes.subarray(2990));
    expect((await file('x').download({ start: 2990, end: 9999 }))[0]).toEqual(bytes.subarray(2990));
    expect((await file('x').download({ end: -10 }))[0]).toEqual(bytes.subarray(2990));
    expect((await refusal(file('x').download({ start: 3000 }))).code).toBe(416);
    const answer = await fetch(`${double.url}/storage/v1/b/bkt/o/x?alt=media`, { headers: { range: 'bytes=0-9' } });
    expect(answer.headers.get('content-range')).toBe('bytes 0-9/3000');
  });

  it('one generation', async () => {
    const generation = double.generation('bkt', 'x');
    const first = storage.bucket('bkt').file('x', { generation });
    expect((await first.download())[0]).toEqual(bytes);
    expect((await first.getMetadata())[0].generation).toBe(String(generation));
    double.put('bkt', 'x', Buffer.from('another'));
    expect((await refusal(first.download())).code).toBe(404);
    expect((await refusal(first.getMetadata())).code).toBe(404);
    const asked = (match: number) => fetch(`${double.url}/storage/v1/b/bkt/o/x?alt=media&ifGenerationMatch=${match}`);
    expect((await asked(generation)).status).toBe(412);
    expect((await asked(double.generation('bkt', 'x'))).status).toBe(200);
  });

  it('what is not there', async () => {
    expect(await file('none').exists()).toEqual([false]);
    expect(await refusal(file('none').getMetadata())).toMatchObject({ code: 404, reason: 'notFound' });
    expect(await refusal(file('none').download())).toMatchObject({ code: 404 });
  });
});

describe('listing', () => {
  const list = async (query: object) => {
    const [files, , answer] = await storage.bucket('bkt').getFiles(query);
    return { names: files.map(({ name }) => name), prefixes: (answer as { prefixes?: string[] })?.prefixes };
  };

  it('by bytes, by prefix, from an offset', async () => {
    // U+FF61 is before U+1F600 in bytes, and after it in UTF-16.
    for (const name of ['b/2', 'a', 'b/10', 'c', '\u{1F600}', '\uFF61']) double.put('bkt', name, Buffer.from(name));
    expect((await list({})).names).toEqual(['a', 'b/10', 'b/2', 'c', '\uFF61', '\u{1F600}']);
    expect((await list({ prefix: 'b/' })).names).toEqual(['b/10', 'b/2']);
    expect((await list({ startOffset: 'b/2', endOffset: 'd' })).names).toEqual(['b/2', 'c']);
    expect((await list({ prefix: 'none' })).names).toEqual([]);
  });

  it('folders by a delimiter', async () => {
    for (const name of ['p/a/1', 'p/a/2', 'p/b', 'p/c/1', 'q']) double.put('bkt', name, Buffer.from(name));
    const asked = { prefix: 'p/', delimiter: '/', autoPaginate: false };
    expect(await list(asked)).toEqual({ names: ['p/b'], prefixes: ['p/a/', 'p/c/'] });
    expect(await list({ ...asked, maxResults: 2 })).toEqual({ names: ['p/b'], prefixes: ['p/a/'] });
  });

  it('in pages, of which the client asks one after another', async () => {
    for (let n = 0; n < 1005; n++) double.put('bkt', `n/${String(n).padStart(4, '0')}`, Buffer.from('x'));
    expect((await list({ prefix: 'n/', maxResults: 2000, autoPaginate: false })).names).toHaveLength(1000);
    const { names } = await list({});
    expect(names).toHaveLength(1005);
    expect(new Set(names).size).toBe(1005);
    double.log.length = 0;
    expect((await list({ startOffset: 'n/1000', maxResults: 2, autoPaginate: false })).names).toEqual([
      'n/1000',
      'n/1001',
    ]);
    const [, next] = await storage.bucket('bkt').getFiles({ maxResults: 2, autoPaginate: false });
    expect((await list(next!)).names).toEqual(['n/0002', 'n/0003']);
  });
});

describe('from one name to another', () => {
  beforeEach(async () => {
    await file('x').save('hello', { ...small, contentType: 'text/x', metadata: { metadata: { lineage: '1' } } });
    double.log.length = 0;
  });

  it('copy keeps the metadata, gives a generation of its own, and heeds the condition', async () => {
    await file('x').copy('y', asNew);
    expect(double.stored('bkt', 'y')?.toString()).toBe('hello');
    const [metadata] = await file('y').getMetadata();
    expect(metadata).toMatchObject({ contentType: 'text/x', metadata: { lineage: '1' } });
    expect(double.generation('bkt', 'y')).toBeGreaterThan(double.generation('bkt', 'x'));
    expect(await refusal(file('x').copy('y', asNew))).toMatchObject({ code: 412, reason: 'conditionNotMet' });
    expect((await refusal(file('none').copy('z', asNew))).code).toBe(404);
    double.makeBucket('another');
    await file('x').copy(storage.bucket('another').file('y'));
    expect(double.stored('another', 'y')?.toString()).toBe('hello');
  });

  it('copy of one generation, or under a condition on the source', async () => {
    const generation = double.generation('bkt', 'x');
    const rewrite = async (query: string) => {
      const response = await fetch(`${double.url}/storage/v1/b/bkt/o/x/rewriteTo/b/bkt/o/z?${query}`, {
        method: 'POST',
      });
      return response.status;
    };
    expect(await rewrite(`ifSourceGenerationMatch=${generation + 1}`)).toBe(412);
    expect(await rewrite(`sourceGeneration=${generation + 1}`)).toBe(404);
    expect(await rewrite(`ifSourceGenerationMatch=${generation}&sourceGeneration=${generation}`)).toBe(200);
  });

  it('copy in several calls; the client repeats no condition after the first', async () => {
    double.faults = () => ({ rewriteCalls: 3 });
    await file('x').copy('y', asNew);
    expect(double.stored('bkt', 'y')?.toString()).toBe('hello');
    const calls = double.log.filter(({ operation }) => operation === 'objects.rewrite');
    expect(calls.map(({ query }) => [query.has('rewriteToken'), query.get('ifGenerationMatch')])).toEqual([
      [false, '0'],
      [true, null],
      [true, null],
    ]);
  });

  it('move in one step', async () => {
    await file('x').moveFileAtomic('y', asNew);
    expect(double.names('bkt')).toEqual(['y']);
    expect(double.count('objects.move')).toBe(1);
    double.put('bkt', 'x', Buffer.from('x'));
    expect((await refusal(file('x').moveFileAtomic('y', asNew))).code).toBe(412);
    expect(double.names('bkt')).toEqual(['x', 'y']);
  });

  it('move as copy and delete', async () => {
    await file('x').move('y');
    expect(double.names('bkt')).toEqual(['y']);
  });

  it('delete, of one generation, of nothing', async () => {
    expect((await refusal(file('x').delete({ ifGenerationMatch: 1 }))).code).toBe(412);
    await file('x').delete({ ifGenerationMatch: double.generation('bkt', 'x') });
    expect(double.names('bkt')).toEqual([]);
    expect(await refusal(file('x').delete())).toMatchObject({ code: 404, reason: 'notFound' });
    await file('x').delete({ ignoreNotFound: true });
  });
});

describe('what tests ask of it', () => {
  it('a fault instead of an answer, once', async () => {
    double.faults = ({ operation, n }) =>
      operation === 'objects.insert' && n === 1
        ? { status: 429, headers: { 'retry-after': '1' }, body: { error: { code: 429, message: 'slow down' } } }
        : null;
    expect(await refusal(file('x').save('x', small))).toMatchObject({ code: 429, message: 'slow down' });
    await file('x').save('x', small);
    expect(double.log.map(({ status }) => status)).toEqual([429, 200]);
  });

  it('a cut before or after it acted, a delay, a store without conditions', async () => {
    double.faults = ({ n }) => (n === 1 ? { cut: 'before' } : { cut: 'after', delayMs: 30 });
    await expect(file('x').save('x', small)).rejects.toThrow();
    expect(double.names('bkt')).toEqual([]);
    const began = performance.now();
    await expect(file('x').save('x', small)).rejects.toThrow();
    expect(performance.now() - began).toBeGreaterThan(25);
    expect(double.names('bkt')).toEqual(['x']);
    expect(double.log.map(({ status }) => status)).toEqual([0, 0]);
    double.faults = () => ({ ignoreConditions: true });
    await file('x').save('y', { ...small, ...asNew });
    expect(double.stored('bkt', 'x')?.toString()).toBe('y');
  });

  it('an object of the past', async () => {
    double.put('bkt', 'x', Buffer.from('x'));
    double.backdate('bkt', 'x', 3_600_000);
    const [{ timeCreated, updated }] = await file('x').getMetadata();
    expect(Date.now() - Date.parse(timeCreated!)).toBeGreaterThan(3_599_000);
    expect(updated).toBe(timeCreated);
  });

  it('a token, and one that is not enough', async () => {
    double.tokens = { allowed: 'good', forbidden: 'weak' };
    expect((await refusal(file('x').save('x', small))).code).toBe(401);
    const as = (token: string): Storage => {
      const client = new Storage({ apiEndpoint: double.url, projectId: 'p', useAuthWithCustomEndpoint: false });
      client.interceptors.push({
        request: (options) =>
          Object.assign(options, { headers: { authorization: `Bearer ${token}` } }) as typeof options & { uri: string },
      });
      return client;
    };
    expect((await refusal(as('bad').bucket('bkt').getFiles())).code).toBe(401);
    expect(await refusal(as('weak').bucket('bkt').getFiles())).toMatchObject({ code: 403, reason: 'forbidden' });
    expect(await as('good').bucket('bkt').getFiles()).toBeDefined();
  });

  it('refuses what it does not know', async () => {
    expect((await refusal(storage.bucket('bkt').getFiles({ versions: true }))).code).toBe(501);
    expect((await refusal(file('x').setMetadata({ contentType: 'text/x' }))).code).toBe(501);
  });
});
