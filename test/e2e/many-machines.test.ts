// S42: partitions built by remote workers over a real Redis, committed by one coordinator: the same bytes, manifests and
// events as one process, whatever happens to workers, coordinator and queue; nothing is left over; local threads do not
// silently take over.
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, it } from 'vitest';
import { said } from '../support/copier.ts';
import { grid } from '../support/estate.ts';
import { copyOf, objectOf, sampleEra, sampleLake, sampleScene } from '../support/lakes.ts';
import { expectWhole, type Reference, referenceOf } from '../support/outcome.ts';
import type { Running, Scene, Settings } from '../support/program.ts';
import { describeRedis, TestRedis } from '../support/redis.ts';
import { type RemoteScene, remoteScene } from '../support/remote-scene.ts';
import { PATIENCE, STAGED, startWorker } from '../support/remote-workers.ts';
import { describeServer } from '../support/servers.ts';

const ERA = sampleEra({ partition_size: 7 });
const PARTITIONS = grid(2, 127, 7).length;
const TAKEN = 'partition taken from the queue';

const logged = (running: Running, msg: string): Promise<void> =>
  running.untilLogged((line) => line.msg === msg, JSON.stringify(msg));

describeRedis('S42: many machines, Bronze in a folder that all see', () => {
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

  async function expectSame(scene: Scene): Promise<void> {
    expectWhole(scene, reference, { kept: true });
    const verdict = await scene.verify('--events', scene.backup);
    expect(verdict.code, said(verdict)).toBe(0);
  }

  it('two workers: the same bytes, manifests, events as one process', async () => {
    const scene = await sceneWith(await TestRedis.start());
    const [one, two] = [startWorker(scene), startWorker(scene)];
    const run = await scene.run(PATIENCE);
    expect(run.code, said(run)).toBe(0);
    await expectSame(scene);
    const built = [one, two].map((worker) => worker.logs.filter(({ msg }) => msg === STAGED).length);
    expect(built.reduce((sum, count) => sum + count, 0)).toBe(PARTITIONS);
    one.kill('SIGTERM');
    expect((await one.done).code).toBe(0);
  });

  it.each(['staging:opened', 'staging:finished'])('a worker dies at %s: another one finishes', async (at) => {
    const scene = await sceneWith(await TestRedis.start());
    const victim = startWorker(scene, { BRONZE_KILL_AT: `${at}#3` });
    const running = scene.start('run', PATIENCE);
    expect((await victim.done).signal).toBe('SIGKILL');
    startWorker(scene);
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    await expectSame(scene);
  });

  it('a worker is stopped beyond its hold and goes on: what it does late changes nothing', async () => {
    const scene = await sceneWith(await TestRedis.start());
    const sleeper = startWorker(scene);
    const running = scene.start('run', PATIENCE);
    await logged(sleeper, TAKEN);
    sleeper.kill('SIGSTOP');
    startWorker(scene);
    const run = await running.done;
    sleeper.kill('SIGCONT');
    expect(run.code, said(run)).toBe(0);
    await logged(sleeper, TAKEN);
    await sleep(1_000);
    await expectSame(scene);
  });

  it('status: what is in the queue and who is there; an outage is told, a refusal is exit 1', async () => {
    const redis = await TestRedis.start();
    const scene = await sceneWith(redis);
    const queueOf = async (code: number, settings: Settings = {}) => {
      const status = await scene.start('status', { args: ['--json'], settings }).done;
      expect(status.code, said(status)).toBe(code);
      return JSON.parse(status.stdout).queue;
    };
    expect(await queueOf(0)).toEqual({ url: redis.url, waiting: 0, active: 0, workers: [], error: null });
    const running = scene.start('run', PATIENCE);
    await expect.poll(async () => (await queueOf(0)).waiting, { timeout: 30_000 }).toBe(3);
    const text = await scene.start('status').done;
    expect(text.stdout).toContain(`queue ${redis.url}: 3 tasks waiting, 0 being built, 0 workers\n`);
    running.kill('SIGKILL');
    await running.done;
    const worker = startWorker(scene);
    await logged(worker, STAGED);
    expect((await queueOf(0)).workers).toHaveLength(1);
    await redis.stop();
    expect(await queueOf(0)).toMatchObject({ waiting: null, workers: null, error: { code: 'QUEUE_UNAVAILABLE' } });
    const unfit = await TestRedis.start('--maxmemory-policy', 'allkeys-lru');
    const settings = { perf: { queue: unfit.url } };
    expect(await queueOf(1, settings)).toMatchObject({ url: unfit.url, error: { code: 'QUEUE_UNFIT' } });
  });

  it('a worker is told to end: its task goes back at once', async () => {
    const scene = await sceneWith(await TestRedis.start());
    const first = startWorker(scene);
    const running = scene.start('run', PATIENCE);
    await logged(first, TAKEN);
    first.kill('SIGTERM');
    const ended = await first.done;
    expect(ended.code, said(ended)).toBe(0);
    startWorker(scene);
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary?.eras[0]?.retries).toBe(0);
    await expectSame(scene);
  });

  it('the queue is emptied in the middle: tasks are put there again', async () => {
    const redis = await TestRedis.start();
    const scene = await sceneWith(redis);
    const running = scene.start('run', PATIENCE);
    const worker = startWorker(scene);
    await logged(worker, STAGED);
    await redis.stop();
    await sleep(2_000);
    await redis.start();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(run.summary?.eras[0]?.retries).toBe(0);
    // The client library would write of every attempt to connect.
    expect(run.stderr).not.toMatch(/ioredis|ECONNREFUSED/);
    await expectSame(scene);
  });

  it('a worker is told to end while the queue is away: it ends, and another one finishes', async () => {
    const redis = await TestRedis.start();
    const scene = await sceneWith(redis);
    const first = startWorker(scene);
    const running = scene.start('run', PATIENCE);
    await logged(first, STAGED);
    await redis.stop();
    await first.untilLogged((line) => line.component === 'queue' && line.level === 'warn', 'it says so');
    first.kill('SIGTERM');
    const ended = await first.done;
    expect(ended.code, said(ended)).toBe(0);
    await redis.start();
    startWorker(scene);
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    await expectSame(scene);
  });

  it('the queue is away at the start: a declared wait, not a failure, and nobody else builds', async () => {
    const redis = await TestRedis.stopped();
    const scene = await sceneWith(redis);
    // Shorter than the outage: what is declared is no stall.
    const running = scene.start('run', { settings: { perf: { stall_timeout_ms: 1_000 } }, ...PATIENCE });
    const worker = startWorker(scene);
    await running.untilLogged((line) => line.component === 'queue' && line.level === 'warn', 'it says so');
    await sleep(8_000);
    expect(running.isOver).toBe(false);
    expect(running.logs.filter(({ msg }) => /stall/i.test(msg))).toEqual([]);
    await redis.start();
    const run = await running.done;
    expect(run.code, said(run)).toBe(0);
    expect(worker.logs.filter(({ msg }) => msg === STAGED)).toHaveLength(PARTITIONS);
    await expectSame(scene);
  });

  it('a ledger that cannot be read: the era stops with its code, after one attempt', async () => {
    const scene = await sceneWith(await TestRedis.start());
    const lake = copyOf((await sampleLake()).path);
    truncateSync(join(lake, objectOf(lake, 50)), 120);
    scene.change({ source: { local_path: lake } });
    startWorker(scene);
    const run = await scene.run(PATIENCE);
    expect(run.code, said(run)).toBe(1);
    expect(run.summary?.eras[0]).toMatchObject({ next_ledger: 49, retries: 0, error: { code: 'OBJECT_CORRUPT' } });
  });

  it('without perf.queue there is nothing to work for', async () => {
    const scene = await sampleScene(ERA);
    const ended = await scene.start('worker').done;
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain('worker needs perf.queue');
  });

  it('a folder that nobody has called shared is refused, with what to write', async () => {
    const scene = await sceneWith(await TestRedis.stopped());
    const run = await scene.run({ settings: { storage: { shared: false } } });
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/perf\.queue[\s\S]*storage\.shared: true/);
  });
});

