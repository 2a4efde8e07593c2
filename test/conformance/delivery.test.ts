// What an endpoint's adapter, the pointer and the delivery of a chain keep, over real HTTP (docs/failure-model.md,
// "Of a catalog and of an endpoint": 3, 8, 9, 10, 11).
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { countUndelivered, type DeliveryPlace, deliverEvents } from '../../actors/audit/deliver.ts';
import { openEndpoint } from '../../actors/audit/endpoint.ts';
import { eventBytes, eventHash } from '../../actors/audit/event.ts';
import { deliveryFile, eventKey } from '../../actors/paths.ts';
import type { AuditEndpoint, DeliveryPointer } from '../../actors/ports.ts';
import { openDeliveryPointer } from '../../actors/state/delivery.ts';
import type { BronzeError } from '../../machines/errors.ts';
import { type AuditServer, type Behaviour, startAuditServer, unreliable } from '../support/audit-endpoint.ts';
import {
  CHAIN,
  commitAll,
  type Estate,
  estateIn,
  failureOf,
  hex,
  placeOf,
  putFile,
  rangesOf,
  tempFolder,
} from '../support/bronze.ts';
import { failing } from '../support/faulty-files.ts';

const EVENTS = 6;
const RANGES = rangesOf(10, 10, EVENTS);

let server: AuditServer;
let estate: Estate;
/** As stored, in order of sequence. */
let stored: Buffer[];

const committed = tempFolder();
beforeAll(async () => {
  await commitAll(estateIn(committed), RANGES);
});
beforeEach(async () => {
  server = await startAuditServer();
  estate = estateIn();
  cpSync(committed, estate.root, { recursive: true });
  stored = await Promise.all(
    RANGES.map(async (_, n) => Buffer.from((await estate.store.get(eventKey(CHAIN, n))) as Uint8Array)),
  );
});
afterEach(() => server.stop());

const pointerIn = (dir: string, endpoint = server.url): DeliveryPointer =>
  openDeliveryPointer({ dir, chain: CHAIN, endpoint });
const placeWith = (dir: string, more: Partial<DeliveryPlace> = {}): DeliveryPlace => ({
  ...placeOf(estate),
  endpoint: openEndpoint(server.url, { timeoutMs: 5_000 }),
  pointer: pointerIn(dir),
  ...more,
});
const bodies = (): string[] => server.seen.map((post) => post.body.toString());
const expectAllKept = (): void => {
  expect([...server.kept.values()].map(String)).toEqual(stored.map(String));
};

interface One {
  readonly eventId: string;
  readonly eventHash: string;
  readonly bytes: Uint8Array;
}
const one = (n = 0): One => {
  const event = JSON.parse((stored[n] as Buffer).toString());
  return { eventId: event.event_id, eventHash: event.chain.event_hash, bytes: stored[n] as Buffer };
};
const answering = (behaviour: Behaviour | null): void => {
  server.behave = () => behaviour;
};
const postOne = (url = server.url): Promise<void> => openEndpoint(url, { timeoutMs: 2_000 }).post(one());
/** Another event under the same sequence, as a second copier of another lake would write it. */
const forked = (n: number): Buffer => {
  const event = JSON.parse((stored[n] as Buffer).toString());
  const other = { ...event, manifest_sha256: hex('another manifest') };
  return Buffer.from(eventBytes({ ...other, chain: { ...other.chain, event_hash: eventHash(other) } }));
};

