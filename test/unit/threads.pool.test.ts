import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { BuildAnswer, BuildTask, Progress } from '../../actors/parquet/spec.ts';
import { type PoolOptions, type RunOptions, ThreadPool, threadEntry } from '../../actors/threads/pool.ts';
import { buildTask, layoutOf } from '../support/small-lake.ts';

const entry = new URL('../support/odd-thread.mjs', import.meta.url);
const RANGE = { start: 11, end: 20 };
const task = (attempt: string): BuildTask => buildTask(RANGE, layoutOf(1), { attempt });

const pools: ThreadPool[] = [];
function odd(size: number, options: PoolOptions = {}): ThreadPool {
  const pool = new ThreadPool(size, { entry, ...options });
  pools.push(pool);
  return pool;
}
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

const threadOf = (answer: BuildAnswer): number => (answer as BuildAnswer & { threadId: number }).threadId;

/** Runs with a signal of its own; resolves with what it came to. */
function start(pool: ThreadPool, attempt: string, options: RunOptions = {}) {
  const controller = new AbortController();
  let begun = (): void => {};
  const started = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const run = pool.run(task(attempt), { ...options, signal: controller.signal, onStarted: begun });
  const end = run.then(
    (answer) => ({ answer, error: null }),
    (error: unknown) => ({ answer: null, error }),
  );
  return { end, abort: () => controller.abort(new Error('stop it')), started };
}

const cancelled = expect.objectContaining({ code: 'CANCELLED' });

describe('tasks', () => {
  it('run on as many threads as there are, first come, first served, and threads are kept', async () => {
    const pool = odd(2);
    const order: string[] = [];
    const names = ['ok:30', 'ok:30:b', 'ok:1:c', 'ok:1:d', 'ok:1:e'];
    const runs = names.map((name) =>
      pool.run(task(name), {
        onQueued: () => order.push(`queued ${name}`),
        onStarted: () => order.push(`started ${name}`),
      }),
    );
    expect([pool.running, pool.queued]).toEqual([2, 3]);
    const answers = await Promise.all(runs);
    expect(answers.map(({ handle }) => handle)).toEqual(names);
    expect(new Set(answers.map(threadOf)).size).toBe(2);
    expect(order.filter((o) => o.startsWith('queued'))).toEqual(names.slice(2).map((n) => `queued ${n}`));
    expect(order.filter((o) => o.startsWith('started'))).toEqual(names.map((n) => `started ${n}`));
    const again = await pool.run(task('ok'));
    expect(answers.map(threadOf)).toContain(threadOf(again));
  });

  it('report progress, also from a distance', async () => {
    const seen: Progress[] = [];
    await odd(1).run(task('progress'), { onProgress: (p) => seen.push(p) });
    expect(seen).toEqual([1, 2, 3].map((n) => ({ ledgers: n, rawBytes: 10 * n })));
  });

  it('fail with what they failed with, and keep the account of the thread', async () => {
    const error = await odd(1)
      .run(task('fail'))
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'INTERNAL', details: { ledger: 5 }, retryable: false });
    expect((error as Error).cause).toMatchObject({
      name: 'ThreadError',
      stack: expect.stringContaining('deep.ts:1:2'),
    });
  });

  it('are plain data', async () => {
    const pool = odd(1);
    const strange = { ...task('ok'), chain: () => {} } as unknown as BuildTask;
    await expect(pool.run(strange)).rejects.toMatchObject({ code: 'INTERNAL' });
    expect((await pool.run(task('ok:1'))).handle).toBe('ok:1');
  });

  it('are what idle() waits for', async () => {
    const pool = odd(1);
    await pool.idle();
    let done = 0;
    const runs = ['ok:20', 'ok:5', 'exit'].map((name) => start(pool, name).end.then(() => done++));
    await pool.idle();
    await Promise.all(runs);
    expect([done, pool.running, pool.queued]).toEqual([3, 0, 0]);
  });
});

