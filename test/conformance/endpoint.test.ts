// What the adapter of an HTTP endpoint makes of answers, over real HTTP (docs/failure-model.md, "Of a catalog and of an
// endpoint": 8, 9, 10).
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { openEndpoint } from '../../actors/endpoint/endpoint.ts';
import type { BronzeError } from '../../machines/errors.ts';
import type { Behaviour } from '../support/audit-endpoint.ts';
import { failureOf, hex } from '../support/bronze.ts';
import { deliveryScene, type Posted } from '../support/delivery-scene.ts';

const scene = deliveryScene();

const answering = (behaviour: Behaviour | null): void => {
  scene.server.behave = () => behaviour;
};
/** Short only where no answer comes: machines that run tests are slow. */
const patienceWith = ({ kind }: Behaviour): number => (kind === 'silent' || kind === 'half' ? 300 : 20_000);
const postOne = (url = scene.server.url): Promise<void> =>
  openEndpoint(url, { timeoutMs: 20_000 }).post(scene.posted());

describe('one event', () => {
  it('goes out exactly as stored, under its event_id', async () => {
    await postOne();
    expect(scene.server.seen).toHaveLength(1);
    const { method, path, headers, body } = scene.server.seen[0] as (typeof scene.server.seen)[0];
    expect([method, path]).toEqual(['POST', '/events']);
    expect(body.equals(scene.stored[0] as Buffer)).toBe(true);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'idempotency-key': scene.posted().eventId,
      'user-agent': 'bronze-copier',
      'content-length': String(body.length),
    });
    expect(headers.authorization).toBeUndefined();
  });

  it.each<[string, Behaviour]>([
    ['200 with JSON', { kind: 'answer', status: 200, body: '{}' }],
    ['201 without a body', { kind: 'answer', status: 201 }],
    ['202 with text', { kind: 'answer', status: 202, headers: { 'content-type': 'text/plain' }, body: 'queued' }],
    ['204', { kind: 'answer', status: 204 }],
    ['200, nothing, called text/html', { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' } }],
  ])('is acknowledged by %s', async (_, behaviour) => {
    answering(behaviour);
    await postOne();
  });

  it.each<[string, Behaviour, RegExp]>([
    ['HTML', { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' }, body: 'Welcome' }, /web page/],
    ['what looks like HTML', { kind: 'answer', status: 200, body: '\n <!doctype html><p>hi' }, /web page/],
    ['a redirect', { kind: 'answer', status: 302, headers: { location: '/login?next=SECRET' } }, /redirect.*\/login;/],
    ['another redirect', { kind: 'answer', status: 308, headers: { location: 'javascript:1' } }, /not followed/],
    ['401', { kind: 'answer', status: 401 }, /user and password/],
    ['403', { kind: 'answer', status: 403 }, /right/],
    ['404', { kind: 'answer', status: 404 }, /path/],
    ['405', { kind: 'answer', status: 405 }, /POST/],
    ['407', { kind: 'answer', status: 407 }, /endpoint/],
    ['408', { kind: 'answer', status: 408 }, /tried again/],
    ['425', { kind: 'answer', status: 425 }, /tried again/],
    ['429', { kind: 'answer', status: 429 }, /more time/],
    ['500', { kind: 'answer', status: 500 }, /tried again/],
    ['a 503 page', { kind: 'answer', status: 503, body: '<html>' }, /tried again/],
    ['418', { kind: 'answer', status: 418 }, /tried again/],
    ['a cut connection', { kind: 'cut', keeps: false }, /network/],
    ['a lost answer', { kind: 'cut', keeps: true }, /network/],
    ['silence', { kind: 'silent' }, /within 0\.3 s/],
    ['half an answer', { kind: 'half' }, /within 0\.3 s/],
  ])('is not delivered by %s, and tried again', async (_, behaviour, hint) => {
    answering(behaviour);
    const failure = await failureOf(
      openEndpoint(scene.server.url, { timeoutMs: patienceWith(behaviour) }).post(scene.posted()),
    );
    expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true, details: { object: scene.server.url } });
    expect(failure.message).toMatch(hint);
    expect(failure.message).not.toContain('SECRET');
    expect(failure.details.hint).toBeTruthy();
    expect(scene.server.seen).toHaveLength(1);
  });

  it.each([400, 413, 415, 422])('is refused for good by %d', async (status) => {
    answering({ kind: 'answer', status, body: '{"error":"no\\u0000\n such   era"}' });
    const failure = await failureOf(postOne());
    expect(failure).toMatchObject({ code: 'DELIVERY_REFUSED', retryable: false });
    expect(failure.message).toContain(String(status));
    expect(failure.details.found).toBe('{"error":"no\\u0000 such era"}');
  });

  it('S11: is tried again when the endpoint wants it to be', async () => {
    answering({ kind: 'answer', status: 429, headers: { 'retry-after': '7' } });
    expect(await failureOf(postOne())).toMatchObject({ code: 'DELIVERY_FAILED', retryAfterMs: 7_000 });
    const at = new Date(Date.now() + 60_000).toUTCString();
    answering({ kind: 'answer', status: 503, headers: { 'retry-after': at } });
    const { retryAfterMs } = await failureOf(postOne());
    expect(retryAfterMs).toBeGreaterThan(50_000);
    // A timer of more than 24 days would be due at once.
    answering({ kind: 'answer', status: 503, headers: { 'retry-after': '99999999999' } });
    expect((await failureOf(postOne())).retryAfterMs).toBeLessThan(2 ** 31);
    answering({ kind: 'answer', status: 503, headers: { 'retry-after': 'soon' } });
    expect((await failureOf(postOne())).retryAfterMs).toBeUndefined();
  });

  it('that the endpoint has is delivered, however it says so', async () => {
    await postOne();
    for (const way of ['accepted', 'conflict with event_hash', 'conflict with the event'] as const) {
      scene.server.onKnown = way;
      await postOne();
    }
    const { eventHash: hash } = scene.posted();
    answering({ kind: 'answer', status: 409, body: JSON.stringify({ chain: { event_hash: hash } }) });
    await postOne();
    expect(scene.server.kept.size).toBe(1);
  });

  it.each(['accepted', 'conflict with event_hash', 'conflict with the event'] as const)(
    'S11: of which the endpoint has another one is AUDIT_FORK (%s)',
    async (way) => {
      const other = scene.forked(0);
      scene.server.kept.set(scene.posted().eventId, other);
      scene.server.onKnown = way;
      const failure = await failureOf(postOne());
      const theirs = JSON.parse(other.toString()).chain.event_hash;
      expect(failure).toMatchObject({ code: 'AUDIT_FORK', retryable: false });
      expect(failure.details).toMatchObject({ expected: scene.posted().eventHash, found: theirs });
      for (const hash of [theirs, scene.posted().eventHash]) expect(failure.message).toContain(hash);
    },
  );

  it.each<[string, (own: Posted) => string]>([
    ['nothing', () => ''],
    ['no hash', () => '{"error":"known"}'],
    ['no JSON', () => '<html>conflict</html>'],
    ['what is no hash', () => '{"event_hash":"yes"}'],
    ['null', () => 'null'],
    ['another event', () => JSON.stringify({ event_id: 'pas_evt_0000000000000000', event_hash: `sha256:${hex('x')}` })],
    ['more than is read', (own) => `{"event_hash":"${own.eventHash}","padding":"${'x'.repeat(100_000)}"}`],
  ])('is not taken for delivered by a 409 that says %s', async (_, body) => {
    answering({ kind: 'answer', status: 409, body: body(scene.posted()) });
    const failure = await failureOf(postOne());
    expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true });
    expect(failure.message).toContain('does not say which event it has');
  });

  it('is not taken for delivered by a 409 that names ours and another one', async () => {
    const body = JSON.stringify({ event_hash: scene.posted().eventHash, event: { event_hash: `sha256:${hex('x')}` } });
    answering({ kind: 'answer', status: 409, body });
    expect((await failureOf(postOne())).code).toBe('AUDIT_FORK');
  });

  it('user, password and query reach the endpoint and no message', async () => {
    const url = scene.server.url.replace('//', '//us%40er:pa%3Ass@');
    const secret = `${url}?token=tokentoken#x`;
    const endpoint = openEndpoint(secret);
    expect(endpoint.uri).toBe(scene.server.url);
    await endpoint.post(scene.posted());
    expect(scene.server.seen[0]).toMatchObject({
      path: '/events?token=tokentoken',
      headers: { authorization: `Basic ${Buffer.from('us@er:pa:ss').toString('base64')}` },
    });
    const failures: BronzeError[] = [];
    for (const behaviour of [
      { kind: 'answer', status: 401 },
      { kind: 'answer', status: 422, body: `tokentoken us@er:pa:ss ${scene.server.seen[0]?.headers.authorization}` },
      { kind: 'answer', status: 301, headers: { location: `${secret}&again` } },
      { kind: 'answer', status: 409 },
      { kind: 'cut', keeps: false },
      { kind: 'silent' },
    ] satisfies Behaviour[]) {
      answering(behaviour);
      failures.push(await failureOf(openEndpoint(secret, { timeoutMs: patienceWith(behaviour) }).post(scene.posted())));
    }
    await scene.server.stop();
    failures.push(await failureOf(endpoint.post(scene.posted())), await failureOf(endpoint.probe()));
    const text = failures.map((failure) => `${failure.message} ${JSON.stringify(failure.details)} ${failure.stack}`);
    const known = /tokentoken|pa(:|%3A)ss|us(@|%40)er|Basic /;
    expect(text.filter((each) => known.test(each))).toEqual([]);
  });

  it.each(['', 'x', 'ftp://x/', 'http://user:pa/ss@host/'])('goes to no URL such as %j', (url) => {
    expect(() => openEndpoint(url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
    expect(() => openEndpoint(url)).not.toThrow('pa/ss');
  });

  it('is not delivered where nobody listens, nobody is called so, or no HTTP is spoken', async () => {
    const other = createServer((socket) => socket.end('SSH-2.0-x\r\n'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    await scene.server.stop();
    for (const [url, reason] of [
      [scene.server.url, /ECONNREFUSED/],
      ['http://nobody.invalid/events', /ENOTFOUND|EAI_AGAIN/],
      [`http://127.0.0.1:${port}/`, /does not speak HTTP/],
      [`https://127.0.0.1:${port}/`, /does not speak HTTP|certificate/],
    ] as const) {
      const failure = await failureOf(postOne(url));
      expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true });
      expect(failure.message).toMatch(reason);
    }
    other.close();
  });

  it('that is cancelled ends at once', async () => {
    answering({ kind: 'silent' });
    const stop = new AbortController();
    const posting = openEndpoint(scene.server.url).post(scene.posted(), stop.signal);
    while (scene.server.seen.length === 0) await sleep(5);
    const t0 = performance.now();
    stop.abort();
    expect((await failureOf(posting)).code).toBe('CANCELLED');
    expect(performance.now() - t0).toBeLessThan(10_000);
    expect((await failureOf(openEndpoint(scene.server.url).post(scene.posted(), stop.signal))).code).toBe('CANCELLED');
  });
});

