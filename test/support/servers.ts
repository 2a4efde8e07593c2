/**
 * The object stores that tests run against, and a look at them from outside, past the program: real S3 servers (Ceph's
 * gateway and moto, see test/servers) and the double of GCS. A server that is not named in the environment is skipped by
 * name; with CI=true its absence is a failure, so that nothing is skipped unseen.
 *
 *   BRONZE_TEST_CEPH=http://127.0.0.1:15010   BRONZE_TEST_MOTO=http://127.0.0.1:15002
 *
 * It must never use the program's own code for a store: it is the other witness.
 */
import { randomUUID } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { describe, it } from 'vitest';
import type { GcsDouble } from './gcs-double.ts';

export type S3ServerName = 'ceph' | 'moto';

export interface S3Server {
  readonly name: S3ServerName;
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Ceph 16 ignores If-None-Match when an upload is completed or an object is copied. */
  readonly conditionsOnComplete: boolean;
}

/** Unfinished: a multipart upload of S3, a resumable one of GCS. */
export interface RawUpload {
  readonly key: string;
  readonly id: string;
}

/** A bucket as somebody else sees it. Keys are whole: no prefix is added or taken away. */
export interface TestBucket {
  readonly name: string;
  put(key: string, bytes: Uint8Array | string): Promise<void>;
  /** null = there is none. */
  get(key: string): Promise<Buffer | null>;
  /** Every key under a prefix, in byte order. */
  list(prefix?: string): Promise<string[]>;
  /** What tells each object's content and writing apart from any other: ETag and time, or generation. */
  versions(prefix?: string): Promise<Record<string, string>>;
  delete(key: string): Promise<void>;
  uploads(prefix?: string): Promise<RawUpload[]>;
  /** Ends an unfinished upload, as a lifecycle rule does. */
  abort(upload: RawUpload): Promise<void>;
}

const VARIABLES: Readonly<Record<S3ServerName, string>> = { ceph: 'BRONZE_TEST_CEPH', moto: 'BRONZE_TEST_MOTO' };

function serverOf(name: S3ServerName): S3Server | null {
  const endpoint = process.env[VARIABLES[name]];
  if (!endpoint) return null;
  return {
    name,
    endpoint: endpoint.replace(/\/$/, ''),
    region: 'us-east-1',
    // Ceph's user of test/servers/ceph.sh; moto takes any.
    accessKeyId: 'testkey',
    secretAccessKey: 'testsecret',
    conditionsOnComplete: name === 'moto',
  };
}

/** `describe` for suites that need a server; where it is absent `body` is not even run. */
export function describeServer(server: S3ServerName, name: string, body: (server: S3Server) => void): void {
  const title = `${server}: ${name}`;
  const found = serverOf(server);
  const absent = (): never => {
    throw new Error(`${VARIABLES[server]} names no server; test/servers/${server}.sh start DIR starts one`);
  };
  if (found !== null) describe(title, () => body(found));
  else if (process.env.CI === 'true') describe(title, () => it(`has ${server}`, absent));
  else describe.skip(title, () => it(`needs ${server}`, absent));
}

/** The same suite on both S3 servers. */
export function describeServers(name: string, body: (server: S3Server) => void): void {
  describeServer('ceph', name, body);
  describeServer('moto', name, body);
}

