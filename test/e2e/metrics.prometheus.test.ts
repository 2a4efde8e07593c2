// S23: A real Prometheus scrapes real copiers in which everything goes wrong that an alert is about: every metric moves, every
// query of the dashboard returns data, every alert fires and ends. Four copiers, side by side because all of it is
// waiting: a backfill of two eras of real ledgers, whose lake, store, catalog and endpoint fail; one whose lake hangs; one
// that follows its lake, with an era that fails, a hole, and an end that nobody asked for; one with remote workers.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { METRICS, PREFIX } from '../../runtime/metrics/definitions.ts';
import { buildDashboard, queriesOf } from '../../tools/dashboard/board.ts';
import { type AuditServer, startAuditServer } from '../support/audit-endpoint.ts';
import { tempFolder } from '../support/bronze.ts';
import { holdCatalog } from '../support/catalog.ts';
import { said } from '../support/copier.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { type GcsDouble, startGcsDouble } from '../support/gcs-double.ts';
import {
  makeLake,
  objectOf,
  SAMPLE_SOURCE,
  SMALL,
  sampleEra,
  sampleLake,
  takeAway,
  takeOver,
} from '../support/lakes.ts';
import { freePort } from '../support/postgres.ts';
import { type Running, Scene, type Settings } from '../support/program.ts';
import { type ActiveAlert, describePrometheus, Prometheus, ruleFiles, rulesIn } from '../support/prometheus.ts';
import { describeRedis, TestRedis } from '../support/redis.ts';
import { environmentFor, lakeIn, remoteScene, sourceIn } from '../support/remote-scene.ts';
import { scaledRanges, scaledRules } from '../support/scaled-rules.ts';
import { describeShared } from '../support/shared.ts';

const SCRAPE_MS = 500;
/** Ten samples in the shortest range, five minutes. */
const RANGES = 60;
const WAITS = 150;
const MIB = 1024 * 1024;
/** What the disk loses, and how much of it an alert asks for; others write to it in the meantime. */
const BALLAST_MIB = 1024;
/** Longer than any alert takes, and any run, on a busy machine, ms. */
const PATIENCE_MS = 60_000;
const RUN_MS = 120_000;

const NAMES = rulesIn(ruleFiles().values()).flatMap(({ alert }) => (alert === undefined ? [] : [alert]));
/** What a run has from its beginning to its end, by definition. */
const CONSTANT = new Set(['era_first_ledger', 'era_last_ledger', 'disk_size_bytes', 'build_info']);

const errorsOf = (kind: string): string => `bronze_copier:errors:rate5m{kind${kind}}`;

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What has been seen of alerts and queries, several times a second. */
class Watch {
  readonly fired = new Map<string, ActiveAlert[]>();
  readonly unanswered: Map<string, string>;
  firing: readonly ActiveAlert[] = [];
  readonly #prometheus: Prometheus;
  readonly #over: Promise<void>;
  #isOver = false;

  constructor(prometheus: Prometheus, queries: ReadonlyMap<string, string>) {
    this.#prometheus = prometheus;
    this.unanswered = new Map(queries);
    this.#over = this.#look();
    // Whoever waits for what it sees, hears of it.
    this.#over.catch(() => {});
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      this.firing = (await this.#prometheus.alerts()).filter(({ state }) => state === 'firing');
      for (const alert of this.firing) {
        const known = this.fired.get(alert.name) ?? [];
        this.fired.set(alert.name, known);
        if (!known.some(({ labels }) => JSON.stringify(labels) === JSON.stringify(alert.labels))) known.push(alert);
      }
      for (const [name, expr] of this.unanswered) {
        const answered = await this.#prometheus.query(expr);
        if (answered.some(({ value }) => !Number.isNaN(value))) this.unanswered.delete(name);
      }
      await sleep(SCRAPE_MS / 2);
    }
  }

