// What the stores under test do themselves, asked by their own clients: the ground that the other suites stand on.
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import { describePostgres, freshDatabase, freshSchema, inSession, ownPostgres, sql } from '../support/postgres.ts';
import {
  describeServer,
  describeServers,
  makeBucket,
  makeGcsBucket,
  rawS3,
  type S3Server,
  type TestBucket,
} from '../support/servers.ts';

async function refusal(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (cause) {
    const { $metadata, name } = cause as S3ServiceException;
    return `${$metadata?.httpStatusCode} ${name}`;
  }
  return 'none';
}

/** From outside, the same on every store. */
function rawBucket(made: () => TestBucket): void {
  it('puts, gets, lists and deletes raw objects', async () => {
    const bucket = made();
    await bucket.put('raw/b=1/x', 'one');
    await bucket.put('raw/a é', Buffer.from([0, 1, 2]));
    await bucket.put('raw/empty', '');
    expect(await bucket.list('raw/')).toEqual(['raw/a é', 'raw/b=1/x', 'raw/empty']);
    expect(await bucket.get('raw/a é')).toEqual(Buffer.from([0, 1, 2]));
    expect(await bucket.get('raw/empty')).toEqual(Buffer.alloc(0));
    await bucket.delete('raw/b=1/x');
    await bucket.delete('raw/b=1/x');
    expect(await bucket.get('raw/b=1/x')).toBeNull();
    expect(await bucket.list('raw/')).toEqual(['raw/a é', 'raw/empty']);
  });
}

