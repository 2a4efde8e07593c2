/**
 * Opens everybody who watches a run: metrics and health where they are enabled, the inspector where it was asked for.
 * They listen before anything is touched, so that an address that cannot be had costs nothing. What watches is loaded
 * only where it is wanted.
 */
import { resolve } from 'node:path';
import type { InspectionEvent } from 'xstate';
import type { RunningEra } from '../actors/effects/running-era.ts';
import { lakeHead } from '../actors/era/find-head.ts';
import type { QueuePool } from '../actors/queue/queue-pool.ts';
import type { EraSpec } from '../machines/protocol.ts';
import type { Context } from './context.ts';
import type { InspectOptions } from './inspect/index.ts';
import type { Logger } from './log.ts';
import type { Metrics } from './metrics/metrics.ts';
import type { Watcher } from './watcher.ts';

/** All who watch, as one. */
export interface Watchers extends Watcher {
  /** Null where metrics are off. */
  readonly metrics: Metrics | null;
}

/** @throws BronzeError LISTEN_FAILED; USAGE: the inspector's log cannot be written. Nothing is left open then. */
export async function openWatchers(
  context: Context,
  specs: readonly EraSpec[],
  running: ReadonlyMap<string, RunningEra>,
  queue: QueuePool | null,
  inspect: InspectOptions | null,
): Promise<Watchers> {
  const { config, log } = context;
  const opened: Watcher[] = [];
  let metrics: Metrics | null = null;
  try {
    if (inspect) {
      const { openInspector } = await import('./inspect/index.ts');
      opened.push(await openInspector({ ...inspect, log }));
    }
    if (config.metrics.enabled) {
      metrics = await openServed(context, specs, running, queue, opened);
    }
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
  return {
    metrics,
    inspect: asOne(opened, log),
    close: () => closeAll(opened),
  };
}

/**
 * Tells all of them. What one throws would come up in the middle of an actor's transition: who watches wrongly watches no
 * more, and the others go on.
 */
export function asOne(watchers: readonly Watcher[], log: Pick<Logger, 'error'>): Watcher['inspect'] {
  const watching = new Set(watchers);
  return (event: InspectionEvent) => {
    for (const watcher of watching) {
      try {
        watcher.inspect(event);
      } catch (error) {
        watching.delete(watcher);
        log.error({ component: 'watcher', error: String(error) }, 'a bug in what watches the run: it is switched off');
      }
    }
  };
}

/** Metrics and health, with the server that they are asked through. */
async function openServed(
  { config, log, sourceSpec, storeSpec }: Context,
  specs: readonly EraSpec[],
  running: ReadonlyMap<string, RunningEra>,
  queue: QueuePool | null,
  opened: Watcher[],
): Promise<Metrics> {
  const [{ Health }, { openMetrics }, { watchHeads }, { openWatchServer }] = await Promise.all([
    import('./health.ts'),
    import('./metrics/metrics.ts'),
    import('./metrics/head-watch.ts'),
    import('./http/watch-server.ts'),
  ]);
  const health = new Health(specs);
  const metrics = await openMetrics({
    specs,
    running,
    sourceSpec,
    storeSpec,
    stateDir: resolve(config.checkpoint.dir),
    isHealthy: (eraId) => health.isWell(eraId),
    queue: queue && { readings: () => queue.readings(), stalled: () => queue.stalled },
    onProblem: (error) => log.error({ component: 'metrics', error: String(error) }, 'a bug: metrics may be wrong'),
  });
  const server = await openWatchServer(config.metrics, health, metrics);
  const heads = watchHeads({
    specs,
    lakeHead: async (eraId, from, signal) => {
      const era = running.get(eraId);
      return era ? lakeHead(era, from, signal) : null;
    },
    frontierOf: (eraId) => metrics.frontierOf(eraId),
    onHead: (eraId, head) => metrics.noteHead(eraId, head),
  });
  opened.push({ inspect: () => {}, close: server.close }, heads, health, metrics);
  log.info({ component: 'metrics', url: server.url }, `metrics: ${server.url}${config.metrics.path}, /health, /ready`);
  return metrics;
}

async function closeAll(watchers: readonly Watcher[]): Promise<void> {
  for (const watcher of watchers) await watcher.close();
}
