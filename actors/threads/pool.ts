/**
 * The worker threads of the process: one pool for all eras, first come, first served. A thread that dies takes only its
 * task with it and is replaced. Every task settles, a thread has one at a time, and how a thread ended is told.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type ResourceLimits, Worker } from 'node:worker_threads';
import { BronzeError, type Details, fromFailure } from '../../machines/errors.ts';
import type { ChainName } from '../bronze/names.ts';
import type { BuildAnswer, BuildTask, Progress, ReadBackAnswer, ReadBackTask } from '../parquet/spec.ts';
import type { ReadCounts } from '../source/meter.ts';
import type { CancelFlag, FromThread, ThreadAnswer, ThreadTask, ToThread } from './messages.ts';

/** Milliseconds that a cancelled thread gets to clean up before it is terminated. */
const GRACE_MS = 5_000;

/**
 * JavaScript heap of a thread in MB; ledgers and pages lie outside of it. What grows in it is the Parquet footer, about
 * 10 KB per row group of 8 MB: 512 MB are reached by no partition that fits a disk.
 */
const RESOURCE_LIMITS: ResourceLimits = { maxOldGenerationSizeMb: 512, maxYoungGenerationSizeMb: 32 };

export interface PoolOptions {
  /** The thread's module; a test may give its own. */
  readonly entry?: URL;
  readonly graceMs?: number;
  readonly resourceLimits?: ResourceLimits;
  /** Told what a task of a chain has read from the lake, a few times a second, failed and cancelled tasks included. */
  readonly onReads?: (chain: ChainName, reads: ReadCounts) => void;
}

export interface RunOptions {
  /** Aborted: a task that waits is rejected at once, a running one when its thread has cleaned up. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  /** No thread is free: it waits its turn. `reason`: what it waits for, where that is no thread of this process. */
  readonly onQueued?: (reason?: string) => void;
  /** A thread has it. */
  readonly onStarted?: () => void;
}

interface Job {
  readonly id: number;
  readonly task: ThreadTask;
  readonly options: RunOptions;
  readonly cancel: CancelFlag;
  readonly resolve: (answer: ThreadAnswer) => void;
  readonly reject: (error: unknown) => void;
  /** Stops listening to the signal. */
  unlisten: () => void;
}

/** A live thread. Invariant: `job` is what it works on; null = it is free. */
interface Thread {
  readonly worker: Worker;
  job: Job | null;
  /** Set while a cancelled job may still end by itself. */
  grace: NodeJS.Timeout | null;
}

/** Where the compiled entry of a thread is: beside this file, or in dist/ where this file runs as TypeScript. */
export function threadEntry(from: string = import.meta.url): URL {
  if (from.endsWith('.js')) return new URL('./thread.js', from);
  const entry = new URL('../../dist/bin/thread.js', from);
  if (!existsSync(entry)) {
    throw new BronzeError(
      'INTERNAL',
      `there is no ${fileURLToPath(entry)}: threads run compiled, run \`npm run build\``,
    );
  }
  return entry;
}

export class ThreadPool {
  readonly size: number;
  readonly #options: PoolOptions;
  readonly #threads = new Set<Thread>();
  /** Threads on their way out; a job of theirs is rejected when they are gone, so that they write nothing more. */
  readonly #ending = new Set<Thread>();
  readonly #queue: Job[] = [];
  #ids = 0;
  #closed = false;
  #idlers: (() => void)[] = [];

  /** `size`: threads at the most; they are started when there is work for them and then kept. */
  constructor(size: number, options: PoolOptions = {}) {
    if (!Number.isInteger(size) || size < 1) throw new RangeError(`a pool has at least one thread, not ${size}`);
    this.size = size;
    this.#options = options;
  }