describe('one event', () => {
  it('goes out exactly as stored, under its event_id', async () => {
    await postOne();
    expect(server.seen).toHaveLength(1);
    const { method, path, headers, body } = server.seen[0] as (typeof server.seen)[0];
    expect([method, path]).toEqual(['POST', '/events']);
    expect(body.equals(stored[0] as Buffer)).toBe(true);
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'idempotency-key': one().eventId,
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
    ['silence', { kind: 'silent' }, /within 0\.2 s/],
    ['half an answer', { kind: 'half' }, /within 0\.2 s/],
  ])('is not delivered by %s, and tried again', async (_, behaviour, hint) => {
    answering(behaviour);
    const failure = await failureOf(openEndpoint(server.url, { timeoutMs: 200 }).post(one()));
    expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true, details: { object: server.url } });
    expect(failure.message).toMatch(hint);
    expect(failure.message).not.toContain('SECRET');
    expect(failure.details.hint).toBeTruthy();
    expect(server.seen).toHaveLength(1);
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
      server.onKnown = way;
      await postOne();
    }
    const { eventHash: hash } = one();
    answering({ kind: 'answer', status: 409, body: JSON.stringify({ chain: { event_hash: hash } }) });
    await postOne();
    expect(server.kept.size).toBe(1);
  });

  it.each(['accepted', 'conflict with event_hash', 'conflict with the event'] as const)(
    'S11: of which the endpoint has another one is AUDIT_FORK (%s)',
    async (way) => {
      const other = forked(0);
      server.kept.set(one().eventId, other);
      server.onKnown = way;
      const failure = await failureOf(postOne());
      const theirs = JSON.parse(other.toString()).chain.event_hash;
      expect(failure).toMatchObject({ code: 'AUDIT_FORK', retryable: false });
      expect(failure.details).toMatchObject({ expected: one().eventHash, found: theirs });
      for (const hash of [theirs, one().eventHash]) expect(failure.message).toContain(hash);
    },
  );

  it.each<[string, (own: One) => string]>([
    ['nothing', () => ''],
    ['no hash', () => '{"error":"known"}'],
    ['no JSON', () => '<html>conflict</html>'],
    ['what is no hash', () => '{"event_hash":"yes"}'],
    ['null', () => 'null'],
    ['another event', () => JSON.stringify({ event_id: 'pas_evt_0000000000000000', event_hash: `sha256:${hex('x')}` })],
    ['more than is read', (own) => `{"event_hash":"${own.eventHash}","padding":"${'x'.repeat(100_000)}"}`],
  ])('is not taken for delivered by a 409 that says %s', async (_, body) => {
    answering({ kind: 'answer', status: 409, body: body(one()) });
    const failure = await failureOf(postOne());
    expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true });
    expect(failure.message).toContain('does not say which event it has');
  });

  it('is not taken for delivered by a 409 that names ours and another one', async () => {
    const body = JSON.stringify({ event_hash: one().eventHash, event: { event_hash: `sha256:${hex('x')}` } });
    answering({ kind: 'answer', status: 409, body });
    expect((await failureOf(postOne())).code).toBe('AUDIT_FORK');
  });

  it('S22: user, password and query reach the endpoint and no message', async () => {
    const url = server.url.replace('//', '//us%40er:pa%3Ass@');
    const secret = `${url}?token=tokentoken#x`;
    const endpoint = openEndpoint(secret, { timeoutMs: 500 });
    expect(endpoint.uri).toBe(server.url);
    await endpoint.post(one());
    expect(server.seen[0]).toMatchObject({
      path: '/events?token=tokentoken',
      headers: { authorization: `Basic ${Buffer.from('us@er:pa:ss').toString('base64')}` },
    });
    const failures: BronzeError[] = [];
    for (const behaviour of [
      { kind: 'answer', status: 401 },
      { kind: 'answer', status: 422, body: `tokentoken us@er:pa:ss ${server.seen[0]?.headers.authorization}` },
      { kind: 'answer', status: 301, headers: { location: `${secret}&again` } },
      { kind: 'answer', status: 409 },
      { kind: 'cut', keeps: false },
      { kind: 'silent' },
    ] satisfies Behaviour[]) {
      answering(behaviour);
      failures.push(await failureOf(endpoint.post(one())));
    }
    await server.stop();
    failures.push(await failureOf(endpoint.post(one())), await failureOf(endpoint.probe()));
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
    await server.stop();
    for (const [url, reason] of [
      [server.url, /ECONNREFUSED/],
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
    const posting = openEndpoint(server.url).post(one(), stop.signal);
    while (server.seen.length === 0) await sleep(5);
    const t0 = performance.now();
    stop.abort();
    expect((await failureOf(posting)).code).toBe('CANCELLED');
    expect(performance.now() - t0).toBeLessThan(500);
    expect((await failureOf(openEndpoint(server.url).post(one(), stop.signal))).code).toBe('CANCELLED');
  });
});

