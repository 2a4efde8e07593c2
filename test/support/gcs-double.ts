/**
 * A DOUBLE of Google Cloud Storage's JSON API, written from recorded routes and the API's reference, because no real
 * GCS can run here. It shows that the program and Google's own client speak together as recorded; it proves nothing
 * about Google's servers, and must never be cited as if it did. What it does not know it refuses with 501 rather than
 * guess: routes that were not recorded, and query parameters that would change an answer.
 *
 * It lives in the tests' process; programs under test reach it over loopback.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  contentOf,
  GcsBucket,
  type GcsConditions,
  type GcsContent,
  type GcsObject,
  GcsRefusal,
  type GcsUpload,
  type GcsWritten,
} from './gcs-buckets.ts';
import { operationOf } from './operations.ts';

export interface GcsRequest {
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** See `operations.ts`: `objects.insert`, `uploads.put` … */
  readonly operation: string;
  /** The name of the object, decoded; '' where the request is about none. */
  readonly object: string;
  /** How many requests of this operation there have been, this one counted. */
  readonly n: number;
}

export interface GcsLogEntry extends GcsRequest {
  /** 0 while there is no answer, and for ever where the connection was cut. */
  status: number;
}

/** What shall go wrong with one request. Fields combine: a delay may come before any of the others. */
export interface GcsFault {
  readonly delayMs?: number;
  /** Answered without doing anything; a `body` that is no string is sent as JSON. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** `before`: the connection ends and nothing was done. `after`: it was done, and the answer is lost. */
  readonly cut?: 'before' | 'after';
  /** A rewrite that needs so many calls. */
  readonly rewriteCalls?: number;
  /** Done as if no condition had been asked for. */
  readonly ignoreConditions?: boolean;
}

export interface GcsDouble {
  /** `http://127.0.0.1:port`, the client's `apiEndpoint`. */
  readonly url: string;
  readonly log: GcsLogEntry[];
  /** Asked once for each request; null = nothing goes wrong. */
  faults: (request: GcsRequest) => GcsFault | null;
  /** null: any authorization is good, and none. Else: no or another bearer token is answered 401, `forbidden` 403. */
  tokens: { readonly allowed: string; readonly forbidden?: string } | null;
  makeBucket(name: string, options?: { readonly requesterPays?: boolean }): void;
  /** Bytes of an object as they are stored; null = there is none. */
  stored(bucket: string, name: string): Buffer | null;
  names(bucket: string): string[];
  generation(bucket: string, name: string): number;
  /** Stores past all conditions, faults and the log. */
  put(bucket: string, name: string, bytes: Uint8Array): void;
  /** Makes an object look as if it had been created `ms` earlier. */
  backdate(bucket: string, name: string, ms: number): void;
  /** Resumable uploads that are neither finished nor dropped. */
  uploads(bucket: string): { id: string; name: string; size: number }[];
  /** Forgets unfinished resumable uploads, as GCS does after a week: their sessions answer 404 from now on. */
  dropUploads(bucket: string): number;
  /** Requests of one operation so far. */
  count(operation: string): number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** A Buffer or string is sent as it is, anything else as JSON; undefined = no body. */
  readonly body?: unknown;
}

/** What the routes share: one request, its body, and what shall go wrong. */
interface Call extends GcsRequest {
  readonly body: Buffer;
  /** False where the client went away before it had sent everything it announced. */
  readonly complete: boolean;
  readonly fault: GcsFault;
  readonly segments: readonly string[];
}

/** GCS keeps what it has got of an upload in steps of so many bytes. */
const STEP = 256 * 1024;
const PAGE = 1000;

