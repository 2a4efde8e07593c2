/**
 * A reverse proxy between a client and an object store, over which tests put what networks and stores do wrong: late,
 * lost, cut, slow and refused answers, and requests that arrive after their sender has died. A request that no rule
 * names passes unchanged, its Host header too, because S3 signs it. It keeps and repeats no request of its own accord:
 * what the server saw is what the client sent, once.
 */
import { Agent, type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { operationOf } from './operations.ts';
import { signAgain } from './s3-signature.ts';

export interface SeenRequest {
  readonly method: string;
  /** Percent-encoded, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  /** See `operations.ts`: `PutObject`, `objects.insert` … */
  readonly operation: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** The name of the rule that acted on it; null = none did. */
  rule: string | null;
  /** What the server answered; 0 = it was not asked, or has not answered. */
  serverStatus: number;
  /** What the client was told; 0 = nothing, or nothing yet. */
  status: number;
}

export type Fault =
  /** The server answers at once; the client gets the answer so much later. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** The server is not asked. A `body` that is no string is sent as JSON. */
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  /** The server acts; the client is told this instead. */
  | {
      readonly kind: 'other-answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: unknown;
    }
  /** The connection ends; the server is not asked. */
  | { readonly kind: 'refuse' }
  /** The server acts and answers; the client's connection ends instead. */
  | { readonly kind: 'lose-answer' }
  /** The headers as they were, so many bytes of the body, then the connection ends. */
  | { readonly kind: 'cut-body'; readonly afterBytes: number }
  /** So many bytes of the body under a content-length that says so: whole as HTTP, short as an object. */
  | { readonly kind: 'short-body'; readonly bytes: number }
  | { readonly kind: 'slow-body'; readonly bytesPerSecond: number }
  /** So many bytes of the body, then nothing; the connection stays open until the client or the proxy closes. */
  | { readonly kind: 'stall-body'; readonly afterBytes: number }
  /** Read whole and held; the client's connection ends; the server is asked at `release()`. */
  | { readonly kind: 'deliver-late' }
  /** Without one header, for stores that ignore it. Where S3 signed it, the rest is signed again with `secretKey`. */
  | { readonly kind: 'strip-header'; readonly header: string; readonly secretKey?: string };

type Expected = string | RegExp | null;

export interface FaultRule {
  /** For the log; the fault's kind where there is none. */
  readonly name?: string;
  /** All of these that are given have to hold. Names of operations: see `operations.ts`. */
  readonly operation?: string | readonly string[];
  readonly method?: string;
  /** A string is a part of the path, decoded. */
  readonly path?: string | RegExp;
  /** null: must not be there. */
  readonly query?: Readonly<Record<string, Expected>>;
  readonly header?: Readonly<Record<string, Expected>>;
  /** Of the requests that match, only the first (1), second …; or those from one to another, both included. */
  readonly nth?: number | readonly [from: number, to: number];
  /** Of a function, null = passes. */
  readonly fault: Fault | ((seen: SeenRequest) => Fault | null);
}

/** A request that its sender has given up, and that has not arrived yet. */
export interface HeldRequest {
  readonly seen: SeenRequest;
  readonly body: Buffer;
}

export interface ReleasedAnswer {
  readonly seen: SeenRequest;
  /** 0 where the server ended the connection. */
  readonly status: number;
  readonly body: string;
}

export interface FaultProxy {
  readonly url: string;
  /** The first rule that matches acts. Tests add and remove them at any time. */
  readonly rules: FaultRule[];
  readonly log: SeenRequest[];
  readonly held: readonly HeldRequest[];
  /** Sends what was held, one after another in the order it came; all of it, or what `which` says. */
  release(which?: (held: HeldRequest) => boolean): Promise<ReleasedAnswer[]>;
  /** How many requests of an operation there were; without one, of all. */
  count(operation?: string): number;
  /** How many there were of each operation: `PUT PutObject` → 3. */
  counts(): Record<string, number>;
  /** Most requests of an operation (or of all) that waited for their answer's end at the same time. */
  maxInFlight(operation?: string): number;
  /** Ends every connection; what is held is forgotten. */
  close(): Promise<void>;
}

/** Of one connection, not of the message (RFC 9110, 7.6.1); `expect` is answered by this side. */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'expect', 'te', 'upgrade'];

function passedOn(raw: readonly string[], ...without: readonly string[]): string[] {
  const headers: string[] = [];
  for (let n = 0; n + 1 < raw.length; n += 2) {
    const name = raw[n]!.toLowerCase();
    if (!HOP_BY_HOP.includes(name) && !without.includes(name)) headers.push(raw[n]!, raw[n + 1]!);
  }
  return headers;
}

