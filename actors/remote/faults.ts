/**
 * What can go wrong with an object store, whatever its protocol, as coded errors. Every adapter sorts what its SDK
 * throws into one of these kinds; what a kind means for a reader stands here and nowhere else. No header, no query of a
 * URL and no credential gets into a message.
 */
import { BronzeError, type Details, type ErrorCode } from '../../machines/errors.ts';

/** Whose bucket it is decides the family of codes, as in files.ts. */
export type RemoteDomain = 'source' | 'store';

export type FaultKind =
  /** The bucket is not there. */
  | 'bucket-missing'
  /** The bucket lies in another region than the request was made for. */
  | 'region'
  /** No credentials, or none that the store knows. */
  | 'credentials'
  /** Known and not allowed. */
  | 'denied'
  /** What answers is no store of this protocol. */
  | 'protocol'
  /** A listing that makes no progress, contradicts itself or does not end. */
  | 'listing'
  /** It said that something was written, and what stands there says otherwise. */
  | 'untrue'
  /** The store asks to slow down, or is in trouble. */
  | 'busy'
  /** The network, or an answer that ended early or never came. */
  | 'network'
  /** Another answer came than was expected. */
  | 'refused';

export interface Fault {
  readonly kind: FaultKind;
  /** What the store or the network said, in one line. */
  readonly reason: string;
  /** It may be otherwise at the next try although its kind is final: a token that has just run out. */
  readonly passing?: boolean;
  /** From Retry-After, ms. */
  readonly retryAfterMs?: number;
  /** Where the bucket really is. */
  readonly region?: string;
}

interface Meaning {
  readonly code: Readonly<Record<RemoteDomain, ErrorCode>>;
  readonly retryable: boolean;
  readonly hint: string;
}

const same = (code: ErrorCode) => ({ source: code, store: code }) as const;
const IO = { source: 'SOURCE_READ', store: 'STORE_IO' } as const;

const MEANINGS: Readonly<Record<FaultKind, Meaning>> = {
  'bucket-missing': {
    code: same('BUCKET_MISSING'),
    retryable: false,
    hint: 'create the bucket, or correct its name in the configuration',
  },
  region: {
    code: same('BUCKET_REGION'),
    retryable: false,
    hint: 'configure the region that the bucket is in (source.s3_region, storage.s3_region)',
  },
  credentials: {
    code: same('CREDENTIALS_INVALID'),
    retryable: false,
    hint: 'give credentials by the means of the SDK (environment, profile, instance role), or say anonymous: true for a public bucket',
  },
  denied: {
    code: { source: 'SOURCE_DENIED', store: 'STORE_DENIED' },
    retryable: false,
    hint: 'docs/object-storage.md lists the rights that are needed; without the right to list, a store calls what is missing forbidden',
  },
  protocol: {
    code: same('ENDPOINT_INVALID'),
    retryable: false,
    hint: 'point the endpoint at the root URL of an object store of this kind',
  },
  listing: {
    code: same('LISTING_INVALID'),
    retryable: false,
    hint: 'the store, or what is between, gives listings that cannot be relied on: look at both, and at their logs',
  },
  untrue: {
    code: same('ANSWER_UNTRUE'),
    retryable: true,
    hint: 'it is tried again; if it lasts, something between answers for the store (a portal, a proxy, a cache)',
  },
  busy: { code: IO, retryable: true, hint: 'it is tried again; if it lasts, lower perf.workers' },
  network: { code: IO, retryable: true, hint: 'it is tried again; look at the network and the endpoint' },
  refused: { code: IO, retryable: false, hint: 'look the answer up in the documentation of the store' },
};

/** Of what a store or an SDK says, in a message. */
const REASON_CHARACTERS = 500;

/** The coded error of a fault. `action` continues "could not …"; `object` is a key or URI without credentials. */
export function remoteError(
  domain: RemoteDomain,
  action: string,
  object: string,
  fault: Fault,
  cause?: unknown,
): BronzeError {
  const { code, retryable, hint } = MEANINGS[fault.kind];
  const region = fault.region === undefined ? '' : `; the bucket is in ${fault.region}`;
  const details: Details = { object, hint, ...(fault.region === undefined ? {} : { expected: fault.region }) };
  const reason = withoutSecrets(fault.reason).slice(0, REASON_CHARACTERS);
  return new BronzeError(code[domain], `could not ${action} ${object}: ${reason}${region}; ${hint}`, {
    details,
    cause,
    retryable: retryable || fault.passing === true,
    ...(fault.retryAfterMs === undefined ? {} : { retryAfterMs: fault.retryAfterMs }),
  });
}

/** Nobody is waited for longer than this because it asks to, ms. */
const LONGEST_WISH_MS = 600_000;

/** Milliseconds that a Retry-After header asks for: seconds, or a date; undefined where it says neither. */
export function retryAfter(header: string | null | undefined, now: number): number | undefined {
  if (header === null || header === undefined || header.trim() === '') return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return seconds >= 0 ? Math.min(Math.ceil(seconds * 1000), LONGEST_WISH_MS) : undefined;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - now), LONGEST_WISH_MS);
}

/** What an HTTP status means where the body does not say more. */
export function kindOfStatus(status: number): FaultKind {
  if (status === 401) return 'credentials';
  if (status === 403) return 'denied';
  if (status === 408 || status === 429 || status >= 500) return 'busy';
  return 'refused';
}

/** Codes of Node and OpenSSL that mean that no answer came; an answer that makes no sense is `protocol`. */
const NETWORK = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'ESOCKETTIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EMFILE',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/** The fault of an error of the network; null where it is none. Looks into causes, where SDKs put them. */
export function networkFault(error: unknown): Fault | null {
  for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const code = 'code' in at && typeof at.code === 'string' ? at.code : '';
    // A port that speaks something else: TLS against plain HTTP, or no HTTP at all.
    if (code.startsWith('HPE_') || code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
      return { kind: 'protocol', reason: `what answers does not speak HTTP as expected (${code})` };
    }
    // Certificates: trying again cannot help, and they are never ignored.
    if (/^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|ERR_TLS_)/.test(code)) {
      return { kind: 'protocol', reason: `its certificate cannot be trusted (${code})` };
    }
    if (NETWORK.has(code)) return { kind: 'network', reason: code };
    if (
      /^(TimeoutError|RequestTimeout|ConnectTimeoutError)$/.test(at.name) ||
      /socket hang up|aborted/.test(at.message)
    ) {
      return { kind: 'network', reason: at.message };
    }
  }
  return null;
}

/** Without what lets somebody in: queries of URLs (signatures, ids of upload sessions) and tokens. */
export const withoutSecrets = (text: string): string =>
  text
    // The command line of a credential process may hold anything.
    .replace(/Command failed: [\s\S]*/, 'the command that gives credentials failed')
    // From the question mark backwards, and not far: forwards, each of many URLs would be read to the end of all.
    .replace(/(?<=https?:\/\/[^\s?"'<>]{0,2000})\?[^\s"'<>,;]*/gi, '')
    .replace(/\b(Bearer|Basic)\s+[\w~+/.=-]+/gi, '$1 …');

/** The error's name and message alone: what an SDK hangs on it (request, headers, signatures) must reach no log. */
export function scrubbed(error: unknown): Error {
  const copy = new Error(withoutSecrets(error instanceof Error ? error.message : String(error)));
  copy.name = error instanceof Error && error.name !== '' ? error.name : 'Error';
  if (error instanceof Error && error.stack !== undefined) copy.stack = withoutSecrets(error.stack);
  return copy;
}