/** Parameters that change nothing here: what is asked to be left out of answers, who pays, which project. */
const HARMLESS = [
  'fields',
  'prettyPrint',
  'userProject',
  'project',
  'projection',
  'alt',
  'uploadType',
  'name',
  'autoPaginate',
];
const CONDITIONS = ['ifGenerationMatch', 'ifGenerationNotMatch'];
const KNOWN: Readonly<Record<string, readonly string[]>> = {
  'buckets.get': [],
  'buckets.insert': [],
  'objects.list': ['prefix', 'delimiter', 'startOffset', 'endOffset', 'maxResults', 'pageToken'],
  'objects.get': ['generation', ...CONDITIONS],
  'objects.media': ['generation', ...CONDITIONS],
  'objects.insert': CONDITIONS,
  'objects.delete': ['generation', ...CONDITIONS],
  'objects.rewrite': [
    'sourceGeneration',
    'ifSourceGenerationMatch',
    'ifSourceGenerationNotMatch',
    'rewriteToken',
    'maxBytesRewrittenPerCall',
    ...CONDITIONS,
  ],
  'objects.move': ['ifSourceGenerationMatch', 'ifSourceGenerationNotMatch', ...CONDITIONS],
  'uploads.start': CONDITIONS,
  'uploads.put': ['upload_id', ...CONDITIONS],
  'uploads.status': ['upload_id', ...CONDITIONS],
  'uploads.cancel': ['upload_id', ...CONDITIONS],
};

const invalid = (message: string): GcsRefusal => new GcsRefusal(400, 'invalid', message);

function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (!/^\d+$/.test(text)) throw invalid(`Invalid value for ${name}: ${text}`);
  return Number(text);
}

function conditionsOf(call: Call, prefix: 'if' | 'ifSource' = 'if'): GcsConditions {
  if (call.fault.ignoreConditions) return {};
  return {
    match: integer(call.query, `${prefix}GenerationMatch`),
    notMatch: integer(call.query, `${prefix}GenerationNotMatch`),
  };
}

function refusalBody({ status, reason, message }: GcsRefusal): unknown {
  const header = reason === 'conditionNotMet' ? 'If-Match' : status === 401 ? 'Authorization' : undefined;
  const location = header === undefined ? {} : { locationType: 'header', location: header };
  return { error: { code: status, message, errors: [{ message, domain: 'global', reason, ...location }] } };
}

function json(body: Buffer): Record<string, unknown> {
  if (body.length === 0) return {};
  try {
    const value: unknown = JSON.parse(body.toString());
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new GcsRefusal(400, 'parseError', 'Parse Error');
}

function writtenOf(resource: { readonly contentType?: unknown; readonly metadata?: unknown }): GcsWritten {
  const { contentType, metadata } = resource;
  return {
    ...(typeof contentType === 'string' && { contentType }),
    ...(typeof metadata === 'object' && metadata !== null && { metadata: metadata as Record<string, string> }),
  };
}

/** The metadata and the bytes of a `multipart/related` body (RFC 2387). */
function multipart(
  contentType: string,
  body: Buffer,
): { resource: Record<string, unknown>; bytes: Buffer; type: string } {
  const [, quoted, plain] = /boundary=(?:"([^"]+)"|([^;\s]+))/.exec(contentType) ?? [];
  const mark = `--${quoted ?? plain ?? ''}`;
  const parts: { head: string; bytes: Buffer }[] = [];
  let at = body.indexOf(mark);
  while (at >= 0 && body.toString('latin1', at + mark.length, at + mark.length + 2) !== '--') {
    const head = body.indexOf('\r\n', at) + 2;
    const blank = body.indexOf('\r\n\r\n', head - 2);
    const end = body.indexOf(`\r\n${mark}`, blank + 2);
    if (head < 2 || blank < 0 || end < 0) throw invalid('Malformed multipart body.');
    parts.push({
      head: body.toString('latin1', head, blank),
      bytes: body.subarray(blank + 4, Math.max(end, blank + 4)),
    });
    at = end + 2;
  }
  const [metadata, media] = parts;
  if (mark === '--' || metadata === undefined || media === undefined || parts.length !== 2) {
    throw invalid('Malformed multipart body.');
  }
  const type = /^content-type:\s*(\S+)/im.exec(media.head)?.[1] ?? 'application/octet-stream';
  return { resource: json(metadata.bytes), bytes: Buffer.from(media.bytes), type };
}

