// Who watches a run cannot disturb it: not by throwing, and not by a lake that hangs when its head is looked at.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { watchHeads } from '../../runtime/metrics/head-watch.ts';
import type { Watcher } from '../../runtime/watcher.ts';
import { asOne } from '../../runtime/watchers.ts';
import { FakeWorld, MINUTE, specOf } from '../support/fake-eras.ts';

it('one that throws is switched off and said, the others and the run go on', async () => {
  const said: unknown[] = [];
  let seen = 0;
  const broken: Watcher = {
    inspect: (event) => {
      if (event.type === '@xstate.snapshot') throw new TypeError('a bug');
    },
    close: async () => {},
  };
  const sound: Watcher = {
    inspect: () => {
      seen += 1;
    },
    close: async () => {},
  };
  const specs = [specOf('a')];
  const inspect = asOne([broken, sound], { error: (fields: unknown) => void said.push(fields) } as never);
  const world = new FakeWorld(specs, {}, inspect);
  await world.pass(MINUTE);
  world.stop();
  expect(world.summary?.outcome).toBe('done');
  expect(said).toEqual([{ component: 'watcher', error: 'TypeError: a bug' }]);
  expect(seen).toBeGreaterThan(100);
});

it('the head of a lake is looked at for eras that follow it, one look at a time, and a failed look is none', async () => {
  const open = { size: 10, origin: 0, ledgerStart: 10, ledgerEnd: null };
  const specs = [specOf('bounded'), specOf('open', { grid: open }), specOf('once', { grid: open, once: true })];
  const heads: [string, number][] = [];
  const looks: number[] = [];
  let under = 0;
  let most = 0;
  const lakeHead = async (eraId: string, from: number): Promise<number | null> => {
    // Nobody asks for the others.
    expect(eraId).toBe('open');
    looks.push(from);
    most = Math.max(most, ++under);
    await sleep(15);
    under -= 1;
    if (looks.length === 1) throw new Error('the lake is away');
    return looks.length === 2 ? null : 100 + looks.length;
  };
  const watch = watchHeads(
    { specs, lakeHead, frontierOf: () => 42, onHead: (eraId, head) => void heads.push([eraId, head]) },
    5,
  );
  while (heads.length < 2) await sleep(5);
  await watch.close();
  const then = looks.length;
  await sleep(40);
  expect(looks.length).toBeLessThanOrEqual(then + 1);
  expect(heads.slice(0, 2)).toEqual([
    ['open', 103],
    ['open', 104],
  ]);
  expect([new Set(looks), most]).toEqual([new Set([42]), 1]);
});
