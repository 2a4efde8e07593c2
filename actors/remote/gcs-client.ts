/**
 * Google Cloud Storage, spoken through Google's own client: its credentials, endpoint and universe, and the request of
 * its auth client, which it uses for resumable uploads itself. Its higher calls are not used: they take no AbortSignal,
 * have no time-out where none is set, and destroy the connections of everybody else when one download fails. Nor is
 * node-fetch below them, which does not notice that a connection was cut amid a body. Loaded when it is first needed.
 * One client per address and thread, so that connections stay open from task to task. It holds no credential of its own
 * and does not retry (retry.ts does). No header and no address of a session gets into an error.
 */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import type { Readable } from 'node:stream';
import type { Storage } from '@google-cloud/storage';
import { BronzeError } from '../../machines/errors.ts';
import { orAborted } from '../bounded.ts';
import { BodyFault, collectBody } from './body.ts';
import type { GcsAddress } from './bucket.ts';
import {
  type Fault,
  kindOfStatus,
  networkFault,
  type RemoteDomain,
  remoteError,
  retryAfter,
  scrubbed,
  withoutSecrets,
} from './faults.ts';
import { isProxied } from './proxy.ts';

/** Silence on a connection after which it counts as dead, ms; also the longest wait for a token. A slow upload that
 * moves is not disturbed. */
const SILENCE_MS = 60_000;
/** Connections per client: more than any reader has in flight. */
const SOCKETS = 256;
/** Answers in JSON: a page of a listing has 1000 names of up to 1024 bytes. Bytes. */
const JSON_LIMIT = 16 * 1024 * 1024;
/** Of an error only so much is read. Bytes. */
const ERROR_LIMIT = 1024 * 1024;

type RequestOptions = Parameters<Storage['authClient']['request']>[0];
type Transport = NonNullable<RequestOptions['adapter']>;

export interface GcsRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below the endpoint, beginning with `/`; or the whole address of an upload session. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export interface GcsAnswer {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Readable;
}

export interface GcsClient {
  /** Without a path; no `/` at its end. */
  readonly endpoint: string;
  readonly auth: Storage['authClient'];
  readonly agent: HttpAgent | undefined;
  /** Who pays where the requester does; found once. */
  project(): Promise<string>;
}

const clients = new Map<string, Promise<GcsClient>>();

/**
 * The endpoint that the library is told by its own means; null = Google's. Asked for when a bucket is opened, not when
 * it is first used: a variable that changes meanwhile must not lead half of the requests elsewhere.
 */
export const emulatorHost = (): string | null => process.env.STORAGE_EMULATOR_HOST || null;

/** The client of an address; the same one for the same address. */
export function gcsClient(address: GcsAddress, emulator: string | null): Promise<GcsClient> {
  const key = JSON.stringify([address, emulator]);
  const known = clients.get(key);
  if (known) return known;
  const client = makeClient(address, emulator);
  clients.set(key, client);
  return client;
}