/** Checksums that the client promised, in its metadata or in X-Goog-Hash; they refuse what arrived as something else. */
function checkPromised(content: GcsContent, ...promised: (string | undefined)[]): void {
  const names = { crc32c: 'CRC32C', md5Hash: 'MD5 hash' };
  for (const [n, promise] of promised.entries()) {
    const field = n % 2 === 0 ? 'crc32c' : 'md5Hash';
    if (promise === undefined || promise === content[field]) continue;
    throw invalid(
      `Provided ${names[field]} "${promise}" doesn't match calculated ${names[field]} "${content[field]}".`,
    );
  }
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const hashHeader = (call: Call, kind: string): string | undefined =>
  new RegExp(`${kind}=([^,]+)`).exec(String(call.headers['x-goog-hash'] ?? ''))?.[1];

class Double {
  url = '';
  readonly buckets = new Map<string, GcsBucket>();
  readonly uploads = new Map<string, GcsUpload>();
  /** How often a rewrite has been called so far, by its token. */
  private readonly rewrites = new Map<string, number>();
  private ids = 0;

  bucket(name: string): GcsBucket {
    const bucket = this.buckets.get(name);
    if (bucket === undefined) throw new GcsRefusal(404, 'notFound', 'The specified bucket does not exist.');
    return bucket;
  }

  resource(bucket: GcsBucket, object: GcsObject): Record<string, unknown> {
    const path = `${bucket.name}/o/${encodeURIComponent(object.name)}`;
    return {
      kind: 'storage#object',
      id: `${bucket.name}/${object.name}/${object.generation}`,
      selfLink: `${this.url}/storage/v1/b/${path}`,
      mediaLink: `${this.url}/download/storage/v1/b/${path}?generation=${object.generation}&alt=media`,
      name: object.name,
      bucket: bucket.name,
      generation: String(object.generation),
      metageneration: String(object.metageneration),
      ...(object.contentType !== undefined && { contentType: object.contentType }),
      ...(object.metadata !== undefined && { metadata: object.metadata }),
      storageClass: 'STANDARD',
      size: String(object.bytes.length),
      md5Hash: object.md5Hash,
      crc32c: object.crc32c,
      etag: Buffer.from(String(object.generation)).toString('base64'),
      timeCreated: object.timeCreated.toISOString(),
      updated: object.updated.toISOString(),
      timeStorageClassUpdated: object.timeCreated.toISOString(),
    };
  }

  answer(call: Call): Answer {
    const known = KNOWN[call.operation];
    const strange = [...call.query.keys()].find((name) => !HARMLESS.includes(name) && !known?.includes(name));
    if (known === undefined || strange !== undefined) {
      const what = strange === undefined ? `${call.method} ${call.path}` : `${strange} of ${call.operation}`;
      throw new GcsRefusal(501, 'notImplemented', `The double does not know ${what}`);
    }
    // The session's own address is what authorizes its requests.
    if (call.operation.startsWith('uploads.') && call.query.has('upload_id')) return this.session(call);
    if (call.operation === 'buckets.insert') return this.makeBucket(call);
    const bucket = this.bucket(call.segments[0] ?? '');
    if (bucket.requesterPays && !call.query.has('userProject')) {
      const message = 'Bucket is a requester pays bucket but no user project provided.';
      throw new GcsRefusal(400, 'required', message);
    }
    const name = call.object;
    switch (call.operation) {
      case 'buckets.get':
        return { status: 200, body: this.bucketResource(bucket) };
      case 'objects.list':
        return this.list(bucket, call);
      case 'objects.get': {
        const object = bucket.get(name, integer(call.query, 'generation'));
        bucket.check(name, conditionsOf(call));
        return { status: 200, body: this.resource(bucket, object) };
      }
      case 'objects.media':
        return this.media(bucket, call);
      case 'objects.delete':
        bucket.delete(name, integer(call.query, 'generation'), conditionsOf(call));
        return { status: 204 };
      case 'objects.insert':
        return this.insert(bucket, call);
      case 'uploads.start':
        return this.start(bucket, call);
      case 'objects.rewrite':
        return this.rewrite(bucket, call);
      default:
        return this.move(bucket, call);
    }
  }

  private bucketResource(bucket: GcsBucket): Record<string, unknown> {
    return {
      kind: 'storage#bucket',
      id: bucket.name,
      name: bucket.name,
      selfLink: `${this.url}/storage/v1/b/${bucket.name}`,
      location: 'US',
      storageClass: 'STANDARD',
      metageneration: '1',
      timeCreated: bucket.timeCreated.toISOString(),
      ...(bucket.requesterPays && { billing: { requesterPays: true } }),
    };
  }

  private makeBucket(call: Call): Answer {
    const { name, billing } = json(call.body);
    if (typeof name !== 'string' || name === '') throw new GcsRefusal(400, 'required', 'Required');
    if (this.buckets.has(name))
      throw new GcsRefusal(
        409,
        'conflict',
        'Your previous request to create the named bucket succeeded and you already own it.',
      );
    const pays = typeof billing === 'object' && billing !== null && 'requesterPays' in billing && billing.requesterPays;
    const bucket = new GcsBucket(name, pays === true);
    this.buckets.set(name, bucket);
    return { status: 200, body: this.bucketResource(bucket) };
  }

  private list(bucket: GcsBucket, { query }: Call): Answer {
    const token = query.get('pageToken');
    const page = bucket.page({
      prefix: query.get('prefix') ?? '',
      delimiter: query.get('delimiter') ?? '',
      startOffset: query.get('startOffset') ?? '',
      endOffset: query.get('endOffset'),
      after: token === null ? null : Buffer.from(token, 'base64').toString(),
      limit: Math.min(integer(query, 'maxResults') || PAGE, PAGE),
    });
    return {
      status: 200,
      body: {
        kind: 'storage#objects',
        ...(page.last !== null && { nextPageToken: Buffer.from(page.last).toString('base64') }),
        ...(page.prefixes.length > 0 && { prefixes: page.prefixes }),
        ...(page.items.length > 0 && { items: page.items.map((object) => this.resource(bucket, object)) }),
      },
    };
  }

  private media(bucket: GcsBucket, call: Call): Answer {
    const object = bucket.get(call.object, integer(call.query, 'generation'));
    bucket.check(call.object, conditionsOf(call));
    const size = object.bytes.length;
    const headers = {
      'content-type': object.contentType ?? 'application/octet-stream',
      'accept-ranges': 'bytes',
      'last-modified': object.updated.toUTCString(),
      'x-goog-generation': String(object.generation),
      'x-goog-metageneration': String(object.metageneration),
      'x-goog-stored-content-encoding': 'identity',
      'x-goog-stored-content-length': String(size),
      // Of the whole object, also where a range is sent.
      'x-goog-hash': `crc32c=${object.crc32c},md5=${object.md5Hash}`,
      'x-goog-storage-class': 'STANDARD',
    };
    const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(call.headers.range ?? '') ?? [];
    if (from === '' && to === '') return { status: 200, headers, body: object.bytes };
    const first = from === '' ? Math.max(0, size - Number(to)) : Number(from);
    const last = from === '' || to === '' ? size - 1 : Math.min(Number(to), size - 1);
    if (first > last) {
      const range = { 'content-range': `bytes */${size}` };
      return { status: 416, headers: range, body: 'The requested range cannot be satisfied.' };
    }
    return {
      status: 206,
      headers: { ...headers, 'content-range': `bytes ${first}-${last}/${size}` },
      body: object.bytes.subarray(first, last + 1),
    };
  }

  private insert(bucket: GcsBucket, call: Call): Answer {
    const type = call.headers['content-type'] ?? '';
    const media = call.query.get('uploadType') === 'media';
    const {
      resource,
      bytes,
      type: partType,
    } = media ? { resource: {}, bytes: call.body, type } : multipart(type, call.body);
    const written = { contentType: partType, ...writtenOf(resource) };
    return this.store(bucket, call.object || text(resource.name) || '', bytes, written, conditionsOf(call), [
      text(resource.crc32c),
      text(resource.md5Hash),
      hashHeader(call, 'crc32c'),
      hashHeader(call, 'md5'),
    ]).answer;
  }

  private store(
    bucket: GcsBucket,
    name: string,
    bytes: Buffer,
    written: GcsWritten,
    conditions: GcsConditions,
    promised: (string | undefined)[],
  ): { object: GcsObject; answer: Answer } {
    if (name === '') throw new GcsRefusal(400, 'required', 'Required');
    const content = contentOf(bytes);
    checkPromised(content, ...promised);
    const object = bucket.insert(name, content, written, conditions);
    return { object, answer: { status: 200, body: this.resource(bucket, object) } };
  }

  private start(bucket: GcsBucket, call: Call): Answer {
    const resource = json(call.body);
    const name = call.object || text(resource.name) || '';
    if (name === '') throw new GcsRefusal(400, 'required', 'Required');
    const conditions = conditionsOf(call);
    bucket.check(name, conditions);
    const contentType = text(call.headers['x-upload-content-type']);
    this.ids += 1;
    const id = `upload-${this.ids}-${Math.random().toString(36).slice(2)}`;
    this.uploads.set(id, {
      id,
      bucket,
      name,
      written: { ...(contentType !== undefined && { contentType }), ...writtenOf(resource) },
      conditions,
      received: [],
      size: 0,
      finished: null,
    });
    const query = new URLSearchParams(call.query);
    query.set('upload_id', id);
    // The host that the client asked, so that a session begun through a proxy goes on through it.
    const location = `http://${call.headers.host}${call.path}?${query}`;
    return { status: 200, headers: { location, 'x-guploader-uploadid': id } };
  }

  private session(call: Call): Answer {
    const upload = this.uploads.get(call.query.get('upload_id') ?? '');
    if (upload === undefined) return { status: 404, body: 'Not Found' };
    if (call.operation === 'uploads.cancel') {
      this.uploads.delete(upload.id);
      return { status: 499 };
    }
    const done = (object: GcsObject): Answer => ({ status: 200, body: this.resource(upload.bucket, object) });
    if (upload.finished !== null) return done(upload.finished);
    // `bytes first-last/total`; last and total may be *, the whole `first-last` too, in a query for the status.
    const range = call.headers['content-range'] ?? 'bytes 0-*/*';
    const [, status, first, last, total = '*'] = /^bytes (?:(\*)|(\d+)-(\d+|\*))\/(\d+|\*)$/.exec(range) ?? [];
    if (status === undefined && first === undefined) throw invalid(`Failed to parse Content-Range header: ${range}`);
    if (status === undefined) {
      const offset = Number(first);
      if (offset > upload.size) {
        // 503, as GCS was seen to answer (floci-io/floci-gcp#132): the client is to ask for the status and go on.
        throw new GcsRefusal(
          503,
          'backendError',
          `Invalid request. According to the Content-Range header, the upload offset is ${offset} byte(s), ` +
            `which exceeds already uploaded size of ${upload.size} byte(s).`,
        );
      }
      const announced = last === '*' ? null : Number(last) - offset + 1;
      if (call.complete && announced !== null && announced !== call.body.length) {
        throw invalid(
          `Invalid request. There were ${call.body.length} byte(s) in the request body. There should have been ` +
            `${announced} byte(s) (starting at offset ${offset} and ending at offset ${last}) ` +
            'according to the Content-Range header.',
        );
      }
      // What is there already is not taken a second time.
      const fresh = call.body.subarray(upload.size - offset);
      const ends =
        call.complete &&
        (last === '*' || total !== '*') &&
        (total === '*' || offset + call.body.length === Number(total));
      const kept = ends ? fresh.length : Math.floor((upload.size + fresh.length) / STEP) * STEP - upload.size;
      if (kept > 0) {
        upload.received.push(Buffer.from(fresh.subarray(0, kept)));
        upload.size += kept;
      }
      if (ends) return done(this.finish(upload, call));
    } else if (total !== '*' && Number(total) === upload.size) {
      return done(this.finish(upload, call));
    }
    return { status: 308, headers: upload.size === 0 ? {} : { range: `bytes=0-${upload.size - 1}` } };
  }

  /** The conditions of the start count again, and for good, when the last byte has come. */
  private finish(upload: GcsUpload, call: Call): GcsObject {
    const conditions = call.fault.ignoreConditions ? {} : upload.conditions;
    const promised = [hashHeader(call, 'crc32c'), hashHeader(call, 'md5')];
    const bytes = Buffer.concat(upload.received);
    const { object } = this.store(upload.bucket, upload.name, bytes, upload.written, conditions, promised);
    upload.finished = object;
    upload.received = [];
    return object;
  }

  /** `b/B/o/O/rewriteTo/b/B2/o/O2`. Each call's own conditions count; a token carries none of the first call's. */
  private rewrite(bucket: GcsBucket, call: Call): Answer {
    const [, , , , , toBucket = '', , toName = ''] = call.segments;
    const target = this.bucket(toBucket);
    const source = bucket.get(call.object, integer(call.query, 'sourceGeneration'));
    bucket.check(call.object, conditionsOf(call, 'ifSource'));
    target.check(toName, conditionsOf(call));
    const size = source.bytes.length;
    const token = call.query.get('rewriteToken') ?? `rewrite-${++this.ids}`;
    const calls = (this.rewrites.get(token) ?? 0) + 1;
    if (calls === 1 && call.query.has('rewriteToken')) throw invalid('Invalid rewrite token.');
    const answer = { kind: 'storage#rewriteResponse', objectSize: String(size) };
    const needed = call.fault.rewriteCalls ?? 1;
    if (calls < needed) {
      this.rewrites.set(token, calls);
      const soFar = String(Math.floor((size * calls) / needed));
      return { status: 200, body: { ...answer, done: false, totalBytesRewritten: soFar, rewriteToken: token } };
    }
    this.rewrites.delete(token);
    const written = { ...writtenOf(source), ...writtenOf(json(call.body)) };
    const object = target.insert(toName, source, written, conditionsOf(call));
    const resource = this.resource(target, object);
    return { status: 200, body: { ...answer, done: true, totalBytesRewritten: String(size), resource } };
  }

  /** `b/B/o/O/moveTo/o/O2`: both happen or neither. */
  private move(bucket: GcsBucket, call: Call): Answer {
    const [, , , , , toName = ''] = call.segments;
    const source = bucket.get(call.object);
    bucket.check(call.object, conditionsOf(call, 'ifSource'));
    const written = writtenOf(source);
    const object = bucket.insert(toName, source, written, conditionsOf(call));
    if (toName !== call.object) bucket.delete(call.object, undefined, {});
    return { status: 200, body: this.resource(bucket, object) };
  }
}

/** All that is sent, or what had come before the client went away. */
async function received(request: IncomingMessage): Promise<{ body: Buffer; complete: boolean }> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // `complete` says it.
  }
  return { body: Buffer.concat(chunks), complete: request.complete };
}

