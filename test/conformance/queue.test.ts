// Bad input at the queue of remote workers, on a real Redis: servers that cannot be used, tasks that are not ours, answers
// that do not fit. Each has a code of its own, and nothing is published. Tasks and answers are judged by both sides.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chainPrefix, dataKey } from '../../actors/bronze/names.ts';
import { writerOf } from '../../actors/parquet/parquet-writer.ts';
import type { BuildTask } from '../../actors/parquet/spec.ts';
import { BuildWorker } from '../../actors/queue/build-worker.ts';
import { checkQueue } from '../../actors/queue/connect.ts';
import { QueuePool } from '../../actors/queue/queue-pool.ts';
import { askQueue } from '../../actors/queue/readings.ts';
import { placeOf, type QueueResult, type QueueTask, queueName } from '../../actors/queue/task.ts';
import { openStore } from '../../actors/store/index.ts';
import { toFailure } from '../../machines/errors.ts';
import { openMetrics } from '../../runtime/metrics/metrics.ts';
import { tempFolder } from '../support/bronze.ts';
import { Scrape } from '../support/read-metrics.ts';
import { describeRedis, freePort, TestRedis } from '../support/redis.ts';

const failing = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('it should have been refused');
    },
    (error: unknown) => toFailure(error),
  );

describeRedis('a server that cannot be used', () => {
  it('wrong password, and none: refused, not an outage', async () => {
    const redis = await TestRedis.start('--requirepass', 'right');
    for (const password of ['wrong', null]) {
      const failure = await failing(checkQueue({ url: redis.url, password }));
      expect(failure).toMatchObject({ code: 'QUEUE_DENIED', retryable: false });
      expect(JSON.stringify(failure)).not.toContain('wrong"');
    }
    await checkQueue({ url: redis.url, password: 'right' });
  });

  it('a policy that may drop tasks', async () => {
    const redis = await TestRedis.start('--maxmemory-policy', 'allkeys-lru');
    const failure = await failing(checkQueue({ url: redis.url, password: null }));
    expect(failure).toMatchObject({ code: 'QUEUE_UNFIT', message: expect.stringContaining('allkeys-lru') });
  });

  it('no Redis at all', async () => {
    const server = createServer((_, response) => response.end('<html>hello</html>'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const failure = await failing(checkQueue({ url: `redis://127.0.0.1:${port}`, password: null }));
    expect(failure).toMatchObject({ code: 'QUEUE_UNFIT', retryable: false });
    server.close();
  });

  it('TLS with a server that has none', async () => {
    const redis = await TestRedis.start();
    const failure = await failing(checkQueue({ url: redis.url.replace('redis:', 'rediss:'), password: null }));
    expect(failure.code).toMatch(/^QUEUE_(?:UNFIT|UNAVAILABLE)$/);
  });

  it('nobody there: an outage, which may pass', async () => {
    const failure = await failing(checkQueue({ url: `redis://127.0.0.1:${await freePort()}`, password: null }));
    expect(failure).toMatchObject({ code: 'QUEUE_UNAVAILABLE', retryable: true });
  });
});

const CHAIN = { network: 'sample', eraId: 'whole', versionLabel: 'v1' };
const TABLE = 'ledgers_lcm_raw';
const RANGE = { start: 10, end: 19 };
const COMPRESSION = { codec: 'zstd', level: 3 } as const;

describeRedis('tasks and answers', () => {
  let redis: TestRedis;
  let name: string;
  let pool: QueuePool;
  let task: BuildTask;
  const root = tempFolder();
  const storeSpec = { backend: 'local', root, prefix: 'bronze/' } as const;
  const sourceSpec = { mode: 'local', path: tempFolder(), configured: null } as const;
  const store = openStore(storeSpec);
  const closing: { close(): Promise<unknown> }[] = [];
  /** A thread pool that is never asked. */
  const nobody = { run: () => Promise.reject(new Error('a local thread was asked')) };

  beforeEach(async () => {
    redis = await TestRedis.start();
    name = queueName(placeOf(storeSpec), placeOf(sourceSpec));
    pool = new QueuePool({
      spec: { url: redis.url, password: null },
      local: nobody,
      store,
      storeSpec,
      sourceSpec,
      table: TABLE,
      onNotice: () => undefined,
      lookMs: 200,
    });
    closing.push(pool);
    task = {
      kind: 'build',
      chain: CHAIN,
      range: RANGE,
      source: sourceSpec,
      layout: { ledgersPerFile: 1, filesPerPartition: 1, networkPassphrase: null, origin: 'lake', suffix: 'zst' },
      staging: store.stagingSpec(chainPrefix(CHAIN), 'owner-1'),
      key: dataKey(CHAIN, TABLE, RANGE),
      attempt: '10-19.1',
      compression: COMPRESSION,
      checks: { results: true, protocolMin: null, protocolMax: null, networkPassphrase: null },
    };
  });

  afterEach(async () => {
    for (const each of closing.splice(0).reverse()) await each.close();
    await redis.stop();
  });

  const connection = (): Redis => {
    const client = new Redis(redis.url, { maxRetriesPerRequest: null });
    client.on('error', () => undefined);
    closing.push({ close: async () => client.disconnect() });
    return client;
  };

  /** Somebody who answers whatever he is told to. */
  async function answering(make: (task: QueueTask) => unknown): Promise<void> {
    const worker = new Worker<QueueTask, unknown>(name, async (job) => make(job.data), { connection: connection() });
    closing.push(worker);
    await worker.waitUntilReady();
  }

  const HASH = 'ab'.repeat(32);
  const honest = (of: QueueTask): QueueResult => ({
    format: 2,
    worker: 'somebody',
    range: of.range,
    answer: {
      handle: `${root}/bronze/sample/whole/v1/_staging/owner-1.10-19.1.tmp`,
      data: { file: 'part-10-19.parquet', checksum: `sha256:${HASH}`, rowCount: 10, byteSize: 1_000 },
      ledgers: { first_hash: HASH, last_hash: HASH, previous_hash: HASH, content_root: HASH },
      writer: { ...writerOf(COMPRESSION) },
      checks: {},
      firstObject: 'x',
      sourceBytes: 1,
      rawBytes: 1,
    },
  });
  const with_ = (of: QueueTask, change: Partial<NonNullable<QueueResult['answer']>>): QueueResult => {
    const result = honest(of);
    return { ...result, answer: { ...(result.answer as NonNullable<QueueResult['answer']>), ...change } };
  };

  it('an honest answer is taken', async () => {
    await answering(honest);
    await expect(pool.run(task)).resolves.toMatchObject({ data: { byteSize: 1_000 } });
  });

  it('closed: no connection is left', async () => {
    const look = connection();
    const clients = async () =>
      String(await look.client('LIST'))
        .trim()
        .split('\n').length;
    await expect.poll(clients).toBe(1);
    await pool.readings();
    expect(await clients()).toBeGreaterThan(1);
    await pool.close();
    await expect.poll(clients).toBe(1);
  });

  const LIES: Readonly<Record<string, (of: QueueTask) => unknown>> = {
    nothing: () => null,
    'another partition': (of) => ({ ...honest(of), range: { start: 20, end: 29 } }),
    'fewer rows': (of) =>
      with_(of, { data: { file: 'part-10-19.parquet', checksum: `sha256:${HASH}`, rowCount: 9, byteSize: 1 } }),
    'another file': (of) =>
      with_(of, { data: { file: 'part-20-29.parquet', checksum: `sha256:${HASH}`, rowCount: 10, byteSize: 1 } }),
    'another place': (of) => with_(of, { handle: '/etc/passwd' }),
    'what another owner staged': (of) =>
      with_(of, { handle: `${root}/bronze/sample/whole/v1/_staging/owner-2.10-19.1.tmp` }),
    'another bucket': (of) => with_(of, { handle: JSON.stringify({ key: of.attempt, upload: 'u', parts: [] }) }),
    'other versions': (of) => with_(of, { writer: { ...writerOf(COMPRESSION), zstd: '0.0.1' } }),
    'a later format': (of) => ({ ...honest(of), format: 3 }),
    'a code that does not exist': (of) => ({
      format: 2,
      worker: 'somebody',
      range: of.range,
      failure: { code: 'NO_SUCH_CODE', message: 'm', retryable: true },
    }),
    'more than any answer needs': (of) => with_(of, { handle: 'x'.repeat(5 * 1024 * 1024) }),
  };

  it.each(Object.entries(LIES))('an answer that says %s: ANSWER_INVALID', async (_, lie) => {
    await answering(lie);
    expect(await failing(pool.run(task))).toMatchObject({ code: 'ANSWER_INVALID', retryable: false });
  });

  it("a worker's own failure comes with its code and its name", async () => {
    await answering((of) => ({
      format: 2,
      worker: 'somebody',
      range: of.range,
      failure: { code: 'LEDGER_HASH', message: 'ledger 12 is wrong', retryable: false, ledger: 12 },
    }));
    expect(await failing(pool.run(task))).toMatchObject({
      code: 'LEDGER_HASH',
      ledger: 12,
      retryable: false,
      message: 'ledger 12 is wrong (worker somebody)',
    });
  });

  it('a job that fails by itself: WORKER_LOST, which is tried again', async () => {
    await answering(() => {
      throw new Error('out of memory');
    });
    expect(await failing(pool.run(task))).toMatchObject({
      code: 'WORKER_LOST',
      retryable: true,
      message: expect.stringContaining('out of memory'),
    });
  });

  it('cancelled while it waits: the task is gone from the queue', async () => {
    const stop = new AbortController();
    const queue = new Queue(name, { connection: connection() });
    closing.push(queue);
    const run = failing(pool.run(task, { signal: stop.signal }));
    await expect.poll(() => queue.getJobCountByTypes('wait')).toBe(1);
    stop.abort();
    expect(await run).toMatchObject({ code: 'CANCELLED' });
    await expect.poll(() => queue.getJobCountByTypes('wait', 'active', 'completed', 'failed')).toBe(0);
  });

  it('what another run of the chain left is dropped; what other chains have stays', async () => {
    const queue = new Queue(name, { connection: connection() });
    closing.push(queue);
    await answering(honest);
    await pool.run(task);
    const dead = { ...(await templateOf(pool, queue, task)), owner: 'dead-owner' };
    await queue.pause();
    await queue.add('build', dead, { jobId: 'bdead' });
    await queue.add('build', { ...dead, chain: { ...CHAIN, eraId: 'other' } }, { jobId: 'bother' });
    await queue.add('build', { what: 'is this' }, { jobId: 'bforeign' });
    const next = { ...task, staging: store.stagingSpec(chainPrefix(CHAIN), 'owner-2') };
    const stop = new AbortController();
    const run = failing(pool.run(next, { signal: stop.signal }));
    await expect.poll(() => queue.getJob('bdead')).toBeUndefined();
    expect(await queue.getJob('bother')).toBeDefined();
    expect(await queue.getJob('bforeign')).toBeDefined();
    stop.abort();
    await run;
  });

  describe('what is told of it', () => {
    const spec = () => ({ url: redis.url, password: null });
    const ask = () => askQueue(spec(), storeSpec, sourceSpec);

    /** As a copier's `/metrics` would say it. */
    async function metricsOf(of: QueuePool): Promise<() => Promise<(number | null)[]>> {
      const metrics = await openMetrics({
        specs: [],
        running: new Map(),
        sourceSpec,
        storeSpec,
        stateDir: root,
        isHealthy: () => true,
        queue: { readings: () => of.readings(), stalled: () => of.stalled },
        onProblem: () => undefined,
      });
      closing.push(metrics);
      return async () => {
        const scrape = new Scrape(await metrics.text());
        return ['up', 'waiting', 'active', 'workers', 'stalled_total'].map((name) => scrape.value(`queue_${name}`));
      };
    }

    it('nothing, and it stays nothing', async () => {
      expect(await ask()).toEqual({ waiting: 0, active: 0, workers: [] });
      expect(await connection().keys('*')).toEqual([]);
    });

    it('tasks that wait, that are being built, that a silent worker had; who is there', async () => {
      const stop = new AbortController();
      const read = await metricsOf(pool);
      const runs = [task, { ...task, attempt: '10-19.2' }].map((of) => failing(pool.run(of, { signal: stop.signal })));
      await expect.poll(ask).toEqual({ waiting: 2, active: 0, workers: [] });
      expect(await read()).toEqual([1, 2, 0, 0, 0]);
      const hold = { lockDuration: 1_000, stalledInterval: 500, skipLockRenewal: true };
      const never = () => new Promise<never>(() => undefined);
      const silent = new Worker(name, never, { connection: connection(), name: 'host-1', ...hold });
      await expect.poll(ask).toEqual({ waiting: 1, active: 1, workers: ['host-1'] });
      await silent.close(true);
      const other = new Worker(name, never, {
        connection: connection(),
        name: 'host-2',
        ...hold,
        skipLockRenewal: false,
      });
      await expect.poll(() => pool.stalled, { timeout: 20_000 }).toBe(1);
      await expect.poll(read).toEqual([1, 1, 1, 1, 1]);
      stop.abort();
      await Promise.all(runs);
      await other.close(true);
    });

    it('not known, and soon, where the server is away', async () => {
      const read = await metricsOf(pool);
      expect(await read()).toEqual([1, 0, 0, 0, 0]);
      await redis.stop();
      expect(await read()).toEqual([0, null, null, null, 0]);
      expect(await failing(ask())).toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
      await pool.close();
      // A question at the very end opens nothing that nobody would close.
      await expect(pool.readings()).rejects.toMatchObject({ code: 'CANCELLED' });
    });
  });

  describe('a worker', () => {
    /** What it answers to a task that is put there by hand. */
    async function answerTo(data: unknown): Promise<{ result: QueueResult; worker: BuildWorker }> {
      const worker = new BuildWorker({
        spec: { url: redis.url, password: null },
        store,
        storeSpec,
        sourceSpec,
        pool: nobody,
        concurrency: 1,
        onEvent: () => undefined,
      });
      closing.push(worker);
      const queue = new Queue(name, { connection: connection() });
      const events = new QueueEvents(name, { connection: connection() });
      closing.push(queue, events);
      await events.waitUntilReady();
      const job = await queue.add('build', data as QueueTask);
      await worker.start();
      return { result: (await job.waitUntilFinished(events, 20_000)) as QueueResult, worker };
    }

    const base = {
      format: 2,
      bronze: placeOf(storeSpec),
      lake: placeOf(sourceSpec),
      chain: CHAIN,
      table: TABLE,
      range: RANGE,
      layout: { ledgersPerFile: 1, filesPerPartition: 1, networkPassphrase: null, origin: 'lake', suffix: 'zst' },
      attempt: '10-19.1',
      compression: COMPRESSION,
      checks: { results: true, protocolMin: null, protocolMax: null, networkPassphrase: null },
      writer: { ...writerOf(COMPRESSION) },
      owner: 'owner-1',
      upload: null,
      correlationId: 'x',
    };

    it.each([
      ['no task', { hello: 'world' }],
      ['a later format', { ...base, format: 3 }],
      ['a trusted hash that is none', { ...base, checks: { ...base.checks, trusted: [{ ledger: 10, hash: 'x' }] } }],
      ['another Bronze', { ...base, bronze: 's3 aws somebody-else bronze/' }],
      ['another lake', { ...base, lake: 'file /etc' }],
      ['a name that leaves its folder', { ...base, chain: { ...CHAIN, eraId: '../../etc' } }],
      ['a range that ends before it begins', { ...base, range: { start: 19, end: 10 } }],
      ['something too large', { ...base, attempt: 'x'.repeat(100_000) }],
    ])('refuses %s: TASK_INVALID', async (_, data) => {
      const { result } = await answerTo(data);
      expect(result.failure).toMatchObject({ code: 'TASK_INVALID', retryable: false });
    });

    it('refuses what it would write as other bytes, says who it is, and takes no more', async () => {
      const { result, worker } = await answerTo({ ...base, writer: { ...base.writer, zstd: '9.9.9' } });
      expect(result.failure).toMatchObject({
        code: 'WORKER_MISMATCH',
        message: expect.stringContaining(`${worker.name} would write other bytes: zstd: wanted 9.9.9`),
      });
      expect(worker.mismatch).toMatchObject({ code: 'WORKER_MISMATCH' });
    });
  });
});

/** A task as the pool makes them. */
async function templateOf(pool: QueuePool, queue: Queue, task: BuildTask): Promise<QueueTask> {
  const stop = new AbortController();
  await queue.pause();
  const run = failing(pool.run({ ...task, attempt: 'template' }, { signal: stop.signal }));
  let found: QueueTask | undefined;
  await expect
    .poll(async () => {
      const jobs = await queue.getJobs(['wait', 'paused' as never]);
      found = jobs.find((job) => (job.data as QueueTask).attempt === 'template')?.data as QueueTask;
      return found !== undefined;
    })
    .toBe(true);
  stop.abort();
  await run;
  await queue.resume();
  return found as QueueTask;
}
