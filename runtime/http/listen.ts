/**
 * A small HTTP server for those who watch a run: metrics, health, the inspector's page. It does not hold up the copy:
 * it takes a limited number of connections, ends those that are idle, send slowly or do not read, and no error of a
 * connection reaches anybody else. It does not keep the process alive.
 */
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { BronzeError } from '../../machines/errors.ts';

/** Connections at once; beyond that the oldest is closed, so that those who hold many keep nobody else out. */
const CONNECTIONS = 100;
/** Ms in which a request must have come, and its answer must have been taken. */
const PATIENCE_MS = 5_000;

export interface ListenOptions {
  /** Null: all interfaces. */
  readonly host: string | null;
  /** 0: any that is free. */
  readonly port: number;
  /** What listens and which setting says where, for messages: `metrics (metrics.address)`. */
  readonly what: string;
  readonly handler: RequestListener;
}

export interface Listening {
  readonly server: Server;
  /** With the port that was taken. */
  readonly url: string;
  readonly port: number;
  /** Ends open connections as well. */
  readonly close: () => Promise<void>;
}

/** @throws BronzeError LISTEN_FAILED: the port is taken, the address is not this machine's, the right is missing. */
export async function listen({ host, port, what, handler }: ListenOptions): Promise<Listening> {
  const server = createServer(
    {
      requestTimeout: PATIENCE_MS,
      headersTimeout: PATIENCE_MS,
      keepAliveTimeout: PATIENCE_MS,
      connectionsCheckingInterval: 1_000,
    },
    handler,
  );
  // Nothing moved on it for that long, a peer that does not read its answer included.
  server.setTimeout(PATIENCE_MS);
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    const [oldest] = sockets;
    if (oldest && sockets.size >= CONNECTIONS) oldest.destroy();
    sockets.add(socket);
    socket.unref();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('clientError', (_, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(listenFailed(error, what, host, port)));
    server.listen({ port, ...(host === null ? {} : { host }) }, resolve);
  });
  server.on('error', () => undefined);
  server.unref();
  const address = server.address() as AddressInfo;
  const shown = host === null ? 'localhost' : host.includes(':') ? `[${host}]` : host;
  return {
    server,
    port: address.port,
    url: `http://${shown}:${address.port}`,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program, perhaps another copier, listens there: end it, or choose another port',
  EADDRNOTAVAIL: 'the address is none of this machine: choose one of its own, or none for all interfaces',
  EACCES: 'this user may not listen on that port: choose one above 1023',
  ENOTFOUND: 'the name has no address: give an address of this machine, or none for all interfaces',
};

function listenFailed(error: Error & { code?: string }, what: string, host: string | null, port: number): BronzeError {
  const place = `${host ?? ''}:${port}`;
  return new BronzeError('LISTEN_FAILED', `${what}: cannot listen on ${place}: ${error.message}`, {
    details: {
      object: place,
      found: error.code ?? error.message,
      hint: HINTS[error.code ?? ''] ?? 'choose another address',
    },
    cause: error,
  });
}
