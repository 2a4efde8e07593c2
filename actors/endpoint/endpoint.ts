/**
 * The audit stream's endpoint over HTTP: one POST per event, and what each answer means. It must never call an event
 * delivered that nobody confirmed, follow a redirect, or let a password, a token or a query string into a message.
 */
import { redactSecrets } from '../../config/secrets.ts';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import { throwIfCancelled } from '../bounded.ts';
import { parseJson } from '../json.ts';
import type { AuditEndpoint } from '../ports/delivery.ts';
import { networkFault, retryAfter } from '../remote/faults.ts';
import { isProxied, proxyAgent } from '../remote/proxy.ts';

/** For a whole exchange, connecting and the answer's body included, ms. */
const EXCHANGE_MS = 30_000;
/** Of an answer nothing is read beyond this, bytes. */
const BODY_LIMIT = 64 * 1024;
/** Of a refusal's body, in a message. */
const EXCERPT_CHARACTERS = 200;

/** Answers about the event itself: the same event gets the same answer again. */
const REFUSALS: ReadonlySet<number> = new Set([400, 413, 415, 422]);

const HINTS: Readonly<Record<number, string>> = {
  401: 'put user and password of the endpoint into pas.endpoint, or correct them',
  403: 'grant the user in pas.endpoint the right to post events',
  404: 'nothing takes events at this path: correct pas.endpoint',
  405: 'nothing takes a POST at this path: correct pas.endpoint',
  410: 'nothing takes events at this path any more: correct pas.endpoint',
  429: 'the endpoint asks for more time; it is tried again',
};
const PAGE = 'what answers there is a web page, no audit endpoint: correct pas.endpoint';
const LATER = 'see to the endpoint; it is tried again';

interface Target {
  /** For messages. */
  readonly uri: string;
  readonly href: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether it holds anything that an answer may repeat and a message must not. */
  readonly hasSecrets: boolean;
}

interface Exchanged {
  readonly status: number;
  readonly headers: Headers;
  /** As much as was read; null where there was more. */
  readonly body: Uint8Array | null;
  readonly startsLikePage: boolean;
}

type Posted = Parameters<AuditEndpoint['post']>[0];

/** Of the header that carries a head: a note has several lines, a header one. */
const HEAD_HEADER = 'bronze-log-head';

const headersOf = ({ eventId, head }: Posted): Record<string, string> => ({
  'content-type': 'application/json',
  'idempotency-key': eventId,
  ...(head ? { [HEAD_HEADER]: Buffer.from(head).toString('base64') } : {}),
});

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Null for what is no HTTP URL. */
function parsedUrl(url: string, base?: string): URL | null {
  if (!URL.canParse(url, base)) return null;
  const parsed = new URL(url, base);
  return /^https?:$/.test(parsed.protocol) ? parsed : null;
}

/** Without user, password, query and fragment; what looks like a password in a path is one that nobody escaped. */
const shown = ({ origin, pathname }: URL): string => redactSecrets(`${origin}${pathname}`);

function targetOf(url: string): Target {
  const parsed = parsedUrl(url);
  if (parsed === null) {
    throw new BronzeError('CONFIG_INVALID', 'pas.endpoint is not the URL of an HTTP endpoint', {
      details: {
        expected: 'http:// or https://; in user and password, @ : / ? and # are written as %40 %3A %2F %3F %23',
      },
    });
  }
  const { username, password, search } = parsed;
  parsed.username = '';
  parsed.password = '';
  parsed.hash = '';
  const isKnown = username !== '' || password !== '';
  const basic = Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64');
  return {
    uri: shown(parsed),
    href: parsed.href,
    headers: { 'user-agent': 'bronze-copier', ...(isKnown ? { authorization: `Basic ${basic}` } : {}) },
    hasSecrets: isKnown || search !== '',
  };
}

/** The body up to the limit; a connection that is cut or stops before its end throws. */
async function bodyOf(response: Response): Promise<Uint8Array | null> {
  if (response.body === null) return new Uint8Array(0);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    size += chunk.length;
    // Leaving the loop cancels the rest.
    if (size > BODY_LIMIT) return null;
  }
  return Buffer.concat(chunks);
}