  /** Tasks that threads work on. */
  get running(): number {
    let count = 0;
    for (const { job } of [...this.#threads, ...this.#ending]) if (job) count += 1;
    return count;
  }

  /** Tasks that wait for a thread. */
  get queued(): number {
    return this.#queue.length;
  }

  /**
   * Runs a task in a thread. An answer that was ready before the thread saw the abort is still given.
   * @throws BronzeError what the task throws, with the thread's own account as its cause; CANCELLED; THREAD_CRASHED
   */
  run(task: BuildTask, options?: RunOptions): Promise<BuildAnswer>;
  run(task: ReadBackTask, options?: RunOptions): Promise<ReadBackAnswer>;
  run(task: ThreadTask, options: RunOptions = {}): Promise<ThreadAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(cancelled('the threads are closed'));
      if (options.signal?.aborted) return reject(cancelled('the work was cancelled', options.signal.reason));
      const job: Job = {
        id: ++this.#ids,
        task,
        options,
        cancel: new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT),
        resolve,
        reject,
        unlisten: () => {},
      };
      const { signal } = options;
      if (signal) {
        const onAbort = (): void => this.#cancel(job, signal.reason);
        signal.addEventListener('abort', onAbort, { once: true });
        job.unlisten = () => signal.removeEventListener('abort', onAbort);
      }
      this.#queue.push(job);
      this.#dispatch();
      if (this.#queue.includes(job)) options.onQueued?.();
    });
  }

  /** Resolves when nothing runs and nothing waits. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve();
    return new Promise((resolve) => this.#idlers.push(resolve));
  }

  /** Ends all threads; what runs or waits is rejected as CANCELLED, and what it had staged is left to the next sweep. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#queue.splice(0)) this.#reject(job, cancelled('the threads are closed'));
    const ends = [...this.#threads].map((thread) => this.#drop(thread, cancelled('the threads are closed')));
    await Promise.all(ends);
    this.#settleIdlers();
  }

  #isIdle(): boolean {
    return this.#queue.length === 0 && this.running === 0;
  }

  #settleIdlers(): void {
    if (!this.#isIdle()) return;
    for (const resolve of this.#idlers.splice(0)) resolve();
  }

  /** Gives waiting jobs to free threads, starting threads up to the size. */
  #dispatch(): void {
    while (this.#queue.length > 0 && !this.#closed) {
      let thread: Thread | null;
      try {
        thread = this.#freeThread();
      } catch (error) {
        const job = this.#queue.shift() as Job;
        this.#reject(job, error instanceof BronzeError ? error : crashed(job, 'could not be started', error));
        continue;
      }
      if (thread === null) break;
      this.#start(thread, this.#queue.shift() as Job);
    }
    this.#settleIdlers();
  }

  /** Null where all are busy. */
  #freeThread(): Thread | null {
    for (const thread of this.#threads) if (thread.job === null) return thread;
    return this.#threads.size < this.size ? this.#spawn() : null;
  }

  #spawn(): Thread {
    const worker = new Worker(this.#options.entry ?? threadEntry(), {
      resourceLimits: this.#options.resourceLimits ?? RESOURCE_LIMITS,
    });
    const thread: Thread = { worker, job: null, grace: null };
    this.#threads.add(thread);
    worker.on('message', (message: FromThread) => this.#hear(thread, message));
    worker.on('error', (error) => this.#lost(thread, 'failed', error));
    worker.on('messageerror', (error) => this.#lost(thread, 'sent what cannot be read', error));
    worker.on('exit', (code) => this.#lost(thread, `ended with code ${code}`));
    return thread;
  }

  #start(thread: Thread, job: Job): void {
    const message: ToThread = { type: 'run', id: job.id, task: job.task, cancel: job.cancel };
    try {
      thread.worker.postMessage(message);
    } catch (cause) {
      this.#reject(job, new BronzeError('INTERNAL', 'a task is not plain data', { cause }));
      return;
    }
    thread.job = job;
    // A thread without work must not keep the process alive, one with work must.
    thread.worker.ref();
    job.options.onStarted?.();
  }

  #hear(thread: Thread, message: FromThread): void {
    const { job } = thread;
    if (job === null || message.id !== job.id) return;
    if (message.reads) this.#options.onReads?.(job.task.chain, message.reads);
    if (message.type === 'progress') {
      if (!job.options.signal?.aborted) job.options.onProgress?.(message.progress);
      return;
    }
    this.#release(thread);
    if (message.type === 'done') {
      job.unlisten();
      job.resolve(message.answer);
    } else {
      const error = fromFailure(message.failure);
      error.cause = traced(message.failure.message, message.trace);
      this.#reject(job, error);
    }
    this.#dispatch();
  }

  /** The thread is free again. */
  #release(thread: Thread): void {
    if (thread.grace) clearTimeout(thread.grace);
    thread.grace = null;
    thread.job = null;
    thread.worker.unref();
  }

  #cancel(job: Job, reason: unknown): void {
    const place = this.#queue.indexOf(job);
    if (place >= 0) {
      this.#queue.splice(place, 1);
      this.#reject(job, cancelled('the work was cancelled before it began', reason));
      this.#settleIdlers();
      return;
    }
    const thread = [...this.#threads].find((candidate) => candidate.job === job);
    if (!thread) return;
    Atomics.store(new Int32Array(job.cancel), 0, 1);
    const message: ToThread = { type: 'cancel', id: job.id };
    thread.worker.postMessage(message);
    thread.grace = setTimeout(() => {
      const error = new BronzeError('CANCELLED', 'the work was cancelled; its thread did not react and was ended', {
        details: { ...placeOf(job), hint: 'what it had staged is removed by the next sweep' },
        cause: reason,
      });
      // A call to a disk that hangs cannot be ended from here. Whoever waits gets another thread then: as long as one is
      // waited for nobody counts the time, and a disk that hangs for good would never be told.
      const hangs = setTimeout(() => this.#dispatch(), this.#options.graceMs ?? GRACE_MS);
      void this.#drop(thread, error).finally(() => {
        clearTimeout(hangs);
        this.#dispatch();
      });
    }, this.#options.graceMs ?? GRACE_MS);
  }

  /** A thread that ended, or cannot be trusted any more. Its task fails, others go on with a fresh one. */
  #lost(thread: Thread, how: string, cause?: unknown): void {
    if (!this.#threads.has(thread)) return;
    const error = thread.job ? crashed(thread.job, how, cause) : null;
    void this.#drop(thread, error).finally(() => this.#dispatch());
  }

  /** Takes a thread out, ends it, and rejects its job once it has ended. */
  async #drop(thread: Thread, error: unknown): Promise<void> {
    this.#threads.delete(thread);
    this.#ending.add(thread);
    if (thread.grace) clearTimeout(thread.grace);
    await thread.worker.terminate();
    this.#ending.delete(thread);
    if (thread.job) this.#reject(thread.job, error);
  }

  #reject(job: Job, error: unknown): void {
    job.unlisten();
    job.reject(error);
  }
}

const placeOf = ({ task }: Job): Details => ({ start: task.range.start, end: task.range.end });

const cancelled = (message: string, cause?: unknown): BronzeError => new BronzeError('CANCELLED', message, { cause });

function crashed(job: Job, how: string, cause?: unknown): BronzeError {
  const outOfMemory = cause instanceof Error && 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY';
  const why = cause === undefined ? '' : `: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new BronzeError('THREAD_CRASHED', `the thread that worked on it ${how}${why}`, {
    details: {
      ...placeOf(job),
      ...(outOfMemory ? { hint: 'its JavaScript heap was full: smaller partitions need less' } : {}),
    },
    cause,
  });
}

/** The thread's own account of an error, as the cause of what its caller sees. */
function traced(message: string, trace: string): Error {
  const error = new Error(message);
  error.name = 'ThreadError';
  error.stack = trace;
  return error;
}
