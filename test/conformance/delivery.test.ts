// What the delivery of a chain keeps, over real HTTP (docs/failure-model.md, "Of a catalog and of an endpoint": 3, 8 to
// 11).
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { deliveryFile, eventKey, headKey } from '../../actors/bronze/names.ts';
import { createHead, logOrigin } from '../../actors/chain/log-heads.ts';
import { countUndelivered, type DeliveryPlace, deliverEvents } from '../../actors/endpoint/deliver.ts';
import { openEndpoint } from '../../actors/endpoint/endpoint.ts';
import type { AuditEndpoint, DeliveryPointer } from '../../actors/ports/delivery.ts';
import { openDeliveryPointer } from '../../actors/state/delivery.ts';
import { parseHead } from '../../actors/tlog/checkpoint.ts';
import { EventTree, eventLeaf } from '../../actors/tlog/event-tree.ts';
import { SigningKey } from '../../actors/tlog/keys.ts';
import { signersOf } from '../../actors/tlog/note.ts';
import type { BronzeError } from '../../machines/errors.ts';
import { startAuditServer, unreliable } from '../support/audit-endpoint.ts';
import { CHAIN, commitAll, failureOf, hex, placeOf, putFile, rangesOf, tempFolder } from '../support/bronze.ts';
import { deliveryScene, EVENTS } from '../support/delivery-scene.ts';
import { failing } from '../support/faulty-files.ts';

const scene = deliveryScene();

const pointerIn = (dir: string, endpoint = scene.server.url): DeliveryPointer =>
  openDeliveryPointer({ dir, chain: CHAIN, endpoint });
const placeWith = (dir: string, more: Partial<DeliveryPlace> = {}): DeliveryPlace => ({
  ...placeOf(scene.estate),
  endpoint: openEndpoint(scene.server.url, { timeoutMs: 20_000 }),
  pointer: pointerIn(dir),
  withHeads: false,
  ...more,
});
const bodies = (): string[] => scene.server.seen.map((post) => post.body.toString());
const expectAllKept = (): void => {
  expect([...scene.server.kept.values()].map(String)).toEqual(scene.stored.map(String));
};

