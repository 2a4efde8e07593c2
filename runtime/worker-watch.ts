/**
 * Metrics, health and readiness of a remote worker, where metrics are enabled. It has no eras and no machines: what it
 * counts is tasks. A registry of its own; labels stay few.
 */
import type { BuildWorker, WorkerEvent } from '../actors/queue/build-worker.ts';
import type { Config } from '../config/schema.ts';
import { openWatchServer } from './http/watch-server.ts';
import type { Logger } from './log.ts';
import { PREFIX } from './metrics/definitions.ts';

export interface WorkerWatch {
  /** Whose state the probes tell; before it is known they say that it starts. */
  watch(worker: BuildWorker): void;
  note(event: WorkerEvent): void;
  close(): Promise<void>;
}

const NOBODY: WorkerWatch = { watch: () => undefined, note: () => undefined, close: async () => undefined };

/** @throws BronzeError LISTEN_FAILED */
export async function openWorkerWatch(config: Config, log: Logger): Promise<WorkerWatch> {
  if (!config.metrics.enabled) return NOBODY;
  const prom = await import('prom-client');
  const registry = new prom.Registry();
  prom.collectDefaultMetrics({ register: registry });
  let worker: BuildWorker | null = null;
  const registers = [registry];
  const tasks = new prom.Counter({
    name: `${PREFIX}worker_tasks_total`,
    help: 'Tasks of the queue that ended, by how they ended.',
    labelNames: ['outcome'],
    registers,
  });
  const seconds = new prom.Histogram({
    name: `${PREFIX}worker_task_duration_seconds`,
    help: 'How long a partition took from being taken from the queue to being staged.',
    buckets: [1, 3, 10, 30, 100, 300, 1_000, 3_000],
    registers,
  });
  new prom.Gauge({
    name: `${PREFIX}worker_active_tasks`,
    help: 'Partitions that are being built now.',
    registers,
    collect() {
      this.set(worker?.active.length ?? 0);
    },
  });
  new prom.Gauge({
    name: `${PREFIX}worker_queue_up`,
    help: '1 while the queue answers.',
    registers,
    collect() {
      this.set(worker?.isReady ? 1 : 0);
    },
  });
  const server = await openWatchServer(
    config.metrics,
    {
      // Away from the queue it waits, as it should: to be started again would not help.
      report: () => {
        const mismatch = worker?.mismatch ?? null;
        return {
          ok: mismatch === null,
          body: {
            status: mismatch === null ? 'ok' : 'failed',
            reason: mismatch?.message ?? null,
            worker: worker?.name ?? null,
            building: (worker?.active ?? []).map((task) => task.correlationId),
            uptime_seconds: Math.round(process.uptime()),
          },
        };
      },
      readiness: () => {
        const ready = worker?.isReady === true && worker.mismatch === null;
        return { ready, reason: ready ? null : (worker?.mismatch?.message ?? 'the queue does not answer') };
      },
    },
    { contentType: registry.contentType, text: () => registry.metrics() },
  );
  log.info({ component: 'metrics', url: server.url }, `metrics: ${server.url}${config.metrics.path}, /health, /ready`);
  return {
    watch: (of) => {
      worker = of;
    },
    note: (event) => {
      if (!('task' in event) || event.type === 'taken') return;
      tasks.inc({ outcome: event.type });
      if (event.type === 'done') seconds.observe(event.durationMs / 1_000);
    },
    close: server.close,
  };
}
