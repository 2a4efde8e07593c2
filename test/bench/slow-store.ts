/**
 * Serves a folder from memory in the shapes of S3 and of Google Cloud Storage, each answer so much later: a stand-in for a
 * store that is far away, for `remote.ts` beside, as a process of its own. It checks no signature, knows GET of an object
 * and nothing else, and speaks just enough HTTP to do so on bare sockets, because it takes its share of the same cores.
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

/** Whole answers by path. */
const objects = new Map<string, Buffer>();
for (const name of readdirSync(folder, { recursive: true }) as string[]) {
  if (!statSync(join(folder, name)).isFile()) continue;
  const bytes = readFileSync(join(folder, name));
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
  const [path = ''] = target.split('?', 1);
  const object = line.startsWith('GET ') ? (objects.get(path) ?? objects.get(decodeURIComponent(path))) : undefined;
  counts[object ? 'found' : 'other'] += 1;
  inFlight += 1;
  counts.mostInFlight = Math.max(counts.mostInFlight, inFlight);
  const send = (): void => {
    inFlight -= 1;
    socket.write(object ?? NO_KEY);
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