describeServers('as a store', (server) => {
  let bucket: TestBucket;
  let s3: S3Client;
  let proxy: FaultProxy;
  let through: S3Client;
  beforeAll(async () => {
    bucket = await makeBucket(server);
    s3 = rawS3(server);
    proxy = await startFaultProxy(server.endpoint);
    through = rawS3(server, proxy.url);
  });
  afterAll(() => proxy?.close());

  const put = (Key: string, Body: string, client = s3): Promise<unknown> =>
    client.send(new PutObjectCommand({ Bucket: bucket.name, Key, Body, IfNoneMatch: '*' }));

  async function upload(Key: string, Body: string): Promise<{ UploadId: string; ETag: string | undefined }> {
    const target = { Bucket: bucket.name, Key };
    const { UploadId = '' } = await s3.send(new CreateMultipartUploadCommand(target));
    const { ETag } = await s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body }));
    return { UploadId, ETag };
  }

  const complete = (
    Key: string,
    { UploadId, ETag }: { UploadId: string; ETag: string | undefined },
  ): Promise<unknown> =>
    s3.send(
      new CompleteMultipartUploadCommand({
        Bucket: bucket.name,
        Key,
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
        IfNoneMatch: '*',
      }),
    );

  rawBucket(() => bucket);

  it('heeds If-None-Match on PutObject', async () => {
    await put('put', 'one');
    expect(await refusal(put('put', 'two'))).toBe('412 PreconditionFailed');
    expect(String(await bucket.get('put'))).toBe('one');
  });

  it(`${server.conditionsOnComplete ? 'heeds' : 'ignores'} If-None-Match on CompleteMultipartUpload`, async () => {
    const first = await upload('complete', 'one');
    const second = await upload('complete', 'two');
    await complete('complete', first);
    const refused = await refusal(complete('complete', second));
    expect(refused).toBe(server.conditionsOnComplete ? '412 PreconditionFailed' : 'none');
    expect(String(await bucket.get('complete'))).toBe(server.conditionsOnComplete ? 'one' : 'two');
  });

  it('ignores If-None-Match on CopyObject', async () => {
    await bucket.put('copy/from', 'one');
    await bucket.put('copy/to', 'two');
    const copy = { Bucket: bucket.name, Key: 'copy/to', CopySource: `${bucket.name}/copy/from`, IfNoneMatch: '*' };
    expect(await refusal(s3.send(new CopyObjectCommand(copy)))).toBe('none');
    expect(String(await bucket.get('copy/to'))).toBe('one');
  });

  it('lists unfinished uploads by prefix; an ended one can be neither completed nor aborted', async () => {
    const one = await upload('uploads/one', 'x');
    const two = await upload('uploads/two', 'x');
    const again = await upload('uploads/one', 'x');
    const listed = await bucket.uploads('uploads/');
    expect(new Set(listed.map(({ id }) => id))).toEqual(new Set([one.UploadId, two.UploadId, again.UploadId]));
    expect((await bucket.uploads('uploads/two')).map(({ key }) => key)).toEqual(['uploads/two']);
    expect(await bucket.list('uploads/')).toEqual([]);
    await complete('uploads/one', one);
    await bucket.abort({ key: 'uploads/two', id: two.UploadId });
    expect((await bucket.uploads('uploads/')).map(({ id }) => id)).toEqual([again.UploadId]);
    // The same upload once more is the same answer once more, as long as its object is there.
    expect(await refusal(complete('uploads/one', one))).toBe('none');
    const part = { Bucket: bucket.name, Key: 'uploads/two', UploadId: two.UploadId, PartNumber: 1, Body: 'x' };
    expect(await refusal(s3.send(new UploadPartCommand(part)))).toBe('404 NoSuchUpload');
    expect(await refusal(bucket.abort({ key: 'uploads/two', id: two.UploadId }))).toBe('404 NoSuchUpload');
    // AWS and moto say what is the matter; Ceph 16 says that it could not lock the upload.
    expect(await refusal(complete('uploads/two', two))).toBe(
      server.name === 'ceph' ? '500 InternalError' : '404 NoSuchUpload',
    );
  });

  it('names what is not there', async () => {
    const there = { Bucket: bucket.name, Key: 'there' };
    const none = { Bucket: bucket.name, Key: 'none' };
    const nowhere = { Bucket: 'bronze-none', Key: 'x' };
    await bucket.put('there', 'abc');
    expect(await refusal(s3.send(new GetObjectCommand(none)))).toBe('404 NoSuchKey');
    expect(await refusal(s3.send(new GetObjectCommand({ ...there, Range: 'bytes=9-10' })))).toBe('416 InvalidRange');
    // HEAD has no body to say more in.
    expect(await refusal(s3.send(new HeadObjectCommand(none)))).toBe('404 NotFound');
    expect(await refusal(s3.send(new HeadObjectCommand(nowhere)))).toBe('404 NotFound');
    expect(await refusal(s3.send(new HeadBucketCommand(nowhere)))).toBe('404 NotFound');
    expect(await refusal(s3.send(new GetObjectCommand(nowhere)))).toBe('404 NoSuchBucket');
    expect(await refusal(s3.send(new ListObjectsV2Command(nowhere)))).toBe('404 NoSuchBucket');
    expect(await refusal(s3.send(new PutObjectCommand({ ...nowhere, Body: 'x' })))).toBe('404 NoSuchBucket');
    expect(await refusal(s3.send(new CreateMultipartUploadCommand(nowhere)))).toBe('404 NoSuchBucket');
    expect(await refusal(s3.send(new ListMultipartUploadsCommand(nowhere)))).toBe('404 NoSuchBucket');
  });

  it(
    server.name === 'ceph' ? 'checks credentials, and takes any region' : 'takes any credentials and any region',
    async () => {
      const list = (as: Partial<S3Server>): Promise<string> =>
        refusal(rawS3({ ...server, ...as }).send(new ListObjectsV2Command({ Bucket: bucket.name })));
      const checks = server.name === 'ceph';
      expect(await list({ accessKeyId: 'other' })).toBe(checks ? '403 InvalidAccessKeyId' : 'none');
      expect(await list({ secretAccessKey: 'other' })).toBe(checks ? '403 SignatureDoesNotMatch' : 'none');
      expect(await list({ region: 'eu-west-1' })).toBe('none');
      const { status } = await fetch(`${server.endpoint}/${bucket.name}?list-type=2`);
      expect(status).toBe(checks ? 403 : 200);
    },
  );

  it('answers through the proxy as it does without: what is signed arrives as it was signed', async () => {
    await put('proxied é', 'one', through);
    expect(await refusal(put('proxied é', 'two', through))).toBe('412 PreconditionFailed');
    expect(proxy.counts()).toEqual({ 'PUT PutObject': 2 });
  });

  it('takes a request that arrives after its sender has gone', async () => {
    proxy.rules.push({ operation: 'PutObject', nth: 1, fault: { kind: 'deliver-late' } });
    await expect(put('late', 'late', through)).rejects.toThrow();
    await put('late', 'in time', through);
    expect(await proxy.release()).toMatchObject([{ status: 412 }]);
    expect(String(await bucket.get('late'))).toBe('in time');
    proxy.rules.length = 0;
  });
});

