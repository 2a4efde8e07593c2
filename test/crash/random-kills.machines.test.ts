// Deaths at random moments (S42) among five processes: a coordinator, three remote workers, and the Redis between them,
// which comes back with what it had or with nothing. Whoever dies is started again at once. One estate in three loses its
// state folder with every death of its coordinator. Afterwards Bronze is, byte for byte, that of one process which nothing
// disturbed. BRONZE_KILL_SEED repeats the choices, though not the moments.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { type Cut, newCopier, said, undisturbed } from '../support/copier.ts';
import { expectNothingHalfVisible, type Reference } from '../support/outcome.ts';
import type { Running, Scene } from '../support/program.ts';
import { describeRedis, TestRedis } from '../support/redis.ts';
import { writeResults } from '../support/results.ts';
import { expectNoWarnings, expectSettled } from '../support/settled.ts';
import { makeRng } from '../support/xdr-random.ts';

/** BRONZE_KILLS: more for a night, fewer for a look. */
const DEATHS = Number(process.env.BRONZE_KILLS ?? 100);
const WORKERS = 3;
/** Between two deaths, ms, at the most: long enough that something gets done, short enough that little is left alone. */
const PAUSE_MS = 900;
/** How long a worker is waited for that is to die in the middle of a task, and how long such a task lasts about, ms. */
const AIM_MS = 400;
const TASK_MS = 12;
const CUT: Cut = { start: 2, end: 127, size: 5 };
const PATIENCE = { patienceMs: 300_000 };
/** Synchronously, so that what was acknowledged is there after SIGKILL. */
const KEEPS = ['--appendonly', 'yes', '--appendfsync', 'always'];

const seed = Number(process.env.BRONZE_KILL_SEED ?? Date.now() % 1_000_000);

expectNoWarnings();

const tally = { coordinator: 0, worker: 0, busy: 0, 'redis with its data': 0, 'redis without': 0 };
const deaths = (): number => tally.coordinator + tally.worker + tally['redis with its data'] + tally['redis without'];

/** How many tasks a worker has now, from what it says. */
const tasksOf = ({ logs }: Running): number => {
  const count = (...messages: string[]) =>
    logs.filter(({ msg }) => messages.some((start) => msg.startsWith(start))).length;
  return (
    count('partition taken') - count('partition built', 'partition given back', 'partition dropped', 'the partition')
  );
};

/** Five processes that are at work on one estate. */
class Machines {
  readonly scene: Scene;
  readonly redis: TestRedis;
  coordinator: Running;
  readonly workers: Running[];

  private constructor(scene: Scene, redis: TestRedis) {
    this.scene = scene;
    this.redis = redis;
    this.coordinator = scene.start('run', PATIENCE);
    this.workers = Array.from({ length: WORKERS }, () => this.#newWorker());
  }

  static async start(): Promise<Machines> {
    const redis = await TestRedis.start(...KEEPS);
    const perf = { queue: redis.url, workers: WORKERS, retry_attempts: 10 };
    return new Machines(await newCopier(CUT, { storage: { shared: true }, perf }), redis);
  }

  #newWorker(): Running {
    return this.scene.start('worker', { args: ['--concurrency', '1'], ...PATIENCE });
  }

  /** `look`: at what it left, while the workers stand still. */
  async killCoordinator(keepsState: boolean, look: () => void): Promise<void> {
    this.coordinator.kill('SIGKILL');
    const run = await this.coordinator.done;
    // It may have come to its end a moment before.
    if (run.signal !== 'SIGKILL') return;
    tally.coordinator += 1;
    for (const worker of this.workers) worker.kill('SIGSTOP');
    look();
    for (const worker of this.workers) worker.kill('SIGCONT');
    if (!keepsState) this.scene.lose('state');
    this.coordinator = this.scene.start('run', PATIENCE);
  }

  async killWorker(at: number, aimed: boolean, moment: number): Promise<void> {
    const worker = this.workers[at] as Running;
    for (let waited = 0; aimed && waited < AIM_MS && tasksOf(worker) === 0; waited += 2) await sleep(2);
    if (aimed) await sleep(moment);
    worker.kill('SIGKILL');
    await worker.done;
    tally.worker += 1;
    if (tasksOf(worker) > 0) tally.busy += 1;
    this.workers[at] = this.#newWorker();
  }

  async killRedis(keepsData: boolean, pause: number): Promise<void> {
    await this.redis.stop();
    if (!keepsData) this.redis.lose();
    tally[keepsData ? 'redis with its data' : 'redis without'] += 1;
    await sleep(pause);
    await this.redis.start();
  }

  async stop(): Promise<void> {
    for (const running of [this.coordinator, ...this.workers]) {
      running.kill('SIGKILL');
      await running.done;
    }
    await this.redis.stop();
  }
}

describeRedis('S42: killed at random moments, on many machines', () => {
  let reference: Reference;
  let machines: Machines | null = null;

  beforeAll(async () => {
    reference = await undisturbed(await newCopier(CUT));
  });

  afterEach(async () => {
    await machines?.stop();
  });

  /** One estate from its birth to the run that gets through. */
  async function live(rng: ReturnType<typeof makeRng>, kept: boolean): Promise<void> {
    machines = await Machines.start();
    while (deaths() < DEATHS && !machines.coordinator.isOver) {
      await sleep(rng.below(PAUSE_MS));
      const [victim, coin, moment] = [rng.below(2 + WORKERS), rng.below(2) === 0, rng.below(TASK_MS)];
      if (machines.coordinator.isOver) break;
      const { scene } = machines;
      const look = () => expectNothingHalfVisible(scene, reference);
      if (victim === 0) await machines.killCoordinator(kept, look);
      else if (victim === 1) await machines.killRedis(coin, moment * 50);
      else await machines.killWorker(victim - 2, coin, moment);
    }
    const run = await machines.coordinator.done;
    expect(run.code, said(run)).toBe(0);
    await machines.stop();
    await expectSettled(machines.scene.change({ perf: { queue: '' } }), reference, { kept });
  }

  it(`${DEATHS} deaths, seed ${seed}: Bronze is that of one process which nothing disturbed`, async () => {
    const rng = makeRng(seed);
    let estates = 0;
    while (deaths() < DEATHS) await live(rng, ++estates % 3 !== 0);
    console.info(`seed ${seed}: ${estates} estates, deaths: ${JSON.stringify(tally)}`);
    for (const [kind, count] of Object.entries(tally)) expect(count, kind).toBeGreaterThan(DEATHS / 50);
    writeResults('random-kills-machines', { ...tally, estates });
  }, 600_000);
});
