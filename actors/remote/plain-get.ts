/**
 * The short way to an object: one GET whose answer is plain, which means status 200, a length told beforehand, exactly so
 * many bytes, and the checksum that was told with them. Anything else is no answer here (`NotPlain`): whoever asked repeats
 * the request the long way, through the SDK, whose answer decides. So this stays small, and nothing is decided twice.
 * It must never give bytes that were not checked, wait without end, hold more than was announced and admitted, retry,
 * follow a redirect, or let what it sent (signatures, tokens) into an error.
 */
import type { Dispatcher } from 'undici';
import { BODY_IDLE_MS } from './body.ts';
import type { Admission } from './bucket.ts';
import type { Check } from './checksums.ts';
import { kindOfStatus, retryAfter } from './faults.ts';
import { isProxied, proxyAgent } from './proxy.ts';

/** Until a connection stands, ms. */
const CONNECT_MS = 10_000;
/** The longest wait for the head of an answer, ms, however it drips. */
const HEAD_MS = 60_000;
/** Bytes of a head. More ends the request. */
const HEAD_BYTES = 16 * 1024;
/** Connections to one place: more than any reader has in flight. */
const CONNECTIONS = 1024;
/** An answer that nobody wants is read to its end up to so many bytes, so that its connection can be used again. */
const DRAIN_BYTES = 64 * 1024;

type Headers = Readonly<Record<string, string | string[] | undefined>>;

export interface PlainRequest {
  /** Path and query, encoded. */
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: string[];
  /** Judges the head of a 200: how the body is checked, or null where the head is not the store's own. */
  readonly judge: (headers: Headers) => Check | null;
}

/** No plain answer. */
export interface NotPlain {
  /** It may pass: the store was busy, or the network failed. */
  readonly isPassing: boolean;
  /** How long the store wants to be left alone, ms. */
  readonly waitMs: number;
}

export interface Wanted {
  /** Bytes that an object may have. */
  readonly limit: number;
  readonly admit: Admission | undefined;
  readonly signal: AbortSignal | undefined;
}

export interface PlainGetter {
  /**
   * The object, or that there is no plain answer; or that the signal has fired.
   * @throws what `admit` throws, and nothing else
   */
  get(request: PlainRequest, wanted: Wanted): Promise<Uint8Array | NotPlain>;
}

/** Another answer than a plain one. */
const OTHER: NotPlain = { isPassing: false, waitMs: 0 };
/** No answer, or a part of one. */
const FAILED: NotPlain = { isPassing: true, waitMs: 0 };
/** Before a busy store is asked again where it names no time, ms; as long as the first pause of retry.ts. */
const BUSY_MS = 100;

interface Bounds {
  readonly connectMs: number;
  readonly headMs: number;
  readonly bodyIdleMs: number;
}

const BOUNDS: Bounds = { connectMs: CONNECT_MS, headMs: HEAD_MS, bodyIdleMs: BODY_IDLE_MS };

const getters = new Map<string, Promise<PlainGetter>>();

/** The connections to an origin (`https://host:port`): one pool of them for each origin and thread. */
export function plainGetter(origin: string): Promise<PlainGetter> {
  const known = getters.get(origin);
  if (known) return known;
  const getter = makeGetter(origin);
  getters.set(origin, getter);
  return getter;
}

/** Of its own, for tests with shorter times. */
export async function makeGetter(origin: string, bounds: Bounds = BOUNDS): Promise<PlainGetter> {
  const dispatcher = await dispatcherFor(origin, bounds);
  return {
    get: (request, wanted) => {
      if (wanted.signal?.aborted) return Promise.resolve(OTHER);
      return new Promise((resolve, reject) => {
        const flight = new Flight(request.judge, wanted, resolve, reject);
        const { path, headers } = request;
        try {
          dispatcher.dispatch({ origin, method: 'GET', path, headers }, flight);
        } catch {
          // A request that cannot be made at all; the SDK says why.
          flight.end(OTHER);
        }
      });
    },
  };
}

async function dispatcherFor(origin: string, bounds: Bounds): Promise<Dispatcher> {
  const { Pool } = await import('undici');
  const options = {
    connections: CONNECTIONS,
    connect: { timeout: bounds.connectMs },
    headersTimeout: bounds.headMs,
    bodyTimeout: bounds.bodyIdleMs,
    maxHeaderSize: HEAD_BYTES,
    pipelining: 1,
  };
  return isProxied() ? proxyAgent(options) : new Pool(origin, options);
}