  async until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const late = performance.now() + PATIENCE_MS;
    while (!(await holds())) {
      if (performance.now() > late) {
        throw new Error(
          `${what}: not in ${PATIENCE_MS} ms; firing now: ${this.firing.map(({ name, labels }) => `${name} of ${labels.instance}`).join(', ')}`,
        );
      }
      await Promise.race([sleep(SCRAPE_MS / 2), this.#over]);
    }
  }

  untilFires = (name: string, instance: string): Promise<void> =>
    this.until(
      () => (this.fired.get(name) ?? []).some(({ labels }) => labels.instance === instance),
      `${name} fires for ${instance}`,
    );

  untilEnds = (name: string, instance: string): Promise<void> =>
    this.until(
      () => !this.firing.some((alert) => alert.name === name && alert.labels.instance === instance),
      `${name} ends for ${instance}`,
    );

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#over;
  }
}

const metricsOn = (port: number): Settings => ({ metrics: { enabled: true, address: `127.0.0.1:${port}` } });

/** Waits for something while a program runs; fails at once where it ends before. */
const during = (running: Running, wait: Promise<void>): Promise<void> =>
  Promise.race([
    wait,
    running.done.then((run) => {
      throw new Error(`it ended too early: ${said(run)}`);
    }),
  ]);

/** A disk that fills, step by step, until `release`. Allocated and not written: it takes no time. */
async function fillDisk(folder: string): Promise<void> {
  const file = join(folder, 'ballast');
  for (let size = 64; size <= BALLAST_MIB; size += 64) {
    execFileSync('fallocate', ['-l', `${size}MiB`, file]);
    await sleep(SCRAPE_MS / 2);
  }
}

const describeReal = (body: () => void) => describeShared('of real ledgers', () => describeRedis('and a queue', body));