describe('a look at the endpoint', () => {
  it('posts nothing, and is content with whoever may take events', async () => {
    const endpoint = openEndpoint(server.url);
    await endpoint.probe();
    for (const behaviour of [
      { kind: 'answer', status: 200, headers: { 'content-type': 'text/html' } },
      { kind: 'answer', status: 405, headers: { 'content-type': 'text/html' }, body: '<p>no</p>' },
      { kind: 'answer', status: 400 },
    ] satisfies Behaviour[]) {
      answering(behaviour);
      await endpoint.probe();
    }
    expect(server.seen.every((seen) => seen.method !== 'POST' && seen.body.length === 0)).toBe(true);
    expect(server.kept.size).toBe(0);
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
    const endpoint = openEndpoint(server.url, { timeoutMs: 200 });
    const [posted, probed] = [await failureOf(endpoint.post(one())), await failureOf(endpoint.probe())];
    expect([probed.code, probed.message]).toEqual([posted.code, posted.message]);
  });
});

describe('the events of a chain', () => {
  it('go out in order, each after the one before it, over one connection; and no more', async () => {
    const dir = tempFolder();
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
    const told: number[] = [];
    const onDelivered = ({ sequence }: { sequence: number }) => told.push(sequence);
    expect(await deliverEvents(placeWith(dir, { onDelivered }))).toBe(EVENTS);
    expect(bodies()).toEqual(stored.map(String));
    expect(told).toEqual(RANGES.map((_, n) => n));
    expect([server.mostAtOnce, server.connections]).toEqual([1, 1]);
    expect(await countUndelivered(placeWith(dir))).toBe(0);
    expect(await deliverEvents(placeWith(dir))).toBe(0);
    expect(server.seen).toHaveLength(EVENTS);
    await commitAll(estate, rangesOf(70, 10, 1), { nextSequence: EVENTS, prevEventHash: one(EVENTS - 1).eventHash });
    expect(await countUndelivered(placeWith(dir))).toBe(1);
    expect(await deliverEvents(placeWith(dir))).toBe(1);
    expect(server.kept.size).toBe(EVENTS + 1);
  });

  it('S11: all arrive, in order, at an endpoint that fails as it likes, and none is counted too early', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const dir = tempFolder();
      server.kept.clear();
      server.seen.length = 0;
      server.onKnown = (['accepted', 'conflict with event_hash', 'conflict with the event'] as const)[seed % 3]!;
      server.behave = unreliable(seed, 60);
      for (let tries = 0; (await countUndelivered(placeWith(dir))) > 0; tries++) {
        expect(tries).toBeLessThan(200);
        await deliverEvents(placeWith(dir)).catch((error: BronzeError) => {
          expect(error).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true });
        });
        const left = await countUndelivered(placeWith(dir));
        expect(EVENTS - left).toBeLessThanOrEqual(server.kept.size);
      }
      expectAllKept();
      // Nobody was posted before the one before it was acknowledged.
      const order = server.seen.map((seen) => stored.findIndex((body) => body.equals(seen.body)));
      for (const [at, n] of order.entries()) {
        if (n === 0) continue;
        expect(server.seen.slice(0, at).some((seen, m) => order[m] === n - 1 && seen.acknowledged)).toBe(true);
      }
    }
  });

  it('S11: wait for an endpoint that is down, and go out when it is back on its port', async () => {
    const dir = tempFolder();
    server.behave = (_, n) => (n >= 2 ? { kind: 'cut', keeps: false } : null);
    expect((await failureOf(deliverEvents(placeWith(dir)))).code).toBe('DELIVERY_FAILED');
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 2);
    await server.stop();
    const failure = await failureOf(deliverEvents(placeWith(dir)));
    expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', details: { start: 30, end: 39 } });
    expect(failure.message).toContain('event 2 of pubnet/pre_p23/v1');
    server.behave = () => null;
    await server.start();
    expect(await deliverEvents(placeWith(dir))).toBe(EVENTS - 2);
    expectAllKept();
  });

  it('S14: are all posted again where the state folder is lost, and the endpoint keeps one of each', async () => {
    await deliverEvents(placeWith(tempFolder()));
    expect(await deliverEvents(placeWith(tempFolder()))).toBe(EVENTS);
    expect(server.seen).toHaveLength(2 * EVENTS);
    expectAllKept();
  });

  it('S14: are all posted again where the pointer is ahead of the chain, or of another event', async () => {
    for (const delivered of [
      { sequence: EVENTS, eventHash: one(EVENTS - 1).eventHash },
      { sequence: 3, eventHash: `sha256:${hex('another')}` },
    ]) {
      const dir = tempFolder();
      await pointerIn(dir).write(delivered);
      expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
      const problems: string[] = [];
      const onProblem = (problem: string) => problems.push(problem);
      expect(await deliverEvents(placeWith(dir, { onProblem }))).toBe(EVENTS);
      expect(problems).toEqual([expect.stringContaining(`event ${delivered.sequence} was delivered as`)]);
      expect(await pointerIn(dir).read()).toMatchObject({ delivered: { sequence: EVENTS - 1 } });
    }
  });

  it('S14: go to another endpoint from the first one on', async () => {
    const dir = tempFolder();
    await deliverEvents(placeWith(dir));
    const other = await startAuditServer();
    try {
      const problems: string[] = [];
      const place = placeWith(dir, { endpoint: openEndpoint(other.url), pointer: pointerIn(dir, other.url) });
      expect(await countUndelivered(place)).toBe(EVENTS);
      expect(await deliverEvents({ ...place, onProblem: (problem) => problems.push(problem) })).toBe(EVENTS);
      expect(problems).toEqual([expect.stringContaining(`it is of the endpoint ${server.url}`)]);
      expect(other.kept.size).toBe(EVENTS);
    } finally {
      await other.stop();
    }
  });

  it('do not go beyond a hole, and those beyond it are counted', async () => {
    const dir = tempFolder();
    rmSync(join(estate.root, 'bronze', eventKey(CHAIN, 2)));
    expect(await deliverEvents(placeWith(dir))).toBe(2);
    expect(server.kept.size).toBe(2);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 3);
    putFile(estate, eventKey(CHAIN, 2), stored[2] as Buffer);
    expect(await deliverEvents(placeWith(dir))).toBe(EVENTS - 2);
    expectAllKept();
  });

  it('are not posted where one is damaged or does not follow the one before', async () => {
    for (const bytes of [Buffer.from('{}'), forked(2)]) {
      const dir = tempFolder();
      putFile(estate, eventKey(CHAIN, 2), bytes);
      expect((await failureOf(deliverEvents(placeWith(dir)))).code).toBe('AUDIT_INVALID');
      expect((await pointerIn(dir).read()).delivered?.sequence).toBe(bytes.length === 2 ? 1 : 2);
    }
    // A pointer at an event that cannot be read any more counts for nothing.
    const dir = tempFolder();
    await pointerIn(dir).write({ sequence: 2, eventHash: one(2).eventHash });
    putFile(estate, eventKey(CHAIN, 2), 'x');
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
  });

  it('end at a fork, saying which event it is; what was acknowledged is noted', async () => {
    const dir = tempFolder();
    server.kept.set(one(3).eventId, forked(3));
    const failure = await failureOf(deliverEvents(placeWith(dir)));
    expect(failure).toMatchObject({ code: 'AUDIT_FORK', retryable: false, details: { start: 40, end: 49 } });
    expect(failure.message).toContain('event 3 of pubnet/pre_p23/v1');
    expect((await pointerIn(dir).read()).delivered?.sequence).toBe(2);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 3);
  });

  it('S6: that are cancelled end at once, and what was acknowledged is noted', async () => {
    const dir = tempFolder();
    server.behave = (_, n) => (n === 3 ? { kind: 'silent' } : null);
    const stop = new AbortController();
    const delivering = deliverEvents(placeWith(dir), stop.signal);
    while (server.seen.length < 4) await sleep(5);
    const t0 = performance.now();
    stop.abort();
    expect((await failureOf(delivering)).code).toBe('CANCELLED');
    expect(performance.now() - t0).toBeLessThan(500);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 3);
  });

  it('S21: that cannot be noted are STATE_IO, but for an error that says more', async () => {
    const dir = tempFolder();
    const files = failing(['rename'], 'ENOSPC');
    const pointer = openDeliveryPointer({ dir, chain: CHAIN, endpoint: server.url, files });
    expect(await failureOf(deliverEvents(placeWith(dir, { pointer })))).toMatchObject({
      code: 'STATE_IO',
      retryable: true,
    });
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
    server.behave = (_, n) => (n >= EVENTS + 1 ? { kind: 'answer', status: 422 } : null);
    const problems: string[] = [];
    const place = placeWith(dir, { pointer, onProblem: (problem) => problems.push(problem) });
    expect((await failureOf(deliverEvents(place))).code).toBe('DELIVERY_REFUSED');
    expect(problems).toEqual([expect.stringContaining(deliveryFile(CHAIN))]);
  });

  it('3: a late request of a process that is gone does no harm', async () => {
    const dir = tempFolder();
    const late: (() => void)[] = [];
    const real = openEndpoint(server.url);
    const delayed: AuditEndpoint = {
      ...real,
      post: async (event) => {
        late.push(() => void real.post(event));
        throw new Error('the process died');
      },
    };
    await expect(deliverEvents(placeWith(dir, { endpoint: delayed }))).rejects.toThrow('died');
    expect(await deliverEvents(placeWith(dir))).toBe(EVENTS);
    for (const send of late) send();
    while (server.seen.length < EVENTS + 1) await sleep(5);
    expectAllKept();
  });
});

