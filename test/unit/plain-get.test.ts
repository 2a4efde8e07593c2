/**
 * The short way to an object: what is plain comes whole and checked; whatever else a server does, endless heads and
 * bodies and silence at every stage among it, ends within bounds and is no answer.
 */

import type { AddressInfo } from 'node:net';
import { createServer, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { s3Check } from '../../actors/remote/checksums.ts';
import { makeGetter } from '../../actors/remote/plain-get.ts';
import { BronzeError } from '../../machines/errors.ts';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

interface Server {
  readonly origin: string;
  /** Connections that were made. */
  connections(): number;
  /** Resolves when a connection has ended. */
  readonly ended: Promise<void>;
}

/** Calls `say` with every request. */
async function serve(say: (socket: Socket, nth: number) => void): Promise<Server> {
  let connections = 0;
  let requests = 0;
  const sockets = new Set<Socket>();
  let onEnd: () => void;
  const ended = new Promise<void>((resolve) => {
    onEnd = resolve;
  });
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => onEnd());
    socket.on('data', () => say(socket, requests++));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    ended,
  };
}

const QUICK = { connectMs: 200, headMs: 200, bodyIdleMs: 200 };
const LONG = { connectMs: 60_000, headMs: 60_000, bodyIdleMs: 60_000 };

interface Asked {
  readonly limit?: number;
  readonly admit?: (size: number) => Uint8Array | undefined;
  readonly signal?: AbortSignal;
  readonly bounds?: typeof QUICK;
}

async function ask(origin: string, { limit = 1_000_000, admit, signal, bounds = LONG }: Asked = {}) {
  const getter = await makeGetter(origin, bounds);
  const request = { path: '/lake/object?x-id=GetObject', headers: ['x-test', 'yes'], judge: s3Check };
  return getter.get(request, { limit, admit, signal });
}

const head = (length: number, more = ''): string => `HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n${more}\r\n`;
const crcOf = (text: string): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return bytes.toString('base64');
};
const OTHER = { isPassing: false };
const FAILED = { isPassing: true, waitMs: 0 };

describe('a plain answer', () => {
  it('comes whole, in however many pieces', async () => {
    const { origin } = await serve((socket) => {
      socket.write(head(9, `x-amz-checksum-crc32: ${crcOf('some body')}\r\n`));
      for (const letter of 'some body') setImmediate(() => socket.write(letter));
    });
    expect(String(await ask(origin))).toBe('some body');
  });

  it('of no bytes is an object, too', async () => {
    const { origin } = await serve((socket) => socket.write(head(0)));
    expect(await ask(origin)).toEqual(Buffer.alloc(0));
  });

  it('goes where it was admitted to', async () => {
    const { origin } = await serve((socket) => socket.write(`${head(4)}body`));
    const memory = Buffer.alloc(4);
    const sizes: number[] = [];
    const bytes = await ask(origin, {
      admit: (size) => {
        sizes.push(size);
        return memory;
      },
    });
    expect([sizes, bytes, String(memory)]).toEqual([[4], memory, 'body']);
  });

  it('that is not admitted ends with what was thrown, and its connection with it', async () => {
    const { origin, ended } = await serve((socket) => socket.write(`${head(4)}bo`));
    const error = new BronzeError('OBJECT_TOO_LARGE', 'no room');
    const admit = (): never => {
      throw error;
    };
    await expect(ask(origin, { admit })).rejects.toBe(error);
    await ended;
  });
});