describe('a thread that dies', () => {
  it.each(['exit', 'throw', 'reject', 'memory'])('by %s takes only its own task with it', async (how) => {
    const pool = odd(1, { resourceLimits: { maxOldGenerationSizeMb: 24 } });
    const [dead, next] = [start(pool, how), start(pool, 'ok:1')];
    const { error } = await dead.end;
    expect(error).toMatchObject({ code: 'THREAD_CRASHED', retryable: true, details: RANGE });
    if (how === 'exit') expect((error as Error).message).toContain('code 7');
    if (how === 'throw' || how === 'reject') expect((error as Error).cause).toBeInstanceOf(Error);
    if (how === 'memory') expect(error).toMatchObject({ details: { hint: expect.stringContaining('heap') } });
    expect((await next.end).answer).toMatchObject({ handle: 'ok:1' });
  });

  it('before it can take a task is named, too', async () => {
    const pool = odd(1, { entry: new URL('./no-such-thread.mjs', import.meta.url) });
    await expect(pool.run(task('ok'))).rejects.toMatchObject({ code: 'THREAD_CRASHED' });
    await pool.idle();
  });
});

describe('a cancelled task', () => {
  it('that waits is rejected at once, and never begun', async () => {
    const pool = odd(1);
    const [first, waiting, last] = [start(pool, 'ok:50'), start(pool, 'ok:b'), start(pool, 'ok:c')];
    waiting.abort();
    expect(pool.queued).toBe(1);
    expect(await waiting.end).toEqual({ answer: null, error: cancelled });
    expect(pool.running).toBe(1);
    expect((await first.end).answer).not.toBeNull();
    expect((await last.end).answer).not.toBeNull();
  });

  it('that was cancelled before is never queued', async () => {
    const pool = odd(1);
    await expect(pool.run(task('ok'), { signal: AbortSignal.abort() })).rejects.toEqual(cancelled);
    expect(pool.running).toBe(0);
  });

  it('that computes without a pause sees the flag, and its thread goes on', async () => {
    const pool = odd(1);
    const busy = start(pool, 'busy');
    await busy.started;
    busy.abort();
    const { error } = await busy.end;
    expect(error).toEqual(cancelled);
    expect(error).toMatchObject({ message: 'stopped' });
    expect((await pool.run(task('ok'))).handle).toBe('ok');
  });

  it('that does not react loses its thread after the grace period', async () => {
    const pool = odd(1, { graceMs: 60 });
    const deaf = start(pool, 'deaf');
    const next = start(pool, 'ok:1');
    await deaf.started;
    const begin = performance.now();
    deaf.abort();
    expect(await deaf.end).toEqual({ answer: null, error: cancelled });
    expect(performance.now() - begin).toBeGreaterThan(55);
    expect((await next.end).answer).not.toBeNull();
  });

  it('that was ready before it heard of it still gives its answer: what it staged belongs to somebody', async () => {
    const pool = odd(1);
    const finishing = start(pool, 'finishing');
    await finishing.started;
    finishing.abort();
    expect((await finishing.end).answer).toMatchObject({ handle: 'finishing' });
  });

  it('that is aborted after its end changes nothing', async () => {
    const pool = odd(1);
    const done = start(pool, 'ok');
    await done.end;
    done.abort();
    expect((await pool.run(task('ok:1'))).handle).toBe('ok:1');
  });
});

describe('a closed pool', () => {
  it('ends what runs, rejects what waits, and takes nothing more', async () => {
    const pool = odd(1);
    const [running, waiting] = [start(pool, 'deaf'), start(pool, 'ok')];
    await running.started;
    const idle = pool.idle();
    await pool.close();
    await idle;
    expect(await running.end).toEqual({ answer: null, error: cancelled });
    expect(await waiting.end).toEqual({ answer: null, error: cancelled });
    await expect(pool.run(task('ok'))).rejects.toEqual(cancelled);
  });
});

describe("a thread's entry", () => {
  it('lies beside the compiled pool, or in dist/ for the source', () => {
    expect(threadEntry('file:///app/dist/actors/threads/pool.js').href).toBe(
      'file:///app/dist/actors/threads/thread.js',
    );
    const here = threadEntry();
    expect(existsSync(fileURLToPath(here))).toBe(true);
    expect(() => threadEntry('file:///nowhere/actors/threads/pool.ts')).toThrow(/npm run build/);
  });

  it('needs a pool of at least one thread', () => {
    expect(() => new ThreadPool(0)).toThrow(RangeError);
  });
});