/** What a connection is ended with; nobody sees it. */
const LET_GO = new Error('nobody waits for this answer');

/** The flights that a signal ends. One listener each would cost more than the rest of a small request. */
const flights = new WeakMap<AbortSignal, Set<Flight>>();

function flightsOf(signal: AbortSignal): Set<Flight> {
  let under = flights.get(signal);
  if (under === undefined) {
    const all = new Set<Flight>();
    signal.addEventListener('abort', () => {
      for (const flight of all) flight.end(OTHER);
    });
    flights.set(signal, all);
    under = all;
  }
  return under;
}

type Outcome = Uint8Array | NotPlain | Promise<Uint8Array | NotPlain>;

/** One request under way: gathers the body where it is wanted, and settles once. */
class Flight implements Dispatcher.DispatchHandler {
  readonly #judge: PlainRequest['judge'];
  readonly #wanted: Wanted;
  readonly #among: Set<Flight> | null;
  readonly #resolve: (outcome: Outcome) => void;
  readonly #reject: (error: unknown) => void;
  #controller: Dispatcher.DispatchController | null = null;
  #isOver = false;
  #check: Check | null = null;
  #bytes: Uint8Array | null = null;
  #used = 0;
  #drained = 0;

  constructor(
    judge: PlainRequest['judge'],
    wanted: Wanted,
    resolve: (outcome: Outcome) => void,
    reject: (error: unknown) => void,
  ) {
    this.#judge = judge;
    this.#wanted = wanted;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#among = wanted.signal === undefined ? null : flightsOf(wanted.signal);
    this.#among?.add(this);
  }

  /** Settles, and ends the connection where its answer has not come to its end. */
  end(outcome: Outcome): void {
    if (!this.#settle()) return;
    this.#resolve(outcome);
    this.#controller?.abort(LET_GO);
  }

  #settle(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#bytes = null;
    this.#among?.delete(this);
    return true;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#isOver) controller.abort(LET_GO);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    const told = headers['content-length'];
    const length = typeof told === 'string' && /^\d{1,15}$/.test(told) ? Number(told) : null;
    if (status !== 200) {
      // What the store says is short, and its connection is worth keeping. A 1xx is no end, and might have none.
      const refusal = refusalOf(status, headers);
      if (status < 200 || length === null || length > DRAIN_BYTES) this.end(refusal);
      else if (this.#settle()) this.#resolve(refusal);
      return;
    }
    const isBounded = length !== null && length <= this.#wanted.limit && !('transfer-encoding' in headers);
    this.#check = isBounded ? this.#judge(headers) : null;
    if (!isBounded || this.#check === null) {
      this.end(OTHER);
      return;
    }
    try {
      this.#bytes = this.#wanted.admit?.(length) ?? Buffer.allocUnsafe(length);
    } catch (error) {
      if (this.#settle()) this.#reject(error);
      this.#controller?.abort(LET_GO);
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const bytes = this.#bytes;
    if (bytes === null) {
      this.#drained += chunk.length;
      if (this.#drained > DRAIN_BYTES) this.#controller?.abort(LET_GO);
      return;
    }
    if (this.#used + chunk.length > bytes.length) {
      this.end(FAILED);
      return;
    }
    bytes.set(chunk, this.#used);
    this.#used += chunk.length;
  }

  onResponseEnd(): void {
    this.#controller = null;
    const bytes = this.#bytes;
    if (bytes === null || this.#check === null || this.#used !== bytes.length) {
      this.end(FAILED);
      return;
    }
    const isRight = this.#check(bytes);
    if (typeof isRight === 'boolean') this.end(isRight ? bytes : FAILED);
    else this.end(isRight.then((right) => (right ? bytes : FAILED)).catch(() => OTHER));
  }

  /** Of no interest here: the same request goes the long way, and what that meets is told. */
  onResponseError(): void {
    this.#controller = null;
    this.end(FAILED);
  }
}

function refusalOf(status: number, headers: Headers): NotPlain {
  if (kindOfStatus(status) !== 'busy') return OTHER;
  const wish = retryAfter(String(headers['retry-after'] ?? ''), Date.now()) ?? 0;
  return { isPassing: true, waitMs: Math.max(wish, BUSY_MS / 2 + (Math.random() * BUSY_MS) / 2) };
}
