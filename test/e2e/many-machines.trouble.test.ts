// S42: what is wrong around remote workers, and changes nothing in Bronze: clocks that are an hour apart, a queue that is
// full, a second coordinator that was started by mistake.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { grid } from '../support/estate.ts';
import { sampleEra, sampleScene } from '../support/lakes.ts';
import { expectWhole, type Reference, referenceOf } from '../support/outcome.ts';
import type { Outcome, Running, Scene } from '../support/program.ts';
import { describeRedis, TestRedis } from '../support/redis.ts';
import { PATIENCE, STAGED, startWorker } from '../support/remote-workers.ts';

const ERA = sampleEra({ partition_size: 7 });
const PARTITIONS = grid(2, 127, 7).length;
const HOUR_MS = 3_600_000;

const shiftedBy = (ms: number): Record<string, string> => ({
  NODE_OPTIONS: `--import ${join(import.meta.dirname, '../support/shifted-clock.mjs')}`,
  SHIFTED_BY_MS: String(ms),
});

const stagedBy = ({ logs }: Running) => logs.filter(({ msg }) => msg === STAGED);
const saysFull = (running: Running): boolean => running.logs.some(({ msg }) => /it is full/.test(msg));

describeRedis('S42: many machines, in trouble', () => {
  let reference: Reference;

  beforeAll(async () => {
    const alone = await sampleScene(ERA);
    const run = await alone.run();
    expect(run.code, said(run)).toBe(0);
    reference = referenceOf(alone);
  });

  async function sceneWith(redis: TestRedis): Promise<Scene> {
    const scene = await sampleScene(ERA);
    return scene.change({ storage: { shared: true }, perf: { queue: redis.url, workers: 3 } });
  }

  async function expectDone(scene: Scene, run: Outcome): Promise<void> {
    expect(run.code, said(run)).toBe(0);
    expect(run.summary?.eras[0]?.retries).toBe(0);
    expectWhole(scene, reference, { kept: true });
    const verdict = await scene.verify('--events', scene.backup);
    expect(verdict.code, said(verdict)).toBe(0);
  }

  it.each([
    ['ahead', 1],
    ['behind', -1],
  ])('the clock of a worker is an hour %s: it works, dies, and another one takes over', async (_, sign) => {
    const scene = await sceneWith(await TestRedis.start());
    const victim = startWorker(scene, { ...shiftedBy(sign * HOUR_MS), BRONZE_KILL_AT: 'staging:opened#3' });
    const running = scene.start('run', PATIENCE);
    expect((await victim.done).signal).toBe('SIGKILL');
    const shown = Date.parse(String(stagedBy(victim)[0]?.time));
    expect(Math.abs(shown - sign * HOUR_MS - Date.now()), 'its clock is wrong').toBeLessThan(HOUR_MS / 2);
    const other = startWorker(scene, shiftedBy(-sign * HOUR_MS));
    await expectDone(scene, await running.done);
    expect(stagedBy(other).length + stagedBy(victim).length).toBe(PARTITIONS);
  });

  it('the queue is full at the start: a declared wait that is told, and copying goes on when there is room', async () => {
    const redis = await TestRedis.start('--maxmemory', '1', '--maxmemory-policy', 'noeviction');
    const scene = await sceneWith(redis);
    const running = scene.start('run', PATIENCE);
    startWorker(scene);
    await running.until(saysFull, 'it says so');
    await sleep(6_000);
    expect(running.isOver).toBe(false);
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    const run = await running.done;
    const told = run.logs.filter(({ component }) => component === 'queue').map(({ level, msg }) => `${level}: ${msg}`);
    expect(told).toEqual([
      `warn: the queue ${redis.url} cannot be used now: it is full; builds wait for it`,
      `info: the queue ${redis.url} takes tasks again`,
    ]);
    await expectDone(scene, run);
  });

  it('the queue is full in the middle: the same', async () => {
    const redis = await TestRedis.start();
    const scene = await sceneWith(redis);
    const running = scene.start('run', PATIENCE);
    const worker = startWorker(scene);
    await worker.untilLogged(({ msg }) => msg === STAGED, 'it builds');
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    await sleep(6_000);
    expect([running.isOver, worker.isOver]).toEqual([false, false]);
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await expectDone(scene, await running.done);
  });

  it('a second coordinator by mistake: LOCK_HELD, and the tasks of the first stay where they are', async () => {
    const redis = await TestRedis.start();
    const scene = await sceneWith(redis);
    const running = scene.start('run', PATIENCE);
    const tasks = async () => {
      const status = await scene.start('status', { args: ['--json'] }).done;
      return JSON.parse(status.stdout).queue.waiting;
    };
    await expect.poll(tasks, { timeout: 30_000 }).toBe(3);
    const names = async () => ((await redis.command('KEYS', 'bull:*')) as string[]).sort();
    const before = await names();
    const second = await scene.run();
    expect(second.code, said(second)).toBe(1);
    expect(second.summary?.eras[0]?.error).toMatchObject({ code: 'LOCK_HELD' });
    expect(await names()).toEqual(before);
    startWorker(scene);
    await expectDone(scene, await running.done);
  });
});
