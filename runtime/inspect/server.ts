/**
 * The inspector's server: the page over HTTP, frames over a WebSocket, both on one port of the loopback interface.
 * Nobody else may read it: not another machine, and not a page of another site in a browser of this one, so Host and
 * Origin have to be this server's own. It takes nothing from its clients, and a client that does not read is let go.
 */
import { createReadStream, existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket, WebSocketServer } from 'ws';
import { BronzeError } from '../../machines/errors.ts';
import { chartMermaid, MACHINES } from '../charts.ts';
import { type Listening, listen } from '../http/listen.ts';
import type { Logger } from '../log.ts';
import { PRODUCER } from '../version.ts';
import type { Frames, Sink } from './frames.ts';
import { PAGE_HTML } from './page/html.ts';

/** Only to find a file: the library is the browser's, and never loaded here. */
const require = createRequire(import.meta.url);

const HOST = '127.0.0.1';
/** Where `--inspect` names no port; where that is taken, any other. */
const DEFAULT_PORT = 5150;
const CLIENTS = 20;
/** Bytes that may wait for a client beyond what it is given at first. */
const WAITING = 4_000_000;
/** Ms in which clients may take the last frames of a run. */
const PATIENCE_MS = 1_000;

export interface Served {
  readonly url: string;
  /** Gives clients what they have not yet read, for a second at most. */
  readonly close: () => Promise<void>;
}

export interface ServeOptions {
  /** `default`: DEFAULT_PORT, or any where that is taken; 0: any. */
  readonly port: number | 'default';
  /** Address of the hosted inspector: the only place outside that the page may embed. */
  readonly hosted: string;
  readonly frames: Frames;
  readonly log: Logger;
}

/** @throws BronzeError LISTEN_FAILED */
export async function serve({ port, hosted, frames, log }: ServeOptions): Promise<Served> {
  const page = new Page(hosted);
  let isMine = (_: IncomingMessage): boolean => false;
  const listening = await listenOn(port, (request, response) => {
    if (isMine(request)) page.answer(request, response);
    else refuse(response, 403, "this address is not the inspector's");
  });
  isMine = onlyFor(listening.port);
  const clients = new Clients(frames, log);
  listening.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isMine(request)) clients.take(request, socket, head);
    else deny(socket, '403 Forbidden');
  });
  return {
    url: `${listening.url}/`,
    close: async () => {
      await clients.close();
      await listening.close();
    },
  };
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function listenOn(port: number | 'default', handler: Handler): Promise<Listening> {
  const options = { host: HOST, what: 'inspector (--inspect)', handler };
  if (port !== 'default') return listen({ ...options, port });
  try {
    return await listen({ ...options, port: DEFAULT_PORT });
  } catch (error) {
    // Nobody asked for just that one: a second copier on this machine is to be watched as well.
    if (error instanceof BronzeError && error.details.found === 'EADDRINUSE') return listen({ ...options, port: 0 });
    throw error;
  }
}

/** A name that somebody else lets point at 127.0.0.1 (DNS rebinding) is not ours, nor is a page of another site. */
function onlyFor(port: number): (request: IncomingMessage) => boolean {
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`];
  return ({ headers: { host, origin } }) =>
    host !== undefined &&
    hosts.includes(host.toLowerCase()) &&
    (origin === undefined || hosts.some((name) => origin.toLowerCase() === `http://${name}`));
}

const deny = (socket: Duplex, status: string): void => {
  socket.on('error', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
};

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' });
  response.end(`${text}\n`);
}

/** What is served over HTTP. */
class Page {
  readonly #headers: Readonly<Record<string, string>>;
  readonly #charts: string;
  /** Scripts of the page by path; found at the first request. */
  #scripts: ReadonlySet<string> | null = null;

