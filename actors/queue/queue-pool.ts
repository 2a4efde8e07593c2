/**
 * The coordinator's side of the queue: builds go to remote workers, everything else to the threads of this process. It
 * stands behind the port of the thread pool, so machines, retries, window and back-pressure do not know of it.
 *
 * The queue is a hint. Whatever it loses is put there again; whatever it says is judged; what it has of a dead run is
 * dropped. It must never take an answer on trust, never fail a build because the server is away (that is a declared
 * wait), and never let a remote upload begin that the journal of this copier does not know.
 */
import { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job, Queue, QueueEvents } from 'bullmq';
import type { Redis } from 'ioredis';
import { BronzeError } from '../../machines/errors.ts';
import { rangeLabel } from '../../machines/partitions.ts';
import { orAborted } from '../bounded.ts';
import { type ChainName, chainKey, dataKey } from '../bronze/names.ts';
import { writerOf } from '../parquet/parquet-writer.ts';
import type { BuildAnswer, BuildTask, ReadBackAnswer, ReadBackTask } from '../parquet/spec.ts';
import type { SourceSpec } from '../ports/source.ts';
import type { BronzeStore, Reservation, StoreSpec } from '../ports/store.ts';
import type { RunOptions, ThreadPool } from '../threads/pool.ts';
import { checkQueue, connectQueue, type QueueSpec, queueError, queueUri } from './connect.ts';
import { type QueueReadings, readQueue } from './readings.ts';
import {
  jobId,
  parseResult,
  parseTask,
  placeOf,
  type QueueResult,
  type QueueTask,
  queueName,
  TASK_FORMAT,
} from './task.ts';

/** Between two looks at what is out, ms: events tell sooner, but events can be lost. */
const LOOK_MS = 5_000;
/** Between two attempts to reach a server that is away at the start, ms. */
const AGAIN_MS = 2_000;
/** Seconds that a finished task of a run that nobody took the answer of is kept. */
const KEEP_S = 3_600;

const WORKER_WAIT = 'waiting for a remote worker';
const QUEUE_WAIT = 'waiting for the queue of remote workers';

export interface QueuePoolOptions {
  readonly spec: QueueSpec;
  readonly local: Pick<ThreadPool, 'run'>;
  readonly store: BronzeStore;
  readonly storeSpec: StoreSpec;
  readonly sourceSpec: SourceSpec;
  /** Name of the table that partitions are in. */
  readonly table: string;
  /** Told once whenever the server goes away, comes back, or a worker is refused. */
  readonly onNotice: (level: 'info' | 'warn', message: string) => void;
  /** Between two looks at what is out, ms. */
  readonly lookMs?: number;
}

interface Open {
  readonly redis: Redis;
  readonly queue: Queue<QueueTask, QueueResult>;
  readonly events: QueueEvents;
}

export class QueuePool {
  readonly #of: QueuePoolOptions;
  readonly #bronze: string;
  readonly #lake: string;
  /** Emits the id of a job whenever something may have changed about it. */
  readonly #changes = new EventEmitter().setMaxListeners(0);
  readonly #progress = new Map<string, (progress: { ledgers: number; rawBytes: number }) => void>();
  /** Chains whose dead tasks were dropped, by the owner for whom. */
  readonly #swept = new Map<string, Promise<void>>();
  #opening: Promise<Open> | null = null;
  #ticker: NodeJS.Timeout | null = null;
  #isAway = false;
  #isRefusing = false;
  #closed = false;
  /** Tasks that were taken from a worker that had died or stood still, so far. */
  stalled = 0;

  constructor(options: QueuePoolOptions) {
    this.#of = options;
    this.#bronze = placeOf(options.storeSpec);
    this.#lake = placeOf(options.sourceSpec);
  }

