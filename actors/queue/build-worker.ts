/**
 * A remote worker: takes builds from the queue, runs them in the threads of this process, stages into Bronze's store, and
 * answers with the staged handle. It commits nothing and keeps nothing. It must never touch a lake or a Bronze other than
 * its own configuration's, never stage for a task that would come out as other bytes, and never hold on to a task that
 * it cannot finish: what is not done when it is told to stop goes back to the queue at once.
 */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Job, Worker } from 'bullmq';
import { BronzeError, toFailure } from '../../machines/errors.ts';
import type { LedgerRange } from '../../machines/protocol.ts';
import { chainPrefix } from '../bronze/names.ts';
import { writerOf } from '../parquet/parquet-writer.ts';
import type { SourceSpec } from '../ports/source.ts';
import type { BronzeStore, StagingSpec, StoreSpec } from '../ports/store.ts';
import type { ThreadPool } from '../threads/pool.ts';
import { checkQueue, connectQueue, type QueueSpec, queueUri } from './connect.ts';
import {
  answerOf,
  buildTaskOf,
  failureOf,
  parseTask,
  placeOf,
  type QueueResult,
  type QueueTask,
  queueName,
  writerDifference,
} from './task.ts';

/** How long a worker that says nothing keeps its task, ms; it renews its hold twice in that time. */
const HOLD_MS = 15_000;
/** Between two looks for tasks whose holder said nothing for too long, ms. */
const STALLED_MS = 5_000;
/** Holders of one task that may vanish before the task fails, with one more. */
const STALLED_AT_MOST = 3;
/** Between two words about how far a build is, ms: the coordinator hears all workers. */
const PROGRESS_MS = 2_000;
/** Between two looks whether a task is still wanted, ms. */
const WANTED_MS = 2_000;
/** How long a server that is away is waited for at the end, ms: who takes what is not given back waits longer anyhow. */
const AWAY_MS = 2_000;
/** Between two looks whether it is, ms. */
const LOOK_MS = 50;

export interface BuildWorkerOptions {
  readonly spec: QueueSpec;
  readonly store: BronzeStore;
  readonly storeSpec: StoreSpec;
  readonly sourceSpec: SourceSpec;
  readonly pool: Pick<ThreadPool, 'run'>;
  /** Tasks at once. */
  readonly concurrency: number;
  readonly onEvent: (event: WorkerEvent) => void;
  /** Milliseconds; tests have less patience. */
  readonly holdMs?: number;
}

/** What a worker tells whoever logs and counts. */
export type WorkerEvent =
  | { readonly type: 'taken' | 'done' | 'returned' | 'dropped'; readonly task: QueueTask; readonly durationMs: number }
  | { readonly type: 'failed'; readonly task: QueueTask; readonly durationMs: number; readonly error: BronzeError }
  /** It would write other bytes: it takes no more tasks. */
  | { readonly type: 'mismatched'; readonly error: BronzeError }
  | { readonly type: 'refused'; readonly error: BronzeError }
  | { readonly type: 'away' | 'back'; readonly queue: string };

const RETURNED = Symbol('returned');
const DROPPED = Symbol('dropped');

export class BuildWorker {
  /** Host, process and a number: what messages of the coordinator name. */
  readonly name = `${hostname()}-${process.pid}`;
  readonly #of: BuildWorkerOptions;
  readonly #bronze: string;
  readonly #lake: string;
  /** Tasks that are worked on, with what ends each of them. */
  readonly #tasks = new Map<string, { readonly task: QueueTask; readonly stop: AbortController }>();
  #worker: Worker<QueueTask, QueueResult> | null = null;
  #disconnect: () => void = () => undefined;
  #isReady = false;
  #isClosing = false;
  #mismatch: BronzeError | null = null;
  #idleSince = performance.now();

  constructor(options: BuildWorkerOptions) {
    this.#of = options;
    this.#bronze = placeOf(options.storeSpec);
    this.#lake = placeOf(options.sourceSpec);
  }

  /** Whether the queue answers. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Why it takes no more tasks; null as long as it does. */
  get mismatch(): BronzeError | null {
    return this.#mismatch;
  }