describeServer('ceph', 'a signed header that a proxy takes away', (server) => {
  it('wants a new signature, and then counts for nothing', async () => {
    const bucket = await makeBucket(server);
    const proxy = await startFaultProxy(server.endpoint);
    const through = rawS3(server, proxy.url);
    const put = (Body: string): Promise<unknown> =>
      through.send(new PutObjectCommand({ Bucket: bucket.name, Key: 'a=1/k é', Body, IfNoneMatch: '*' }));
    const header = 'if-none-match';
    await put('one');
    proxy.rules.push({ operation: 'PutObject', fault: { kind: 'strip-header', header } });
    expect(await refusal(put('two'))).toBe('403 SignatureDoesNotMatch');
    const secretKey = server.secretAccessKey;
    proxy.rules.splice(0, 1, { operation: 'PutObject', fault: { kind: 'strip-header', header, secretKey } });
    expect(await refusal(put('three'))).toBe('none');
    expect(String(await bucket.get('a=1/k é'))).toBe('three');
    await proxy.close();
  });
});

describePostgres('as a server', (server) => {
  it('makes databases and schemas that are empty, and of nobody else', async () => {
    const [one, two] = [await freshDatabase(server), await freshDatabase(server)];
    const [three, four] = [await freshSchema(server), await freshSchema(server)];
    for (const dsn of [one, two, three, four]) await sql(dsn, 'CREATE TABLE mine (n int)');
    expect(new Set([one, two, three, four]).size).toBe(4);
    expect(await sql(one, 'SELECT usesuper FROM pg_user WHERE usename = current_user')).toEqual([{ usesuper: true }]);
  });

  it('keeps its data over a stop, which ends its sessions', async () => {
    const own = await ownPostgres();
    try {
      await sql(own.dsn, 'CREATE TABLE kept (n int)');
      const session = inSession(own.dsn, async (client) => {
        client.on('error', () => undefined);
        await own.stop();
        return client.query('SELECT 1');
      });
      await expect(session).rejects.toThrow();
      await expect(sql(own.dsn, 'SELECT 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      await own.start();
      expect(await sql(own.dsn, 'SELECT * FROM kept')).toEqual([]);
    } finally {
      await own.down();
    }
  });
});

describe('the double of GCS as a store', () => {
  let double: GcsDouble;
  let bucket: TestBucket;
  beforeAll(async () => {
    double = await startGcsDouble();
    bucket = await makeGcsBucket(double);
  });
  afterAll(() => double.close());

  rawBucket(() => bucket);

  it('tells and ends its unfinished uploads', async () => {
    double.tokens = { allowed: 'good' };
    const path = `/upload/storage/v1/b/${bucket.name}/o?uploadType=resumable&name=up%2Fx`;
    await fetch(`${double.url}${path}`, { method: 'POST', headers: { authorization: 'Bearer good' } });
    const uploads = await bucket.uploads('up/');
    expect(uploads).toMatchObject([{ key: 'up/x' }]);
    await bucket.abort(uploads[0]!);
    expect(await bucket.uploads()).toEqual([]);
    expect(await bucket.list()).not.toContain('up/x');
  });

  it('answers through the proxy, which sessions go on through', async () => {
    const proxy = await startFaultProxy(double.url);
    const path = `/upload/storage/v1/b/${bucket.name}/o?uploadType=resumable&name=proxied`;
    const started = await fetch(`${proxy.url}${path}`, { method: 'POST', headers: { authorization: 'Bearer good' } });
    const session = started.headers.get('location') ?? '';
    expect(session.startsWith(proxy.url)).toBe(true);
    await fetch(session, { method: 'PUT', body: 'x' });
    expect(proxy.counts()).toEqual({ 'POST uploads.start': 1, 'PUT uploads.put': 1 });
    expect(String(await bucket.get('proxied'))).toBe('x');
    await proxy.close();
  });
});
