/**
 * BigQuery's REST API, spoken through Google's own client: its endpoint, credentials and the request of its auth
 * client. Its higher calls are not used: they take no AbortSignal, have no time-out, and hide which answer was a
 * repetition. No header and no token gets into an error. What an answer means for a catalog is decided elsewhere, by
 * its code.
 */
import type { BigQuery } from '@google-cloud/bigquery';
import { BronzeError, type ErrorCode } from '../../machines/errors.ts';
import { kindOfStatus, networkFault, retryAfter, scrubbed, withoutSecrets } from '../remote/faults.ts';
import { persistently, type RetryPolicy } from '../remote/retry.ts';

/** Of one request, with its token, ms. */
const REQUEST_MS = 45_000;

/** Bytes of an answer. */
const ANSWER_LIMIT = 64 * 1024 * 1024;

/** What lasts longer is for the machines. */
const RETRY: RetryPolicy = { attempts: 4, firstMs: 200, capMs: 5_000, wishMs: 20_000, budgetMs: 80_000 };

export type Json = Readonly<Record<string, unknown>>;

export interface ApiRequest {
  readonly method: 'GET' | 'POST';
  /** Below the project, beginning with `/`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Json;
}

/** An answer, or the end of a job, that says no. It holds BigQuery's own words only. */
export class BigQueryRefusal extends Error {
  /** HTTP; 0 where a job says it. */
  readonly status: number;
  /** BigQuery's name of it: `notFound`, `invalidQuery`; empty where it gave none. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'BigQueryRefusal';
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Said by BigQuery itself: a 404 of anything between does not make a catalog look empty. */
export const isMissing = (error: unknown): boolean =>
  error instanceof BigQueryRefusal && error.status === 404 && error.reason === 'notFound';

export const isDuplicate = (error: unknown): boolean =>
  error instanceof BigQueryRefusal && error.status === 409 && error.reason === 'duplicate';

/** A transaction that met another one. BigQuery has no reason of its own for it. */
export const isCollision = (error: unknown): boolean =>
  error instanceof BigQueryRefusal &&
  /aborted due to concurrent update|could not serialize access/i.test(error.message);

interface Meaning {
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly hint: string;
}

const CREDENTIALS: Meaning = {
  code: 'CREDENTIALS_INVALID',
  retryable: false,
  hint: 'give credentials by the means of the SDK (GOOGLE_APPLICATION_CREDENTIALS, gcloud, instance account)',
};
const DENIED: Meaning = {
  code: 'CATALOG_DENIED',
  retryable: false,
  hint: 'docs/catalog-bigquery.md lists the roles that are needed',
};
const BUSY: Meaning = {
  code: 'CATALOG_UNAVAILABLE',
  retryable: true,
  hint: 'it is tried again; look at the quotas of the project if it lasts',
};
const FOREIGN: Meaning = {
  code: 'CATALOG_SCHEMA',
  retryable: false,
  hint: 'look at catalog.bigquery.project and .dataset, and at what lies there',
};

/** What passes, also where it comes as 403 or 400. A quota of the day passes with the day. */
const BUSY_REASONS =
  /^(rateLimitExceeded|jobRateLimitExceeded|quotaExceeded|backendError|internalError|jobBackendError|jobInternalError|tableUnavailable|resourceInUse|resourcesExceeded|timeout|stopped)$/;

function meaningOf(error: BigQueryRefusal): Meaning {
  const { status, reason } = error;
  if (isCollision(error) || BUSY_REASONS.test(reason)) return BUSY;
  if (/^(accessDenied|billingNotEnabled|billingTierLimitExceeded|blocked)$/.test(reason)) return DENIED;
  const kind = kindOfStatus(status);
  if (kind === 'credentials') return CREDENTIALS;
  if (kind === 'denied') return DENIED;
  return kind === 'busy' ? BUSY : FOREIGN;
}

const oneLine = (text: string): string => withoutSecrets(text).replaceAll(/\s+/g, ' ').trim().slice(0, 500);

/** The coded error of a failed call; `action` continues "could not …". A BronzeError passes through. */
export function catalogError(action: string, error: unknown): BronzeError {
  if (error instanceof BronzeError) return error;
  let meaning: Meaning;
  let said: string;
  let wait: number | undefined;
  if (error instanceof BigQueryRefusal) {
    meaning = meaningOf(error);
    const { status, reason, message } = error;
    said = [status === 0 ? 'the job failed' : `HTTP ${status}`, reason, message]
      .filter((word) => word !== '')
      .join(' ');
    wait = error.retryAfterMs;
  } else {
    const network = networkFault(error);
    const words = error instanceof Error ? error.message : String(error);
    said = network?.reason ?? words;
    // A port that speaks something else, or whose certificate is not trusted: no retry helps.
    if (network?.kind === 'protocol') meaning = FOREIGN;
    else if (network !== null) meaning = BUSY;
    // What is thrown before anything was sent.
    else meaning = /credential|token|PEM|private key|DECODER|ENOENT|JSON|lstat/i.test(words) ? CREDENTIALS : BUSY;
  }
  const { code, retryable, hint } = meaning;
  return new BronzeError(code, `could not ${action}: ${oneLine(said)}; ${hint}`, {
    details: { hint },
    cause: scrubbed(error),
    retryable,
    ...(wait === undefined ? {} : { retryAfterMs: wait }),
  });
}

/** The endpoint that the client is told by its own means, without a slash at its end; null = Google's. */
function emulatorHost(): string | null {
  const host = process.env.BIGQUERY_EMULATOR_HOST?.replace(/(?<!\/)\/+$/, '') || null;
  return host === null || host.includes('://') ? host : `http://${host}`;
}

type Sender = Pick<BigQuery['authClient'], 'request'>;

/** One project. Nothing is loaded or asked before the first request. */
export class BigQueryApi {
  readonly project: string;
  readonly #emulator = emulatorHost();
  #opened: Promise<{ sender: Sender; base: string }> | null = null;