const beginsLikePage = (body: Uint8Array): boolean =>
  /^\s*</.test(
    Buffer.from(body.subarray(0, 64))
      .toString('utf8')
      .replace(/^\ufeff/, ''),
  );

function judgePage(headers: Headers, body: Uint8Array | null): boolean {
  // Frameworks call an empty answer text/html as well.
  if (body?.length === 0) return false;
  return (
    /^\s*(text\/html|application\/xhtml)/i.test(headers.get('content-type') ?? '') ||
    (body !== null && beginsLikePage(body))
  );
}

function failed(target: Target, message: string, hint: string, more: { retryAfterMs?: number; cause?: unknown } = {}) {
  return new BronzeError('DELIVERY_FAILED', `the endpoint ${target.uri} ${message}; ${hint}`, {
    details: { object: target.uri, hint },
    ...more,
  });
}

/** Why no answer came. */
function networkFailure(target: Target, error: unknown): BronzeError {
  const fault = networkFault(error);
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const reason = fault?.reason ?? (cause instanceof Error ? cause.message : String(cause));
  const hint =
    fault?.kind !== 'protocol'
      ? 'look at the network and the endpoint; it is tried again'
      : reason.startsWith('its certificate')
        ? 'certificates are never ignored: NODE_EXTRA_CA_CERTS names a file with an authority of your own'
        : 'does pas.endpoint name the right port, and http or https as it is spoken there?';
  return failed(target, `cannot be reached: ${reason}`, hint, { cause: error });
}

/** Node's own `fetch`, which asks no proxy; undici's where there is one. */
type Sender = (url: string, request: RequestInit) => Promise<Response>;
let proxied: Promise<Sender> | null = null;

function sender(): Sender | Promise<Sender> {
  if (!isProxied()) return fetch;
  proxied ??= Promise.all([import('undici'), proxyAgent()]).then(
    ([undici, dispatcher]): Sender =>
      (url, request) =>
        undici.fetch(url, { ...(request as object), dispatcher }) as unknown as Promise<Response>,
  );
  return proxied;
}

