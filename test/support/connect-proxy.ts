/**
 * An HTTP proxy that tunnels (CONNECT) and forwards, as companies have them. It alone knows where the hosts of its `names`
 * are: who asks for them past it finds no such host.
 */
import { createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface ConnectProxy {
  readonly url: string;
  /** `host:port` of every tunnel and request, in order. */
  readonly asked: string[];
  close(): Promise<void>;
}

/** `names`: by host name, the URL of the server that it stands for; `cut`: the connection ends without an answer. */
export async function startConnectProxy(names: Readonly<Record<string, string>>): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const placeOf = (host: string): { host: string; port: number } | null => {
    asked.push(host);
    const known = names[host.replace(/:\d+$/, '')];
    return known === undefined ? null : { host: new URL(known).hostname, port: Number(new URL(known).port) };
  };
  const server = createServer((incoming, response) => {
    const { host, pathname, search } = new URL(incoming.url ?? '');
    const place = placeOf(host);
    if (place === null) return void response.writeHead(502).end();
    const { method, headers } = incoming;
    const forward = request({ ...place, method, headers, path: `${pathname}${search}` }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    forward.on('error', () => response.destroy());
    incoming.pipe(forward);
  });
  server.on('connection', (socket) => sockets.add(socket));
  server.on('connect', (incoming: IncomingMessage, client: Socket) => {
    const place = placeOf(incoming.url ?? '');
    if (incoming.url?.startsWith('cut:')) return void client.destroy();
    if (place === null) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const upstream = connect(place, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.pipe(client).pipe(upstream);
    });
    sockets.add(upstream);
    for (const socket of [client, upstream]) {
      socket.on('error', () => [client, upstream].forEach((each) => void each.destroy()));
      socket.on('close', () => [client, upstream].forEach((each) => void each.destroy()));
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}
