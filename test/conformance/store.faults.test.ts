// The suite of a bad network on every store in a bucket. GCS is a double: it shows what the program does with the
// answers that were recorded, and nothing about Google's servers.
import { type Fault, startFaultProxy } from '../support/fault-proxy.ts';
import { gcsServers, openGcs } from '../support/gcs-store.ts';
import { s3Under } from '../support/s3-under-test.ts';
import { describeServers, makeGcsBucket, type TestBucket } from '../support/servers.ts';
import { type RemoteWords, remoteStoreFaults } from './remote-store.ts';

async function vanish(bucket: TestBucket): Promise<void> {
  for (const upload of await bucket.uploads()) await bucket.abort(upload);
  for (const key of await bucket.list()) if (key.includes('/_staging/')) await bucket.delete(key);
}

/** Listings that lie, in a store's own words for a page. */
function listings(page: (keys: readonly string[], next: string | null) => Fault): RemoteWords['listings'] {
  let n = 0;
  const token = (): string => `token ${++n}`;
  return {
    'the same page for ever': (prefix) => () => page([`${prefix}a`, `${prefix}b`], 'token'),
    'the same names under new tokens': (prefix) => () => page([`${prefix}a`, `${prefix}b`], token()),
    'empty pages for ever': () => () => page([], token()),
    'an empty page that leads to itself': () => () => page([], 'token'),
    'out of order': (prefix) => () => page([`${prefix}b`, `${prefix}a`], null),
    'a name twice': (prefix) => () => page([`${prefix}a`, `${prefix}a`], null),
    'names of elsewhere': () => () => page(['elsewhere/a'], null),
  };
}

const json = (status: number, reason: string, headers: Record<string, string> = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: { error: { code: status, message: reason, errors: [{ message: reason, domain: 'global', reason }] } },
});

const GCS: RemoteWords = {
  read: 'objects.media',
  look: 'objects.get',
  list: 'objects.list',
  create: 'objects.insert',
  publish: 'objects.rewrite',
  upload: ['uploads.start', 'uploads.put'],
  denied: json(403, 'forbidden'),
  busy: json(503, 'backendError'),
  throttled: json(429, 'rateLimitExceeded', { 'retry-after': '1' }),
  listings: listings((keys, next) => ({
    kind: 'answer',
    status: 200,
    body: {
      kind: 'storage#objects',
      items: keys.map((name) => ({ name, size: '1', generation: '1', crc32c: 'AAAAAA==' })),
      ...(next === null ? {} : { nextPageToken: next }),
    },
  })),
};

remoteStoreFaults('GCS, a double', GCS, async () => {
  const { double } = await gcsServers();
  const [proxy, bucket] = await Promise.all([startFaultProxy(double.url), makeGcsBucket(double)]);
  return { proxy, bucket, open: () => openGcs(proxy.url, bucket.name, 'bronze/'), vanish: () => vanish(bucket) };
});

const xml = (status: number, code: string, headers: Record<string, string> = {}): Fault => ({
  kind: 'answer',
  status,
  headers,
  body: `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`,
});

function listed(
  keys: readonly string[],
  of: { readonly next?: string | null; readonly truncated?: boolean; readonly count?: number },
): Fault {
  const { next = null, truncated = next !== null, count = keys.length } = of;
  const contents = keys.map((key) => `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag></Contents>`).join('');
  const token = next === null ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
  const body = `<?xml version="1.0"?><ListBucketResult><Name>b</Name><KeyCount>${count}</KeyCount><IsTruncated>${truncated}</IsTruncated>${token}${contents}</ListBucketResult>`;
  return { kind: 'answer', status: 200, body };
}

const S3: RemoteWords = {
  read: 'GetObject',
  look: 'HeadObject',
  list: 'ListObjectsV2',
  create: 'PutObject',
  publish: 'CompleteMultipartUpload',
  upload: ['CreateMultipartUpload', 'UploadPart'],
  denied: xml(403, 'AccessDenied'),
  busy: xml(503, 'ServiceUnavailable'),
  throttled: xml(503, 'SlowDown', { 'retry-after': '1' }),
  listings: {
    ...listings((keys, next) => listed(keys, { next })),
    'fewer names than it says': (prefix) => listed([`${prefix}a`], { count: 2 }),
    'more names than it says': (prefix) => listed([`${prefix}a`], { count: 0 }),
    'an end that goes on': (prefix) => listed([`${prefix}a`], { next: 'token', truncated: false }),
    'no end, and no way on': (prefix) => listed([`${prefix}a`], { truncated: true }),
  },
};

describeServers('a bad network', (server) => {
  remoteStoreFaults(server.name, S3, async () => {
    const proxy = await startFaultProxy(server.endpoint);
    const { bucket, open } = await s3Under(server, 'bronze/', proxy.url);
    return { proxy, bucket, open, vanish: () => vanish(bucket) };
  });
});