async function exchange(
  target: Target,
  request: { method: string; headers?: Record<string, string>; body?: Uint8Array },
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Exchanged> {
  throwIfCancelled(signal);
  const send = await sender();
  const stop = new AbortController();
  const end = (): void => stop.abort();
  let isLate = false;
  const late = setTimeout(() => {
    isLate = true;
    end();
  }, timeoutMs);
  signal?.addEventListener('abort', end, { once: true });
  try {
    const headers = { ...target.headers, ...request.headers };
    const response = await send(target.href, { ...request, headers, redirect: 'manual', signal: stop.signal });
    const body = await bodyOf(response);
    return {
      status: response.status,
      headers: response.headers,
      body,
      startsLikePage: judgePage(response.headers, body),
    };
  } catch (error) {
    throwIfCancelled(signal);
    if (isLate) throw failed(target, `has not answered within ${timeoutMs / 1000} s`, LATER);
    throw networkFailure(target, error);
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', end);
  }
}

/** What a status that is neither 2xx nor a word about the event means. */
function statusFailure(target: Target, { status, headers }: Exchanged): BronzeError {
  if (status >= 300 && status < 400) {
    const location = headers.get('location');
    const there = location === null ? null : parsedUrl(location, target.href);
    const to = there === null ? '' : ` to ${shown(there)}`;
    return failed(target, `answers ${status}, a redirect${to}`, `${PAGE}; redirects are not followed`);
  }
  const wanted = retryAfter(headers.get('retry-after'), Date.now());
  const hint = HINTS[status] ?? LATER;
  return failed(target, `answers ${status}`, hint, wanted === undefined ? {} : { retryAfterMs: wanted });
}

/** A few words of what a refusal says; none where they could repeat a secret. */
function excerpt(target: Target, { body, startsLikePage }: Exchanged): string | null {
  if (body === null || target.hasSecrets || startsLikePage) return null;
  const text = Buffer.from(body)
    .toString('utf8')
    .replace(/[\p{C}\s]+/gu, ' ')
    .trim();
  return text === '' ? null : text.slice(0, EXCERPT_CHARACTERS);
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
const isHash = (value: unknown): value is string => typeof value === 'string' && /^sha256:[0-9a-f]{64}$/.test(value);

/**
 * Hashes that a 409 names as those of the event it has: `event_hash` or `chain.event_hash`, of the answer itself or of
 * its `event`. What carries another event_id (the last event it has, say) is not about this one.
 */
function namedHashes(body: Uint8Array | null, eventId: string): string[] {
  let answer: unknown;
  try {
    answer = parseJson(body ?? new Uint8Array(0));
  } catch {
    return [];
  }
  if (!isObject(answer)) return [];
  return [answer, answer.event].flatMap((about) => {
    if (!isObject(about) || (about.event_id !== undefined && about.event_id !== eventId)) return [];
    return [about.event_hash, isObject(about.chain) ? about.chain.event_hash : null].filter(isHash);
  });
}

function refusal(
  code: ErrorCode,
  target: Target,
  what: string,
  details: { expected?: string; found?: string; hint: string },
) {
  return new BronzeError(code, `the endpoint ${target.uri} ${what}`, { details: { object: target.uri, ...details } });
}

/**
 * 409: the endpoint knows the event_id. One that does not say which event it has under it may have another one, or be
 * at work on a request that was given up (as drafts of the Idempotency-Key header use the status): asked again.
 */
function judgeConflict(target: Target, { eventId, eventHash }: Posted, answer: Exchanged): void {
  const named = namedHashes(answer.body, eventId);
  const other = named.find((hash) => hash !== eventHash);
  if (other !== undefined) {
    throw refusal('AUDIT_FORK', target, `has another event under ${eventId}: ${other}, ours is ${eventHash}`, {
      expected: eventHash,
      found: other,
      hint: 'keep both and find out who wrote it (docs/runbook.md, "An audit chain forks")',
    });
  }
  if (named.length > 0) return;
  throw failed(
    target,
    `answers 409 for ${eventId} and does not say which event it has`,
    'it has to answer 2xx for an event that it has, or 409 with its event_hash in JSON',
  );
}

function judge(target: Target, event: Posted, answer: Exchanged): void {
  const { status } = answer;
  if (status >= 200 && status < 300) {
    if (answer.startsLikePage) throw failed(target, `answers ${status} with HTML`, PAGE);
    return;
  }
  if (status === 409) {
    judgeConflict(target, event, answer);
    return;
  }
  if (!REFUSALS.has(status)) throw statusFailure(target, answer);
  const says = excerpt(target, answer);
  throw refusal('DELIVERY_REFUSED', target, `refuses ${event.eventId}: ${status}`, {
    ...(says === null ? {} : { found: says }),
    hint: answer.startsLikePage ? PAGE : 'the log of the endpoint says why',
  });
}

/**
 * The endpoint at a URL, which may hold user and password (basic authentication). Throws CONFIG_INVALID for what is no
 * URL. `timeoutMs` is for one exchange.
 */
export function openEndpoint(url: string, options: { readonly timeoutMs?: number } = {}): AuditEndpoint {
  const target = targetOf(url);
  const timeoutMs = options.timeoutMs ?? EXCHANGE_MS;
  return {
    uri: target.uri,
    async post(event, signal) {
      const request = { method: 'POST', headers: headersOf(event), body: event.bytes };
      judge(target, event, await exchange(target, request, timeoutMs, signal));
    },
    async probe(signal) {
      // Not HEAD: where only POST is routed, servers call that 404.
      const answer = await exchange(target, { method: 'OPTIONS' }, timeoutMs, signal);
      const { status, startsLikePage } = answer;
      if (status >= 200 && status < 300 && startsLikePage) throw failed(target, `answers ${status} with HTML`, PAGE);
      if ([401, 403, 404].includes(status) || (status >= 300 && status < 400) || status >= 500) {
        throw statusFailure(target, answer);
      }
    },
  };
}
