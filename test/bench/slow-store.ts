/**
 * Serves a folder from memory in the shapes of S3 and of Google Cloud Storage, each answer so much later: a stand-in for a
 * store that is far away, for `remote.ts` beside, as a process of its own. It checks no signature, knows GET of an object
 * and of listings, and speaks just enough HTTP to do so on bare sockets, because it takes its share of the same cores.
 * What it was asked for, and what processor time it took, is told under /-/counts.
 *
 *   node build/test/bench/slow-store.js FOLDER    prints its URL; /-/late/MS sets how late answers are, in ms
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { crc32cBase64 } from '../support/crc32c.ts';

const [, , folder = '.'] = process.argv;
const HEAD_END = '\r\n\r\n';
let late = 0;

const answer = (status: string, headers: Record<string, string | number>, body: Buffer): Buffer => {
  const lines = Object.entries({ ...headers, 'content-length': body.length }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n${lines.join('\r\n')}${HEAD_END}`), body]);
};

/** Bytes by key. */
const sizes = new Map<string, number>();
/** Whole answers by path. */
const objects = new Map<string, Buffer>();
for (const name of readdirSync(folder, { recursive: true }) as string[]) {
  if (!statSync(join(folder, name)).isFile()) continue;
  const bytes = readFileSync(join(folder, name));
  sizes.set(name, bytes.length);
  const common = { 'content-type': 'application/octet-stream', date: 'Tue, 01 Sep 2026 00:00:00 GMT' };
  const md5 = createHash('md5').update(bytes);
  const s3 = {
    'x-amz-id-2': 'x'.repeat(76),
    'x-amz-request-id': 'A1B2C3D4E5F60718',
    'last-modified': 'Tue, 01 Sep 2026 00:00:00 GMT',
    etag: `"${md5.digest('hex')}"`,
    'accept-ranges': 'bytes',
    server: 'AmazonS3',
  };
  objects.set(`/lake/${name}`, answer('200 OK', { ...common, ...s3 }, bytes));
  const gcs = {
    'x-goog-generation': '1788220800000000',
    'x-goog-metageneration': '1',
    'x-goog-stored-content-encoding': 'identity',
    'x-goog-stored-content-length': bytes.length,
    'x-goog-hash': `crc32c=${crc32cBase64(bytes)}`,
    'x-goog-storage-class': 'STANDARD',
    server: 'UploadServer',
  };
  const path = `/storage/v1/b/lake/o/${encodeURIComponent(name)}`;
  objects.set(path, answer('200 OK', { ...common, ...gcs }, bytes));
}

const NO_KEY = answer(
  '404 Not Found',
  { 'content-type': 'application/xml' },
  Buffer.from('<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>'),
);

const keys = [...sizes.keys()].toSorted();

/** A page of the listing that a query asks for: keys, folders, and what the next page begins after. */
function page(query: URLSearchParams): { found: string[]; folders: string[]; next: string | null } {
  const of = (...names: string[]): string => names.map((name) => query.get(name)).find((value) => value !== null) ?? '';
  const prefix = of('prefix');
  const most = Number(of('max-keys', 'maxResults') || 1_000);
  const after = of('continuation-token', 'pageToken', 'start-after');
  const from = of('startOffset');
  const found: string[] = [];
  const folders = new Set<string>();
  let last = '';
  for (const key of keys) {
    if (!key.startsWith(prefix) || key <= after || key < from) continue;
    const cut = of('delimiter') === '' ? -1 : key.indexOf('/', prefix.length);
    const folder = key.slice(0, cut + 1);
    if (folders.has(folder) || (cut >= 0 && after.startsWith(folder))) continue;
    if (found.length + folders.size === most) return { found, folders: [...folders], next: last };
    last = key;
    if (cut < 0) found.push(key);
    else folders.add(folder);
  }
  return { found, folders: [...folders], next: null };
}

function listed(query: URLSearchParams, isS3: boolean): Buffer {
  const { found, folders, next } = page(query);
  const at = '2026-09-01T00:00:00.000Z';
  if (!isS3) {
    const items = found.map((name) => ({ name, size: `${sizes.get(name)}`, generation: '1', timeCreated: at }));
    const body = {
      kind: 'storage#objects',
      items,
      prefixes: folders,
      ...(next === null ? {} : { nextPageToken: next }),
    };
    return answer('200 OK', { 'content-type': 'application/json' }, Buffer.from(JSON.stringify(body)));
  }
  const contents = found.map(
    (key) =>
      `<Contents><Key>${key}</Key><LastModified>${at}</LastModified><ETag>"1"</ETag><Size>${sizes.get(key)}</Size></Contents>`,
  );
  const common = folders.map((folder) => `<CommonPrefixes><Prefix>${folder}</Prefix></CommonPrefixes>`);
  const more = next === null ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
  const body = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>lake</Name><Prefix>${query.get('prefix') ?? ''}</Prefix><KeyCount>${found.length + folders.length}</KeyCount><IsTruncated>${next !== null}</IsTruncated>${more}${contents.join('')}${common.join('')}</ListBucketResult>`;
  return answer('200 OK', { 'content-type': 'application/xml' }, Buffer.from(body));
}

let counts = { found: 0, other: 0, mostInFlight: 0, connections: 0 };
let cpu = process.cpuUsage();
let inFlight = 0;

function told(): Buffer {
  const { user, system } = process.cpuUsage(cpu);
  const body = JSON.stringify({ ...counts, cpuMs: Math.round((user + system) / 1_000) });
  counts = { found: 0, other: 0, mostInFlight: 0, connections: 0 };
  cpu = process.cpuUsage();
  return answer('200 OK', { 'content-type': 'application/json', connection: 'close' }, Buffer.from(body));
}

function serve(socket: Socket, line: string): void {
  const [, target = ''] = line.split(' ', 2);
  if (target.startsWith('/-/')) {
    const [, ms] = /^\/-\/late\/(\d+)$/.exec(target) ?? [];
    if (ms !== undefined) late = Number(ms);
    return void socket.end(told());
  }
  const [path = '', search = ''] = target.split('?', 2);
  const object = line.startsWith('GET ') ? (objects.get(path) ?? objects.get(decodeURIComponent(path))) : undefined;
  counts[object ? 'found' : 'other'] += 1;
  inFlight += 1;
  counts.mostInFlight = Math.max(counts.mostInFlight, inFlight);
  const isListing = path === '/lake' || path === '/lake/' || path === '/storage/v1/b/lake/o';
  const send = (): void => {
    inFlight -= 1;
    const listing = isListing ? listed(new URLSearchParams(search), path.startsWith('/lake')) : null;
    socket.write(object ?? listing ?? NO_KEY);
  };
  if (late === 0) send();
  else setTimeout(send, late);
}

const server = createServer({ noDelay: true }, (socket) => {
  counts.connections += 1;
  let rest = '';
  socket.on('data', (chunk: Buffer) => {
    rest += chunk.toString('latin1');
    for (let end = rest.indexOf(HEAD_END); end >= 0; end = rest.indexOf(HEAD_END)) {
      serve(socket, rest.slice(0, rest.indexOf('\r\n')));
      rest = rest.slice(end + HEAD_END.length);
    }
  });
  // Whoever goes away has what it wanted.
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
