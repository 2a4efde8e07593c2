/**
 * A run of real machines over real effects inside this process, without threads where none are given: every file
 * operation and every call of the store can be made to fail. Otherwise as in runtime/run-eras.ts.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createActor, type InspectionEvent } from 'xstate';
import { performFor } from '../../actors/effects/effect.ts';
import { RunningEra } from '../../actors/effects/running-era.ts';
import { close } from '../../actors/era/close-chain.ts';
import { type FileOps, realFiles } from '../../actors/files.ts';
import { buildPartition } from '../../actors/parquet/build-partition.ts';
import { readBack } from '../../actors/parquet/read-back.ts';
import type { BronzeStore } from '../../actors/ports/store.ts';
import { openSource } from '../../actors/source/index.ts';
import { openCheckpoint } from '../../actors/state/checkpoint.ts';
import { openStore } from '../../actors/store/index.ts';
import { openStagingWriter } from '../../actors/store/staging-writer.ts';
import { supervisor } from '../../actors/supervisor/supervisor.ts';
import type { ThreadAnswer, ThreadTask } from '../../actors/threads/messages.ts';
import type { ThreadPool } from '../../actors/threads/pool.ts';
import { SUPERVISOR_ID } from '../../machines/actor-ids.ts';
import type { RunSummary } from '../../machines/supervisor.ts';
import { eraSetup, openContext } from '../../runtime/context.ts';
import { eraSpec, newRunId } from '../../runtime/era-spec.ts';
import type { Scene } from './program.ts';

/** What a thread does, done here. */
export function poolWith(files: FileOps): Pick<ThreadPool, 'run'> {
  const run = async (task: ThreadTask, options: { signal?: AbortSignal } = {}): Promise<ThreadAnswer> => {
    const signal = options.signal ?? new AbortController().signal;
    if (task.kind === 'readback') return readBack(task, signal, () => {});
    const writer = openStagingWriter(task.staging, { name: task.attempt, key: task.key }, files);
    return buildPartition(task, { source: openSource(task.source), writer, signal, onProgress: () => {} });
  };
  return { run: run as ThreadPool['run'] };
}

export interface InProcess {
  readonly files?: FileOps;
  /** File operations outside of the store: copies of events, checkpoints. */
  readonly beside?: FileOps;
  /** Stands between the program and its store. */
  readonly store?: (real: BronzeStore) => BronzeStore;
  /** Milliseconds after which a run that hangs is given up. */
  readonly patience?: number;
  /** Real threads; without them every task is done in this process. */
  readonly pool?: Pick<ThreadPool, 'run'>;
  /** Eras without an end stop at the head that is found first. */
  readonly once?: boolean;
  /** Is told what passes between the actors. */
  readonly inspect?: (event: InspectionEvent) => void;
  /** Gets the eras of the run, by their id. */
  readonly running?: Map<string, RunningEra>;
}

/** A started run. */
export interface RunInProcess {
  readonly done: Promise<RunSummary>;
  /** Ends it as if the process had died: no drain, no sweep, the lock stays. */
  die(): void;
}

export function startInProcess(scene: Scene, options: InProcess = {}): RunInProcess {
  const { files = realFiles, beside = files, store: around = (real) => real, patience = 60_000 } = options;
  const { pool = poolWith(files), once = false, inspect = () => {}, running = new Map<string, RunningEra>() } = options;
  const context = openContext({ args: [], options: { config: scene.config() } }, {});
  context.log.level = 'silent';
  const runId = newRunId();
  const specs = context.eras.map((era) => eraSpec(context.config, era, { eras: null, stopAfter: null, once }, runId));
  const store = around(openStore(context.storeSpec, files));
  for (const era of context.eras) {
    const setup = eraSetup({ ...context, store }, era, pool, once);
    const { backup, chain, copierId, stateDir } = setup;
    running.set(
      era.era_id,
      new RunningEra({
        ...setup,
        files,
        backup: backup && { ...backup, files: beside },
        checkpoint: openCheckpoint({ dir: stateDir, chain, copierId, files: beside }),
      }),
    );
  }
  const tuning = { pollInterval: 1_000, stallTimeout: 300_000, headPatience: 600_000 };
  const actor = createActor(
    supervisor(performFor(running), tuning, () => {}),
    { id: SUPERVISOR_ID, input: { eras: specs }, inspect },
  );
  let dead = false;
  const over = new Promise<RunSummary>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`still running after ${patience} ms`)), patience);
    actor.subscribe({
      next: ({ status, output }) => {
        if (status === 'done') resolve(output);
        if (status !== 'active') clearTimeout(late);
      },
      error: reject,
    });
  });
  actor.start();
  const done = over.finally(async () => {
    actor.stop();
    if (dead) return;
    for (const era of running.values()) await close(era).catch(() => null);
    await context.catalog?.close();
  });
  return {
    done,
    die() {
      dead = true;
      actor.stop();
      done.catch(() => {});
    },
  };
}

export const runInProcess = (scene: Scene, options: InProcess = {}): Promise<RunSummary> =>
  startInProcess(scene, options).done;

/** Makes the holder of every lock that still stands a process that has ended: this one goes on, its run does not. */
export function endProcess(scene: Scene): void {
  if (!existsSync(scene.state)) return;
  for (const name of readdirSync(scene.state)) {
    if (!/^lock_.*\.json(\.[0-9a-f]{32}\.claim)?$/.test(name)) continue;
    const path = join(scene.state, name);
    const text = readFileSync(path, 'utf8');
    if (text !== '') writeFileSync(path, JSON.stringify({ ...JSON.parse(text), process_start: '1' }));
  }
}
