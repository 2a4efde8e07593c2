/**
 * A real HTTP endpoint for the audit stream, in the test's own process: keeps one event per event_id, notes every
 * request in the order it came, and answers wrongly, late or not at all where a test asks for it. It keeps an event
 * only if it comes whole and its event_id is its idempotency key.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeRng } from './xdr-random.ts';

/** What is done with a request instead of keeping the event and answering 201. */
export type Behaviour =
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
      /** Keeps the event all the same. */
      readonly keeps?: boolean;
    }
  /** The connection ends, before or after the event was kept: a lost request, a lost answer. */
  | { readonly kind: 'cut'; readonly keeps: boolean }
  /** Kept and answered, so much later. */
  | { readonly kind: 'slow'; readonly ms: number }
  /** Kept and answered when the test says so. */
  | { readonly kind: 'held'; readonly until: Promise<unknown> }
  /** Never answers; the connection stays open. */
  | { readonly kind: 'silent' }
  /** Headers and half a body, and then nothing. */
  | { readonly kind: 'half' };

/** How an event that it has already is answered. */
export type OnKnown = 'accepted' | 'conflict with event_hash' | 'conflict with the event' | 'bare conflict';

export interface SeenPost {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
  readonly eventId: string;
  /** Whether the client was told that the event is acknowledged. */
  acknowledged: boolean;
}

export interface AuditServer {
  /** With the path that takes events. */
  readonly url: string;
  readonly port: number;
  /** Every request, duplicates and refused ones included. */
  readonly seen: SeenPost[];
  /** The first body of each event_id, in the order they were kept. */
  readonly kept: Map<string, Buffer>;
  onKnown: OnKnown;
  /** What to do with a request; null = as an endpoint should. `n` counts requests from 0. */
  behave: (seen: SeenPost, n: number) => Behaviour | null;
  /** Most requests that were under way at once. */
  readonly mostAtOnce: number;
  /** New connections so far. */
  readonly connections: number;
  export(form: 'array' | 'lines' | 'events', options?: { readonly duplicates?: boolean }): string;
  stop(): Promise<void>;
  /** Again, on the same port. */
  start(): Promise<void>;
}

async function wholeBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A behaviour that goes wrong with a probability, in one of the ways that pass; the same for the same seed. */
export function unreliable(seed: number, percent = 40): AuditServer['behave'] {
  const rng = makeRng(seed);
  const ways: readonly Behaviour[] = [
    { kind: 'answer', status: 503 },
    { kind: 'answer', status: 500, keeps: true },
    { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
    { kind: 'cut', keeps: false },
    { kind: 'cut', keeps: true },
    { kind: 'slow', ms: 5 },
  ];
  return () => (rng.below(100) < percent ? (ways[rng.below(ways.length)] as Behaviour) : null);
}

class AuditEndpointServer implements AuditServer {
  readonly seen: SeenPost[] = [];
  readonly kept = new Map<string, Buffer>();
  onKnown: OnKnown = 'accepted';
  behave: AuditServer['behave'] = () => null;
  port = 0;
  mostAtOnce = 0;
  connections = 0;
  #atOnce = 0;
  #server: Server | null = null;

  get url(): string {
    return `http://127.0.0.1:${this.port}/events`;
  }

  async start(): Promise<void> {
    const server = createServer((request, response) => {
      this.#atOnce += 1;
      this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
      response.on('close', () => {
        this.#atOnce -= 1;
      });
      // A client that went away in the middle of its request has no event here.
      this.#serve(request, response).catch(() => response.destroy());
    });
    server.on('connection', () => {
      this.connections += 1;
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject).listen(this.port, '127.0.0.1', resolve);
    });
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  export(form: 'array' | 'lines' | 'events', options: { readonly duplicates?: boolean } = {}): string {
    const bodies = options.duplicates
      ? this.seen.filter((post) => this.kept.has(post.eventId)).map((post) => post.body)
      : [...this.kept.values()];
    const texts = bodies.map((body) => body.toString().trim());
    // As somebody's database gives them: one a line without blanks, or joined with what they were stored with.
    if (form === 'lines') return texts.map((text) => `${JSON.stringify(JSON.parse(text))}\n`).join('');
    return form === 'array'
      ? `[\n${texts.join(',\n')}\n]\n`
      : `{"count":${texts.length},"events":[${texts.join(',')}]}`;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await wholeBody(request);
    const eventId = String(request.headers['idempotency-key'] ?? '');
    const { method = '', url: path = '', headers } = request;
    const seen: SeenPost = { method, path, headers, body, eventId, acknowledged: false };
    this.seen.push(seen);
    const behaviour = this.behave(seen, this.seen.length - 1);
    if (behaviour?.kind === 'slow') await sleep(behaviour.ms);
    if (behaviour?.kind === 'held') await behaviour.until;
    switch (behaviour?.kind) {
      case undefined:
      case 'slow':
      case 'held':
        return this.#take(seen, response);
      case 'silent':
        return;
      case 'half':
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{"ok":');
        return;
      case 'cut':
        if (behaviour.keeps) this.#keep(seen);
        response.destroy();
        return;
      case 'answer':
        if (behaviour.keeps) this.#keep(seen);
        seen.acknowledged = behaviour.status >= 200 && behaviour.status < 300;
        response.writeHead(behaviour.status, { 'content-type': 'application/json', ...behaviour.headers });
        response.end(behaviour.body ?? '');
    }
  }

  #take(seen: SeenPost, response: ServerResponse): void {
    const json = { 'content-type': 'application/json' };
    if (seen.method === 'OPTIONS') {
      response.writeHead(204, { allow: 'POST, OPTIONS' }).end();
      return;
    }
    const event = JSON.parse(seen.body.toString());
    if (seen.method !== 'POST' || seen.path.split('?')[0] !== '/events' || event.event_id !== seen.eventId) {
      response.writeHead(400, json).end(JSON.stringify({ error: 'this is no event under its own event_id' }));
      return;
    }
    const known = this.kept.get(seen.eventId);
    if (known === undefined || (this.onKnown === 'accepted' && known.equals(seen.body))) {
      this.#keep(seen);
      seen.acknowledged = true;
      response.writeHead(known === undefined ? 201 : 200, json).end('{"ok":true}');
      return;
    }
    const stored = JSON.parse(known.toString());
    seen.acknowledged = stored.chain.event_hash === event.chain.event_hash && this.onKnown !== 'bare conflict';
    const says = {
      accepted: { event_hash: stored.chain.event_hash },
      'conflict with event_hash': { error: 'known', event_id: seen.eventId, event_hash: stored.chain.event_hash },
      'conflict with the event': { error: 'known', event: stored },
      'bare conflict': { error: 'known' },
    }[this.onKnown];
    response.writeHead(409, json).end(JSON.stringify(says));
  }

  #keep(seen: SeenPost): void {
    if (!this.kept.has(seen.eventId)) this.kept.set(seen.eventId, seen.body);
  }
}

/** An endpoint on a free port, listening. */
export async function startAuditServer(): Promise<AuditServer> {
  const server = new AuditEndpointServer();
  await server.start();
  return server;
}
