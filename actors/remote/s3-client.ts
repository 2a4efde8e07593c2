/**
 * The S3 client of an address, and what its errors mean. Loaded when it is first needed: the SDK takes longer to load
 * than most commands to run. One client per address and thread, so that connections stay open from task to task. It
 * holds no credential of its own, leaves TLS checks on, and does not retry (retry.ts does).
 */
import { pipeline, Readable, Transform } from 'node:stream';
import type { S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { BronzeError } from '../../machines/errors.ts';
import { BodyFault } from './body.ts';
import type { S3Address } from './bucket.ts';
import {
  type Fault,
  type FaultKind,
  kindOfStatus,
  networkFault,
  type RemoteDomain,
  remoteError,
  retryAfter,
  scrubbed,
} from './faults.ts';
import { isProxied, proxiedHandler } from './proxy.ts';

/** Until a connection stands, ms. */
const CONNECT_MS = 10_000;
/** Silence on a connection after which it counts as dead, ms; also the longest wait for the head of an answer. */
const SILENCE_MS = 60_000;
/** Bytes of an answer that is no object's content: a page of a listing has 1000 names of up to 1024 bytes. */
const ANSWER_LIMIT = 16 * 1024 * 1024;
/** Connections per client: more than any reader has in flight. */
const SOCKETS = 256;

type Sdk = typeof import('@aws-sdk/client-s3');

let loading: Promise<Sdk> | null = null;

/** The SDK, loaded once. */
export function s3Sdk(): Promise<Sdk> {
  // It warns on Node 20 that *later* versions will not support it; ours is pinned, so users can do nothing about it.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  loading ??= import('@aws-sdk/client-s3');
  return loading;
}

const clients = new Map<string, Promise<S3Client>>();

/** The client of an address; the same one for the same address. */
export function s3Client(address: S3Address): Promise<S3Client> {
  const key = JSON.stringify(address);
  const known = clients.get(key);
  if (known) return known;
  const client = makeClient(address);
  clients.set(key, client);
  return client;
}

async function makeClient(address: S3Address): Promise<S3Client> {
  const { S3Client } = await s3Sdk();
  const client = new S3Client({
    // AWS wants one; stores of one's own take any, and sign with it.
    ...(address.region !== null
      ? { region: address.region }
      : address.endpoint !== null
        ? { region: 'us-east-1' }
        : {}),
    ...(address.endpoint === null ? {} : { endpoint: address.endpoint }),
    forcePathStyle: address.pathStyle,
    // Nothing to sign with and nothing signed: what public buckets want.
    ...(address.anonymous
      ? { credentials: { accessKeyId: '', secretAccessKey: '' }, signer: { sign: async (request) => request } }
      : {}),
    maxAttempts: 1,
    // Stores other than AWS know Content-MD5 and not the newer checksums; those that do send theirs to be compared.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_SUPPORTED',
    requestHandler: isProxied()
      ? await proxiedHandler({ connectMs: CONNECT_MS, silenceMs: SILENCE_MS, connections: SOCKETS })
      : {
          connectionTimeout: CONNECT_MS,
          socketTimeout: SILENCE_MS,
          requestTimeout: 0,
          socketAcquisitionWarningTimeout: SILENCE_MS,
          httpAgent: { keepAlive: true, maxSockets: SOCKETS },
          httpsAgent: { keepAlive: true, maxSockets: SOCKETS },
        },
    followRegionRedirects: false,
  });
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        const response = result.response as { statusCode?: number; body?: unknown };
        // The content of an object is bounded by whoever reads it.
        const isContent = commandName === 'GetObjectCommand' && (response.statusCode ?? 0) < 300;
        if (!isContent && response.body instanceof Readable) response.body = bounded(response.body);
        return result;
      },
    { step: 'deserialize', priority: 'low', name: 'bronzeBoundedAnswer' },
  );
  return client;
}

/** An answer that the SDK holds as a whole, however long it is: cut off where no store's is as long. */
function bounded(body: Readable): Readable {
  let size = 0;
  const limited = new Transform({
    transform(chunk: Buffer, _, done) {
      size += chunk.length;
      if (size > ANSWER_LIMIT) done(new BodyFault(`an answer of more than ${ANSWER_LIMIT} bytes`));
      else done(null, chunk);
    },
  });
  // Either ends with the other; who reads is told of the error.
  pipeline(body, limited, () => {});
  return limited;
}