  constructor(hosted: string) {
    const machines = Object.fromEntries(Object.keys(MACHINES).map((name) => [name, chartMermaid(name)]));
    this.#charts = JSON.stringify({ machines, hosted, program: PRODUCER.name, version: PRODUCER.version });
    this.#headers = {
      // Mermaid puts styles into its drawings. Nothing is taken from outside but the hosted inspector, in its frame.
      'content-security-policy': `default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self' ws:; frame-src ${new URL(hosted).origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'cross-origin-resource-policy': 'same-origin',
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
    };
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    this.#answer(request, response).catch((error: Error) => {
      if (response.headersSent) response.destroy();
      else refuse(response, 500, error.message);
    });
  }

  async #answer({ method, url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = url.replace(/\?.*$/s, '');
    if (method !== 'GET' && method !== 'HEAD') return refuse(response, 405, 'only GET');
    const give = (type: string, body: string): void => {
      response.writeHead(200, { ...this.#headers, 'content-type': type, 'content-length': Buffer.byteLength(body) });
      response.end(method === 'HEAD' ? undefined : body);
    };
    if (path === '/') return give('text/html; charset=utf-8', PAGE_HTML);
    if (path === '/charts.json') return give('application/json', this.#charts);
    if (path === '/mermaid.js') {
      response.writeHead(200, { ...this.#headers, 'content-type': 'text/javascript; charset=utf-8' });
      if (method === 'HEAD') return void response.end();
      const file = require.resolve('@mermaid-js/tiny');
      const stream = createReadStream(file).on('error', () => response.destroy());
      response.on('close', () => stream.destroy());
      stream.pipe(response);
      return;
    }
    if ((await this.#pageScripts()).has(path)) {
      return give('text/javascript; charset=utf-8', await readFile(join(PAGE_FOLDER, path), 'utf8'));
    }
    refuse(response, 404, 'there is no such page');
  }

  async #pageScripts(): Promise<ReadonlySet<string>> {
    if (!this.#scripts) {
      const names = await readdir(PAGE_FOLDER);
      this.#scripts = new Set(names.filter((name) => name.endsWith('.js')).map((name) => `/${name}`));
    }
    return this.#scripts;
  }
}

/** Scripts that a browser can read are in dist/runtime/inspect/page: this may run there, in dist/bin, or as TypeScript. */
const PAGE_FOLDER =
  ['page', '../runtime/inspect/page', '../../dist/runtime/inspect/page']
    .map((path) => join(import.meta.dirname, path))
    .find((path) => existsSync(join(path, 'page.js'))) ?? join(import.meta.dirname, 'page');

/** Those who follow over a WebSocket. */
class Clients {
  readonly #frames: Frames;
  readonly #log: Logger;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload: 1_024, perMessageDeflate: false });

  constructor(frames: Frames, log: Logger) {
    this.#frames = frames;
    this.#log = log;
  }

  take(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#server.clients.size >= CLIENTS) deny(socket, '503 Service Unavailable');
    else this.#server.handleUpgrade(request, socket, head, (client) => this.#follow(client));
  }

  #follow(client: WebSocket): void {
    let bound = WAITING;
    const sink: Sink = (text, isPresent) => {
      if (client.readyState !== WebSocket.OPEN) return;
      // The actors as they stand are all sent at once, and may be more than the bound.
      if (isPresent) bound += text.length;
      else if (client.bufferedAmount > bound) {
        // With frames left out it would show what is not so; when it comes again, it gets everything as it stands.
        this.#log.debug({ component: 'inspector' }, 'a client does not read: it is disconnected');
        client.terminate();
        return;
      }
      client.send(text);
    };
    client.on('error', () => client.terminate());
    client.on('close', () => this.#frames.leave(sink));
    this.#frames.listen(sink);
  }

  async close(): Promise<void> {
    const closing = [...this.#server.clients].map(
      (client) =>
        new Promise((done) => {
          client.on('close', done);
          client.close(1001, 'the run is over');
        }),
    );
    const patience = new AbortController();
    const ended = Promise.all(closing).finally(() => patience.abort());
    await Promise.race([ended, sleep(PATIENCE_MS, null, { signal: patience.signal }).catch(() => null)]);
    for (const client of this.#server.clients) client.terminate();
    this.#server.close();
  }
}