async function makeClient(address: GcsAddress, emulator: string | null): Promise<GcsClient> {
  const [{ Storage }, { PassThroughClient }] = await Promise.all([
    import('@google-cloud/storage'),
    import('google-auth-library'),
  ]);
  const storage = new Storage({
    retryOptions: { autoRetry: false },
    // Like the library itself, which asks no emulator for credentials.
    ...(address.anonymous || emulator !== null ? { authClient: new PassThroughClient() } : {}),
    ...(emulator === null ? {} : { apiEndpoint: emulator }),
  });
  // Some write the path of the API into STORAGE_EMULATOR_HOST, some do not; the library wants both.
  const endpoint = storage.apiEndpoint.replace(/(\/storage\/v1)?\/*$/, '');
  let project: Promise<string> | null = null;
  return {
    endpoint,
    auth: storage.authClient,
    agent: agentFor(endpoint),
    project: () => {
      project ??= storage.authClient.getProjectId().catch((error: unknown) => {
        project = null;
        throw error;
      });
      return project;
    },
  };
}

/** Undefined where a proxy is configured: the transport then makes an agent for it. */
function agentFor(endpoint: string): HttpAgent | undefined {
  if (isProxied()) return undefined;
  const options = { keepAlive: true, maxSockets: SOCKETS };
  return endpoint.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options);
}

/**
 * One request and what `read` makes of its answer. Ends when `signal` fires, when nothing moves, and when `read` fails;
 * the connection ends with it, because an answer that nobody reads would hold it for ever.
 */
export async function exchange<T>(
  client: GcsClient,
  request: GcsRequest,
  read: (answer: GcsAnswer) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  if (signal?.aborted) throw signal.reason;
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  // Of a token, or the metadata server it comes from; then the connection's own time-out counts.
  const waiting = setTimeout(() => {
    stop.abort(new BodyFault(`no token came within ${SILENCE_MS / 1000} s`));
  }, SILENCE_MS);
  try {
    const options = optionsOf(
      client,
      request,
      transport(request, stop.signal, () => clearTimeout(waiting)),
    );
    // What the library does before it sends knows nothing of signals.
    const answer = await orAborted(client.auth.request<IncomingMessage>(options), stop.signal);
    const headers = answer.headers as Readonly<Record<string, string | undefined>>;
    return await read({ status: answer.status, header: (name) => headers[name], body: answer.data });
  } catch (error) {
    const reason = stop.signal.aborted ? stop.signal.reason : unwrapped(error);
    stop.abort();
    throw reason;
  } finally {
    clearTimeout(waiting);
    signal?.removeEventListener('abort', onAbort);
  }
}

/** The library wraps what the transport throws into an error that holds the whole request. */
function unwrapped(error: unknown): unknown {
  const inner = error instanceof Error && 'error' in error ? error.error : undefined;
  return inner instanceof Error ? inner : error;
}

/** What is stored is what is read: without the first an object that was stored in gzip comes unpacked (transcoding). */
export const MEDIA_HEADERS = { 'Accept-Encoding': 'gzip', 'Cache-Control': 'no-store' } as const;

function optionsOf(client: GcsClient, request: GcsRequest, adapter: Transport): RequestOptions {
  const { method, path, query = {}, headers = {}, body } = request;
  const search = new URLSearchParams(query).toString();
  const address = path.startsWith('/') ? `${client.endpoint}${path}` : ownAddress(client, path);
  return {
    method,
    url: search === '' ? address : `${address}${address.includes('?') ? '&' : '?'}${search}`,
    headers: {
      // Of objects alone: nothing here unpacks what the API says about itself.
      ...(query.alt === 'media' ? MEDIA_HEADERS : { 'Cache-Control': 'no-store' }),
      ...(body === undefined ? {} : { 'Content-Length': String(body.length) }),
      ...headers,
    },
    ...(client.agent === undefined ? {} : { agent: client.agent }),
    adapter,
    // Statuses are answers here.
    validateStatus: () => true,
    retry: false,
  };
}

/** Sends what the auth client has signed. Redirects are answers too: the API redirects nobody. */
function transport(request: GcsRequest, signal: AbortSignal, onSend: () => void): Transport {
  return <T>(options: RequestOptions) =>
    new Promise<Awaited<ReturnType<Transport>> & { data: T }>((resolve, reject) => {
      onSend();
      const url = new URL(String(options.url));
      const sent = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
        method: request.method,
        headers: options.headers as OutgoingHttpHeaders,
        // The library sets one where a proxy is configured.
        ...(options.agent === undefined ? {} : { agent: options.agent as HttpAgent }),
        signal,
        timeout: SILENCE_MS,
      });
      sent.on('timeout', () => sent.destroy(new BodyFault(`nothing moved for ${SILENCE_MS / 1000} s`)));
      sent.on('error', reject);
      sent.on('response', (answer) => {
        resolve({
          config: options,
          data: answer as T,
          headers: answer.headers,
          status: answer.statusCode ?? 0,
          statusText: '',
          request: { responseURL: '' },
        });
      });
      sent.end(request.body);
    });
}

/** An address that the store gave: a token must not follow it anywhere else. */
function ownAddress(client: GcsClient, address: string): string {
  const { origin, protocol, hostname } = new URL(address);
  const isGoogle = protocol === 'https:' && hostname.endsWith('.googleapis.com');
  if (isGoogle || origin === new URL(client.endpoint).origin) return address;
  throw new GcsRefusal(0, '', 'an upload session lies on another host', undefined, false);
}

/** An answer that says no, or that is not GCS's. It holds the store's own words only. */
export class GcsRefusal extends Error {
  readonly status: number;
  /** The store's name of it: `conditionNotMet`, `notFound`; empty where it gave none. */
  readonly reason: string;
  readonly wait: string | undefined;
  /** Whether the body was one that the API sends. */
  readonly isApi: boolean;

  constructor(status: number, reason: string, message: string, wait: string | undefined, isApi: boolean) {
    super(message);
    this.name = 'GcsRefusal';
    this.status = status;
    this.reason = reason;
    this.wait = wait;
    this.isApi = isApi;
  }
}

/** What a failed answer says. Reads its body, of which the head must be known; never throws another error. */
export async function refusalOf(answer: GcsAnswer, signal?: AbortSignal): Promise<GcsRefusal> {
  const text = await collectBody(answer.body, null, ERROR_LIMIT, signal).then(String, () => '');
  const wait = answer.header('retry-after');
  const error = parsed(text)?.error;
  if (typeof error === 'object' && error !== null) {
    const { message, errors } = error as { message?: unknown; errors?: { reason?: unknown }[] };
    const reason = Array.isArray(errors) && typeof errors[0]?.reason === 'string' ? errors[0].reason : '';
    return new GcsRefusal(answer.status, reason, typeof message === 'string' ? message : '', wait, true);
  }
  // Downloads and uploads are refused in plain words.
  const words = text.trim();
  const isPlain = words !== '' && words.length <= 1000 && !words.startsWith('<');
  return new GcsRefusal(answer.status, '', isPlain ? words : '', wait, isPlain);
}