const holds = (actual: string | undefined | null, expected: Expected): boolean => {
  if (expected === null || actual === undefined || actual === null) return expected === null && actual == null;
  return typeof expected === 'string' ? actual === expected : expected.test(actual);
};

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

function matches(rule: FaultRule, seen: SeenRequest): boolean {
  if (rule.operation !== undefined && ![rule.operation].flat().includes(seen.operation)) return false;
  if (rule.method !== undefined && rule.method !== seen.method) return false;
  if (typeof rule.path === 'string' && !decoded(seen.path).includes(rule.path)) return false;
  if (rule.path instanceof RegExp && !rule.path.test(decoded(seen.path))) return false;
  const query = Object.entries(rule.query ?? {}).every(([name, value]) => holds(seen.query.get(name), value));
  return (
    query && Object.entries(rule.header ?? {}).every(([name, value]) => holds(seen.headers[name]?.toString(), value))
  );
}

async function wholeBody(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** What `fault` lets through of an answer's body, as fast as it lets it. */
async function* body(answer: IncomingMessage, fault: Fault | null): AsyncGenerator<Buffer> {
  const limit =
    fault?.kind === 'cut-body' || fault?.kind === 'stall-body'
      ? fault.afterBytes
      : fault?.kind === 'short-body'
        ? fault.bytes
        : Number.POSITIVE_INFINITY;
  // Twenty pieces a second are smooth enough for a client that measures by the second.
  const piece =
    fault?.kind === 'slow-body' ? Math.max(1, Math.round(fault.bytesPerSecond / 20)) : Number.POSITIVE_INFINITY;
  let sent = 0;
  if (limit === 0) return;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    for (let at = 0; at < chunk.length; at += piece) {
      const part = chunk.subarray(at, Math.min(at + piece, at + limit - sent));
      sent += part.length;
      yield part;
      if (sent >= limit) return;
      if (piece !== Number.POSITIVE_INFINITY) await sleep(50);
    }
  }
}

/** Waits where the client does not keep up, and gives up where it has gone. */
async function write(response: ServerResponse, part: Buffer): Promise<boolean> {
  if (response.destroyed) return false;
  if (!response.write(part)) {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        response.off('drain', done).off('close', done);
        resolve();
      };
      response.on('drain', done).on('close', done);
    });
  }
  return !response.destroyed;
}

/** Says what a rule says. */
function tell(seen: SeenRequest, response: ServerResponse, fault: Extract<Fault, { kind: 'answer' | 'other-answer' }>) {
  const words = typeof fault.body === 'string' ? fault.body : JSON.stringify(fault.body ?? '');
  const bytes = fault.body === undefined ? Buffer.alloc(0) : Buffer.from(words);
  const type = words.startsWith('<') ? 'application/xml' : 'application/json; charset=UTF-8';
  const length = fault.status === 204 ? {} : { 'content-length': bytes.length };
  seen.status = fault.status;
  response.writeHead(fault.status, { 'content-type': type, ...length, ...fault.headers });
  response.end(seen.method === 'HEAD' || fault.status === 204 ? undefined : bytes);
}