describe('a look at the endpoint', () => {
  it('posts nothing, and is content with whoever may take events', async () => {
    const endpoint = openEndpoint(scene.server.url);
    await endpoint.probe();
    for (const behaviour of [
      { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' } },
      { kind: 'answer', status: 405, headers: { 'content-type': 'text/html' }, body: '<p>no</p>' },
      { kind: 'answer', status: 400 },
    ] satisfies Behaviour[]) {
      answering(behaviour);
      await endpoint.probe();
    }
    expect(scene.server.seen.every((seen) => seen.method !== 'POST' && seen.body.length === 0)).toBe(true);
    expect(scene.server.kept.size).toBe(0);
  });

  it.each<[string, Behaviour]>([
    ['401', { kind: 'answer', status: 401 }],
    ['403', { kind: 'answer', status: 403 }],
    ['404', { kind: 'answer', status: 404 }],
    ['502', { kind: 'answer', status: 502 }],
    ['a redirect', { kind: 'answer', status: 301, headers: { location: '/' } }],
    ['a web page', { kind: 'answer', status: 200, body: '<html>' }],
    ['silence', { kind: 'silent' }],
  ])('says what post would say about %s', async (_, behaviour) => {
    answering(behaviour);
    const endpoint = openEndpoint(scene.server.url, { timeoutMs: patienceWith(behaviour) });
    const [posted, probed] = [await failureOf(endpoint.post(scene.posted())), await failureOf(endpoint.probe())];
    expect([probed.code, probed.message]).toEqual([posted.code, posted.message]);
  });
});
