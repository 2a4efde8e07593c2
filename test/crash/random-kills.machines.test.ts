// Deaths at random moments (S42) among a coordinator, four remote workers, and the Redis between them, which comes back
// with what it had or with nothing; with Bronze in a folder that all see, and in a bucket of a real Ceph. Whoever dies is
// started again at once. One estate in three loses its state folder with every death of its coordinator. Afterwards Bronze
// is, byte for byte, that of one process which nothing disturbed, and nothing that was staged or begun to be uploaded is
// left. BRONZE_KILL_SEED repeats the choices, though not the moments.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { type Cut, newCopier, said, undisturbed } from '../support/copier.ts';
import { expectNothingHalfVisible, expectWhole, type Reference } from '../support/outcome.ts';
import type { Running, Scene } from '../support/program.ts';
import { describeRedis, TestRedis } from '../support/redis.ts';
import { RemoteScene, remoteScene } from '../support/remote-scene.ts';
import { writeResults } from '../support/results.ts';
import { describeServer } from '../support/servers.ts';
import { expectNoWarnings, expectSettled } from '../support/settled.ts';
import { makeRng } from '../support/xdr-random.ts';

/** BRONZE_KILLS: more for a night, fewer for a look. */
const DEATHS = Number(process.env.BRONZE_KILLS ?? 100);
const WORKERS = 4;
/** Of ten deaths: so many of the coordinator, one of Redis, the others of workers. */
const OF_COORDINATOR = 2;
/** Between two deaths, ms, at the most: long enough that something gets done, short enough that little is left alone. */
const PAUSE_MS = 900;
/** How long a worker is waited for that is to die in the middle of a task, and how long such a task lasts about, ms. */
const AIM_MS = 400;
const TASK_MS = 12;
/** 43 partitions of two eras. */
const CUT: Cut = { start: 2, end: 127, size: 3 };
const PATIENCE = { patienceMs: 300_000 };
/** Synchronously, so that what was acknowledged is there after SIGKILL. */
const KEEPS = ['--appendonly', 'yes', '--appendfsync', 'always'];

const seed = Number(process.env.BRONZE_KILL_SEED ?? Date.now() % 1_000_000);

expectNoWarnings();

type Tally = Record<'coordinator' | 'worker' | 'busy' | 'redis with its data' | 'redis without', number>;
const newTally = (): Tally => ({
  coordinator: 0,
  worker: 0,
  busy: 0,
  'redis with its data': 0,
  'redis without': 0,
});
const deathsIn = (tally: Tally): number =>
  tally.coordinator + tally.worker + tally['redis with its data'] + tally['redis without'];

/** How many tasks a worker has now, from what it says. */
const tasksOf = ({ logs }: Running): number => {
  const count = (...messages: string[]) =>
    logs.filter(({ msg }) => messages.some((start) => msg.startsWith(start))).length;
  return (
    count('partition taken') - count('partition built', 'partition given back', 'partition dropped', 'the partition')
  );
};

/** What such an estate lies in, and how it is looked at from outside. */
interface Ground {
  readonly newScene: () => Promise<Scene>;
  /** At what a dead coordinator left. */
  readonly look: (scene: Scene, reference: Reference) => Promise<void>;
  /** At what is there once all are done. */
  readonly expectDone: (scene: Scene, reference: Reference, kept: boolean) => Promise<void>;
}

const SHARED_FOLDER: Ground = {
  newScene: () => newCopier(CUT, { storage: { shared: true } }),
  look: async (scene, reference) => expectNothingHalfVisible(scene, reference),
  expectDone: (scene, reference, kept) => expectSettled(scene.change({ perf: { queue: '' } }), reference, { kept }),
};

/** Processes that are at work on one estate. */
class Machines {
  readonly #tally: Tally;
  readonly scene: Scene;
  readonly redis: TestRedis;
  coordinator: Running;
  readonly workers: Running[];

