/**
 * Serves a folder from memory in the shape of S3, each answer so much later: a stand-in for a store that is far away,
 * for `remote.ts` beside. It checks no signature and knows GET of an object and nothing else; what it was asked for is
 * told under /-/counts.
 *
 *   node build/test/bench/slow-s3.js FOLDER MILLISECONDS    prints its URL
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const [, , folder = '.', ms = '0'] = process.argv;
const delay = Number(ms);

const objects = new Map<string, { bytes: Buffer; etag: string }>();
for (const name of readdirSync(folder, { recursive: true }) as string[]) {
  if (!statSync(join(folder, name)).isFile()) continue;
  const bytes = readFileSync(join(folder, name));
  objects.set(`/lake/${name}`, { bytes, etag: `"${createHash('md5').update(bytes).digest('hex')}"` });
}

const NO_KEY = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>NoSuchKey</Code><Message>none</Message></Error>';
let counts: Record<string, number> = {};
let inFlight = 0;
let mostInFlight = 0;

const server = createServer((request, response) => {
  const [path = '', query] = (request.url ?? '').split('?');
  if (path === '/-/counts') {
    response.end(JSON.stringify({ ...counts, mostInFlight }));
    counts = {};
    mostInFlight = 0;
    return;
  }
  const kind = request.method !== 'GET' ? `${request.method}` : query?.includes('list-type') ? 'LIST' : 'GET';
  const object = objects.get(decodeURIComponent(path));
  const name = kind === 'GET' && !object ? 'GET 404' : kind;
  counts[name] = (counts[name] ?? 0) + 1;
  inFlight += 1;
  mostInFlight = Math.max(mostInFlight, inFlight);
  setTimeout(() => {
    inFlight -= 1;
    if (kind === 'GET' && object) {
      response.writeHead(200, {
        'content-length': object.bytes.length,
        'content-type': 'application/octet-stream',
        etag: object.etag,
        'last-modified': 'Tue, 01 Sep 2026 00:00:00 GMT',
        'x-amz-request-id': 'A1B2C3D4E5F60718',
        'accept-ranges': 'bytes',
      });
      response.end(object.bytes);
    } else {
      response.writeHead(404, { 'content-type': 'application/xml', 'content-length': NO_KEY.length });
      response.end(NO_KEY);
    }
  }, delay);
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
