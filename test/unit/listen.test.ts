// Where those who watch are served: addresses as the configuration has them, and what a refused one says.
import { afterEach, expect, it } from 'vitest';
import { type Listening, listen } from '../../runtime/http/listen.ts';
import { hostAndPort } from '../../runtime/http/watch-server.ts';

const opened: Listening[] = [];
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

const open = async (host: string | null, port = 0): Promise<Listening> => {
  const listening = await listen({ host, port, what: 'a test', handler: (_, response) => response.end('here') });
  opened.push(listening);
  return listening;
};

it.each([
  [':9090', { host: null, port: 9090 }],
  ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
  ['[::1]:9090', { host: '::1', port: 9090 }],
  ['copier.example:80', { host: 'copier.example', port: 80 }],
])('reads %s', (address, expected) => {
  expect(hostAndPort(address)).toEqual(expected);
});

it('says where it listens, with the port that was free', async () => {
  const { url, port } = await open('127.0.0.1');
  expect(url).toBe(`http://127.0.0.1:${port}`);
  expect(await (await fetch(url)).text()).toBe('here');
  const everywhere = await open(null);
  expect(everywhere.url).toBe(`http://localhost:${everywhere.port}`);
  expect(await (await fetch(`http://127.0.0.1:${everywhere.port}`)).text()).toBe('here');
});

it('a port that is taken is an error with a code, a place and a hint', async () => {
  const { port } = await open('127.0.0.1');
  await expect(open('127.0.0.1', port)).rejects.toMatchObject({
    code: 'LISTEN_FAILED',
    message: expect.stringContaining(`a test: cannot listen on 127.0.0.1:${port}`),
    details: { found: 'EADDRINUSE', hint: expect.stringContaining('choose another port') },
  });
});

it('closes although a connection is held, and frees the port', async () => {
  const { url, port, close } = await open('127.0.0.1');
  await fetch(url, { headers: { connection: 'keep-alive' } });
  await close();
  opened.length = 0;
  await expect(fetch(url)).rejects.toThrow();
  expect((await open('127.0.0.1', port)).port).toBe(port);
});