  private constructor(scene: Scene, redis: TestRedis, tally: Tally) {
    this.#tally = tally;
    this.scene = scene;
    this.redis = redis;
    this.coordinator = scene.start('run', PATIENCE);
    this.workers = Array.from({ length: WORKERS }, () => this.#newWorker());
  }

  static async start({ newScene }: Ground, tally: Tally): Promise<Machines> {
    const redis = await TestRedis.start(...KEEPS);
    const scene = await newScene();
    scene.change({ perf: { queue: redis.url, workers: WORKERS, retry_attempts: 10 } });
    return new Machines(scene, redis, tally);
  }

  #newWorker(): Running {
    return this.scene.start('worker', { args: ['--concurrency', '1'], ...PATIENCE });
  }

  /** `look`: at what it left, while the workers stand still. */
  async killCoordinator(keepsState: boolean, look: () => Promise<void>): Promise<void> {
    this.coordinator.kill('SIGKILL');
    const run = await this.coordinator.done;
    // It may have come to its end a moment before.
    if (run.signal !== 'SIGKILL') return;
    this.#tally.coordinator += 1;
    for (const worker of this.workers) worker.kill('SIGSTOP');
    await look();
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
    this.#tally.worker += 1;
    if (tasksOf(worker) > 0) this.#tally.busy += 1;
    this.workers[at] = this.#newWorker();
  }

  async killRedis(keepsData: boolean, pause: number): Promise<void> {
    await this.redis.stop();
    if (!keepsData) this.redis.lose();
    this.#tally[keepsData ? 'redis with its data' : 'redis without'] += 1;
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

/** The suite on one ground; call it within `describe`. */
function killedAtRandom(ground: Ground, results: string): void {
  const tally = newTally();
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
    machines = await Machines.start(ground, tally);
    while (deathsIn(tally) < DEATHS && !machines.coordinator.isOver) {
      await sleep(rng.below(PAUSE_MS));
      const [die, worker, coin, moment] = [rng.below(10), rng.below(WORKERS), rng.below(2) === 0, rng.below(TASK_MS)];
      if (machines.coordinator.isOver) break;
      const { scene } = machines;
      if (die < OF_COORDINATOR) await machines.killCoordinator(kept, () => ground.look(scene, reference));
      else if (die === OF_COORDINATOR) await machines.killRedis(coin, moment * 50);
      else await machines.killWorker(worker, coin, moment);
    }
    const run = await machines.coordinator.done;
    expect(run.code, said(run)).toBe(0);
    await machines.stop();
    await ground.expectDone(machines.scene, reference, kept);
  }

  it(`${DEATHS} deaths, seed ${seed}: Bronze is that of one process which nothing disturbed`, async () => {
    const rng = makeRng(seed);
    let estates = 0;
    while (deathsIn(tally) < DEATHS) await live(rng, ++estates % 3 !== 0);
    console.info(`seed ${seed}: ${estates} estates, deaths: ${JSON.stringify(tally)}`);
    for (const [kind, count] of Object.entries(tally)) expect(count, kind).toBeGreaterThan(0);
    writeResults(results, { ...tally, estates });
  }, 600_000);
}

describeRedis('S42: killed at random moments, on many machines', () => {
  killedAtRandom(SHARED_FOLDER, 'random-kills-machines');

  describeServer('ceph', 'with Bronze in a bucket', (server) => {
    const kind = { protocol: 's3', server } as const;
    const looked = async (scene: Scene): Promise<RemoteScene> => {
      if (!(scene instanceof RemoteScene)) throw new Error('Bronze is not in a bucket');
      return scene.look();
    };
    killedAtRandom(
      {
        newScene: async () => remoteScene(kind, await newCopier(CUT)),
        look: async (scene, reference) => expectNothingHalfVisible(await looked(scene), reference),
        expectDone: async (scene, reference, kept) => {
          const there = await looked(scene);
          expectWhole(there, reference, { kept });
          // Without its journal the day rule has to do it.
          if (kept) expect(await there.leftovers()).toEqual([]);
          const verdict = await there.verify();
          expect(verdict.code, said(verdict)).toBe(0);
        },
      },
      'random-kills-machines-ceph',
    );
  });
});