describeRedis('S42: many machines, Bronze in a bucket', () => {
  describeServer('ceph', 'uploads of remote workers', (server) => {
    let reference: Reference;

    beforeAll(async () => {
      const alone = await remoteScene({ protocol: 's3', server }, await sampleScene(ERA));
      const run = await alone.run();
      expect(run.code, said(run)).toBe(0);
      reference = referenceOf(await alone.look());
    });

    async function sceneWith(redis: TestRedis): Promise<RemoteScene> {
      const scene = await remoteScene({ protocol: 's3', server }, await sampleScene(ERA));
      scene.change({ perf: { queue: redis.url, workers: 3 } });
      return scene;
    }

    async function expectSame(scene: RemoteScene): Promise<void> {
      await scene.look();
      expectWhole(scene, reference, { kept: true });
      expect(await scene.leftovers()).toEqual([]);
      const verdict = await scene.verify();
      expect(verdict.code, said(verdict)).toBe(0);
    }

    it('a worker dies in the middle of an upload: the same objects, no upload left', async () => {
      const scene = await sceneWith(await TestRedis.start());
      const victim = startWorker(scene, { BRONZE_KILL_AT: 'staging:flushed#2' });
      const running = scene.start('run', PATIENCE);
      expect((await victim.done).signal).toBe('SIGKILL');
      startWorker(scene);
      const run = await running.done;
      expect(run.code, said(run)).toBe(0);
      await expectSame(scene);
    });

    it('the coordinator dies and begins again on another machine: what the dead one asked for is dropped', async () => {
      const redis = await TestRedis.start();
      const scene = await sceneWith(redis);
      const worker = startWorker(scene);
      const running = scene.start('run', PATIENCE);
      await logged(worker, STAGED);
      running.kill('SIGKILL');
      await running.done;
      const there = scene.elsewhere();
      const run = await there.run(PATIENCE);
      expect(run.code, said(run)).toBe(0);
      await there.look();
      expect(await there.leftovers()).toEqual([]);
      expect(referenceOf(there).parquet).toEqual(reference.parquet);
      const verdict = await there.verify();
      expect(verdict.code, said(verdict)).toBe(0);
    });
  });
});
