// `pas deliver`: one chain under its lock, and what is said of what is left.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventKey } from '../../actors/bronze/names.ts';
import type { DeliveryPlace } from '../../actors/endpoint/deliver.ts';
import { openEndpoint } from '../../actors/endpoint/endpoint.ts';
import { openDeliveryPointer } from '../../actors/state/delivery.ts';
import { acquireLock, inspectLock } from '../../actors/state/lock.ts';
import { deliverChain } from '../../runtime/cli/pas-deliver.ts';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { CHAIN, commitAll, type Estate, estateIn, placeOf, putFile, rangesOf } from '../support/bronze.ts';

let server: AuditServer;
let estate: Estate;
let holder: { dir: string; copierId: string };
let place: DeliveryPlace;

beforeEach(async () => {
  server = await startAuditServer();
  estate = estateIn();
  await commitAll(estate, rangesOf(10, 10, 4));
  holder = { dir: join(estate.root, 'state'), copierId: 'c1' };
  place = {
    ...placeOf(estate),
    endpoint: openEndpoint(server.url),
    pointer: openDeliveryPointer({ dir: holder.dir, chain: CHAIN, endpoint: server.url }),
    withHeads: false,
  };
});
afterEach(() => server.stop());

it('delivers what is left, once, and gives the lock back', async () => {
  const chain = 'pubnet/pre_p23/v1';
  expect(await deliverChain(place, holder)).toEqual({ chain, delivered: 4, undelivered: 0, error: null });
  expect(await deliverChain(place, holder)).toEqual({ chain, delivered: 0, undelivered: 0, error: null });
  expect(server.seen).toHaveLength(4);
  expect(await inspectLock(holder.dir, CHAIN)).toBeNull();
});

it('leaves the chain to the copier that works on it', async () => {
  const lock = await acquireLock({ ...holder, chain: CHAIN });
  expect(await deliverChain(place, holder)).toMatchObject({
    delivered: 0,
    undelivered: 4,
    error: { code: 'LOCK_HELD', message: expect.stringContaining('c1') },
  });
  expect(server.seen).toEqual([]);
  expect(await inspectLock(holder.dir, CHAIN)).toMatchObject({ holder: { nonce: lock.nonce } });
  await lock.release();
});

it('S11: says what is left, and why, and begins there the next time', async () => {
  server.behave = (_, n) => (n >= 3 ? { kind: 'answer', status: 503 } : null);
  expect(await deliverChain(place, holder)).toMatchObject({
    delivered: 3,
    undelivered: 1,
    error: { code: 'DELIVERY_FAILED', start: 40, end: 49 },
  });
  expect(await inspectLock(holder.dir, CHAIN)).toBeNull();
  server.behave = () => null;
  expect(await deliverChain(place, holder)).toMatchObject({ delivered: 1, undelivered: 0, error: null });
});

it('does not call a chain delivered that has a hole', async () => {
  const key = eventKey(CHAIN, 1);
  const bytes = await estate.store.get(key);
  rmSync(join(estate.root, 'bronze', key));
  expect(await deliverChain(place, holder)).toMatchObject({
    delivered: 1,
    undelivered: 2,
    error: { code: 'AUDIT_HOLE' },
  });
  putFile(estate, key, bytes as Uint8Array);
  expect(await deliverChain(place, holder)).toMatchObject({ delivered: 3, undelivered: 0, error: null });
});

it('that is cancelled gives the lock back and counts what is left', async () => {
  const stop = new AbortController();
  const onDelivered = ({ sequence }: { sequence: number }) => (sequence === 1 ? stop.abort() : undefined);
  expect(await deliverChain({ ...place, onDelivered }, holder, stop.signal)).toMatchObject({
    delivered: 2,
    undelivered: 2,
    error: { code: 'CANCELLED' },
  });
  expect(await inspectLock(holder.dir, CHAIN)).toBeNull();
});

it('says that events wait for their head, and that a run writes it', async () => {
  const delivery = await deliverChain({ ...place, withHeads: true }, holder);
  expect(delivery).toMatchObject({ delivered: 0, undelivered: 4, error: { code: 'HEAD_INVALID' } });
  expect(delivery.error?.message).toContain('from 0 on have no signed head yet');
  expect(server.seen).toEqual([]);
});