export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  // A connection for each request to the server: one that is kept may be closed by the server just when it is used,
  // and that fault is no rule's.
  const agent = new Agent({ keepAlive: false });
  const rules: FaultRule[] = [];
  const log: SeenRequest[] = [];
  const timesMatched = new Map<FaultRule, number>();
  let held: (HeldRequest & { raw: readonly string[]; url: string })[] = [];
  const flying = new Map<string, number>();
  const mostFlying = new Map<string, number>();

  function faultFor(seen: SeenRequest): Fault | null {
    let chosen: Fault | null = null;
    for (const rule of rules) {
      if (!matches(rule, seen)) continue;
      // Counted for each rule, also where an earlier one acts.
      const times = (timesMatched.get(rule) ?? 0) + 1;
      timesMatched.set(rule, times);
      const [from, to] =
        typeof rule.nth === 'number' ? [rule.nth, rule.nth] : (rule.nth ?? [1, Number.POSITIVE_INFINITY]);
      if (chosen !== null || times < from || times > to) continue;
      chosen = typeof rule.fault === 'function' ? rule.fault(seen) : rule.fault;
      if (chosen !== null) seen.rule = rule.name ?? chosen.kind;
    }
    return chosen;
  }

  function fly(operation: string, by: 1 | -1): void {
    for (const name of [operation, '']) {
      const now = (flying.get(name) ?? 0) + by;
      flying.set(name, now);
      mostFlying.set(name, Math.max(mostFlying.get(name) ?? 0, now));
    }
  }

  function ask(seen: SeenRequest, url: string, raw: readonly string[]): [ClientRequest, Promise<IncomingMessage>] {
    const asked = request({ hostname, port, agent, method: seen.method, path: url, headers: [...raw] });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      asked.on('response', (answer) => {
        seen.serverStatus = answer.statusCode ?? 0;
        resolve(answer);
      });
      asked.on('error', reject);
    });
    // Whoever waits is told; that nobody does any more is no failure.
    answered.catch(() => undefined);
    return [asked, answered];
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers } = incoming;
    const [path = '', search = ''] = url.split(/\?(.*)/s);
    const query = new URLSearchParams(search);
    const operation = operationOf({ method, path, query, headers });
    const at = Date.now();
    const seen: SeenRequest = { method, path, query, headers, operation, at, rule: null, serverStatus: 0, status: 0 };
    log.push(seen);
    fly(operation, 1);
    response.once('close', () => fly(operation, -1));
    const fault = faultFor(seen);
    let raw = passedOn(incoming.rawHeaders);

    if (fault?.kind === 'refuse') return void incoming.socket.destroy();
    if (fault?.kind === 'answer') {
      // Read first: a client that is still sending may not look at an answer.
      incoming.resume();
      await new Promise((resolve) => incoming.once('end', resolve).once('close', resolve));
      return tell(seen, response, fault);
    }
    if (fault?.kind === 'deliver-late') {
      const sent = await wholeBody(incoming);
      held.push({ seen, body: sent, raw, url });
      return void incoming.socket.destroy();
    }
    if (fault?.kind === 'strip-header') {
      raw = passedOn(raw, fault.header.toLowerCase());
      if (fault.secretKey !== undefined) raw = signAgain({ method, url, raw, secretKey: fault.secretKey });
    }

    const [asked, answered] = ask(seen, url, raw);
    incoming.pipe(asked);
    // Half a request is not to look like a slow one.
    incoming.once('close', () => incoming.complete || asked.destroy());
    // Someone who goes away before the end takes the request along, as without a proxy.
    response.once('close', () => {
      if (!response.writableFinished && fault?.kind !== 'lose-answer') asked.destroy();
    });
    const answer = await answered;
    if (fault?.kind === 'lose-answer') {
      await wholeBody(answer);
      return void incoming.socket.destroy();
    }
    if (fault?.kind === 'other-answer') {
      await wholeBody(answer);
      return tell(seen, response, fault);
    }
    if (fault?.kind === 'delay') await sleep(fault.ms);
    if (response.destroyed) return;
    seen.status = seen.serverStatus;
    const answerHeaders = passedOn(
      answer.rawHeaders,
      'transfer-encoding',
      ...(fault?.kind === 'short-body' ? ['content-length'] : []),
    );
    if (fault?.kind === 'short-body') {
      const announced = Number(answer.headers['content-length'] ?? Number.POSITIVE_INFINITY);
      answerHeaders.push('content-length', String(Math.min(fault.bytes, announced)));
    }
    response.writeHead(seen.serverStatus, answer.statusMessage, answerHeaders);
    response.flushHeaders();
    for await (const part of body(answer, fault)) {
      if (!(await write(response, part))) return void answer.destroy();
    }
    if (fault?.kind === 'stall-body') return;
    if (fault?.kind !== 'cut-body') return void response.end();
    // Behind what was written: what has left is to arrive, and no more.
    response.write('', () => response.socket?.destroySoon());
  }

  const server = createServer((incoming, response) => {
    serve(incoming, response).catch(() => {
      // The server or the client ended a connection: so does this side, and invents no answer.
      incoming.socket.destroy();
    });
  });
  // A client of a keep-alive connection must not meet a proxy that has just closed it.
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    rules,
    log,
    get held() {
      return held;
    },
    async release(which = () => true) {
      const late = held.filter(which);
      held = held.filter((one) => !late.includes(one));
      const answers: ReleasedAnswer[] = [];
      for (const { seen, body: sent, raw, url } of late) {
        const [asked, answered] = ask(seen, url, raw);
        asked.end(sent);
        const words = await answered.then(wholeBody).then(String, () => '');
        answers.push({ seen, status: seen.serverStatus, body: words });
      }
      return answers;
    },
    count: (operation) => log.filter((seen) => operation === undefined || seen.operation === operation).length,
    counts() {
      const counts: Record<string, number> = {};
      for (const { method, operation } of log) {
        counts[`${method} ${operation}`] = (counts[`${method} ${operation}`] ?? 0) + 1;
      }
      return counts;
    },
    maxInFlight: (operation = '') => mostFlying.get(operation) ?? 0,
    async close() {
      held = [];
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}