describePrometheus('every metric, query and alert on real runs', () => {
  describeReal(() => {
    let double: GcsDouble;
    let endpoint: AuditServer;
    let prometheus: Prometheus;
    let watch: Watch;
    const proxies: FaultProxy[] = [];
    const ports: Record<string, number> = {};
    const disk = tempFolder();

    const proxyBeforeGcs = async (): Promise<FaultProxy> => {
      const proxy = await startFaultProxy(double.url);
      proxies.push(proxy);
      return proxy;
    };

    beforeAll(async () => {
      double = await startGcsDouble();
      endpoint = await startAuditServer();
      for (const name of ['backfill', 'hanging', 'following', 'queued']) ports[name] = await freePort();
      const { bavail, bsize, blocks } = statfsSync(disk);
      const free = bavail * bsize;
      const rules = scaledRules(ruleFiles(), {
        waits: WAITS,
        ranges: RANGES,
        replaced: {
          BronzeCopierDiskAlmostFull: [['< 0.05', `< ${(free - (BALLAST_MIB / 2) * MIB) / (blocks * bsize)}`]],
          BronzeCopierDiskFilling: [
            ['21600) < 0', `${21_600 / WAITS}) < ${free - 2 * BALLAST_MIB * MIB}`],
            ['< 0.5', '< 2'],
          ],
          BronzeCopierCatalogPending: [['> 100', '> 0']],
          // One worker that dies takes a while.
          BronzeCopierRemoteWorkersSilent: [
            ['> 3', '> 0'],
            ['0.1 *', '0 *'],
          ],
          // Only a hole holds up a copier of so few ledgers. That one is no reason is tried by promtool.
          BronzeCopierFallingBehind: [['lake_hole_ledger > 0', 'lake_hole_ledger < 0']],
          // Pauses between attempts are not scaled: what is at most a fifth of a range there may be longer than it here.
          BronzeCopierEventsUndelivered: [[errorsOf('="audit"'), `max_over_time(${errorsOf('="audit"')}[20s])`]],
          BronzeCopierFailing: [
            [errorsOf('=~"source|storage"'), `max_over_time(${errorsOf('=~"source|storage"')}[15s])`],
          ],
        },
      });
      prometheus = await Prometheus.start({
        rules,
        scrapeIntervalMs: SCRAPE_MS,
        targets: Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, `127.0.0.1:${port}`])),
      });
      const queries = queriesOf(buildDashboard(), '1m').map(
        ({ panel, expr }) => [`${panel}: ${expr}`, scaledRanges(expr, RANGES / 6)] as const,
      );
      watch = new Watch(prometheus, new Map(queries));
    });

    afterAll(async () => {
      await watch?.stop();
      await prometheus?.stop();
      for (const proxy of proxies) await proxy.close();
      await endpoint?.stop();
      await double?.close();
    });

    /** Two eras; each is held up at two partitions, with what follows staged behind them. */
    async function backfill(): Promise<void> {
      const lake = makeLake({ start: 1_000, count: 100, templates: SMALL });
      const proxy = await proxyBeforeGcs();
      const kind = { protocol: 'gcs', double, url: proxy.url } as const;
      const { name } = await lakeIn({ protocol: 'gcs', double }, lake.path);
      const era = { version_label: 'v1', network: 'pubnet', partition_size: 10 };
      const local = new Scene(
        '',
        [
          { ...era, era_id: 'early', ledger_start: 1_000, ledger_end: 1_049 },
          { ...era, era_id: 'late', ledger_start: 1_050, ledger_end: 1_099 },
        ],
        {
          perf: { workers: 4, threads: 2, retry_attempts: 20 },
          catalog: { backend: 'embedded', strict: false },
          pas: { endpoint: endpoint.url, strict: false },
        },
      );
      local.change({ source: sourceIn(kind, name), catalog: { dir: join(local.state, 'catalog') } });
      const scene = await remoteScene(kind, local);
      const first = await scene.run({ args: ['--to', '1009', '--eras', 'early'] });
      expect(first.code, said(first)).toBe(0);

      proxy.rules.push({ name: 'down', path: /--10[1267]\d\.xdr/, fault: { kind: 'answer', status: 503 } });
      endpoint.behave = () => ({ kind: 'answer', status: 503 });
      const running = scene.start('run', { settings: metricsOn(ports.backfill as number), patienceMs: RUN_MS });
      await during(running, watch.untilFires('BronzeCopierFailing', 'backfill'));
      // Nothing is committed now, so nobody else has the file open.
      const letGo = await holdCatalog(join(local.state, 'catalog'), 'READ_WRITE');
      // Both eras stay: what an era that is over has left behind is the next run's.
      proxy.rules[0] = { path: /\/range=(?:1010-1019|1090-1099)\//, fault: { kind: 'answer', status: 503 } };
      await during(running, watch.untilFires('BronzeCopierEventsUndelivered', 'backfill'));
      await during(running, watch.untilFires('BronzeCopierCatalogPending', 'backfill'));
      await letGo();
      endpoint.behave = () => null;
      await during(running, watch.untilEnds('BronzeCopierCatalogPending', 'backfill'));
      proxy.rules.length = 0;
      const run = await running.done;
      expect(run.code, said(run)).toBe(0);
      expect(run.summary?.eras.map(({ next_ledger }) => next_ledger)).toEqual([1_050, 1_100]);
      await watch.untilEnds('BronzeCopierEventsUndelivered', 'backfill');
      await watch.untilEnds('BronzeCopierFailing', 'backfill');
    }

    /** A lake that sends half an object and then nothing, and a database that is not there. */
    async function hanging(): Promise<void> {
      const proxy = await proxyBeforeGcs();
      const kind = { protocol: 'gcs', double, url: proxy.url } as const;
      const { name } = await lakeIn({ protocol: 'gcs', double }, (await sampleLake()).path);
      let first = 0;
      let wasSeen = false;
      // What was asked for before hangs until the circuit breaker acts; then answers come slowly until that was seen.
      const hang = ({ at }: { at: number }): Fault | null => {
        first ||= at;
        if (at < first + 10_000) return { kind: 'stall-body', afterBytes: 10 };
        return wasSeen ? null : { kind: 'delay', ms: 3_500 };
      };
      proxy.rules.push({ path: /\.xdr\.zst/, fault: hang });
      const database = await freePort();
      const scene = new Scene('', sampleEra({ era_id: 'stuck', ledger_end: 41 }), {
        source: SAMPLE_SOURCE,
        // A thread that hangs is not free at once.
        perf: { stall_timeout_ms: 14_000, workers: 1, threads: 2 },
        catalog: { backend: 'postgres', postgres_dsn: `postgres://nobody@127.0.0.1:${database}/nothing` },
      });
      scene.change({ source: sourceIn(kind, name) });
      Object.assign(scene.environment, environmentFor(kind));
      const running = scene.start('run', { settings: metricsOn(ports.hanging as number), patienceMs: RUN_MS });
      await during(running, watch.untilFires('BronzeCopierCircuitBreakerTripped', 'hanging'));
      await during(running, watch.untilFires('BronzeCopierEraStalled', 'hanging'));
      await during(running, watch.untilEnds('BronzeCopierEraStalled', 'hanging'));
      wasSeen = true;
      const run = await running.done;
      expect(run.code, said(run)).toBe(0);
      // The breaker's second mode ends with the process.
      await watch.untilEnds('BronzeCopierCircuitBreakerTripped', 'hanging');
    }

    /** A failed era beside one that follows its lake; then the process is gone, and then it is back. */
    async function following(): Promise<void> {
      const sample = await sampleLake();
      const scene = new Scene(
        '',
        [
          sampleEra({ era_id: 'broken', ledger_end: 29 }),
          sampleEra({ era_id: 'live', ledger_start: 30, ledger_end: 0 }),
        ],
        { source: { ...SAMPLE_SOURCE, poll_interval_ms: 200 } },
      );
      const lake = join(scene.root, 'lake');
      mkdirSync(lake);
      cpSync(join(sample.path, '.config.json'), join(lake, '.config.json'));
      takeOver(sample.path, lake, range(2, 45));
      const damaged = join(lake, objectOf(sample.path, 25));
      const whole = readFileSync(damaged);
      writeFileSync(damaged, whole.subarray(0, whole.length / 2));
      scene.change({ source: { local_path: lake }, ...metricsOn(ports.following as number) });
      const start = (under: readonly string[] = []): Running => scene.start('run', { patienceMs: RUN_MS, under });

      const running = start();
      await during(running, watch.untilFires('BronzeCopierEraFailed', 'following'));
      await during(running, watch.untilFires('BronzeCopierLakeNotGrowing', 'following'));
      // Later ledgers are there, and one is missing: it is waited for.
      takeOver(sample.path, lake, range(47, 75));
      await during(running, watch.untilEnds('BronzeCopierLakeNotGrowing', 'following'));
      await during(running, watch.untilFires('BronzeCopierLakeHole', 'following'));
      await during(running, watch.untilFires('BronzeCopierFallingBehind', 'following'));
      takeOver(sample.path, lake, [46]);
      await watch.untilEnds('BronzeCopierFallingBehind', 'following');
      await watch.untilEnds('BronzeCopierLakeHole', 'following');
      // The lake is cut below what is committed, and comes back.
      const putBack = range(60, 75).map((ledger) => takeAway(lake, ledger));
      await during(running, watch.untilFires('BronzeCopierLakeBehind', 'following'));
      for (const back of putBack) back();
      await watch.untilEnds('BronzeCopierLakeBehind', 'following');
      running.kill('SIGTERM');
      const failed = await running.done;
      expect(failed.code, said(failed)).toBe(1);
      await watch.untilFires('BronzeCopierDown', 'following');
      // The process is gone, and with it all series; the failure is not forgotten.
      expect(watch.firing.map(({ name }) => name)).toContain('BronzeCopierEraFailed');

      writeFileSync(damaged, whole);
      // Its log goes to a disk that is full: lines are lost and counted.
      const again = start(['sh', '-c', 'exec "$@" >/dev/full', 'sh']);
      await watch.untilEnds('BronzeCopierDown', 'following');
      await watch.untilEnds('BronzeCopierEraFailed', 'following');
      // As a dashboard's reader would: long enough for everything to be seen.
      await watch.until(
        () => watch.unanswered.size === 0,
        `queries without an answer: ${[...watch.unanswered.keys()].join('\n')}`,
      );
      again.kill('SIGTERM');
      const done = await again.done;
      expect(done.code, said(done)).toBe(0);
    }

    /** Partitions that remote workers build: nobody is there, then one that dies, then one that goes on. */
    async function queued(): Promise<void> {
      const redis = await TestRedis.start();
      const era = sampleEra({ era_id: 'far', ledger_end: 0, partition_size: 7 });
      const scene = new Scene((await sampleLake()).path, era, {
        source: SAMPLE_SOURCE,
        storage: { shared: true },
        perf: { queue: redis.url, workers: 3 },
      });
      const running = scene.start('run', { settings: metricsOn(ports.queued as number), patienceMs: RUN_MS });
      await during(running, watch.untilFires('BronzeCopierNoRemoteWorkers', 'queued'));
      const env = { BRONZE_KILL_AT: 'staging:opened#2' };
      const victim = scene.start('worker', { args: ['--concurrency', '1'], env, patienceMs: RUN_MS });
      expect((await victim.done).signal).toBe('SIGKILL');
      const worker = scene.start('worker', { args: ['--concurrency', '1'], patienceMs: RUN_MS });
      await during(running, watch.untilEnds('BronzeCopierNoRemoteWorkers', 'queued'));
      await during(running, watch.untilFires('BronzeCopierRemoteWorkersSilent', 'queued'));
      await redis.stop();
      await during(running, watch.untilFires('BronzeCopierQueueAway', 'queued'));
      await redis.start();
      await during(running, watch.untilEnds('BronzeCopierQueueAway', 'queued'));
      running.kill('SIGTERM');
      const run = await running.done;
      expect(run.code, said(run)).toBe(0);
      worker.kill('SIGTERM');
      await worker.done;
      await redis.stop();
    }

    async function diskFills(): Promise<void> {
      // There is something to compare with.
      await watch.until(
        async () => (await prometheus.query('bronze_copier_disk_free_bytes')).length > 0,
        'disks are known',
      );
      await fillDisk(disk);
      await watch.until(() => watch.fired.has('BronzeCopierDiskAlmostFull'), 'a disk that is almost full fires');
      await watch.until(() => watch.fired.has('BronzeCopierDiskFilling'), 'a disk that fills fires');
      rmSync(join(disk, 'ballast'));
      await watch.until(
        () => !watch.firing.some(({ name }) => name.startsWith('BronzeCopierDisk')),
        'alerts about disks end',
      );
    }

    it('every alert fires and ends', async () => {
      // All of them are waited for, so that none is left running when another one fails.
      const parts = await Promise.allSettled([backfill(), hanging(), following(), queued(), diskFills()]);
      const failures = parts.flatMap((part) => (part.status === 'rejected' ? [String(part.reason)] : []));
      expect(failures.join('\n\n')).toBe('');
      expect([...watch.fired.keys()].sort()).toEqual([...NAMES].sort());
      // A backfill that is through is no copier that is down. The one that hung may copy all it has between two scrapes,
      // which nobody can tell from a copier that was lost.
      const down = watch.fired.get('BronzeCopierDown')?.map(({ labels }) => labels.instance);
      expect(down).toContain('following');
      expect(down).not.toContain('backfill');
      expect(watch.fired.get('BronzeCopierEraFailed')?.map(({ labels }) => [labels.era_id, labels.error_type])).toEqual(
        [['broken', 'OBJECT_CORRUPT']],
      );
    }, 240_000);

    it('no rule goes wrong, and every alert speaks plainly', async () => {
      expect(await prometheus.ruleErrors()).toEqual([]);
      for (const { annotations, name } of [...watch.fired.values()].flat()) {
        for (const text of Object.values(annotations)) expect(text, name).not.toMatch(/<no value>|<error|\{\{|\}\}/);
      }
    });

    it('every query of the dashboard returned data', () => {
      expect([...watch.unanswered.keys()]).toEqual([]);
    });

    it.each(METRICS.map((facts) => [facts.name, facts] as const))('%s moved', async (name, { kind }) => {
      const series = `${PREFIX}${name}${kind === 'histogram' ? '_count' : ''}`;
      const most = await prometheus.query(`max(max_over_time(${series}[1h]))`);
      expect(most, 'it is there').toHaveLength(1);
      if (CONSTANT.has(name)) expect(most[0]?.value).toBeGreaterThan(0);
      else if (kind !== 'gauge') expect(most[0]?.value).toBeGreaterThan(0);
      else {
        const moved = await prometheus.query(`max(max_over_time(${series}[1h]) - min_over_time(${series}[1h]))`);
        expect(moved[0]?.value).toBeGreaterThan(0);
      }
    });
  });
});