/** A client that neither retries nor adds what Ceph 16 does not know; `endpoint` may be a proxy before the server. */
export function rawS3(server: S3Server, endpoint: string = server.endpoint): S3Client {
  return new S3Client({
    endpoint,
    region: server.region,
    credentials: { accessKeyId: server.accessKeyId, secretAccessKey: server.secretAccessKey },
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
}

const bucketName = (): string => `bronze-${randomUUID()}`;

/** A fresh bucket, one for each test file. It is left behind: the server's end is its own. */
export async function makeBucket(server: S3Server): Promise<TestBucket> {
  const s3 = rawS3(server);
  const Bucket = bucketName();
  await s3.send(new CreateBucketCommand({ Bucket }));
  return {
    name: Bucket,
    async put(Key, bytes) {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body: bytes }));
    },
    async get(Key) {
      try {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        return Buffer.from((await Body?.transformToByteArray()) ?? []);
      } catch (cause) {
        if (cause instanceof NoSuchKey) return null;
        throw cause;
      }
    },
    async list(Prefix = '') {
      const keys: string[] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }));
        for (const { Key } of page.Contents ?? []) keys.push(Key ?? '');
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
      return keys;
    },
    async versions(Prefix = '') {
      const found: Record<string, string> = {};
      let ContinuationToken: string | undefined;
      do {
        const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }));
        for (const { Key, ETag, LastModified } of page.Contents ?? []) {
          found[Key ?? ''] = `${ETag} ${LastModified?.toISOString()}`;
        }
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken !== undefined);
      return found;
    },
    async delete(Key) {
      await s3.send(new DeleteObjectCommand({ Bucket, Key }));
    },
    async uploads(Prefix = '') {
      const { Uploads = [], IsTruncated } = await s3.send(new ListMultipartUploadsCommand({ Bucket, Prefix }));
      if (IsTruncated) throw new Error('more unfinished uploads than a test should leave');
      return Uploads.map(({ Key, UploadId }) => ({ key: Key ?? '', id: UploadId ?? '' }));
    },
    async abort({ key, id }) {
      await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: id }));
    },
  };
}

/** A fresh bucket of the double, seen through its routes; its log counts these requests too. */
export async function makeGcsBucket(double: GcsDouble): Promise<TestBucket> {
  const name = bucketName();
  const ask = async (path: string, init: RequestInit = {}): Promise<Response> => {
    const token = double.tokens?.allowed;
    const headers = { ...init.headers, ...(token !== undefined && { authorization: `Bearer ${token}` }) };
    const response = await fetch(`${double.url}${path}`, { ...init, headers });
    if (!response.ok && response.status !== 404)
      throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const objectPath = (key: string): string => `/storage/v1/b/${name}/o/${encodeURIComponent(key)}`;
  await ask('/storage/v1/b?project=p', { method: 'POST', body: JSON.stringify({ name }) });
  const seen: TestBucket = {
    name,
    async put(key, bytes) {
      const path = `/upload/storage/v1/b/${name}/o?uploadType=media&name=${encodeURIComponent(key)}`;
      await ask(path, { method: 'POST', body: typeof bytes === 'string' ? bytes : new Uint8Array(bytes) });
    },
    async get(key) {
      const response = await ask(`${objectPath(key)}?alt=media`);
      return response.status === 404 ? null : Buffer.from(await response.arrayBuffer());
    },
    async list(prefix = '') {
      const names: string[] = [];
      let pageToken: string | undefined;
      do {
        const query = new URLSearchParams({ prefix, ...(pageToken !== undefined && { pageToken }) });
        const page = (await (await ask(`/storage/v1/b/${name}/o?${query}`)).json()) as {
          items?: { name: string }[];
          nextPageToken?: string;
        };
        for (const item of page.items ?? []) names.push(item.name);
        pageToken = page.nextPageToken;
      } while (pageToken !== undefined);
      return names;
    },
    async versions(prefix = '') {
      const names = (await seen.list(prefix)).map((key) => [key, String(double.generation(name, key))] as const);
      return Object.fromEntries(names);
    },
    async delete(key) {
      await ask(objectPath(key), { method: 'DELETE' });
    },
    // GCS has no route that lists them; only the double knows.
    async uploads(prefix = '') {
      const all = double.uploads(name).map((upload) => ({ key: upload.name, id: upload.id }));
      return all.filter(({ key }) => key.startsWith(prefix));
    },
    async abort({ id }) {
      const path = `/upload/storage/v1/b/${name}/o?uploadType=resumable&upload_id=${id}`;
      const { status } = await fetch(`${double.url}${path}`, { method: 'DELETE' });
      if (status !== 499) throw new Error(`${path}: ${status}`);
    },
  };
  return seen;
}