  run(task: BuildTask, options?: RunOptions): Promise<BuildAnswer>;
  run(task: ReadBackTask, options?: RunOptions): Promise<ReadBackAnswer>;
  run(task: BuildTask | ReadBackTask, options: RunOptions = {}): Promise<BuildAnswer | ReadBackAnswer> {
    return task.kind === 'build' ? this.#build(task, options) : this.#of.local.run(task, options);
  }

  /** What is in the queue now. Throws QUEUE_*. */
  async readings(): Promise<QueueReadings> {
    // Whoever asks at the very end must not open it again: nobody would close it.
    if (this.#closed) throw cancelled('the queue is closed');
    // A question would wait until it is back.
    if (this.#isAway) throw queueError(this.#of.spec, new Error('it is away'));
    return readQueue((await this.#open()).queue);
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#ticker) clearInterval(this.#ticker);
    const open = await this.#opening?.catch(() => null);
    if (!open) return;
    // Not `quit`, which waits for a server that may be away.
    await Promise.allSettled([open.events.close(), open.queue.close()].map((end) => Promise.race([end, sleep(2_000)])));
    open.redis.disconnect();
  }

  async #build(task: BuildTask, options: RunOptions): Promise<BuildAnswer> {
    const { signal = new AbortController().signal, onQueued, onStarted, onProgress } = options;
    const declare = (reason: string | null): void => {
      if (reason === null) onStarted?.();
      else onQueued?.(reason);
    };
    if (signal.aborted) throw cancelled(signal.reason);
    declare(QUEUE_WAIT);
    const open = await orCancelled(this.#ready(task.chain, task.staging.owner, signal), signal);
    const reservation = await this.#of.store.reserve(task.staging, { name: task.attempt, key: task.key }, signal);
    let taken = false;
    try {
      const queued = this.#taskOf(task, reservation.upload);
      const id = jobId(queued);
      if (onProgress) this.#progress.set(id, onProgress);
      try {
        const answer = await this.#settle(open, id, queued, reservation, declare, signal);
        taken = true;
        return answer;
      } finally {
        this.#progress.delete(id);
      }
    } finally {
      // Late workers find nothing to write to. What cannot be given up now is in the journal for the next sweep.
      if (!taken) await reservation.release().catch(() => undefined);
    }
  }

  #taskOf(task: BuildTask, upload: string | null): QueueTask {
    const { chain, range, layout, attempt, compression, staging } = task;
    const { trusted, ...checks } = task.checks;
    return {
      format: TASK_FORMAT,
      bronze: this.#bronze,
      lake: this.#lake,
      chain: { ...chain },
      table: this.#of.table,
      range: { ...range },
      layout: { ...layout },
      attempt,
      compression: { ...compression },
      checks: trusted === undefined ? checks : { ...checks, trusted: [...trusted] },
      writer: { ...writerOf(compression) },
      owner: staging.owner,
      upload,
      correlationId: `${chainKey(chain)} ${rangeLabel(range)} ${attempt}`,
    };
  }

  /** Puts the task there, again where it vanished, until there is an answer for it. */
  async #settle(
    { queue }: Open,
    id: string,
    task: QueueTask,
    reservation: Reservation,
    declare: (reason: string | null) => void,
    signal: AbortSignal,
  ): Promise<BuildAnswer> {
    let said: string | null | undefined;
    const say = (reason: string | null): void => {
      if (reason !== said) declare(reason);
      said = reason;
    };
    try {
      for (;;) {
        const change = this.#change(id, signal);
        const step = await orCancelled(this.#inspectTask(queue, id, task), signal).catch((error: unknown) => {
          if (signal.aborted) throw error;
          const failure = queueError(this.#of.spec, error);
          if (!failure.retryable) throw failure;
          this.#noteRefusal(failure.message);
          return { wait: QUEUE_WAIT } as const;
        });
        if ('job' in step) {
          // Whatever it says, it was said: an attempt has one answer.
          void step.job.remove().catch(() => undefined);
          return parseResult(step.job.returnvalue, task, (handle) => reservation.owns(handle));
        }
        if ('failure' in step) throw step.failure;
        say(this.#isAway ? QUEUE_WAIT : step.wait);
        await change;
        if (signal.aborted) throw cancelled(signal.reason);
      }
    } catch (error) {
      void this.#withdraw(queue, id, task);
      throw error;
    }
  }

  /** What became of a task. It is added where it is not there: added for the first time, or lost by the server. */
  async #inspectTask(
    queue: Open['queue'],
    id: string,
    task: QueueTask,
  ): Promise<{ wait: string | null } | { job: Job<QueueTask, QueueResult> } | { failure: BronzeError }> {
    const job = await queue.getJob(id);
    if (!job) {
      await queue.add('build', task, {
        jobId: id,
        attempts: 1,
        removeOnComplete: { age: KEEP_S },
        removeOnFail: { age: KEEP_S },
        stackTraceLimit: 0,
      });
      this.#noteTaken();
      return { wait: WORKER_WAIT };
    }
    const state = await job.getState();
    if (state === 'completed') {
      // What was read before it ended has no answer in it.
      const ended = job.finishedOn === undefined ? await queue.getJob(id) : job;
      return ended?.finishedOn === undefined ? { wait: WORKER_WAIT } : { job: ended };
    }
    if (state === 'failed') {
      // As above: what was read before it ended has no reason in it.
      const ended = job.finishedOn === undefined ? await queue.getJob(id) : job;
      void job.remove().catch(() => undefined);
      return {
        failure: new BronzeError(
          'WORKER_LOST',
          `no remote worker finished partition ${rangeLabel(task.range)}: ${ended?.failedReason ?? 'no reason'}`,
          { details: { ...task.range, hint: 'workers died over it: look at their logs and at their memory' } },
        ),
      };
    }
    return { wait: state === 'active' ? null : WORKER_WAIT };
  }

  /** Resolves with the next thing that may have changed about a task. */
  #change(id: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#changes.off(id, done);
        this.#changes.off('all', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#changes.once(id, done);
      this.#changes.once('all', done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Nobody waits for it any more: it is removed, or whoever works on it is told. Never throws. */
  async #withdraw(queue: Open['queue'], id: string, task: QueueTask): Promise<void> {
    try {
      const job = await queue.getJob(id);
      if (job) await withdrawJob(job, task);
    } catch {
      // The next run drops it.
    }
  }

  /** The queue, once its server answers and what a dead run of this chain left there is dropped. Waits without end. */
  async #ready(chain: ChainName, owner: string, signal: AbortSignal): Promise<Open> {
    for (;;) {
      try {
        const open = await this.#open();
        const key = `${chainKey(chain)} ${owner}`;
        let sweeping = this.#swept.get(key);
        if (sweeping === undefined) {
          sweeping = this.#dropDead(open.queue, chain, owner);
          this.#swept.set(key, sweeping);
          sweeping.catch(() => this.#swept.delete(key));
        }
        await sweeping;
        return open;
      } catch (error) {
        const failure = error instanceof BronzeError ? error : queueError(this.#of.spec, error);
        if (!failure.retryable || failure.code !== 'QUEUE_UNAVAILABLE') throw failure;
        this.#noteAway(failure.message);
        await sleep(AGAIN_MS, undefined, { signal });
      }
    }
  }

  #noteAway(why: string): void {
    if (this.#isAway) return;
    this.#isAway = true;
    this.#of.onNotice('warn', `${why}; builds wait for it`);
    this.#changes.emit('all');
  }

  /** It answers, and takes nothing: it is full, or loading. Wakes nobody: whoever looked would look again at once. */
  #noteRefusal(why: string): void {
    if (this.#isRefusing) return;
    this.#isRefusing = true;
    this.#of.onNotice('warn', `${why}; builds wait for it`);
  }

  #noteTaken(): void {
    if (!this.#isRefusing) return;
    this.#isRefusing = false;
    this.#of.onNotice('info', `the queue ${queueUri(this.#of.spec)} takes tasks again`);
  }

  #noteBack(): void {
    if (!this.#isAway) return;
    this.#isAway = false;
    this.#of.onNotice('info', `the queue ${queueUri(this.#of.spec)} is back`);
    this.#changes.emit('all');
  }

  #open(): Promise<Open> {
    this.#opening ??= this.#connect().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #connect(): Promise<Open> {
    const { spec } = this.#of;
    await checkQueue(spec);
    const { Queue, QueueEvents } = await import('bullmq');
    const redis = await connectQueue(spec);
    const name = queueName(this.#bronze, this.#lake);
    const queue = new Queue<QueueTask, QueueResult>(name, { connection: redis });
    // It listens on a copy of the connection, which it makes and closes by itself.
    const events = new QueueEvents(name, { connection: redis });
    queue.on('error', () => undefined);
    events.on('error', () => undefined);
    redis.on('close', () => {
      if (!this.#closed) this.#noteAway(`the connection to the queue ${queueUri(spec)} is lost`);
    });
    redis.on('ready', () => this.#noteBack());
    for (const event of ['active', 'completed', 'failed', 'waiting', 'removed'] as const) {
      events.on(event, ({ jobId: id }: { jobId: string }) => this.#changes.emit(id));
    }
    events.on('stalled', ({ jobId: id }) => {
      this.stalled += 1;
      this.#changes.emit(id);
    });
    events.on('progress', ({ jobId: id, data }) => {
      const { ledgers, rawBytes } = (data ?? {}) as { ledgers?: unknown; rawBytes?: unknown };
      if (typeof ledgers === 'number' && typeof rawBytes === 'number') this.#progress.get(id)?.({ ledgers, rawBytes });
    });
    // Alive as long as somebody waits for an answer: the connections keep the process, and `close` ends them.
    this.#ticker = setInterval(() => this.#changes.emit('all'), this.#of.lookMs ?? LOOK_MS);
    this.#ticker.unref();
    await queue.waitUntilReady();
    this.#noteBack();
    return { redis, queue, events };
  }

  /**
   * Removes what other runs of this chain have in the queue, and gives up their uploads: the lock of the chain is ours, so
   * whoever put them there is dead, or should not be at work.
   */
  async #dropDead(queue: Open['queue'], chain: ChainName, owner: string): Promise<void> {
    const { store } = this.#of;
    const jobs = await queue.getJobs(['wait', 'active', 'delayed', 'prioritized', 'completed', 'failed']);
    let dropped = 0;
    for (const job of jobs) {
      const task = taskIn(job);
      if (task === null || chainKey(task.chain) !== chainKey(chain) || task.owner === owner) continue;
      await withdrawJob(job, task);
      dropped += 1;
      if (task.upload === null) continue;
      const handle = JSON.stringify({ key: dataKey(chain, task.table, task.range), upload: task.upload, parts: [] });
      await store.discard([handle]);
    }
    if (dropped > 0) {
      this.#of.onNotice('info', `dropped ${dropped} task${dropped === 1 ? '' : 's'} of an earlier run from the queue`);
    }
  }
}

/** Null for what is no task of this release: it is left alone. */
function taskIn(job: Job | undefined): QueueTask | null {
  if (!job) return null;
  try {
    return parseTask(job.data);
  } catch {
    return null;
  }
}

/** Removes a task; one that a worker holds is marked, so that he lets go of it. */
async function withdrawJob(job: Job<QueueTask, QueueResult>, task: QueueTask): Promise<void> {
  try {
    await job.remove();
  } catch {
    await job.updateData({ ...task, cancelled: true });
  }
}

const cancelled = (cause: unknown): BronzeError => new BronzeError('CANCELLED', 'the work was cancelled', { cause });

async function orCancelled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await orAborted(promise, signal);
  } catch (error) {
    if (signal.aborted) throw cancelled(signal.reason);
    throw error;
  }
}