/** Credentials that were good and will be again: they are asked for anew, and clocks are compared, with every request. */
const PASSING = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'RequestTimeTooSkewed']);

/** A source of credentials that is silent for a moment, rather than that there is none. */
const isPassing = (name: string, text: string): boolean =>
  PASSING.has(name) || (name === 'CredentialsProviderError' && /time.?out|ECONN|EHOST|EAI_AGAIN|socket/i.test(text));

const KINDS: Readonly<Record<string, FaultKind>> = {
  NoSuchBucket: 'bucket-missing',
  InvalidBucketName: 'bucket-missing',
  PermanentRedirect: 'region',
  AuthorizationHeaderMalformed: 'region',
  IllegalLocationConstraintException: 'region',
  TemporaryRedirect: 'busy',
  InvalidAccessKeyId: 'credentials',
  SignatureDoesNotMatch: 'credentials',
  InvalidToken: 'credentials',
  ExpiredToken: 'credentials',
  ExpiredTokenException: 'credentials',
  TokenRefreshRequired: 'credentials',
  RequestTimeTooSkewed: 'credentials',
  InvalidSecurity: 'credentials',
  CredentialsProviderError: 'credentials',
  AccessDenied: 'denied',
  AllAccessDisabled: 'denied',
  AccountProblem: 'denied',
  SlowDown: 'busy',
  Throttling: 'busy',
  RequestLimitExceeded: 'busy',
  ServiceUnavailable: 'busy',
  InternalError: 'busy',
  OperationAborted: 'busy',
  RequestTimeout: 'network',
  IncompleteBody: 'network',
  BadDigest: 'network',
  InvalidDigest: 'network',
};

const isService = (error: unknown): error is S3ServiceException =>
  error instanceof Error && '$metadata' in error && typeof error.$metadata === 'object';

/** HTTP status of an error; null where no answer came. */
export function statusOf(error: unknown): number | null {
  return isService(error) ? (error.$metadata.httpStatusCode ?? null) : null;
}

/** The store's own name of an error: `NoSuchKey`, `PreconditionFailed`; empty where there is none. */
export const nameOf = (error: unknown): string => (error instanceof Error ? error.name : '');

/** A status that says yes, with a body that cannot be read as an answer. */
function faultOfBody(error: unknown, text: string): Fault {
  const network = networkFault(error);
  if (network !== null) return network;
  const reason = `the answer is not S3's: ${text.split('\n')[0]}`;
  return { kind: /missing closing tag/i.test(text) ? 'network' : 'protocol', reason };
}

function faultOf(error: unknown): Fault {
  const name = nameOf(error);
  const status = statusOf(error);
  const response = isService(error) ? (error.$response as { headers?: Record<string, string> } | undefined) : undefined;
  const header = (key: string): string | undefined => response?.headers?.[key];
  const text = error instanceof Error ? error.message : String(error);
  const reason =
    status === null
      ? text
      : `${name === '' || name === 'Error' ? 'HTTP' : name} (${status})${text && text !== name ? ` ${text}` : ''}`;
  const known = KINDS[name];
  if (known === undefined && status !== null && status < 300) return faultOfBody(error, text);
  if (known !== undefined || status !== null) {
    const region = header('x-amz-bucket-region');
    // A redirect without a name is what a HEAD in the wrong region gets.
    const kind = known ?? (status === 301 || status === 307 ? 'region' : kindOfStatus(status as number));
    const wait = retryAfter(header('retry-after'), Date.now());
    return {
      kind,
      reason,
      ...(isPassing(name, text) ? { passing: true } : {}),
      ...(wait === undefined ? {} : { retryAfterMs: wait }),
      ...(kind === 'region' && region !== undefined ? { region } : {}),
    };
  }
  const network = networkFault(error);
  if (network !== null) return network;
  if (/region is missing/i.test(text))
    return { kind: 'region', reason: 'no region is configured, nor in the environment' };
  if (/credential|profile|token/i.test(text)) return { kind: 'credentials', reason: text };
  // What cannot be parsed as an answer of S3 comes from something else.
  if (error instanceof SyntaxError || /parse|deserializ|unexpected (token|end)|xml|char/i.test(text)) {
    return { kind: 'protocol', reason: `the answer is not S3's: ${text}` };
  }
  return { kind: 'network', reason: text };
}

/** The coded error of a failed call; CANCELLED where the signal has fired. A BronzeError passes through. */
export function s3Error(
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