  constructor(project: string) {
    this.project = project;
  }

  /**
   * The answer of one request, sent again where that can help: every request of this program may be repeated.
   * Throws BronzeError, and BigQueryRefusal for what a caller may know better than this: everything that is final.
   */
  async request(request: ApiRequest, signal: AbortSignal): Promise<Json> {
    return persistently(
      async () => {
        try {
          return await this.#send(request, signal);
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          const coded = catalogError(`ask BigQuery (${request.method} ${request.path.split('?')[0]})`, error);
          throw coded.retryable || !(error instanceof BigQueryRefusal) ? coded : error;
        }
      },
      signal,
      RETRY,
    );
  }

  async #send({ method, path, query = {}, body }: ApiRequest, signal: AbortSignal): Promise<Json> {
    const { sender, base } = await this.#open();
    const search = new URLSearchParams({ ...query, prettyPrint: 'false' });
    const answer = await sender.request<string>({
      url: `${base}/projects/${encodeURIComponent(this.project)}${path}?${search}`,
      method,
      ...(body === undefined
        ? {}
        : { data: JSON.stringify(body), headers: { 'Content-Type': 'application/json; charset=utf-8' } }),
      responseType: 'text',
      // Statuses are answers here.
      validateStatus: () => true,
      retry: false,
      // What is longer is no page of BigQuery's, which have 20 MB at the most.
      maxContentLength: ANSWER_LIMIT,
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]),
    });
    const value = parsed(answer.data);
    if (answer.status >= 200 && answer.status < 300 && value !== null) return value;
    throw refusalOf(answer.status, value, retryAfter(answer.headers.get('retry-after'), Date.now()));
  }

  #open(): Promise<{ sender: Sender; base: string }> {
    this.#opened ??= this.#make().catch((error: unknown) => {
      this.#opened = null;
      throw error;
    });
    return this.#opened;
  }

  async #make(): Promise<{ sender: Sender; base: string }> {
    const { BigQuery } = await import('@google-cloud/bigquery');
    const client = new BigQuery({ projectId: this.project });
    // An emulator asks for nothing: it gets a word in the place of a key, and no credential is looked for.
    const sender = this.#emulator === null ? client.authClient : client.authClient.fromAPIKey('emulator');
    return { sender, base: this.#emulator ?? client.baseUrl };
  }
}

function parsed(text: unknown): Json | null {
  try {
    const value: unknown = JSON.parse(String(text));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null;
  } catch {
    return null;
  }
}

function refusalOf(status: number, body: Json | null, wait: number | undefined): BigQueryRefusal {
  const error = body?.error as { message?: unknown; errors?: readonly { reason?: unknown }[] } | undefined;
  if (typeof error !== 'object' || error === null) {
    // Something between, or an answer that was cut: what it says is nobody's word.
    const isCut = status >= 200 && status < 300;
    return new BigQueryRefusal(isCut ? 503 : status, '', 'the answer is not one of BigQuery', wait);
  }
  const reason = error.errors?.[0]?.reason;
  const message = typeof error.message === 'string' ? error.message : '';
  return new BigQueryRefusal(status, typeof reason === 'string' ? reason : '', message, wait);
}