describe('the events of a chain', () => {
  it('go out in order, each after the one before it, over one connection; and no more', async () => {
    const dir = tempFolder();
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
    const told: number[] = [];
    const onDelivered = ({ sequence }: { sequence: number }) => told.push(sequence);
    expect(await deliverEvents(placeWith(dir, { onDelivered }))).toBe(EVENTS);
    expect(bodies()).toEqual(scene.stored.map(String));
    expect(told).toEqual(scene.stored.map((_, n) => n));
    expect([scene.server.mostAtOnce, scene.server.connections]).toEqual([1, 1]);
    expect(await countUndelivered(placeWith(dir))).toBe(0);
    expect(await deliverEvents(placeWith(dir))).toBe(0);
    expect(scene.server.seen).toHaveLength(EVENTS);
    await commitAll(scene.estate, rangesOf(70, 10, 1), {
      nextSequence: EVENTS,
      prevEventHash: scene.posted(EVENTS - 1).eventHash,
    });
    expect(await countUndelivered(placeWith(dir))).toBe(1);
    expect(await deliverEvents(placeWith(dir))).toBe(1);
    expect(scene.server.kept.size).toBe(EVENTS + 1);
  });

  it('S11: all arrive, in order, at an endpoint that fails as it likes, and none is counted too early', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const dir = tempFolder();
      scene.server.kept.clear();
      scene.server.seen.length = 0;
      scene.server.onKnown = (['accepted', 'conflict with event_hash', 'conflict with the event'] as const)[seed % 3]!;
      scene.server.behave = unreliable(seed, 60);
      for (let tries = 0; (await countUndelivered(placeWith(dir))) > 0; tries++) {
        expect(tries).toBeLessThan(200);
        await deliverEvents(placeWith(dir)).catch((error: BronzeError) => {
          expect(error).toMatchObject({ code: 'DELIVERY_FAILED', retryable: true });
        });
        const left = await countUndelivered(placeWith(dir));
        expect(EVENTS - left).toBeLessThanOrEqual(scene.server.kept.size);
      }
      expectAllKept();
      // Nobody was posted before the one before it was acknowledged.
      const order = scene.server.seen.map((seen) => scene.stored.findIndex((body) => body.equals(seen.body)));
      for (const [at, n] of order.entries()) {
        if (n === 0) continue;
        expect(scene.server.seen.slice(0, at).some((seen, m) => order[m] === n - 1 && seen.acknowledged)).toBe(true);
      }
    }
  });

  it('S11: wait for an endpoint that is down, and go out when it is back on its port', async () => {
    const dir = tempFolder();
    scene.server.behave = (_, n) => (n >= 2 ? { kind: 'cut', keeps: false } : null);
    expect((await failureOf(deliverEvents(placeWith(dir)))).code).toBe('DELIVERY_FAILED');
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 2);
    await scene.server.stop();
    const failure = await failureOf(deliverEvents(placeWith(dir)));
    expect(failure).toMatchObject({ code: 'DELIVERY_FAILED', details: { start: 30, end: 39 } });
    expect(failure.message).toContain('event 2 of pubnet/pre_p23/v1');
    scene.server.behave = () => null;
    await scene.server.start();
    expect(await deliverEvents(placeWith(dir))).toBe(EVENTS - 2);
    expectAllKept();
  });

  it('S14: are all posted again where the state folder is lost, and the endpoint keeps one of each', async () => {
    await deliverEvents(placeWith(tempFolder()));
    expect(await deliverEvents(placeWith(tempFolder()))).toBe(EVENTS);
    expect(scene.server.seen).toHaveLength(2 * EVENTS);
    expectAllKept();
  });

  it('S14: are all posted again where the pointer is ahead of the chain, or of another event', async () => {
    for (const delivered of [
      { sequence: EVENTS, eventHash: scene.posted(EVENTS - 1).eventHash },
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
      expect(problems).toEqual([expect.stringContaining(`it is of the endpoint ${scene.server.url}`)]);
      expect(other.kept.size).toBe(EVENTS);
    } finally {
      await other.stop();
    }
  });

  it('do not go beyond a hole, and those beyond it are counted', async () => {
    const dir = tempFolder();
    rmSync(join(scene.estate.root, 'bronze', eventKey(CHAIN, 2)));
    expect(await deliverEvents(placeWith(dir))).toBe(2);
    expect(scene.server.kept.size).toBe(2);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 3);
    putFile(scene.estate, eventKey(CHAIN, 2), scene.stored[2] as Buffer);
    expect(await deliverEvents(placeWith(dir))).toBe(EVENTS - 2);
    expectAllKept();
  });

  it('are not posted where one is damaged or does not follow the one before', async () => {
    for (const bytes of [Buffer.from('{}'), scene.forked(2)]) {
      const dir = tempFolder();
      putFile(scene.estate, eventKey(CHAIN, 2), bytes);
      expect((await failureOf(deliverEvents(placeWith(dir)))).code).toBe('AUDIT_INVALID');
      expect((await pointerIn(dir).read()).delivered?.sequence).toBe(bytes.length === 2 ? 1 : 2);
    }
    // A pointer at an event that cannot be read any more counts for nothing.
    const dir = tempFolder();
    await pointerIn(dir).write({ sequence: 2, eventHash: scene.posted(2).eventHash });
    putFile(scene.estate, eventKey(CHAIN, 2), 'x');
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
  });

  it('end at a fork, saying which event it is; what was acknowledged is noted', async () => {
    const dir = tempFolder();
    scene.server.kept.set(scene.posted(3).eventId, scene.forked(3));
    const failure = await failureOf(deliverEvents(placeWith(dir)));
    expect(failure).toMatchObject({ code: 'AUDIT_FORK', retryable: false, details: { start: 40, end: 49 } });
    expect(failure.message).toContain('event 3 of pubnet/pre_p23/v1');
    expect((await pointerIn(dir).read()).delivered?.sequence).toBe(2);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 3);
  });

  it('that are cancelled end at once, and what was acknowledged is noted', async () => {
    const dir = tempFolder();
    scene.server.behave = (_, n) => (n === 3 ? { kind: 'silent' } : null);
    const stop = new AbortController();
    const delivering = deliverEvents(placeWith(dir), stop.signal);
    while (scene.server.seen.length < 4) await sleep(5);
    const t0 = performance.now();
    stop.abort();
    expect((await failureOf(delivering)).code).toBe('CANCELLED');
    expect(performance.now() - t0).toBeLessThan(10_000);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 3);
  });

  it('S21: that cannot be noted are STATE_IO, but for an error that says more', async () => {
    const dir = tempFolder();
    const files = failing(['rename'], 'ENOSPC');
    const pointer = openDeliveryPointer({ dir, chain: CHAIN, endpoint: scene.server.url, files });
    expect(await failureOf(deliverEvents(placeWith(dir, { pointer })))).toMatchObject({
      code: 'STATE_IO',
      retryable: true,
    });
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS);
    scene.server.behave = (_, n) => (n >= EVENTS + 1 ? { kind: 'answer', status: 422 } : null);
    const problems: string[] = [];
    const place = placeWith(dir, { pointer, onProblem: (problem) => problems.push(problem) });
    expect((await failureOf(deliverEvents(place))).code).toBe('DELIVERY_REFUSED');
    expect(problems).toEqual([expect.stringContaining(deliveryFile(CHAIN))]);
  });

  it('S8: a late request of a process that is gone does no harm', async () => {
    const dir = tempFolder();
    const late: (() => void)[] = [];
    const real = openEndpoint(scene.server.url);
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
    while (scene.server.seen.length < EVENTS + 1) await sleep(5);
    expectAllKept();
  });
});

