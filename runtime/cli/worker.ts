/** `worker`: builds partitions that a coordinator puts into the queue. Ends with a signal, or with --once when idle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BuildWorker, type WorkerEvent } from '../../actors/queue/build-worker.ts';
import { queueUri } from '../../actors/queue/connect.ts';
import type { QueueTask } from '../../actors/queue/task.ts';
import { ThreadPool } from '../../actors/threads/pool.ts';
import { BronzeError, toFailure } from '../../machines/errors.ts';
import { openContext, openPool, queueSpecOf } from '../context.ts';
import type { Logger } from '../log.ts';
import { onSignals } from '../signals.ts';
import { openWorkerWatch } from '../worker-watch.ts';
import { type CommandLine, switchOption, textOption, usage } from './command-line.ts';

/** Between two attempts to reach a queue that is away at the start, ms. */
const AGAIN_MS = 2_000;
/** With --once: how long there must have been nothing to do, ms. */
const IDLE_MS = 15_000;
/** Between two looks whether it is over, ms. */
const LOOK_MS = 500;

function concurrencyOf(commandLine: CommandLine): number | null {
  const text = textOption(commandLine, 'concurrency');
  if (text === undefined) return null;
  if (!/^[1-9]\d{0,2}$/.test(text)) throw usage(`--concurrency takes a number from 1 to 999, not ${text}`);
  return Number(text);
}

export async function execute(commandLine: CommandLine): Promise<number> {
  const concurrency = concurrencyOf(commandLine);
  const context = openContext(commandLine);
  const { config, log, store, storeSpec, sourceSpec } = context;
  const spec = queueSpecOf(config);
  if (spec === null) {
    throw usage('worker needs perf.queue: it takes its work from there', 'set perf.queue to what the coordinator has');
  }
  const pool = concurrency === null ? openPool(config) : new ThreadPool(concurrency);
  const watch = await openWorkerWatch(config, log);
  const worker = new BuildWorker({
    spec,
    store,
    storeSpec,
    sourceSpec,
    pool,
    concurrency: pool.size,
    onEvent: (event) => {
      tell(log, event);
      watch.note(event);
    },
  });
  watch.watch(worker);
  const stop = new AbortController();
  const takeHandlersOff = onSignals((signal) => {
    log.warn({ component: 'worker' }, `${signal}: what is not done goes back to the queue; once more ends at once`);
    stop.abort();
  });
  try {
    await begin(worker, log, stop.signal);
    if (!stop.signal.aborted) {
      log.info(
        { component: 'worker', worker: worker.name, queue: queueUri(spec), concurrency: pool.size },
        'worker started: it waits for partitions to build',
      );
    }
    const once = switchOption(commandLine, 'once');
    while (!stop.signal.aborted && worker.mismatch === null && !(once && worker.isReady && worker.idleMs > IDLE_MS)) {
      await sleep(LOOK_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
    await worker.close();
    if (worker.mismatch !== null) throw worker.mismatch;
    log.info({ component: 'worker' }, 'worker ended');
    return 0;
  } finally {
    await worker.close();
    await pool.close();
    await watch.close();
    await context.catalog?.close();
    takeHandlersOff();
  }
}

/** A server that is away at the start is waited for; one that refuses is not. */
async function begin(worker: BuildWorker, log: Logger, signal: AbortSignal): Promise<void> {
  for (let said = false; !signal.aborted; said = true) {
    try {
      return await worker.start();
    } catch (error) {
      if (!(error instanceof BronzeError) || error.code !== 'QUEUE_UNAVAILABLE') throw error;
      if (!said) log.warn({ component: 'queue', code: error.code, error: error.message }, 'the queue is waited for');
      await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

const about = ({ correlationId, chain, range }: QueueTask) => ({
  component: 'worker',
  correlation_id: correlationId,
  era_id: chain.eraId,
  version_label: chain.versionLabel,
  network: chain.network,
  ledger_start: range.start,
  ledger_end: range.end,
});

const SAID = {
  taken: 'partition taken from the queue',
  done: 'partition built and staged',
  returned: 'partition given back to the queue',
  dropped: 'partition dropped: nobody waits for it any more',
} as const;

function tell(log: Logger, event: WorkerEvent): void {
  switch (event.type) {
    case 'away':
      log.warn({ component: 'queue' }, `the queue ${event.queue} is away: it is waited for`);
      break;
    case 'back':
      log.info({ component: 'queue' }, `the queue ${event.queue} is back`);
      break;
    case 'mismatched':
    case 'refused':
      log.error({ component: 'worker', ...toFailure(event.error) }, 'a task is refused');
      break;
    case 'failed':
      log.warn(
        { ...about(event.task), duration_ms: Math.round(event.durationMs), ...toFailure(event.error) },
        'the partition could not be built',
      );
      break;
    default:
      log.info({ ...about(event.task), duration_ms: Math.round(event.durationMs) }, SAID[event.type]);
  }
}
