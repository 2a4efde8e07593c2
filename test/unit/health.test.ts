// Health repeats what the machines say, on real machines and a clock that the test turns: 503 where an era stalls or
// fails, 200 while it waits as it should.
import { afterEach, describe, expect, it } from 'vitest';
import { BronzeError } from '../../machines/errors.ts';
import type { EraSpec } from '../../machines/protocol.ts';
import { Health } from '../../runtime/health.ts';
import { FakeWorld, HOUR, MINUTE, never, type Override, SECOND, specOf } from '../support/fake-eras.ts';

const worlds: FakeWorld[] = [];
afterEach(() => {
  for (const world of worlds.splice(0)) world.stop();
});

function watched(specs: readonly EraSpec[], overrides: Readonly<Record<string, Override>> = {}) {
  const health = new Health(specs);
  const world = new FakeWorld(specs, overrides, health.inspect);
  worlds.push(world);
  return { health, world };
}

const failure = (code: 'SOURCE_DENIED' | 'CATALOG_UNAVAILABLE' | 'SOURCE_READ'): never => {
  throw new BronzeError(code, 'made up');
};

describe('health', () => {
  it('is well and not ready before the eras have looked, ready when they have, and well at the end', async () => {
    const { health, world } = watched([specOf('a'), specOf('b')]);
    expect(health.report()).toMatchObject({
      ok: true,
      body: { status: 'ok', last_committed_ledger: { a: null, b: null } },
    });
    expect(health.readiness()).toEqual({ ready: false, reason: 'starting: a, b' });
    await world.pass(SECOND, 100);
    expect(health.readiness()).toEqual({ ready: true, reason: null });
    await world.pass(MINUTE);
    expect(world.summary?.outcome).toBe('done');
    expect(health.report()).toMatchObject({
      ok: true,
      body: { status: 'ok', reason: null, last_committed_ledger: { a: 39, b: 39 }, eras: { a: { state: 'done' } } },
    });
  });

  it('an era that stands still is 503 from when the breaker acts until something moves, not merely starts again', async () => {
    const { health, world } = watched([specOf('a'), specOf('b')], {
      a: (era) => ({ buildPartition: (_, { signal }) => never(era, signal) }),
    });
    await world.pass(4 * MINUTE);
    expect(health.report().ok).toBe(true);
    await world.pass(2 * MINUTE);
    // Recovered, copying again, with one worker that hangs as well.
    expect(world.stalls).toHaveLength(1);
    const { ok, body } = health.report();
    expect(ok).toBe(false);
    expect(body).toMatchObject({ status: 'stalled', eras: { a: { state: 'copying' }, b: { reason: null } } });
    expect(body.reason).toMatch(/^a stalled: nothing moved for longer than perf\.stall_timeout_ms/);
    expect([health.isWell('a'), health.isWell('b')]).toEqual([false, true]);
    // A second time the breaker gives it up.
    await world.pass(6 * MINUTE);
    expect(health.report().body).toMatchObject({ status: 'failed', eras: { a: { state: 'failed' } } });
    expect(health.report().body.reason).toMatch(/STALLED/);
  });

  it('is well again as soon as a restarted era moves', async () => {
    let builds = 0;
    const { health, world } = watched([specOf('a')], {
      a: (era, usual) => ({
        buildPartition: async (input, tools) => {
          builds += 1;
          if (builds <= 2) return never(era, tools.signal);
          await world.sleep(20 * SECOND);
          return usual.buildPartition(input, tools);
        },
      }),
    });
    const seen: string[] = [];
    while (!world.summary) {
      await world.pass(5 * SECOND, SECOND);
      const { status } = health.report().body;
      if (seen.at(-1) !== status) seen.push(status);
    }
    expect(seen).toEqual(['ok', 'stalled', 'ok']);
    expect(world.summary?.outcome).toBe('done');
    expect(health.report()).toMatchObject({ ok: true, body: { status: 'ok', reason: null } });
    expect(world.stalls).toHaveLength(1);
  });

  it('a failed era is 503 to the end with code and message, while the other one goes on', async () => {
    const { health, world } = watched(
      [specOf('a'), specOf('b', { grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } })],
      {
        a: () => ({ buildPartition: async () => failure('SOURCE_DENIED') }),
      },
    );
    await world.pass(10 * MINUTE);
    expect(world.summary).toBeNull();
    const { ok, body } = health.report();
    expect(ok).toBe(false);
    expect(body).toMatchObject({
      status: 'failed',
      eras: { a: { state: 'failed' }, b: { state: 'awaitingLedgers.sleeping' } },
    });
    expect(body.reason).toBe('a failed: SOURCE_DENIED: made up');
    expect(health.isWell('b')).toBe(true);
  });

  it('stays 200 for a day in which an unbounded era waits for ledgers, and for hours of a strict wait', async () => {
    const strict = specOf('strict', { catalog: 'strict' });
    const open = specOf('open', { grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } });
    const { health, world } = watched([strict, open], {
      strict: () => ({ recordPartition: async () => failure('CATALOG_UNAVAILABLE') }),
    });
    for (let hours = 0; hours < 6; hours += 1) {
      await world.pass(HOUR, 30 * SECOND);
      expect(health.report()).toMatchObject({ ok: true, body: { status: 'ok' } });
    }
    expect(world.stalls).toEqual([]);
    expect(health.report().body.eras.strict?.waiting_for).toEqual([
      'waiting for the catalog after CATALOG_UNAVAILABLE',
    ]);
    expect(health.isWaiting('strict')).toBe(true);
    expect(health.readiness().ready).toBe(true);
  });

  it('names a hole that later ledgers do not fill, and is content with it', async () => {
    const open = specOf('open', { grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } });
    const { health, world } = watched([open], {
      open: () => ({ findHead: async () => ({ head: 40, contiguousTo: 14, holeAt: 15 }) }),
    });
    await world.pass(9 * MINUTE);
    expect(health.report().body.status).toBe('ok');
    await world.pass(2 * MINUTE);
    expect(health.report()).toMatchObject({ ok: true, body: { status: 'degraded' } });
    expect(health.report().body.reason).toMatch(/ledger 15 has been missing/);
  });

  it('S40: is degraded while the lake ends before what is committed', async () => {
    const open = specOf('open', { grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } });
    let head = 39;
    const { health, world } = watched([open], {
      open: () => ({ findHead: async () => ({ head, contiguousTo: Math.max(head, 39), holeAt: null }) }),
    });
    await world.pass(2 * MINUTE);
    expect(health.report().body).toMatchObject({ status: 'ok', last_committed_ledger: { open: 39 } });
    head = 15;
    await world.pass(2 * MINUTE);
    expect(health.report()).toMatchObject({
      ok: true,
      body: { status: 'degraded', eras: { open: { state: 'awaitingLedgers.lakeBehind' } } },
    });
    expect(health.report().body.reason).toMatch(
      /lake behind: the lake ends at ledger 15, and ledgers up to 39 are committed/,
    );
    head = 39;
    await world.pass(2 * MINUTE);
    expect(health.report().body.status).toBe('ok');
  });

  it('is not ready while it drains', async () => {
    const open = specOf('open', { grid: { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null } });
    const { health, world } = watched([open]);
    await world.pass(10 * SECOND);
    world.drain();
    expect(health.readiness()).toEqual({ ready: false, reason: 'draining: the process is about to end' });
  });
});