describe('with signed heads', () => {
  const { key } = SigningKey.generate('example.com/bronze');
  const origin = logOrigin('example.com/bronze', CHAIN);
  const signer = { key: key.named(origin), origin, former: [] };
  /** Signs the log of the first `size` events. */
  const sign = async (size: number, by = signer): Promise<void> => {
    const tree = new EventTree();
    for (const [n, bytes] of scene.stored.slice(0, size).entries()) tree.note(n, eventLeaf(bytes));
    await createHead({ ...placeOf(scene.estate), backup: null }, by, { size, root: tree.root });
  };
  /** Of how many events the head was that came with each event, in order; null where none came. */
  const headsSeen = (): (number | null)[] =>
    scene.server.seen.map(({ headers }) => {
      const text = headers['bronze-log-head'];
      if (text === undefined) return null;
      const head = parseHead(Buffer.from(String(text), 'base64'));
      expect(signersOf(head.note, [signer.key.verifier])).toHaveLength(1);
      return head.size;
    });

  it('each event carries the head of the log that ends with it; events of before the key and gaps carry none', async () => {
    for (const size of [3, 4, EVENTS]) await sign(size);
    expect(await deliverEvents(placeWith(tempFolder(), { withHeads: true }))).toBe(EVENTS);
    expect(headsSeen()).toEqual([null, null, 3, 4, null, EVENTS]);
    expectAllKept();
    const stored = await placeOf(scene.estate).store.get(headKey(CHAIN, 3));
    expect(scene.server.seen[2]?.headers['bronze-log-head']).toBe(Buffer.from(stored as Uint8Array).toString('base64'));
    // Again, after the state was lost: the same.
    expect(await deliverEvents(placeWith(tempFolder(), { withHeads: true }))).toBe(EVENTS);
    expect(headsSeen().slice(EVENTS)).toEqual(headsSeen().slice(0, EVENTS));
  });

  it('an event is not posted before its head is there; who does not ask for heads gets it at once', async () => {
    for (const size of [2, 4]) await sign(size);
    const dir = tempFolder();
    const unsigned: number[] = [];
    const place = placeWith(dir, { withHeads: true, onUnsigned: (sequence) => unsigned.push(sequence) });
    expect([await deliverEvents(place), unsigned]).toEqual([4, [4]]);
    expect(await countUndelivered(place)).toBe(2);
    await sign(EVENTS);
    expect(await deliverEvents(place)).toBe(2);
    expect(headsSeen()).toEqual([null, 2, null, 4, null, EVENTS]);
    expect(await deliverEvents(placeWith(tempFolder()))).toBe(EVENTS);
    expect(headsSeen().slice(EVENTS)).toEqual(scene.stored.map(() => null));
  });

  it('an answer that was lost: the same event comes with the same head', async () => {
    for (let size = 1; size <= EVENTS; size++) await sign(size);
    // Every second request, so each event comes twice.
    scene.server.behave = (_, n) => (n % 2 === 0 ? { kind: 'cut', keeps: true } : null);
    const dir = tempFolder();
    while ((await countUndelivered(placeWith(dir))) > 0) {
      await deliverEvents(placeWith(dir, { withHeads: true })).catch((error: BronzeError) => {
        expect(error.code).toBe('DELIVERY_FAILED');
      });
    }
    expect(scene.server.seen).toHaveLength(2 * EVENTS);
    expect(headsSeen()).toEqual(scene.server.seen.map(({ body }) => JSON.parse(body.toString()).chain.sequence + 1));
    expectAllKept();
  });

  it('a head that is none is not posted: HEAD_INVALID, and what was acknowledged before stays noted', async () => {
    for (const size of [1, 2, 3]) await sign(size);
    putFile(scene.estate, headKey(CHAIN, 2), Buffer.from('no head'));
    const dir = tempFolder();
    expect((await failureOf(deliverEvents(placeWith(dir, { withHeads: true })))).code).toBe('HEAD_INVALID');
    expect(headsSeen()).toEqual([1]);
    expect(await countUndelivered(placeWith(dir))).toBe(EVENTS - 1);
  });
});