function send(response: ServerResponse, { status, headers = {}, body }: Answer): void {
  const raw = Buffer.isBuffer(body) || typeof body === 'string';
  const bytes = body === undefined ? Buffer.alloc(0) : raw ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  const type = typeof body === 'string' ? 'text/html; charset=UTF-8' : 'application/json; charset=UTF-8';
  response.writeHead(status, {
    ...(body !== undefined && { 'content-type': type }),
    ...(status !== 204 && { 'content-length': String(bytes.length) }),
    ...headers,
  });
  response.end(bytes);
}

function checkToken(tokens: GcsDouble['tokens'], call: GcsRequest): void {
  // A session's address carries its own authorization.
  if (tokens === null || call.query.has('upload_id')) return;
  const token = /^Bearer (.+)$/i.exec(call.headers.authorization ?? '')?.[1];
  if (token === tokens.allowed) return;
  if (token !== undefined && token === tokens.forbidden) {
    const message = 'The caller does not have storage.objects access to the Google Cloud Storage object.';
    throw new GcsRefusal(403, 'forbidden', message);
  }
  const anonymous = 'Anonymous caller does not have storage.objects access to the Google Cloud Storage object.';
  throw token === undefined
    ? new GcsRefusal(401, 'required', anonymous)
    : new GcsRefusal(401, 'authError', 'Invalid Credentials');
}

