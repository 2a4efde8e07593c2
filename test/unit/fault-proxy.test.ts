// The proxy that makes a network and a store fail, against a server that tells what it was asked.
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';

interface Got {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const CONTENT = 'x'.repeat(100_000);
let server: Server;
let got: Got[];
/** How long the server takes. */
let slow: number;
let proxy: FaultProxy;
let agent: Agent;

beforeEach(async () => {
  got = [];
  slow = 0;
  agent = new Agent({ keepAlive: true });
  server = createServer(async (incoming, response) => {
    let body = '';
    for await (const chunk of incoming) body += chunk;
    const { method = '', url = '', headers } = incoming;
    got.push({ method, url, headers, body });
    if (slow > 0) await new Promise((resolve) => setTimeout(resolve, slow));
    response.setHeader('x-server', 'real');
    if (url.startsWith('/b/chunked')) return response.end(CONTENT);
    response.writeHead(200, { 'content-length': CONTENT.length });
    response.end(method === 'HEAD' ? undefined : CONTENT);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await startFaultProxy(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
afterEach(async () => {
  agent.destroy();
  await proxy.close();
  server.closeAllConnections();
  server.close();
});

interface Told {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** How it ended, where it did not end well. */
  readonly error?: string;
}

function ask(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Told> {
  return new Promise((resolve, reject) => {
    const asked = request(`${proxy.url}${path}`, { method, agent, headers }, (answer) => {
      let text = '';
      const told = () => ({ status: answer.statusCode ?? 0, headers: answer.headers, body: text });
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('end', () => resolve(told()));
      answer.on('error', (cause: NodeJS.ErrnoException) => resolve({ ...told(), error: cause.code ?? cause.message }));
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

const fails = (fault: Fault): void => {
  proxy.rules.push({ fault });
};

describe('without a fault', () => {
  it('passes a request and its answer as they are', async () => {
    const told = await ask('PUT', '/b/k%20y?partNumber=1&uploadId=u', 'body', { 'X-Own': 'a', host: 'b.s3.test' });
    expect(told).toMatchObject({ status: 200, body: CONTENT });
    expect(told.headers['x-server']).toBe('real');
    expect(got).toMatchObject([{ method: 'PUT', url: '/b/k%20y?partNumber=1&uploadId=u', body: 'body' }]);
    expect(got[0]?.headers).toMatchObject({ 'x-own': 'a', host: 'b.s3.test' });
    expect(proxy.log).toMatchObject([{ operation: 'UploadPart', rule: null, status: 200, serverStatus: 200 }]);
  });

  it('also HEAD, chunked answers, and requests that wait for a 100', async () => {
    expect(await ask('HEAD', '/b/k')).toMatchObject({ status: 200, body: '' });
    expect((await ask('GET', '/b/chunked')).body).toBe(CONTENT);
    const chunked = await ask('PUT', '/b/k', 'body', { 'transfer-encoding': 'chunked', expect: '100-continue' });
    expect(chunked.status).toBe(200);
    expect(got[2]?.body).toBe('body');
  });

  it('a server that is not there, or ends the connection, gives no answer', async () => {
    server.removeAllListeners('request');
    server.on('request', (incoming) => incoming.socket.destroy());
    await expect(ask('GET', '/b/k')).rejects.toThrow(/socket hang up|ECONNRESET/);
    server.close();
    server.closeAllConnections();
    await expect(ask('GET', '/b/k')).rejects.toThrow(/socket hang up|ECONNRESET/);
  });

  it('a client that goes away takes its request along', async () => {
    slow = 60_000;
    const closed = new Promise((resolve) => server.on('request', ({ socket }) => socket.on('close', resolve)));
    const asked = request(`${proxy.url}/b/k`);
    asked.on('error', () => undefined);
    asked.end();
    await expect.poll(() => got.length).toBe(1);
    asked.destroy();
    await closed;
    expect(proxy.log).toMatchObject([{ status: 0 }]);
  });
});

describe('a fault', () => {
  it('delay: the server has acted, the answer comes later', async () => {
    fails({ kind: 'delay', ms: 80 });
    const began = performance.now();
    const told = ask('GET', '/b/k');
    await expect.poll(() => got.length).toBe(1);
    expect((await told).body).toBe(CONTENT);
    expect(performance.now() - began).toBeGreaterThan(75);
  });

  it('answer: XML or JSON, without asking the server', async () => {
    const xml = '<Error><Code>SlowDown</Code></Error>';
    fails({ kind: 'answer', status: 503, headers: { 'Retry-After': '2' }, body: xml });
    const told = await ask('PUT', '/b/k', 'y'.repeat(1_000_000));
    expect(told).toMatchObject({ status: 503, body: xml });
    expect(told.headers).toMatchObject({ 'retry-after': '2', 'content-type': 'application/xml' });
    proxy.rules.length = 0;
    fails({ kind: 'answer', status: 412, body: { error: { code: 412 } } });
    expect(JSON.parse((await ask('GET', '/b/k')).body)).toEqual({ error: { code: 412 } });
    expect((await ask('HEAD', '/b/k')).body).toBe('');
    proxy.rules.length = 0;
    fails({ kind: 'answer', status: 403 });
    expect(await ask('GET', '/b/k')).toMatchObject({ status: 403, body: '' });
    expect(got).toEqual([]);
    expect(proxy.log.at(-1)).toMatchObject({ rule: 'answer', status: 403, serverStatus: 0 });
  });

  it('refuse: the connection ends, the server is not asked', async () => {
    fails({ kind: 'refuse' });
    await expect(ask('GET', '/b/k')).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect(got).toEqual([]);
  });

  it('lose-answer: the server has acted, the client learns nothing', async () => {
    fails({ kind: 'lose-answer' });
    await expect(ask('PUT', '/b/k', 'body')).rejects.toThrow(/socket hang up|ECONNRESET/);
    expect(got).toMatchObject([{ method: 'PUT', body: 'body' }]);
    expect(proxy.log).toMatchObject([{ status: 0, serverStatus: 200 }]);
  });

  it('cut-body: fewer bytes than announced', async () => {
    fails({ kind: 'cut-body', afterBytes: 70_000 });
    const told = await ask('GET', '/b/k');
    expect(told.headers['content-length']).toBe('100000');
    expect(told.body).toHaveLength(70_000);
    expect(told.error).toBe('ECONNRESET');
    proxy.rules.length = 0;
    fails({ kind: 'cut-body', afterBytes: 0 });
    expect(await ask('GET', '/b/k')).toMatchObject({ status: 200, body: '', error: 'ECONNRESET' });
    proxy.rules.length = 0;
    fails({ kind: 'cut-body', afterBytes: 10 });
    expect(await ask('GET', '/b/chunked')).toMatchObject({ body: 'x'.repeat(10), error: 'ECONNRESET' });
  });

  it('short-body: fewer bytes, and announced so', async () => {
    fails({ kind: 'short-body', bytes: 10 });
    const told = await ask('GET', '/b/k');
    expect(told).toMatchObject({ status: 200, body: 'x'.repeat(10) });
    expect(told.headers['content-length']).toBe('10');
    expect(told.error).toBeUndefined();
    // The connection is good for another request.
    proxy.rules.length = 0;
    expect((await ask('GET', '/b/k')).body).toBe(CONTENT);
  });

  it('slow-body: so many bytes a second', async () => {
    fails({ kind: 'slow-body', bytesPerSecond: 400_000 });
    const began = performance.now();
    expect((await ask('GET', '/b/k')).body).toBe(CONTENT);
    const took = performance.now() - began;
    expect(took).toBeGreaterThan(150);
    expect(took).toBeLessThan(5_000);
  });

  it('stall-body: some bytes, then nothing, for as long as the client waits', async () => {
    fails({ kind: 'stall-body', afterBytes: 10 });
    let text = '';
    const asked = request(`${proxy.url}/b/k`, (answer) => {
      answer.on('data', (chunk) => {
        text += chunk;
      });
      answer.on('error', () => undefined);
    });
    asked.end();
    await expect.poll(() => text).toBe('x'.repeat(10));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(text).toBe('x'.repeat(10));
    expect(asked.destroyed).toBe(false);
    asked.destroy();
  });

  it('deliver-late: arrives when it is released, its sender long gone', async () => {
    proxy.rules.push({ method: 'PUT', nth: [1, 2], fault: { kind: 'deliver-late' } });
    await expect(ask('PUT', '/b/k', 'one')).rejects.toThrow(/socket hang up|ECONNRESET/);
    await expect(ask('PUT', '/b/l', 'two')).rejects.toThrow(/socket hang up|ECONNRESET/);
    await ask('PUT', '/b/k', 'three');
    expect(got.map(({ body }) => body)).toEqual(['three']);
    expect(proxy.held.map(({ seen, body }) => [seen.path, String(body)])).toEqual([
      ['/b/k', 'one'],
      ['/b/l', 'two'],
    ]);
    agent.destroy();
    expect(await proxy.release(({ seen }) => seen.path === '/b/l')).toMatchObject([{ status: 200, body: CONTENT }]);
    expect(await proxy.release()).toMatchObject([
      { status: 200, seen: { path: '/b/k', status: 0, serverStatus: 200 } },
    ]);
    expect(await proxy.release()).toEqual([]);
    expect(got.map(({ body }) => body)).toEqual(['three', 'two', 'one']);
  });

  it('deliver-late of a request that never came whole is never delivered', async () => {
    fails({ kind: 'deliver-late' });
    const { port } = new URL(proxy.url);
    const socket = connect(Number(port), '127.0.0.1');
    socket.write('PUT /b/k HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nfive!');
    await expect.poll(() => proxy.log.length).toBe(1);
    socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(proxy.held).toEqual([]);
  });

  it('strip-header: the server does not see it', async () => {
    fails({ kind: 'strip-header', header: 'If-None-Match' });
    await ask('PUT', '/b/k', 'body', { 'if-none-match': '*', 'x-own': 'a' });
    expect(got[0]?.headers).not.toHaveProperty('if-none-match');
    expect(got[0]?.headers).toMatchObject({ 'x-own': 'a', 'content-length': '4' });
  });
});

describe('rules', () => {
  const status = async (...args: Parameters<typeof ask>): Promise<number> => (await ask(...args)).status;
  const fault: Fault = { kind: 'answer', status: 500 };

  it('by operation, method, path, query and header', async () => {
    proxy.rules.push({ operation: ['UploadPart', 'CompleteMultipartUpload'], fault });
    expect(await status('PUT', '/b/k?partNumber=1&uploadId=u')).toBe(500);
    expect(await status('POST', '/b/k?uploadId=u')).toBe(500);
    expect(await status('PUT', '/b/k')).toBe(200);
    proxy.rules.splice(0, 1, { method: 'GET', path: 'a=1/é', fault });
    expect(await status('GET', '/b/a%3D1/%C3%A9')).toBe(500);
    expect(await status('PUT', '/b/a%3D1/%C3%A9')).toBe(200);
    proxy.rules.splice(0, 1, { path: /k$/, query: { prefix: /^n\//, token: null }, header: { range: null }, fault });
    expect(await status('GET', '/b/k?prefix=n%2F1')).toBe(500);
    expect(await status('GET', '/b/k?prefix=n%2F1&token=t')).toBe(200);
    expect(await status('GET', '/b/k?prefix=m')).toBe(200);
    expect(await status('GET', '/b/k?prefix=n%2F1', undefined, { range: 'bytes=0-1' })).toBe(200);
    expect(await status('GET', '/b/l?prefix=n%2F1')).toBe(200);
  });

  it('the n-th of those that match, and the first rule that acts', async () => {
    proxy.rules.push({ method: 'GET', nth: 2, name: 'second', fault });
    proxy.rules.push({ nth: [2, 3], fault: { kind: 'answer', status: 501 } });
    proxy.rules.push({ fault: ({ path }) => (path === '/b/teapot' ? { kind: 'answer', status: 418 } : null) });
    expect(await status('GET', '/b/k')).toBe(200);
    expect(await status('GET', '/b/k')).toBe(500);
    expect(await status('PUT', '/b/k')).toBe(501);
    expect(await status('PUT', '/b/teapot')).toBe(418);
    expect(await status('GET', '/b/k')).toBe(200);
    expect(proxy.log.map(({ rule }) => rule)).toEqual([null, 'second', 'answer', 'answer', null]);
  });

  it('counts what was asked, and how much of it at once', async () => {
    slow = 50;
    await Promise.all(['/b/1', '/b/2', '/b/3'].map((path) => ask('GET', path)));
    await Promise.all([ask('GET', '/b/4'), ask('HEAD', '/b/4'), ask('GET', '/b?list-type=2&prefix=x')]);
    expect(proxy.counts()).toEqual({ 'GET GetObject': 4, 'HEAD HeadObject': 1, 'GET ListObjectsV2': 1 });
    expect([proxy.count(), proxy.count('GetObject'), proxy.count('PutObject')]).toEqual([6, 4, 0]);
    expect([proxy.maxInFlight(), proxy.maxInFlight('GetObject'), proxy.maxInFlight('HeadObject')]).toEqual([3, 3, 1]);
  });
});
