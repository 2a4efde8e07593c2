/**
 * One run: machines, eras, threads, observer, signals, from start to report. The machines decide when it is over.
 */
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createActor } from 'xstate';
import { judgesContent } from '../actors/catalog/quality.ts';
import { recordFailure } from '../actors/courier/record-failure.ts';
import { performFor } from '../actors/effects/effect.ts';
import { close } from '../actors/era/close-chain.ts';
import { supervisor } from '../actors/supervisor/supervisor.ts';
import { layoutNamedChains } from '../actors/verify/chains.ts';
import { SUPERVISOR_ID } from '../machines/actor-ids.ts';
import type { RunSummary } from '../machines/supervisor.ts';
import { openAnchors } from './anchors.ts';
import { type Context, chainOf, openBuilders, openEras, openPool } from './context.ts';
import { Diagnostics } from './diagnostics.ts';
import { eraSpec, newRunId } from './era-spec.ts';
import type { InspectOptions } from './inspect/index.ts';
import { endForSure } from './last-resort.ts';
import type { Metrics } from './metrics/metrics.ts';
import { Observer } from './observer.ts';
import { Progress } from './progress.ts';
import { onSignals } from './signals.ts';
import { makeReport, type RunReport } from './summary.ts';
import { openWatchers } from './watchers.ts';

export interface RunOptions {
  readonly stopAfter: number | null;
  readonly once: boolean;
  /** A stream to draw on, `log` for a line a minute, `none`. */
  readonly progress: NodeJS.WriteStream | 'log' | 'none';
  /** Absent: nothing of the inspector is loaded. */
  readonly inspect?: InspectOptions;
}

/** Ten minutes: how long a hole or an unreadable file at the head of a lake is put up with (contract, section 3). */
const HEAD_PATIENCE_MS = 600_000;

/**
 * How long the end of a run is waited for, ms: an era that was stopped in the middle while its catalog and its endpoint do
 * not answer takes 40 s.
 */
const RUN_END_PATIENCE_MS = 50_000;

/** False where it takes longer than an end may take; the end is then no longer waited for. */
async function endsInTime(end: Promise<unknown>): Promise<boolean> {
  const patience = new AbortController();
  const late = sleep(RUN_END_PATIENCE_MS, false, { signal: patience.signal }).catch(() => false);
  try {
    return await Promise.race([end.then(() => true), late]);
  } finally {
    patience.abort();
  }
}

/** Chains of earlier releases that no configuration can name any more. In a bucket `status` and `verify` tell them. */
async function tellLayoutNames({ store, eras, log }: Context): Promise<void> {
  // What hinders looking hinders the run too, and is told there.
  for (const chain of await layoutNamedChains(store, eras.map(chainOf)).catch(() => [])) {
    log.warn({ component: 'store', object: chain, code: 'BRONZE_NAME' }, 'a chain has a name that the layout uses');
  }
}

export async function runEras(context: Context, options: RunOptions): Promise<RunReport> {
  const { config, eras, log } = context;
  const trusted = openAnchors(config);
  const runId = newRunId();
  const specs = eras.map((era) => eraSpec(config, era, { eras: null, ...options }, runId));
  let addReads: Metrics['addReads'] | null = null;
  const pool = openPool(config, { onReads: (chain, reads) => addReads?.(chain, reads) });
  const builders = openBuilders(context, pool);
  const running = openEras(context, builders, options.once, trusted);
  const watchers = await openWatchers(context, specs, running, builders.queue, options.inspect ?? null);
  addReads = watchers.metrics?.addReads ?? null;
  // Before the eras' own clocks: none of them takes longer than its run.
  const startedAt = new Date();
  const t0 = performance.now();
  const observer = new Observer(specs, log);
  const diagnostics = new Diagnostics(resolve(config.checkpoint.dir));
  const dump = (reason: string, eraId?: string): void => {
    const written = diagnostics.dump(reason);
    const where = 'path' in written ? { dump: written.path } : { dump_problem: written.problem };
    log.error({ component: 'supervisor', ...(eraId === undefined ? {} : { era_id: eraId }), ...where }, reason);
  };
  const machine = supervisor(
    performFor(running),
    {
      pollInterval: config.source.poll_interval_ms,
      stallTimeout: config.perf.stall_timeout_ms,
      headPatience: HEAD_PATIENCE_MS,
    },
    (eraId, reason) => dump(`era ${eraId}: ${reason}`, eraId),
  );
  const cpuBefore = process.cpuUsage();
  const actor = createActor(machine, {
    id: SUPERVISOR_ID,
    input: { eras: specs },
    inspect: (event) => {
      diagnostics.inspect(event);
      observer.inspect(event);
      watchers.inspect(event);
    },
  });
  diagnostics.watch(actor);
  const onQuit = (): void => dump('SIGQUIT');
  process.on('SIGQUIT', onQuit);
  const over = new Promise<RunSummary>((settle, reject) => {
    actor.subscribe({
      next: (snapshot) => {
        if (snapshot.status === 'done') settle(snapshot.output);
      },
      error: (error) => {
        dump('the supervisor crashed');
        reject(error);
      },
    });
  });
  const takeHandlersOff = onSignals((signal) => {
    log.warn({ component: 'supervisor' }, `${signal}: finishing what is being committed; once more ends at once`);
    actor.send({ type: 'drain.requested' });
  });
  const progress =
    options.progress === 'none'
      ? null
      : new Progress(specs, observer, log, options.progress === 'log' ? null : options.progress);
  try {
    log.info({ component: 'supervisor', eras: specs.map((spec) => spec.eraId), run_id: runId }, 'run started');
    if (context.variables.length > 0) {
      log.info({ component: 'config', variables: context.variables }, 'settings from the environment');
    }
    progress?.start();
    actor.start();
    if (context.storeSpec.backend === 'local') void tellLayoutNames(context);
    const summary = await over;
    for (const [eraId, { refused }] of observer.eras) {
      if (refused && judgesContent(refused.failure.code)) {
        const era = running.get(eraId);
        if (era) await recordFailure(era, refused.range, refused.failure);
      }
    }
    const report = makeReport(summary, observer, startedAt, performance.now() - t0, cpuBefore);
    log.info({ component: 'supervisor', status: report.status, duration_ms: report.duration_ms }, 'run ended');
    return report;
  } finally {
    progress?.stop();
    actor.stop();
    // An era that was stopped in the middle (stall, crash) has not given its lock back.
    const chains = [...running.values()].map((era) => close(era).catch(() => null));
    const end = Promise.all(chains)
      .then(() => builders.queue?.close())
      .then(() => pool.close())
      .then(() => context.catalog?.close());
    if (!(await endsInTime(end))) {
      log.error({ component: 'supervisor' }, 'the run cannot end: a call to a disk or mount does not return');
      // What was found out is still reported; then nothing but the call that hangs keeps this process.
      endForSure();
    }
    await watchers.close();
    process.off('SIGQUIT', onQuit);
    takeHandlersOff();
  }
}