export async function startGcsDouble(): Promise<GcsDouble> {
  const state = new Double();
  const counts = new Map<string, number>();

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = request;
    const [path = '', search = ''] = url.split(/\?(.*)/s);
    const query = new URLSearchParams(search);
    const segments = path
      .replace(/^(?:\/(?:upload|download))?\/storage\/v1\/b\/?/, '')
      .split('/')
      .map(decodeURIComponent);
    const operation = operationOf({ method, path, query, headers });
    const n = (counts.get(operation) ?? 0) + 1;
    counts.set(operation, n);
    const object = (path.startsWith('/upload/') ? query.get('name') : segments[2]) ?? '';
    const seen: GcsLogEntry = { method, path, query, headers, operation, object, n, status: 0 };
    double.log.push(seen);
    const fault = double.faults(seen) ?? {};
    const { body, complete } = await received(request);
    if (fault.delayMs !== undefined) await sleep(fault.delayMs);
    let answer: Answer;
    try {
      if (fault.cut === 'before') return void request.socket.destroy();
      if (fault.status !== undefined) {
        const { status, headers: extra = {}, body: words = '' } = fault;
        answer = { status, headers: extra, body: words };
      } else {
        checkToken(double.tokens, seen);
        // Only a resumable upload keeps a part of what was sent.
        if (!complete && operation !== 'uploads.put') return;
        answer = state.answer({ ...seen, segments, body, complete, fault });
      }
    } catch (cause) {
      if (!(cause instanceof GcsRefusal)) throw cause;
      // Downloads are refused in plain words, everything else in JSON.
      answer = { status: cause.status, body: operation === 'objects.media' ? cause.message : refusalBody(cause) };
    }
    if (fault.cut === 'after') return void request.socket.destroy();
    seen.status = answer.status;
    send(response, answer);
  }

  const server = createServer((request, response) => {
    serve(request, response).catch((cause: unknown) => {
      // A mistake of the double itself: loud, and nothing that a client would try again.
      send(response, { status: 501, body: refusalBody(new GcsRefusal(501, 'notImplemented', `The double: ${cause}`)) });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const double: GcsDouble = {
    url: state.url,
    log: [],
    faults: () => null,
    tokens: null,
    makeBucket(name, options) {
      state.buckets.set(name, new GcsBucket(name, options?.requesterPays ?? false));
    },
    stored: (bucket, name) => state.bucket(bucket).find(name)?.bytes ?? null,
    names: (bucket) => state.bucket(bucket).names(),
    generation: (bucket, name) => state.bucket(bucket).get(name).generation,
    put(bucket, name, bytes) {
      state.bucket(bucket).insert(name, contentOf(Buffer.from(bytes)), {}, {});
    },
    backdate(bucket, name, ms) {
      const object = state.bucket(bucket).get(name);
      object.timeCreated = new Date(object.timeCreated.getTime() - ms);
      object.updated = new Date(object.updated.getTime() - ms);
    },
    uploads: (bucket) =>
      [...state.uploads.values()]
        .filter((upload) => upload.bucket.name === bucket && upload.finished === null)
        .map(({ id, name, size }) => ({ id, name, size })),
    dropUploads(bucket) {
      const dropped = double.uploads(bucket);
      for (const { id } of dropped) state.uploads.delete(id);
      return dropped.length;
    },
    count: (operation) => counts.get(operation) ?? 0,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((cause) => (cause ? reject(cause) : resolve()));
        server.closeAllConnections();
      }),
  };
  return double;
}