describe('what is not plain', () => {
  it.each([
    [
      'a redirect',
      'HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n',
      OTHER,
    ],
    ['403', 'HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno', OTHER],
    ['404', 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n', OTHER],
    ['204', 'HTTP/1.1 204 No Content\r\n\r\n', OTHER],
    ['206', 'HTTP/1.1 206 Partial Content\r\ncontent-length: 2\r\n\r\nab', OTHER],
    ['no length', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n', OTHER],
    ['more than may be', head(1_000_001), OTHER],
    ['a length that is none', 'HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n', FAILED],
    ['a wrong checksum', `${head(2, 'x-amz-checksum-crc32: AAAAAA==\r\n')}ab`, FAILED],
    ['a wrong CRC32C', `${head(2, 'x-amz-checksum-crc32c: AAAAAA==\r\n')}ab`, FAILED],
    ['a wrong CRC64NVME', `${head(2, 'x-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n')}ab`, FAILED],
    ['a wrong SHA-1', `${head(2, 'x-amz-checksum-sha1: AAAA\r\n')}ab`, FAILED],
    ['a wrong SHA-256', `${head(2, 'x-amz-checksum-sha256: AAAA\r\n')}ab`, FAILED],
    [
      'one right and one wrong checksum',
      `${head(2, `x-amz-checksum-crc32: ${crcOf('ab')}\r\nx-amz-checksum-sha256: AAAA\r\n`)}ab`,
      FAILED,
    ],
    ['a checksum that is not known', `${head(2, 'x-amz-checksum-new: AAAA\r\n')}ab`, OTHER],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n', FAILED],
    ['100 Continue', `HTTP/1.1 100 Continue\r\n\r\n${head(2)}ab`, FAILED],
    ['early hints', `HTTP/1.1 103 Early Hints\r\n\r\n${head(2)}ab`, OTHER],
  ])('%s', async (_name, said, expected) => {
    const { origin } = await serve((socket) => socket.write(said));
    expect(await ask(origin)).toMatchObject(expected);
  });

  it.each(['429 Too Many Requests', '503 Slow Down', '500 Internal Server Error'])(
    '%s: after a pause',
    async (status) => {
      const { origin } = await serve((socket) =>
        socket.write(`HTTP/1.1 ${status}\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n`),
      );
      expect(await ask(origin)).toEqual({ isPassing: true, waitMs: 7_000 });
    },
  );

  it('a body that ends early, at every byte', async () => {
    for (let sent = 0; sent < 9; sent++) {
      const { origin } = await serve((socket) => socket.end(`${head(9)}${'some body'.slice(0, sent)}`));
      expect(await ask(origin)).toEqual(FAILED);
    }
  });

  it('a connection that is refused, or reset before a word', async () => {
    const { origin } = await serve((socket) => socket.resetAndDestroy());
    expect(await ask(origin)).toEqual(FAILED);
    expect(await ask('http://127.0.0.1:1')).toEqual(FAILED);
  });

  it('a request that HTTP does not allow', async () => {
    const getter = await makeGetter('http://127.0.0.1:1');
    const request = { path: '/a b', headers: ['x-test', 'a\nb'], judge: s3Check };
    expect(await getter.get(request, { limit: 1, admit: undefined, signal: undefined })).toEqual(FAILED);
  });

  it('a short refusal leaves its connection to others; a long one does not', async () => {
    const short = await serve((socket) => socket.write('HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno'));
    const getter = await makeGetter(short.origin);
    const request = { path: '/', headers: [], judge: s3Check };
    const wanted = { limit: 9, admit: undefined, signal: undefined };
    for (let n = 0; n < 3; n++) {
      await getter.get(request, wanted);
      // The connection is free again once the rest was read.
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(short.connections()).toBe(1);
    const long = await serve((socket) => socket.write(`HTTP/1.1 403 Forbidden\r\ncontent-length: 99999999\r\n\r\nno`));
    expect(await ask(long.origin)).toMatchObject(OTHER);
    await long.ended;
  });
});

describe('what does not end', () => {
  it('a connection that never stands', async () => {
    // It is accepted, and no TLS is spoken on it.
    const { origin, ended } = await serve(() => undefined);
    expect(await ask(origin.replace('http:', 'https:'), { bounds: { ...LONG, connectMs: 200 } })).toEqual(FAILED);
    await ended;
  });

  it('silence before the head', async () => {
    const { origin, ended } = await serve(() => undefined);
    expect(await ask(origin, { bounds: { ...LONG, headMs: 200 } })).toEqual(FAILED);
    await ended;
  });

  it('a head that drips', async () => {
    const { origin, ended } = await serve((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nx-drip: ');
      const drip = setInterval(() => socket.write('.'), 20);
      socket.on('close', () => clearInterval(drip));
    });
    expect(await ask(origin, { bounds: { ...LONG, headMs: 200 } })).toEqual(FAILED);
    await ended;
  });

  it('a head without end', async () => {
    const { origin, ended } = await serve((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const more = (): void => {
        if (!socket.destroyed) socket.write(`x-more: ${'.'.repeat(1_000)}\r\n`, () => setImmediate(more));
      };
      more();
    });
    expect(await ask(origin)).toEqual(FAILED);
    await ended;
  });

  it('hints without end', async () => {
    const { origin, ended } = await serve((socket) => {
      const more = (): void => {
        if (!socket.destroyed) socket.write('HTTP/1.1 103 Early Hints\r\n\r\n', () => setImmediate(more));
      };
      more();
    });
    expect(await ask(origin)).toMatchObject(OTHER);
    await ended;
  });

  it('silence amid the body', async () => {
    const { origin, ended } = await serve((socket) => socket.write(`${head(9)}some`));
    expect(await ask(origin, { bounds: { ...LONG, bodyIdleMs: 200 } })).toEqual(FAILED);
    await ended;
  });

  it('a refusal without end', async () => {
    const { origin, ended } = await serve((socket) => {
      socket.write('HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n');
      const more = (): void => {
        if (!socket.destroyed) socket.write(`400\r\n${'.'.repeat(1_024)}\r\n`, () => setImmediate(more));
      };
      more();
    });
    expect(await ask(origin)).toMatchObject(OTHER);
    await ended;
  });
});

describe('cancelled', () => {
  it.each([
    ['before the head', ''],
    ['within the head', 'HTTP/1.1 200 OK\r\ncontent-'],
    ['within the body', `${head(9)}some`],
    ['within a refusal', 'HTTP/1.1 403 Forbidden\r\ncontent-length: 9\r\n\r\n'],
  ])('%s: at once, and the connection ends', async (name, said) => {
    const controller = new AbortController();
    const { origin, ended } = await serve((socket) => {
      if (said !== '') socket.write(said);
      setImmediate(() => controller.abort());
    });
    expect(await ask(origin, { signal: controller.signal })).toMatchObject(OTHER);
    if (name !== 'within a refusal') await ended;
  });

  it('before it was asked: nothing is sent', async () => {
    const { origin, connections } = await serve(() => undefined);
    expect(await ask(origin, { signal: AbortSignal.abort() })).toMatchObject(OTHER);
    expect(connections()).toBe(0);
  });

  it('all that are under way under one signal, and none of another', async () => {
    const { origin } = await serve((_socket, nth) => {
      if (nth === 3) controller.abort();
    });
    const controller = new AbortController();
    const other = new AbortController();
    const getter = await makeGetter(origin);
    const request = { path: '/', headers: [], judge: s3Check };
    const get = (signal: AbortSignal) => getter.get(request, { limit: 9, admit: undefined, signal });
    let otherEnded = false;
    const last = get(other.signal).then(() => {
      otherEnded = true;
    });
    await Promise.all([1, 2, 3].map(() => get(controller.signal)));
    expect(otherEnded).toBe(false);
    other.abort();
    await last;
  });
});