  get active(): readonly QueueTask[] {
    return [...this.#tasks.values()].map(({ task }) => task);
  }

  /** Milliseconds since the last task ended; 0 while there is one. */
  get idleMs(): number {
    return this.#tasks.size > 0 ? 0 : performance.now() - this.#idleSince;
  }

  /** Begins to take tasks. Throws QUEUE_*: an outage at the start is for the caller to wait for. */
  async start(): Promise<void> {
    const { spec, concurrency, holdMs = HOLD_MS, onEvent } = this.#of;
    await checkQueue(spec);
    const { Worker } = await import('bullmq');
    const redis = await connectQueue(spec);
    const uri = queueUri(spec);
    redis.on('close', () => {
      if (this.#isReady && !this.#isClosing) onEvent({ type: 'away', queue: uri });
      this.#isReady = false;
    });
    redis.on('ready', () => {
      if (!this.#isReady) onEvent({ type: 'back', queue: uri });
      this.#isReady = true;
    });
    const worker = new Worker<QueueTask, QueueResult>(
      queueName(this.#bronze, this.#lake),
      (job, token) => this.#process(job, token ?? ''),
      {
        connection: redis,
        name: this.name,
        concurrency,
        lockDuration: holdMs,
        stalledInterval: Math.min(STALLED_MS, holdMs / 2),
        maxStalledCount: STALLED_AT_MOST,
        autorun: false,
      },
    );
    worker.on('error', () => undefined);
    worker.on('lockRenewalFailed', (ids) => {
      // Somebody else has it by now: two may write the same, but only one has to.
      for (const id of ids) this.#tasks.get(id)?.stop.abort(DROPPED);
    });
    this.#worker = worker;
    this.#disconnect = () => redis.disconnect();
    await worker.waitUntilReady();
    this.#isReady = true;
    // It goes on until it is closed; its own errors are told above.
    void worker.run().catch(() => undefined);
  }

  /** Takes no more, gives back at once what is not done, and ends. */
  async close(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    this.#isClosing = true;
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    worker.close().then(over, over);
    for (const { stop } of this.#tasks.values()) stop.abort(RETURNED);
    // Without its server the library would wait without end.
    for (let awayMs = 0; !isOver && awayMs < AWAY_MS; awayMs = this.#isReady ? 0 : awayMs + LOOK_MS)
      await sleep(LOOK_MS);
    this.#worker = null;
    this.#disconnect();
  }

  async #process(job: Job<QueueTask, QueueResult>, token: string): Promise<QueueResult> {
    const { onEvent } = this.#of;
    let task: QueueTask;
    try {
      task = this.#accept(job.data);
    } catch (error) {
      const refusal = error as BronzeError;
      onEvent({ type: this.#mismatch === refusal ? 'mismatched' : 'refused', error: refusal });
      return failureOf({ range: rangeIn(job.data) }, this.name, refusal);
    }
    const started = performance.now();
    const spent = (): number => performance.now() - started;
    const stop = new AbortController();
    const id = job.id as string;
    this.#tasks.set(id, { task, stop });
    const looking = setInterval(() => void this.#askIfWanted(id, stop), WANTED_MS);
    onEvent({ type: 'taken', task, durationMs: 0 });
    try {
      if (task.cancelled) stop.abort(DROPPED);
      let told = 0;
      const answer = await this.#of.pool.run(buildTaskOf(task, this.#of.sourceSpec, this.#stagingOf(task)), {
        signal: stop.signal,
        onProgress: (progress) => {
          if (performance.now() - told < PROGRESS_MS) return;
          told = performance.now();
          void job.updateProgress({ ...progress }).catch(() => undefined);
        },
      });
      onEvent({ type: 'done', task, durationMs: spent() });
      return answerOf(task, this.name, answer);
    } catch (error) {
      if (stop.signal.reason === RETURNED) {
        onEvent({ type: 'returned', task, durationMs: spent() });
        await job.moveToWait(token);
        const { WaitingError } = await import('bullmq');
        throw new WaitingError();
      }
      const failure = error instanceof BronzeError ? error : new BronzeError('INTERNAL', toFailure(error).message);
      if (stop.signal.aborted) onEvent({ type: 'dropped', task, durationMs: spent() });
      else onEvent({ type: 'failed', task, durationMs: spent(), error: failure });
      return failureOf(task, this.name, failure);
    } finally {
      clearInterval(looking);
      this.#tasks.delete(id);
      this.#idleSince = performance.now();
    }
  }

  /** The task, if it is for this Bronze, this lake and this writer. Throws TASK_INVALID, WORKER_MISMATCH. */
  #accept(data: unknown): QueueTask {
    const task = parseTask(data);
    if (task.bronze !== this.#bronze || task.lake !== this.#lake) {
      throw new BronzeError(
        'TASK_INVALID',
        `a task is for ${task.bronze} from ${task.lake}, and not for what is configured here`,
        {
          details: {
            ...task.range,
            expected: `${this.#bronze} from ${this.#lake}`,
            hint: 'workers need the same source and storage settings as their coordinator',
          },
        },
      );
    }
    const other = writerDifference(task.writer, writerOf(task.compression));
    if (other === null) return task;
    this.#mismatch = new BronzeError('WORKER_MISMATCH', `${this.name} would write other bytes: ${other}`, {
      details: { ...task.range, hint: 'give workers and coordinator the same release' },
    });
    // The next attempt is for somebody else.
    void this.#worker?.pause(true);
    throw this.#mismatch;
  }

  /** Where the coordinator expects it, by this worker's own way there. */
  #stagingOf({ chain, owner, upload }: QueueTask): StagingSpec {
    const staging = this.#of.store.stagingSpec(chainPrefix(chain), owner);
    // The journal is the coordinator's: it knows of the upload already.
    return staging.backend === 's3' ? { ...staging, journal: null, ...(upload === null ? {} : { upload }) } : staging;
  }

  /** A task that vanished, or that its coordinator has withdrawn, is let go of. */
  async #askIfWanted(id: string, stop: AbortController): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    try {
      const { Job } = await import('bullmq');
      const job = await Job.fromId<QueueTask, QueueResult>(worker, id);
      if (!job || job.data.cancelled === true) stop.abort(DROPPED);
    } catch {
      // The server is away: the hold on the task tells.
    }
  }
}

/** For the answer to something that is no task. */
function rangeIn(data: unknown): LedgerRange {
  const { start, end } = ((data as { range?: LedgerRange } | null)?.range ?? {}) as Partial<LedgerRange>;
  const isLedger = (value: unknown): value is number => Number.isInteger(value) && Number(value) >= 0;
  return isLedger(start) && isLedger(end) ? { start, end } : { start: 0, end: 0 };
}