/** The body of an answer as the JSON object that it must be. Throws GcsRefusal with `isApi` false where it is none. */
export async function jsonOf(answer: GcsAnswer, signal?: AbortSignal): Promise<Record<string, unknown>> {
  const length = announced(answer);
  const value = parsed(String(await collectBody(answer.body, length, JSON_LIMIT, signal)));
  if (value === null) throw new GcsRefusal(answer.status, '', 'the answer is not JSON', undefined, false);
  return value;
}

/** Lets an answer's body go, of which nothing is wanted; one that does not end ends the connection. */
export async function drained(answer: GcsAnswer, signal?: AbortSignal): Promise<void> {
  await collectBody(answer.body, null, ERROR_LIMIT, signal).catch(() => undefined);
}

/** Content-Length; null where there is none. */
export function announced(answer: GcsAnswer): number | null {
  const header = answer.header('content-length');
  return header !== undefined && /^\d+$/.test(header) ? Number(header) : null;
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

const isMissingBucket = (error: GcsRefusal): boolean =>
  error.status === 404 && /\bbucket\b/i.test(error.message) && /\b(not exist|not found)\b/i.test(error.message);

/**
 * The object is not there, said by the store itself. A missing bucket is something else, and a 404 in other words may
 * be of anything between: it must never make an estate look empty.
 */
export function isMissingObject(error: unknown): boolean {
  if (!(error instanceof GcsRefusal) || error.status !== 404 || isMissingBucket(error)) return false;
  return /no such object/i.test(error.message) || (error.reason === 'notFound' && /^not found$/i.test(error.message));
}

/** A condition of the request did not hold. */
export const isUnmet = (error: unknown): boolean => error instanceof GcsRefusal && error.status === 412;

const BUSY_REASONS = /^(rateLimitExceeded|userRateLimitExceeded|backendError|internalError)$/;

function faultOfRefusal(error: GcsRefusal): Fault {
  const { status, reason, message } = error;
  const said = `HTTP ${status}${reason === '' ? '' : ` ${reason}`}${message === '' ? '' : `: ${message}`}`;
  const wait = retryAfter(error.wait, Date.now());
  const fault = (kind: Fault['kind']): Fault => ({
    kind,
    reason: withoutSecrets(said.replaceAll(/\s+/g, ' ')).slice(0, 500),
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
  if (isMissingBucket(error)) return fault('bucket-missing');
  if (BUSY_REASONS.test(reason)) return fault('busy');
  // Bytes that were changed on their way up.
  if (status === 400 && /doesn't match calculated/i.test(message)) return fault('network');
  if (status === 400 && /requester pays|user project/i.test(message)) return fault('denied');
  const kind = kindOfStatus(status);
  if (kind !== 'refused') return fault(kind);
  if (!error.isApi || (status >= 300 && status < 400) || status === 404) {
    return { ...fault('protocol'), reason: `the answer (HTTP ${status}) is not one of Google Cloud Storage` };
  }
  return fault('refused');
}

function faultOf(error: unknown): Fault {
  if (error instanceof GcsRefusal) return faultOfRefusal(error);
  // Google's token server, and what is between: the library hangs the answer on the error.
  const { status, response } = (error ?? {}) as {
    status?: unknown;
    response?: { status?: unknown; headers?: unknown };
  };
  const said = withoutSecrets(error instanceof Error ? error.message : String(error));
  const answered = typeof response?.status === 'number' ? response.status : typeof status === 'number' ? status : null;
  if (answered !== null) {
    const kind = kindOfStatus(answered);
    return { kind: kind === 'busy' ? 'busy' : 'credentials', reason: `no token was given (HTTP ${answered}): ${said}` };
  }
  const network = networkFault(error);
  if (network !== null) return network;
  if (/credential|project id|token|PEM|private key|DECODER|ENOENT|JSON/i.test(said)) {
    return { kind: 'credentials', reason: said };
  }
  return { kind: 'network', reason: said };
}

/** The coded error of a failed call; CANCELLED where the signal has fired. A BronzeError passes through. */
export function gcsError(
  domain: RemoteDomain,
  action: string,
  object: string,
  error: unknown,
  signal?: AbortSignal,
): BronzeError {
  if (error instanceof BronzeError) return error;
  if (signal?.aborted) return new BronzeError('CANCELLED', 'the work was cancelled', { cause: scrubbed(error) });
  return remoteError(domain, action, object, faultOf(error), scrubbed(error));
}