describe('the delivery pointer', () => {
  const delivered = { sequence: 4, eventHash: `sha256:${hex('e')}` };

  it('is read back by the next process', async () => {
    const dir = join(tempFolder(), 'state');
    expect(await pointerIn(dir).read()).toEqual({ delivered: null, problem: null });
    for (const sequence of [4, 5, 0]) {
      await pointerIn(dir).write({ ...delivered, sequence });
      expect(await pointerIn(dir).read()).toEqual({ delivered: { ...delivered, sequence }, problem: null });
    }
  });

  it('S14: counts as none where it cannot be used, and says why', async () => {
    const dir = tempFolder();
    const good = {
      format: 1,
      chain: 'pubnet/pre_p23/v1',
      endpoint: server.url,
      sequence: 4,
      event_hash: delivered.eventHash,
    };
    const bad: [string | object, RegExp][] = [
      ['', /empty/],
      ['{"format"', /not JSON/],
      ['null', /expected object/],
      [{ ...good, format: 2, sequence: undefined }, /later release \(format 2\)/],
      [{ ...good, format: 0 }, /format is 0/],
      [{ ...good, chain: 'pubnet/p23/v1' }, /belongs to pubnet\/p23\/v1/],
      [{ ...good, endpoint: 'http://else/' }, /of the endpoint http:\/\/else\//],
      [{ ...good, sequence: -1 }, /sequence/],
      [{ ...good, event_hash: 'sha256:x' }, /event_hash/],
    ];
    for (const [content, reason] of bad) {
      writeFileSync(join(dir, deliveryFile(CHAIN)), typeof content === 'string' ? content : JSON.stringify(content));
      const { delivered: found, problem } = await pointerIn(dir).read();
      expect(found).toBeNull();
      expect(problem).toMatch(reason);
    }
    writeFileSync(join(dir, deliveryFile(CHAIN)), JSON.stringify({ ...good, added_later: 1 }));
    expect((await pointerIn(dir).read()).delivered).toEqual(delivered);
    const denied = openDeliveryPointer({
      dir,
      chain: CHAIN,
      endpoint: server.url,
      files: failing(['open'], 'EACCES'),
    });
    expect((await denied.read()).problem).toContain('EACCES');
  });

  it('S21: that cannot be written is STATE_IO, and the last one stays', async () => {
    const dir = tempFolder();
    await pointerIn(dir).write(delivered);
    for (const step of ['open', 'write', 'fsync', 'rename'] as const) {
      const pointer = openDeliveryPointer({
        dir,
        chain: CHAIN,
        endpoint: server.url,
        files: failing([step], 'ENOSPC'),
      });
      expect((await failureOf(pointer.write({ ...delivered, sequence: 9 }))).code).toBe('STATE_IO');
    }
    expect((await pointerIn(dir).read()).delivered).toEqual(delivered);
  });
});
